"""Tests of softmax between linear functions."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.softmax import Softmax
from tests.bounds.enclosing import check_encloses
from tests.bounds.enclosing import random_box


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("radius", [0.0, 1e-3, 0.3, 5.0, 300.0])
def test_softmax_is_enclosed(radius, scale, dtype):
    box = random_box((2, 3, 4), dtype, radius, scale=scale)
    limits, planes = check_encloses(Softmax(), [box], number=200)
    assert planes <= limits + 1e-6
    if (radius, scale) == (0.3, 1.0):
        assert planes < 0.4 * limits


def test_planes_touch_where_the_box_is_small():
    gaps = [
        check_encloses(Softmax(), [random_box((2, 5), tf.float64, radius)])[1]
        for radius in (0.1, 0.01)
    ]
    assert gaps[1] < gaps[0] / 50  # Of second order.


def test_limits_are_exact():
    box = random_box((1, 4), tf.float64, 1.0)
    corners = np.array(list(itertools.product(*np.concatenate(box.ends).T)))
    values = np.asarray(tf.nn.softmax(tf.constant(corners)))
    limits = Softmax().interval(box)
    np.testing.assert_allclose(limits.lower[0], values.min(0), rtol=1e-12)
    np.testing.assert_allclose(limits.upper[0], values.max(0), rtol=1e-12)


def test_gradients_are_finite():
    lower = tf.constant([[-1.0, 0.0, 300.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(lower)
        planes = Softmax().enclose(Interval(lower, lower + [0.0, 1.0, 2.0]))
        total = tf.reduce_sum(planes.upper) - tf.reduce_sum(
            planes.lower_slopes[0]
        )
    gradient = tape.gradient(total, lower)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)
