"""Tests of products of two bounded values."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.products import MatMul
from hydra_tf.bounds.products import Product
from hydra_tf.bounds.products import WeightedMean
from tests.bounds.enclosing import check_encloses
from tests.bounds.enclosing import points_in
from tests.bounds.enclosing import random_box

SHAPES = [
    (Product(), (2, 3, 4), (2, 3, 4)),
    (Product(), (2, 3, 4), (2, 1, 4)),
    (Product(), (2, 1, 4), (2, 3, 1)),
    (MatMul(), (2, 3, 4), (2, 4, 2)),
    (MatMul(), (2, 2, 3, 4), (2, 2, 4, 2)),
]


def box(lower, upper):
    return Interval(
        tf.constant(lower, tf.float64), tf.constant(upper, tf.float64)
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("radius", [0.0, 0.1, 3.0])
@pytest.mark.parametrize(("operation", "first", "second"), SHAPES)
def test_planes_enclose_the_product(operation, first, second, radius, dtype):
    limits, planes = check_encloses(
        operation,
        [
            random_box(first, dtype, radius),
            random_box(second, dtype, radius, seed=1),
        ],
    )
    assert planes <= limits + 1e-6
    if radius == 0.1:
        assert planes < 0.3 * limits


def test_planes_by_hand():
    # x in [1, 3], y in [-1, 1]: 2 y +- 1 * 1, the mean of McCormick's planes.
    product = Product()
    planes = product.enclose(box([[1.0]], [[3.0]]), box([[-1.0]], [[1.0]]))
    assert [float(each[0, 0]) for each in planes.lower_slopes] == [2, 0]
    assert (planes.lower.numpy(), planes.upper.numpy()) == (-1, 1)
    limits = product.interval(box([[1.0]], [[3.0]]), box([[-1.0]], [[1.0]]))
    assert [float(end[0, 0]) for end in limits.ends] == [-3, 3]


def weights_in(weights, number):
    """Returns points whose rows add up to 1, and a box of them."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(number, *weights)) * 2
    points = np.exp(scores) / np.sum(np.exp(scores), -1, keepdims=True)
    return points, Interval(*map(tf.constant, (points.min(0), points.max(0))))


@pytest.mark.parametrize("radius", [0.05, 2.0])
def test_means_are_enclosed_more_closely_than_products(radius):
    shares, weights = weights_in((2, 2, 3, 4), 64)
    values = random_box((2, 2, 4, 5), tf.float64, radius, scale=3.0)
    (points,) = points_in([values], 64)
    limits, planes = check_encloses(
        WeightedMean(), [weights, values], [shares, points]
    )
    wider_limits, wider = check_encloses(
        MatMul(), [weights, values], [shares, points]
    )
    assert limits < 0.9 * wider_limits
    assert planes <= wider and planes < limits


def test_means_by_hand():
    # At least a quarter is of each; the half that is left takes the largest.
    weights = box([[[0.25, 0.25]]], [[[0.75, 0.75]]])
    values = box([[[1.0], [0.0]]], [[[2.0], [0.5]]])
    limits = WeightedMean().interval(weights, values)
    np.testing.assert_allclose(limits.lower, [[[0.25]]])
    np.testing.assert_allclose(limits.upper, [[[0.75 * 2 + 0.25 * 0.5]]])


def test_means_of_equal_values_are_that_value():
    weights = box([[[0.0, 0.0, 0.0]]], [[[1.0, 1.0, 1.0]]])
    values = box([[[4.0], [4.0], [4.0]]], [[[4.0], [4.0], [4.0]]])
    for end in WeightedMean().interval(weights, values).ends:
        np.testing.assert_allclose(end, [[[4.0]]])
