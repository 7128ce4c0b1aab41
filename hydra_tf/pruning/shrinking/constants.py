"""Which channels of a network hold the same number for every input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.graph import Walk
from hydra_tf.pruning.channels.rules import KERNEL_RULES
from hydra_tf.pruning.channels.rules import Rule
from hydra_tf.pruning.channels.rules import kernel_axes
from hydra_tf.pruning.channels.rules import rule_of


@dataclasses.dataclass(frozen=True)
class Constants:
    """The constant channels of a value, the entries of its last axis.

    Attributes:
        known: Bool array, which channels are constant: the same number at all
            positions, for every input.
        numbers: Float array with those numbers; 0 for the other channels.
    """

    known: np.ndarray
    numbers: np.ndarray


def unknown(count: int) -> Constants:
    """Returns that no channel is constant."""
    return Constants(np.zeros(count, bool), np.zeros(count, np.float64))


def find_constants(walk: Walk) -> dict[int, Constants]:
    """Returns the constant channels of the values of a walk, in inference mode.

    A channel is known to be constant where a filter is zero, or reads nothing
    but constants, and from there on as far as batch normalisation, activations
    and the like make one number of one number.

    Args:
        walk: Calls of plain layers.

    Returns:
        The constants by the numbers of the values; values whose last axis has
        no known size are left out.
    """
    found: dict[int, Constants] = {}

    def forget(value: Value) -> None:
        if len(value.shape) > 1 and value.shape[-1] is not None:
            found[value.number] = unknown(value.shape[-1])

    for value in walk.inputs:
        forget(value)
    for call in walk.calls:
        rule = rule_of(call)
        inputs = [found.get(value.number) for value in call.inputs]
        result = None
        if None not in inputs and not call.settings.get("training"):
            result = _apply(rule, call, inputs)
        if result is None:
            for value in call.outputs:
                forget(value)
            continue
        known = result.known & np.isfinite(result.numbers)
        found[call.outputs[0].number] = Constants(
            known, np.where(known, result.numbers, 0.0)
        )
    return found


def never_pads(call: Call) -> bool:
    """Whether a layer with a kernel reads none but entries of its input."""
    layer = call.operation
    if isinstance(layer, (keras.layers.Dense, keras.layers.EinsumDense)):
        return True
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return False
    return layer.padding == "valid" or all(
        size == 1 for size in layer.kernel_size
    )


def applied(kernel: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Returns what a kernel makes of channels that are constant.

    Args:
        kernel: Float array, its last axes the input and the output channels.
        numbers: Float array, the number in each input channel.
    """
    rows = numbers != 0
    spatial = tuple(range(kernel.ndim - 2))
    sums = kernel[..., rows, :].sum(axis=spatial, dtype=np.float64)
    return numbers[rows] @ sums


def _apply(rule: Rule, call: Call, inputs: Sequence[Any]) -> Constants | None:
    if rule is Rule.OPAQUE:
        return None
    if rule is Rule.CONCATENATE:
        return Constants(
            np.concatenate([each.known for each in inputs]),
            np.concatenate([each.numbers for each in inputs]),
        )
    if rule in KERNEL_RULES:
        return _apply_kernel(rule, call, inputs[0])
    if not any(each.known.any() for each in inputs):
        return None
    first = inputs[0]
    if rule is Rule.POOLING:
        return first
    if rule is Rule.PADDING:
        return Constants(first.known & (first.numbers == 0), first.numbers)
    if rule is Rule.JOIN:
        return _same(
            np.stack([each.known for each in inputs]),
            np.stack([each.numbers for each in inputs]),
        )
    if rule is Rule.RESHAPE:
        shape: tuple = call.input_shapes[0][1:]
        size = call.output_shape[-1]
        return _same(
            np.broadcast_to(first.known, shape).reshape(-1, size),
            np.broadcast_to(first.numbers, shape).reshape(-1, size),
        )
    return _apply_elementwise(call, inputs)


def _same(known: np.ndarray, numbers: np.ndarray) -> Constants:
    """Constants of which all rows have to be the same."""
    equal = (numbers == numbers[:1]).all(axis=0)
    return Constants(known.all(axis=0) & equal, numbers[0])


def _apply_kernel(rule: Rule, call: Call, given: Constants) -> Constants:
    layer = call.operation
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    kernel = kernel_axes(layer).unfolded(kernel)
    # Where zeros around the input are read too, or not all of the kernel, only
    # a constant of zero gives a constant.
    usable = given.known & (never_pads(call) | (given.numbers == 0))
    numbers = np.where(usable, given.numbers, 0.0)
    spatial = tuple(range(kernel.ndim - 2))
    reads = (kernel != 0).any(axis=spatial)
    if rule is Rule.DEPTHWISE:
        known = (~reads | usable[:, np.newaxis]).ravel()
        sums = kernel.sum(axis=spatial, dtype=np.float64)
        numbers = (numbers[:, np.newaxis] * sums).ravel()
    else:
        known = ~reads[~usable].any(axis=0)
        numbers = applied(kernel, numbers)
    if not known.any():
        return unknown(len(known))
    if layer.bias is not None:
        numbers = numbers + keras.ops.convert_to_numpy(layer.bias)
    if layer.activation is not None:
        numbers = np.where(known, numbers, 0.0)[np.newaxis]
        numbers = _to_numpy(
            layer.activation(tf.constant(numbers, layer.compute_dtype))
        )[0]
    return Constants(known, numbers)


def _apply_elementwise(call: Call, inputs: Sequence[Constants]) -> Constants:
    size: Any = call.output_shape[-1]
    known: np.ndarray = np.ones(size, bool)
    for each in inputs:
        known = known & each.known
    if not known.any():
        return unknown(size)
    tensors = {
        value.number: _as_tensor(call, value, each)
        for value, each in zip(call.inputs, inputs, strict=True)
    }
    args, kwargs = call.arguments(tensors)
    # Not a call of the layer, which would add to its losses.
    numbers = _to_numpy(call.operation.call(*args, **kwargs))
    numbers = numbers.reshape(-1, size)
    return _same(np.broadcast_to(known, numbers.shape), numbers)


def _as_tensor(call: Call, value: Value, constants: Constants) -> tf.Tensor:
    dtype = value.dtype
    positions = [1] * (len(value.shape) - 1)
    if isinstance(call.operation, keras.Layer):
        dtype = call.operation.compute_dtype
    if isinstance(call.operation, keras.layers.PReLU):
        # It may have weights of its own for each position.
        positions = [1, *(each or 1 for each in value.shape[1:-1])]
    numbers = np.broadcast_to(
        constants.numbers, (*positions, len(constants.numbers))
    )
    return tf.constant(numbers, dtype)


def _to_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor).astype(np.float64)
