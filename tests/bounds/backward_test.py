"""Tests of passes back through values that several operations read."""

import keras
import pytest
from keras import layers

from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import set_random_weights


def two_activations(x):
    """Two activations of one value, the differences of which are small."""
    x = layers.Dense(5)(layers.AveragePooling2D(6)(x))
    steep = layers.LeakyReLU(negative_slope=0.9)(x)
    return layers.Dense(3)(layers.Subtract()([steep, layers.ReLU()(x)]))


def two_activations_of_a_map(x):
    x = layers.Conv2D(4, 3, padding="same")(x)
    steep = layers.LeakyReLU(negative_slope=0.7)(x)
    x = layers.Concatenate()([layers.ReLU()(x), steep])
    return layers.ReLU()(layers.Conv2D(3, 3, padding="same")(x))


def windows_of_two_sizes(x):
    """As in residual networks whose blocks begin with an activation."""
    x = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Conv2D(4, 1)(layers.ReLU()(x))
    x = layers.Add()([layers.Conv2D(4, 3, padding="same")(x), y])
    return layers.Conv2D(2, 3)(layers.ReLU()(x))


def windows_of_two_activations(x):
    x = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Conv2D(4, 1)(layers.ReLU()(x))
    x = layers.LeakyReLU(negative_slope=0.5)(x)
    x = layers.Add()([layers.Conv2D(4, 5, padding="same")(x), y])
    return layers.Conv2D(2, 3)(layers.ReLU()(x))


@pytest.mark.parametrize(
    "build",
    [
        two_activations,
        two_activations_of_a_map,
        windows_of_two_sizes,
        windows_of_two_activations,
    ],
)
def test_a_value_may_have_several_readers(build):
    inputs = keras.Input((12, 12, 2))
    assert_sound(set_random_weights(keras.Model(inputs, build(inputs))))
