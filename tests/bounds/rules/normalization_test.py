"""Tests of the rules of layers that normalise, scale and shift."""

import keras
import numpy as np
import pytest
from keras import layers

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights

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


def normalized(layer, shape=(3, 4)):
    inputs = keras.Input(shape)
    x = layers.Dense(4)(inputs)
    outputs = layers.Dense(3)(layers.Flatten()(layer(x)))
    return set_random_weights(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    "layer",
    [
        layers.LayerNormalization(),
        layers.LayerNormalization(axis=1, epsilon=1e-6),
        layers.LayerNormalization(axis=(1, 2), center=False),
        layers.LayerNormalization(scale=False),
        layers.RMSNormalization(),
    ],
)
def test_normalisation_of_each_input_is_bounded(layer):
    model = normalized(layer)
    assert_sound(model, radius=0.5)
    x = random_box(model)[0].astype(np.float64)
    for end in ht.bounds.interval(model, x, x):
        np.testing.assert_allclose(end, model(x), rtol=1e-4, atol=1e-4)


def test_crown_is_tighter_than_intervals():
    model = normalized(layers.LayerNormalization())
    box = random_box(model, radius=0.05)
    widths = [
        float(np.mean(np.subtract(*bounds_by(method, model, *box)[::-1])))
        for method in ("crown", "crown_ibp", "ibp")
    ]
    assert widths[0] < 0.5 * widths[2] and widths[1] < 0.8 * widths[2]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            layers.LayerNormalization(axis=0, name="odd"),
            "'odd' .*mixes the rows of a batch",
        ),
        (
            layers.LayerNormalization(epsilon=0.0, name="odd"),
            "'odd' .*epsilon is 0.0, not above 0",
        ),
        (layers.RMSNormalization(axis=1, name="odd"), r"'odd' .*axis is \[1\]"),
    ],
)
def test_normalisation_that_has_no_bounds_is_said(layer, message):
    inputs = keras.Input((3, 3), batch_size=3)
    model = keras.Model(
        inputs, layers.Dense(2)(layers.Flatten()(layer(inputs)))
    )
    with pytest.raises(InputError, match=message):
        ht.bounds.check_supported(model)
