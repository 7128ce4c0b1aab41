"""Floating-point operations of layers: how often each weight is used."""

from __future__ import annotations

import math
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import walk
from hydra_tf.pruning.channels.rules import has_kernel
from hydra_tf.registry.methods import RESOURCE

# A multiplication and an addition for each weight and position.
_PER_USE = 2


def layer_flops(
    layer: Any, input_shape: tuple, output_shape: tuple
) -> int | None:
    """Returns the operations of one call of a layer on one example.

    Args:
        layer: Built dense layer or convolution, masked or plain.
        input_shape: Of its input, the batch included.
        output_shape: Likewise of its output.

    Returns:
        Two for each entry of the kernel and position at which it is applied;
        `None` if a size is open.
    """
    if isinstance(layer, keras.layers.Dense):
        positions = output_shape[1:-1]
    else:
        # A transposed convolution applies its kernel at every input position,
        # the others at every output position.
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        shape = input_shape if transposed else output_shape
        last = layer.data_format == "channels_last"
        positions = shape[1:-1] if last else shape[2:]
    if None in positions:
        return None
    return _PER_USE * math.prod(layer.kernel.shape) * math.prod(positions)


def masked_layer_flops(layer: Any) -> int | None:
    """Returns the operations of a built masked layer, zeros included."""
    shape = layer.built_input_shape
    return layer_flops(layer, shape, layer.compute_output_shape(shape))


def model_flops(model: keras.Model) -> int | None:
    """Returns the operations of all dense layers and convolutions of a model.

    Args:
        model: Functional or Sequential model. A layer that is called twice
            counts twice.
    """
    flops = [
        layer_flops(call.operation, call.input_shapes[0], call.output_shape)
        for call in walk(model).calls
        if has_kernel(call.operation)
    ]
    return total(flops)


def total(flops: Any) -> int | None:
    """Returns the sum, `None` if one is unknown."""
    flops = list(flops)
    return None if None in flops else sum(flops)


def check_resource(resource: Any) -> None:
    """Raises `InputError` unless an argument names what is to be saved."""
    RESOURCE.check(resource)


def kernel_cost(name: str, layer: Any, resource: str) -> int:
    """Returns what all weights of a masked layer's kernel together cost.

    Args:
        name: The layer's name in the model.
        layer: Built masked layer.
        resource: `"weights"` or `"flops"`.

    Raises:
        InputError: If FLOPs are unknown.
    """
    if resource == "weights":
        return math.prod(layer.kernel.shape)
    flops = masked_layer_flops(layer)
    if flops is None:
        raise InputError(
            "`resource` cannot be 'flops': how often layer "
            f"'{name}' uses its weights is unknown, as the model takes images "
            "of any size. Build it for one size, or use 'weights'"
        )
    return flops
