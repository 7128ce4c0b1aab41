"""Tests of the rules of activations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds.trace import trace
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import set_random_weights

ACTIVATIONS = [
    "elu",
    "exponential",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softplus",
    "softsign",
    "tanh",
]
LAYERS = [
    layers.ReLU(),
    layers.ReLU(negative_slope=0.3),
    layers.ReLU(max_value=0.5),
    layers.ReLU(max_value=0.5, negative_slope=0.3, threshold=0.2),
    layers.ReLU(negative_slope=2.0),
    layers.LeakyReLU(),
    layers.LeakyReLU(negative_slope=1.0),
    layers.LeakyReLU(negative_slope=1.5),
    layers.ELU(alpha=2.0),
    layers.Activation(tf.nn.relu),
    layers.Activation(keras.ops.leaky_relu),
]


def network(activation):
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6),
                activation,
                layers.Dense(5, activation="relu"),
                layers.Dense(3),
            ]
        )
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_inside_layers(name):
    assert_sound(network(layers.Dense(5, activation=name)), radius=0.5)


@pytest.mark.parametrize(
    "layer",
    [*LAYERS, *[layers.Activation(name) for name in ACTIVATIONS]],
    ids=lambda layer: layer.name,
)
def test_activations_as_layers(layer):
    model = network(layer)
    assert_sound(model, radius=0.5)
    # Alone: its ends are exact, so the function never falls.
    inputs = keras.Input((400,))
    x = np.linspace(-4, 4, 400, dtype=np.float32)[np.newaxis]
    ends = ht.bounds.interval(keras.Model(inputs, layer(inputs)), x, x + 0.01)
    for end, at in zip(ends, (x, x + 0.01), strict=True):
        np.testing.assert_allclose(end, layer(at), rtol=1e-5, atol=1e-6)
    assert np.all(np.diff(np.asarray(layer(x))) >= 0)


def test_layers_may_be_activations_of_layers():
    slope = layers.LeakyReLU(negative_slope=0.3)
    for activation in (slope, layers.ReLU(), layers.Activation("tanh")):
        assert_sound(network(layers.Dense(4, activation=activation)))


def test_relu_with_a_slope_is_relaxed_by_lines():
    for layer, slope in (
        (layers.ReLU(), 0.0),
        (layers.ReLU(negative_slope=0.25), 0.25),
        (layers.LeakyReLU(negative_slope=0.5), 0.5),
    ):
        operation = trace(network(layer)).nodes[1].operation
        assert isinstance(operation, ht.bounds.LeakyReLU)
        assert operation.negative_slope == slope


def test_slopes_hold_in_float64():
    # TensorFlow takes 0.3 as float32; lines of slope 0.3 would cut through.
    model = keras.Sequential(
        [keras.Input((1,)), layers.LeakyReLU(negative_slope=0.3)]
    )
    x = np.array([[-1.0]])
    for method in (ht.bounds.interval, ht.bounds.crown):
        lower, upper = method(model, x, x)
        expected = tf.nn.leaky_relu(tf.constant(x), 0.3)
        np.testing.assert_allclose(lower, expected, rtol=1e-14)
        np.testing.assert_allclose(upper, expected, rtol=1e-14)
