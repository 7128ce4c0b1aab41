"""Copies have what layers of preprocessing found by `adapt`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht

layers = keras.layers

NUMBERS = np.arange(10).reshape(2, 5) % 7
WORDS = tf.constant([["a", "c"], ["b", "b"]])


@pytest.mark.parametrize(
    ("layer", "data", "inputs"),
    [
        (layers.Normalization, NUMBERS[:, :2] * 9.0, NUMBERS[:, :2] * 1.0),
        (
            lambda: layers.IntegerLookup(output_mode="multi_hot"),
            NUMBERS[:, :2],
            NUMBERS[:, 1:3],
        ),
        (lambda: layers.StringLookup(output_mode="tf_idf"), WORDS, WORDS[::-1]),
    ],
)
def test_what_layers_adapted_to_is_copied(layer, data, inputs):
    adapted = layer()
    adapted.adapt(data)
    inputs = tf.convert_to_tensor(inputs)
    image = keras.Input((2,), dtype=inputs.dtype)
    x = layers.Dense(4)(adapted(image))
    model = keras.Model(image, layers.Dense(3)(x))
    masked = ht.to_masked(model, granularity="filter")
    for copy in (masked, ht.strip_masks(masked), ht.shrink(masked)):
        np.testing.assert_allclose(copy(inputs), model(inputs), atol=1e-5)
