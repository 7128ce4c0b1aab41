"""Tests of division by the root mean square between linear functions."""

import math

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.normalize import Normalize
from tests.bounds.enclosing import check_encloses
from tests.bounds.enclosing import random_box


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("stabilizer", [1e-6, 0.1])
@pytest.mark.parametrize("radius", [0.0, 1e-3, 0.2, 2.0, 100.0])
def test_quotients_are_enclosed(radius, stabilizer, dtype):
    box = random_box((2, 3, 5), dtype, radius)
    operation = Normalize(stabilizer)
    limits, planes = check_encloses(operation, [box], number=200)
    assert planes <= limits + 1e-6
    if radius == 0.2:
        assert planes < 0.5 * limits


@pytest.mark.parametrize("radius", [0.1, 100.0])
def test_entries_that_add_up_to_zero_have_closer_limits(radius):
    box = random_box((2, 4), tf.float64, radius)
    share = np.random.default_rng(2).random((300, 2, 4))
    points = box.lower + share * (box.upper - box.lower)
    points = np.asarray(points - tf.reduce_mean(points, -1, keepdims=True))
    box = Interval(tf.constant(points.min(0)), tf.constant(points.max(0)))
    limits, _ = check_encloses(Normalize(1e-3, centered=True), [box], [points])
    wider, _ = check_encloses(Normalize(1e-3), [box], [points])
    assert limits <= wider
    if radius > 1:
        assert limits < wider
        assert limits <= 2 * math.sqrt(3)


def test_one_entry_that_is_its_own_mean_is_zero():
    box = Interval(tf.constant([[0.0]]), tf.constant([[0.0]]))
    for end in Normalize(1e-3, centered=True).interval(box).ends:
        np.testing.assert_array_equal(end, [[0.0]])


def test_gradients_are_finite():
    lower = tf.constant([[-1.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(lower)
        planes = Normalize(1e-3).enclose(Interval(lower, lower + 0.1))
        total = tf.reduce_sum(planes.upper - planes.lower)
    gradient = tape.gradient(total, lower)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)
