"""Rules of layers that scale and shift every entry."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.rules.registry import register_rule


@register_rule(keras.layers.BatchNormalization)
def _batch_normalization(layer: Any, shapes: list[tuple]) -> Operation:
    """Batch normalisation in inference mode: its running statistics."""
    variance = tf.convert_to_tensor(layer.moving_variance)
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.scale:
        scale *= tf.convert_to_tensor(layer.gamma)
    shift = -tf.convert_to_tensor(layer.moving_mean) * scale
    if layer.center:
        shift += tf.convert_to_tensor(layer.beta)
    rank = len(shapes[0])
    axis = layer.axis % (rank + 1) - 1  # Without the batch.
    along = [1] * rank
    along[axis] = shapes[0][axis]
    return Scale(tf.reshape(scale, along), tf.reshape(shift, along))


@register_rule(keras.layers.Rescaling)
def _rescaling(layer: Any) -> Operation:
    return Scale(
        tf.convert_to_tensor(layer.scale, tf.float32),
        tf.convert_to_tensor(layer.offset, tf.float32),
    )


@register_rule(keras.layers.Normalization)
def _normalization(layer: Any) -> Operation:
    mean = tf.cast(layer.mean, tf.float32)[0]
    deviation = tf.maximum(
        tf.sqrt(tf.cast(layer.variance, tf.float32)[0]),
        keras.backend.epsilon(),
    )
    if layer.invert:
        return Scale(deviation, mean)
    return Scale(1 / deviation, -mean / deviation)
