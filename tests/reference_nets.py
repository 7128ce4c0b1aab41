"""The small trained networks of autoattack.npz, and their images."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

NAMES = ("AA1", "AA2")

# Filters, side of the kernel, stride.
_CONVOLUTIONS = {
    "AA1": ((16, 4, 2), (32, 4, 2)),
    "AA2": ((16, 3, 1), (16, 4, 2), (32, 3, 1), (32, 4, 2)),
}
_UNITS = {"AA1": (64, 10), "AA2": (64, 64, 10)}


def reference_net(arrays: Mapping[str, np.ndarray], name: str) -> keras.Model:
    """Returns a network of the golden file `arrays`.

    Args:
        arrays: With `{name}/{layer}/kernel` and `{name}/{layer}/bias`.
        name: One of `NAMES`.
    """
    layers = [
        keras.layers.Conv2D(
            filters,
            side,
            stride,
            padding="same",
            activation="relu",
            name=f"conv{number}",
        )
        for number, (filters, side, stride) in enumerate(_CONVOLUTIONS[name], 1)
    ]
    layers.append(keras.layers.Flatten())
    *hidden, classes = _UNITS[name]
    for number, units in enumerate(hidden, 1):
        layers.append(
            keras.layers.Dense(units, activation="relu", name=f"dense{number}")
        )
    layers.append(keras.layers.Dense(classes, name=f"dense{len(hidden) + 1}"))
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    for layer in model.layers:
        if layer.weights:
            prefix = f"{name}/{layer.name}"
            layer.set_weights(
                [arrays[f"{prefix}/kernel"], arrays[f"{prefix}/bias"]]
            )
    return model
