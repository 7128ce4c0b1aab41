"""Rules of pooling layers."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.registration import register_rule


@register_rule(
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
)
def _average(layer: Any) -> Operation:
    # Keras divides by the entries inside the image, padding left out.
    return Linear(layer.call)


@register_rule(
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)
def _maximum(layer: Any) -> Operation:
    return Monotone(layer.call)
