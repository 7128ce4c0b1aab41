"""Tests of max pooling between linear functions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.max_pooling import MaxPooling
from hydra_tf.bounds.rules.registration import find_rule
from tests.bounds.enclosing import check_encloses
from tests.bounds.enclosing import random_box
from tests.bounds.random_points import bounds_by

CASES = [
    ((5, 4, 2), layers.MaxPooling2D(2)),
    ((5, 4, 2), layers.MaxPooling2D((3, 2), (1, 2))),
    ((5, 4, 2), layers.MaxPooling2D(3, 2, padding="same")),
    ((5, 4, 2), layers.GlobalMaxPooling2D()),
    ((5, 2), layers.MaxPooling1D(2, padding="same")),
    ((5, 2), layers.GlobalMaxPooling1D(keepdims=True)),
]


@pytest.mark.parametrize("radius", [0.0, 0.1, 3.0])
@pytest.mark.parametrize(
    ("shape", "layer"), CASES, ids=lambda each: getattr(each, "name", None)
)
def test_pooling_is_enclosed(shape, layer, radius):
    pooling = find_rule(layer)(layer, [shape])
    assert isinstance(pooling, MaxPooling)
    box = random_box((2, *shape), tf.float64, radius)
    limits, planes = check_encloses(pooling, [box])
    assert planes <= 1e-12 if radius == 0 else planes < 1.3 * limits
    if radius == 0.1:
        assert planes < 0.5 * limits


def test_planes_by_hand():
    pooling = MaxPooling(lambda x: tf.reduce_max(x, 1), np.array([[0, 1, 2]]))
    # The first one is the largest; it may be the first or the second one.
    lower = tf.constant([[[3.0], [0.0], [1.0]], [[0.0], [1.0], [-5.0]]])
    upper = tf.constant([[[5.0], [2.0], [2.0]], [[4.0], [2.0], [-4.0]]])
    planes = pooling.enclose(Interval(lower, upper))
    np.testing.assert_array_equal(
        planes.lower_slopes[0][:, 0, :, 0], [[1, 0, 0], [0, 1, 0]]
    )
    np.testing.assert_array_equal(
        planes.upper_slopes[0][:, 0, :, 0], [[1, 0, 0], [0.5, 0, 0]]
    )
    np.testing.assert_array_equal(planes.upper, [[0], [2]])


def test_crown_remembers_what_is_pooled():
    """Of `max(x, y) - x`, where x is always the larger one."""
    inputs = keras.Input((2, 1))
    pooled = layers.MaxPooling1D(2)(inputs)
    first = layers.Cropping1D((0, 1))(inputs)
    outputs = layers.Subtract()([pooled, first])
    model = keras.Model(inputs, layers.Flatten()(outputs))
    lower = np.array([[[3.0], [0.0]]])
    for method in ("crown_ibp", "crown", "symbolic"):
        for end in bounds_by(method, model, lower, lower + 2.0):
            np.testing.assert_allclose(end, [[0.0]], atol=1e-12)
    assert ht.bounds.interval(model, lower, lower + 2.0)[1] > 1
