"""Finding the masked weights inside models and layers."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.keras_internals import flatten_layers
from hydra_tf.layers.masked_layer import MaskedLayer


def find_masked(*layers: keras.layers.Layer) -> list[Any]:
    """Returns the masked weights inside the given layers, once each.

    A layer whose only masked weight is its kernel stands for it, see
    `hydra_tf.layers.MaskedLayer`.
    """
    found: dict[int, Any] = {}
    for layer in layers:
        for inner in flatten_layers(layer):
            if isinstance(inner, MaskedLayer) and inner.built:
                found |= {id(view): view for view in inner.all_views()}
    return list(found.values())
