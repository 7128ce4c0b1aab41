"""Rules of layers that move entries about, or only act in training."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hydra_tf.bounds.convolution import ZeroPadding
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.registry import register_named_rule
from hydra_tf.bounds.rules.registry import register_rule
from hydra_tf.bounds.rules.registry import unsupported


@register_rule(
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
)
def _identity(layer: Any) -> list[Operation]:
    return []


@register_rule(keras.layers.Flatten)
def _flatten(layer: Any) -> Operation:
    if layer.data_format != "channels_last":
        raise unsupported(
            layer.name, layer, f"its data_format is '{layer.data_format}'"
        )
    return _reshape(lambda x: tf.reshape(x, [tf.shape(x)[0], _size(x)]))


@register_rule(keras.layers.Reshape)
def _reshape_layer(layer: Any) -> Operation:
    return _reshape(layer.call)


@register_named_rule("Reshape")
def _reshape_operation(operation: Any, shapes: list[tuple]) -> Operation:
    newshape = operation.newshape[1:]
    return _reshape(lambda x: ops.reshape(x, (-1, *newshape)))


@register_rule(keras.layers.Permute)
def _permute(layer: Any) -> Operation:
    return Linear(layer.call, diagonal=True)


@register_rule(
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.ZeroPadding1D,
)
def _padding(layer: Any) -> Operation:
    return Linear(layer.call, diagonal=True)


@register_rule(keras.layers.ZeroPadding2D)
def _zero_padding_2d(layer: Any) -> Operation:
    if layer.data_format != "channels_last":
        return Linear(layer.call, diagonal=True)
    top_bottom, left_right = layer.padding
    return ZeroPadding((tuple(top_bottom), tuple(left_right)))


@register_rule(keras.layers.UpSampling1D, keras.layers.UpSampling2D)
def _upsampling(layer: Any) -> Operation:
    if getattr(layer, "interpolation", "nearest") not in (
        "nearest",
        "bilinear",
    ):
        raise unsupported(
            layer.name, layer, f"its interpolation is '{layer.interpolation}'"
        )
    return Linear(layer.call)


def _reshape(function: Any) -> Linear:
    return Linear(
        function,
        transpose=lambda rows, shape: tf.reshape(
            rows, [tf.shape(rows)[0], *shape]
        ),
        diagonal=True,
    )


def _size(x: tf.Tensor) -> int:
    return x.shape[1:].num_elements()
