"""Rules of normalisation, and of layers that scale and shift every entry.

Factors are computed in float64: rounded to float32 they would be wrong by more
than bounds in float64 are.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.normalize import Normalize
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.rules.axes import on_last_axis
from hydra_tf.bounds.rules.axes import without_batch
from hydra_tf.bounds.rules.kernels import as_float64
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported


@register_rule(keras.layers.BatchNormalization)
def _batch_normalization(layer: Any, shapes: list[tuple]) -> Operation:
    """Batch normalisation in inference mode: its running statistics."""
    scale = tf.math.rsqrt(as_float64(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale *= as_float64(layer.gamma)
    shift = -as_float64(layer.moving_mean) * scale
    if layer.center:
        shift += as_float64(layer.beta)
    rank = len(shapes[0])
    axis = layer.axis % (rank + 1) - 1  # Without the batch.
    along = [1] * rank
    along[axis] = shapes[0][axis]
    return Scale(tf.reshape(scale, along), tf.reshape(shift, along))


@register_rule(keras.layers.LayerNormalization)
def _layer_normalization(layer: Any, shapes: list[tuple]) -> list[Operation]:
    if layer.rms_scaling:
        raise unsupported(layer.name, layer, "it has rms_scaling=True")
    (shape,) = shapes
    axes = without_batch(layer.axis, len(shape))
    if -1 in axes:
        raise unsupported(layer.name, layer, "it mixes the rows of a batch")
    size = math.prod(shape[axis] for axis in axes)
    normalize = _normalize(layer, centered=True)
    operations = on_last_axis([_centering(size), normalize], axes, shape)
    if layer.scale or layer.center:
        along = [side if i in axes else 1 for i, side in enumerate(shape)]
        ones = tf.ones(along, tf.float64)
        scale = ones if layer.gamma is None else as_float64(layer.gamma)
        shift = 0 * ones if layer.beta is None else as_float64(layer.beta)
        operations.append(
            Scale(tf.reshape(scale, along), tf.reshape(shift, along))
        )
    return operations


@register_rule(keras.layers.RMSNormalization)
def _rms_normalization(layer: Any, shapes: list[tuple]) -> list[Operation]:
    (shape,) = shapes
    axes = without_batch(layer.axis, len(shape))
    if axes != [len(shape) - 1]:
        raise unsupported(layer.name, layer, f"its axis is {layer.axis}")
    return [
        _normalize(layer, centered=False),
        Scale(as_float64(layer.scale)),
    ]


def _normalize(layer: Any, *, centered: bool) -> Normalize:
    if layer.epsilon <= 0:
        raise unsupported(
            layer.name, layer, f"its epsilon is {layer.epsilon}, not above 0"
        )
    return Normalize(layer.epsilon, centered=centered)


def _centering(size: int) -> Linear:
    """Returns what takes the mean off the entries along the last axis."""
    # Of an entry its own share, and that of each other one.
    shares = tf.constant([1 - 1 / size, -1 / size], tf.float64)

    def function(x: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        others = tf.reduce_sum(x, -1, keepdims=True) - x
        return shares[0] * x + shares[1] * others

    return Linear(
        function,
        kernel=shares,
        transpose=lambda rows, shares, _: function(rows, shares),
    )


@register_rule(keras.layers.Rescaling)
def _rescaling(layer: Any) -> Operation:
    scale, offset = as_float64(layer.scale), as_float64(layer.offset)
    if scale.shape.rank and keras.config.image_data_format() != "channels_last":
        raise unsupported(
            layer.name, layer, "its factors are those of channels that go first"
        )
    return Scale(scale, offset)


@register_rule(keras.layers.Normalization)
def _normalization(layer: Any) -> Operation:
    mean = as_float64(layer.mean)[0]
    deviation = tf.maximum(
        tf.sqrt(as_float64(layer.variance)[0]), keras.backend.epsilon()
    )
    if layer.invert:
        return Scale(deviation, mean)
    return Scale(1 / deviation, -mean / deviation)
