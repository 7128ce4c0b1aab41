"""Rules of convolutions."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hydra_tf.bounds.convolution import NO_PADDING
from hydra_tf.bounds.convolution import Convolution
from hydra_tf.bounds.convolution import same_padding
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.activations import activation
from hydra_tf.bounds.rules.kernels import bias_of
from hydra_tf.bounds.rules.kernels import kernel_of
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.layers import MaskedConv1D
from hydra_tf.layers import MaskedConv2D
from hydra_tf.layers import MaskedConv2DTranspose
from hydra_tf.layers import MaskedDepthwiseConv2D


@register_rule(keras.layers.Conv2D, MaskedConv2D)
def _conv_2d(layer: Any, shapes: list[tuple]) -> list[Operation]:
    _check_channels_last(layer)
    strides = tuple(layer.strides)
    dilations = tuple(layer.dilation_rate)
    padding = NO_PADDING
    if layer.padding == "same":
        padding = same_padding(
            shapes[0][:2], layer.kernel_size, strides, dilations
        )
    convolution = Convolution(
        kernel_of(layer),
        bias_of(layer),
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=layer.groups,
    )
    return [convolution, *activation(layer)]


@register_rule(keras.layers.Conv1D, MaskedConv1D)
def _conv_1d(layer: Any) -> list[Operation]:
    _check_channels_last(layer)
    before = 0
    padding = layer.padding
    if padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        padding = "valid"
    convolve = functools.partial(
        tf.nn.convolution,
        strides=tuple(layer.strides),
        padding=padding.upper(),
        dilations=tuple(layer.dilation_rate),
    )

    def function(x, kernel):
        if before:
            x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
        # In groups one by one: on CPU they have no gradients otherwise.
        parts = [
            convolve(part, part_kernel)
            for part, part_kernel in zip(
                tf.split(x, layer.groups, -1),
                tf.split(kernel, layer.groups, -1),
                strict=True,
            )
        ]
        return tf.concat(parts, -1)

    linear = Linear(function, kernel=kernel_of(layer), bias=bias_of(layer))
    return [linear, *activation(layer)]


@register_rule(keras.layers.DepthwiseConv2D, MaskedDepthwiseConv2D)
def _depthwise(layer: Any) -> list[Operation]:
    _check_channels_last(layer)
    linear = Linear(
        functools.partial(
            ops.depthwise_conv,
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
            data_format=layer.data_format,
        ),
        kernel=kernel_of(layer),
        bias=bias_of(layer),
    )
    return [linear, *activation(layer)]


@register_rule(keras.layers.Conv2DTranspose, MaskedConv2DTranspose)
def _conv_2d_transpose(layer: Any) -> list[Operation]:
    _check_channels_last(layer)
    linear = Linear(
        functools.partial(
            ops.conv_transpose,
            strides=list(layer.strides),
            padding=layer.padding,
            output_padding=layer.output_padding,
            dilation_rate=layer.dilation_rate,
            data_format=layer.data_format,
        ),
        kernel=kernel_of(layer),
        bias=bias_of(layer),
    )
    return [linear, *activation(layer)]


def _check_channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise unsupported(
            layer.name, layer, f"its data_format is '{layer.data_format}'"
        )
