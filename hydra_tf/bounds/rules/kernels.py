"""The numbers that a layer computes with, for plain and masked layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers import kernel_scope


def kernel_of(layer: Any) -> tf.Tensor:
    """Returns the kernel, masked where the layer is, at full precision.

    The one that `hydra_tf.layers.reuse_effective_kernels` shares is used, if
    its precision is that of the weights. A layer that computes in bfloat16
    rounds its weights; bounds hold for the weights as they are.

    Raises:
        InputError: If the layer is quantised: it computes something else.
    """
    if getattr(layer, "quantization_mode", None) is not None:
        raise unsupported(
            layer.name, layer, f"it is quantised ({layer.quantization_mode})"
        )
    if not isinstance(layer, MaskedLayer):
        return tf.convert_to_tensor(layer.kernel)
    shared = kernel_scope.shared_kernel(layer)
    if shared is not None and shared.dtype == layer.kernel.dtype:
        return shared
    return layer.exact_kernel


def bias_of(layer: Any) -> tf.Tensor | None:
    """Returns the bias as a tensor, or `None`."""
    bias = layer.bias if getattr(layer, "use_bias", True) else None
    return None if bias is None else tf.convert_to_tensor(bias)


def as_float64(value: Any) -> tf.Tensor:
    """Returns what a layer that computes in float64 takes a value for.

    That is a Python number as Keras rounds it, to float32.
    """
    return ops.cast(value, "float64")
