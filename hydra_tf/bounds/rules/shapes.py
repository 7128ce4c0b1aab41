"""Rules of layers that move entries about, or only act in training."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.convolution import ZeroPadding
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.axes import without_batch
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.graph import Call


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
    (shape,) = shapes
    spec = operation.compute_output_spec(keras.KerasTensor((None, *shape)))
    newshape = spec.shape[1:]
    if None in newshape or math.prod(newshape) != math.prod(shape):
        raise unsupported(
            operation.name, operation, "it mixes the rows of a batch"
        )
    return _reshape(lambda x: tf.reshape(x, [-1, *newshape]))


@register_rule(keras.layers.Permute)
def _permute(layer: Any) -> Operation:
    return Linear(layer.call, diagonal=True)


@register_named_rule("Transpose")
def _transpose_operation(operation: Any, shapes: list[tuple]) -> Operation:
    axes = operation.axes
    if axes is None or axes[0] != 0:
        raise unsupported(
            operation.name, operation, "it mixes the rows of a batch"
        )
    return Linear(lambda x: tf.transpose(x, axes), diagonal=True)


@register_named_rule("Mean")
def _mean_operation(operation: Any, shapes: list[tuple]) -> Operation:
    axes = operation.axis
    if axes is None or -1 in without_batch(axes, len(shapes[0])):
        raise unsupported(
            operation.name, operation, "it mixes the rows of a batch"
        )
    return Linear(operation.call)


@register_named_rule("GetItem")
def _item_operation(
    operation: Any, shapes: list[tuple], call: Call
) -> Operation:
    """A part of every row, as `x[:, 0]` is."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
    keys = key if isinstance(key, tuple) else (key,)
    if (
        len(call.inputs) != 1
        or keys[0] not in (slice(None), Ellipsis)
        or (keys[0] is Ellipsis and len(keys) > len(shapes[0]))
        or not all(isinstance(k, int | slice) or k is Ellipsis for k in keys)
    ):
        raise unsupported(
            operation.name, operation, f"it takes the part [{key}]"
        )
    return Linear(lambda x: x[key], diagonal=True)


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


@register_rule(keras.layers.UpSampling1D)
def _upsampling_1d(layer: Any) -> Operation:
    return Linear(layer.call)


@register_rule(keras.layers.UpSampling2D)
def _upsampling_2d(layer: Any, shapes: list[tuple]) -> Operation:
    if layer.interpolation == "nearest":
        return Linear(layer.call)
    if layer.interpolation != "bilinear":
        raise unsupported(
            layer.name, layer, f"its interpolation is '{layer.interpolation}'"
        )
    if layer.data_format != "channels_last":
        raise unsupported(
            layer.name, layer, f"its data_format is '{layer.data_format}'"
        )
    # TensorFlow interpolates in float32 alone; its weights serve any dtype.
    height, width, _ = shapes[0]
    rows = layer.call(tf.eye(height)[:, :, tf.newaxis, tf.newaxis])[:, :, 0, 0]
    columns = layer.call(tf.eye(width)[:, tf.newaxis, :, tf.newaxis])[
        :, 0, :, 0
    ]
    return Linear(
        lambda x: tf.einsum(
            "bhwc,hi,wj->bijc",
            x,
            tf.cast(rows, x.dtype),
            tf.cast(columns, x.dtype),
        )
    )


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
