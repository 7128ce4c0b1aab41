"""Finding the masked layers inside models and layers."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.keras_internals import flatten_layers
from hydra_tf.layers.masked_layer import MaskedLayer


def find_masked(*layers: keras.layers.Layer) -> list[Any]:
    """Returns the built masked layers inside the given layers, once each."""
    found: dict[int, Any] = {}
    for layer in layers:
        for inner in flatten_layers(layer):
            if isinstance(inner, MaskedLayer) and inner.built:
                found[id(inner)] = inner
    return list(found.values())
