"""Rules of layers that scale and shift every entry.

Factors are computed in float64: rounded to float32 they would be wrong by more
than bounds in float64 are.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported


@register_rule(keras.layers.BatchNormalization)
def _batch_normalization(layer: Any, shapes: list[tuple]) -> Operation:
    """Batch normalisation in inference mode: its running statistics."""
    scale = tf.math.rsqrt(_float64(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale *= _float64(layer.gamma)
    shift = -_float64(layer.moving_mean) * scale
    if layer.center:
        shift += _float64(layer.beta)
    rank = len(shapes[0])
    axis = layer.axis % (rank + 1) - 1  # Without the batch.
    along = [1] * rank
    along[axis] = shapes[0][axis]
    return Scale(tf.reshape(scale, along), tf.reshape(shift, along))


@register_rule(keras.layers.Rescaling)
def _rescaling(layer: Any) -> Operation:
    scale, offset = _float64(layer.scale), _float64(layer.offset)
    if scale.shape.rank and keras.config.image_data_format() != "channels_last":
        raise unsupported(
            layer.name, layer, "its factors are those of channels that go first"
        )
    return Scale(scale, offset)


@register_rule(keras.layers.Normalization)
def _normalization(layer: Any) -> Operation:
    mean = _float64(layer.mean)[0]
    deviation = tf.maximum(
        tf.sqrt(_float64(layer.variance)[0]), keras.backend.epsilon()
    )
    if layer.invert:
        return Scale(deviation, mean)
    return Scale(1 / deviation, -mean / deviation)


def _float64(value: Any) -> tf.Tensor:
    """Returns what a layer that computes in float64 takes a value for.

    That is a Python number as Keras rounds it, to float32.
    """
    return ops.cast(value, "float64")
