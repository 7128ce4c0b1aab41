"""The rule of dense layers."""

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


def _multiply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if x.shape.rank == 2:
        return tf.matmul(x, kernel)
    return tf.tensordot(x, kernel, 1)
