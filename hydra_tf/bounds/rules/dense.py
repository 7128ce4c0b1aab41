"""The rules of dense layers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.activations import activation
from hydra_tf.bounds.rules.kernels import bias_of
from hydra_tf.bounds.rules.kernels import kernel_of
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.layers import MaskedDense


@register_rule(keras.layers.Dense, MaskedDense)
def _dense(layer: Any) -> list[Operation]:
    linear = Linear(
        _multiply,
        kernel=kernel_of(layer),
        bias=bias_of(layer),
        transpose=lambda rows, kernel, _: _multiply(rows, tf.transpose(kernel)),
    )
    return [linear, *activation(layer)]


@register_rule(keras.layers.EinsumDense)
def _einsum_dense(layer: Any, shapes: list[tuple]) -> list[Operation]:
    equation = layer.equation.replace(" ", "")
    inputs, outputs = equation.split(",")[0], equation.split("->")[1]
    # Rows of a batch may not be mixed; `...` in front is the batch, too.
    first = inputs[:3] if inputs.startswith("...") else inputs[:1]
    kernel_axes = equation.split(",")[1].split("->")[0]
    if not outputs.startswith(first) or first in kernel_axes:
        raise unsupported(layer.name, layer, f"its equation is '{equation}'")
    linear = Linear(
        lambda x, kernel: tf.einsum(equation, x, kernel),
        kernel=kernel_of(layer),
        bias=None if layer.bias is None else tf.convert_to_tensor(layer.bias),
    )
    return [linear, *activation(layer)]


def _multiply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if x.shape.rank == 2:
        return tf.matmul(x, kernel)
    return tf.tensordot(x, kernel, 1)
