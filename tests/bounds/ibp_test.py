"""Tests of interval bounds."""

import keras
import numpy as np
import pytest

from hydra_tf import bounds
from tests.bounds.golden_networks import golden_network
from tests.bounds.random_points import random_box
from tests.bounds.random_points import residual_network


def test_one_affine_layer_by_hand():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[2.0], [-3.0]]), np.array([1.0])])
    # 2 [1, 2] - 3 [-2, 0] + 1
    lower, upper = bounds.interval(model, [[1.0, -2.0]], [[2.0, 0.0]])
    np.testing.assert_array_equal([lower, upper], [[[3]], [[11]]])


def test_a_specification_is_merged_with_the_last_affine_layer():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    model.set_weights([np.array([[1.0, 1.0]]), np.array([0.0, 0.5])])
    # x - (x + 0.5) is -0.5, whatever x is.
    ends = bounds.interval(model, [[-1.0]], [[1.0]], [[[1.0, -1.0]]])
    np.testing.assert_array_equal(ends, [[[-0.5]], [[-0.5]]])


@pytest.mark.parametrize("name", ["residual", "N1m"])
def test_interval_bounds_only_widen_with_the_box(name):
    model = residual_network() if name == "residual" else golden_network(name)
    center, _ = random_box(model, radius=0)
    spec = bounds.margin_spec([0, 1], model.output_shape[-1])
    for given in (None, spec):
        inner = bounds.interval(model, center, center, given)
        for radius in (0.001, 0.01, 0.1, 1.0):
            outer = bounds.interval(
                model, center - radius, center + radius, given
            )
            slack = 1e-5 * np.abs(outer).max()
            assert np.all(outer[0] <= inner[0] + slack)
            assert np.all(outer[1] >= inner[1] - slack)
            inner = outer
