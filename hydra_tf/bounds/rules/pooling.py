"""Rules of pooling layers."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from hydra_tf.bounds.max_pooling import MaxPooling
from hydra_tf.bounds.max_pooling import Sliding
from hydra_tf.bounds.max_pooling import sliding_windows
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


@register_rule(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
def _maximum(layer: Any, shapes: list[tuple]) -> Operation:
    if layer.data_format != "channels_last":
        return Monotone(layer.call)
    size = shapes[0][:-1]
    places = layer.compute_output_shape((None, *shapes[0]))[1:-1]
    lengths, strides = tuple(layer.pool_size), tuple(layer.strides)
    padding = [
        max((count - 1) * stride + length - side, 0)
        for count, stride, length, side in zip(
            places, strides, lengths, size, strict=True
        )
    ]
    before = [total // 2 for total in padding]
    windows = sliding_windows(size, lengths, strides, before, places)
    sliding = None if any(padding) else Sliding(lengths, strides)
    return MaxPooling(layer.call, windows, sliding)


@register_rule(keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)
def _global_maximum(layer: Any, shapes: list[tuple]) -> Operation:
    if layer.data_format != "channels_last":
        return Monotone(layer.call)
    size = math.prod(shapes[0][:-1])
    return MaxPooling(layer.call, np.arange(size)[np.newaxis])
