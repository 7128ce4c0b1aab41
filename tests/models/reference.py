"""Weights that both the Keras networks and the original ones were given."""

from __future__ import annotations

import zlib

import keras
import numpy as np


def set_weights(model: keras.Model) -> None:
    """Gives every layer weights that depend on its name alone.

    Kernels are normal with variance 2 / fan_in, so that activations keep their
    size; everything else, the statistics of batch norm too, is far enough from
    its usual start to show when it is missing or in the wrong place.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        # The stream of a RandomState never changes between numpy versions.
        random = np.random.RandomState(zlib.crc32(layer.name.encode()))
        values = []
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if weight.name == "kernel":
                fan_in = np.prod(shape[:-1])
                values.append(random.randn(*shape) * np.sqrt(2.0 / fan_in))
            elif weight.name in ("gamma", "moving_variance"):
                values.append(random.uniform(0.5, 1.5, shape))
            else:
                values.append(random.uniform(-0.2, 0.2, shape))
        layer.set_weights(values)


def image(input_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns one image in [0, 1] with a batch axis."""
    random = np.random.RandomState(sum(input_shape))
    return random.uniform(size=(1, *input_shape)).astype(np.float32)


def logits(model: keras.Model) -> np.ndarray:
    """Returns the model's logits for `image`, with the weights above."""
    set_weights(model)
    return np.asarray(model(image(model.input_shape[1:]), training=False))[0]
