"""Tests of sums and products of values and constants."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import set_random_weights

POSITIONS = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)


def network(build):
    inputs = keras.Input((4, 2))
    outputs = layers.Dense(3)(layers.Flatten()(build(inputs)))
    return set_random_weights(keras.Model(inputs, outputs))


def squeezed_and_excited(x):
    gate = layers.GlobalAveragePooling1D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Dense(2, activation="sigmoid")(gate)])


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x + 0.5,
        lambda x: 0.5 - x,
        lambda x: x - POSITIONS,
        lambda x: x + POSITIONS[np.newaxis],
        lambda x: ops.add(x1=POSITIONS[0], x2=x),
        lambda x: ops.multiply(x, POSITIONS[:, :1]),
        lambda x: -2.0 * x / 255.0,
        lambda x: x[:, 0],
        lambda x: x[..., :1] * x,
        lambda x: ops.mean(x, axis=1),
        squeezed_and_excited,
    ],
)
def test_arithmetic_is_bounded(build):
    assert_sound(network(build), num_points=16)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: x + np.ones((3, 4, 2)), r"broadcasts .*\(3, 4, 2\)"),
        (lambda x: x[:, :1] + np.ones((4, 2)), "broadcasts"),
        (lambda x: 1.0 / x, "divides by no constant"),
        (lambda x: x / x, "divides by no constant"),
        (lambda x: layers.Multiply()([x, x, x]), "it has 3 inputs"),
        (lambda x: ops.mean(x, axis=0), "mixes the rows of a batch"),
    ],
)
def test_arithmetic_that_has_no_bounds_is_said(build, message):
    with pytest.raises(InputError, match=message):
        ht.bounds.check_supported(network(build))
