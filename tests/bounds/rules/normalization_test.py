"""Tests of the rules of layers that scale and shift."""

import keras
import numpy as np
import pytest
from keras import layers

import hydra_tf as ht
from hydra_tf.errors import InputError

DEVIATIONS = np.array([0.7, 1.3, 2.1], np.float32)
MEAN = np.array([0.1, -0.4, 0.7], np.float32)
VARIANCE = DEVIATIONS**2


def batch_normalization():
    layer = layers.BatchNormalization(epsilon=1e-3)
    layer.build((None, 3))
    for variable, value in zip(
        (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance),
        (1.5 * MEAN, DEVIATIONS, MEAN, VARIANCE),
        strict=True,
    ):
        variable.assign(value)
    return layer


def in_float64(x, mean, variance, epsilon):
    return (x - mean) / np.sqrt(variance.astype(np.float64) + epsilon)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (
            batch_normalization(),
            lambda x: (
                in_float64(x, MEAN, VARIANCE, 1e-3)
                * (1.5 * MEAN).astype(np.float64)
                + DEVIATIONS
            ),
        ),
        (
            # Keras rounds Python numbers to float32, whatever it computes in.
            layers.Rescaling(1 / 255, 0.1),
            lambda x: x * np.float64(np.float32(1 / 255)) + np.float32(0.1),
        ),
        (
            layers.Rescaling(MEAN.astype(float) / 3, [1.25, -1.5, 1.75]),
            lambda x: x * (MEAN.astype(float) / 3) + [1.25, -1.5, 1.75],
        ),
        (
            layers.Normalization(mean=MEAN, variance=VARIANCE),
            lambda x: in_float64(x, MEAN, VARIANCE, 0),
        ),
        (
            layers.Normalization(mean=MEAN, variance=VARIANCE, invert=True),
            lambda x: x * np.sqrt(VARIANCE.astype(np.float64)) + MEAN,
        ),
    ],
)
def test_factors_are_as_precise_as_the_bounds(layer, function):
    model = keras.Sequential([keras.Input((3,)), layer])
    x = np.random.default_rng(0).random((5, 3))
    expected = function(x)
    for ends, tolerance in (
        (ht.bounds.interval(model, x, x), 1e-14),
        (ht.bounds.crown(model, x, x), 1e-14),
        (ht.bounds.interval(model, *(np.float32(x),) * 2), 1e-6),
    ):
        for end in ends:
            np.testing.assert_allclose(end, expected, tolerance, tolerance)
    np.testing.assert_allclose(model(x), expected, 1e-5, 1e-5)


def test_factors_of_channels_that_go_first_are_refused():
    inputs = keras.Input((3, 3, 3))
    rescaled = layers.Rescaling([0.1, 0.2, 0.3], name="rescaled")(inputs)
    model = keras.Model(inputs, layers.Flatten()(rescaled))
    ht.bounds.check_supported(model)
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match="'rescaled' .*channels"):
            ht.bounds.check_supported(model)
    finally:
        keras.config.set_image_data_format("channels_last")
