"""Rules of sums and products of two values, or of one and a constant."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.products import MatMul
from hydra_tf.bounds.products import Product
from hydra_tf.bounds.rules.kernels import as_float64
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.graph import Call
from hydra_tf.graph import Value


@register_named_rule("Add")
def _add(operation: Any, shapes: list[tuple], call: Call) -> Operation:
    first, second = _constants(operation, shapes, call)
    if first is None and second is None:
        return WeightedSum([1.0, 1.0])
    return Scale(1.0, second if first is None else first)


@register_named_rule("Subtract")
def _subtract(operation: Any, shapes: list[tuple], call: Call) -> Operation:
    first, second = _constants(operation, shapes, call)
    if first is None and second is None:
        return WeightedSum([1.0, -1.0])
    return Scale(1.0, -second) if first is None else Scale(-1.0, first)


@register_named_rule("Multiply")
def _multiply(operation: Any, shapes: list[tuple], call: Call) -> Operation:
    first, second = _constants(operation, shapes, call)
    if first is None and second is None:
        return _product(operation, shapes)
    return Scale(second if first is None else first)


@register_named_rule("TrueDivide", "Divide")
def _divide(operation: Any, shapes: list[tuple], call: Call) -> Operation:
    _, divisor = _constants(operation, shapes, call)
    if divisor is None:
        raise unsupported(call.name, operation, "it divides by no constant")
    return Scale(1 / divisor)


@register_rule(keras.layers.Multiply)
def _multiply_layer(layer: Any, shapes: list[tuple]) -> Operation:
    return _product(layer, shapes)


@register_named_rule("Matmul")
def _matmul(operation: Any, shapes: list[tuple]) -> Operation:
    if len(shapes) != 2 or {len(shape) for shape in shapes} & {0, 1}:
        raise unsupported(operation.name, operation, f"it multiplies {shapes}")
    if shapes[0][:-2] != shapes[1][:-2]:
        raise unsupported(operation.name, operation, f"it broadcasts {shapes}")
    return MatMul()


def _product(operation: Any, shapes: list[tuple]) -> Operation:
    if len(shapes) != 2:
        raise unsupported(
            operation.name, operation, f"it has {len(shapes)} inputs"
        )
    if len(shapes[0]) != len(shapes[1]):
        raise unsupported(operation.name, operation, f"it broadcasts {shapes}")
    return Product()


def _constants(operation: Any, shapes: list[tuple], call: Call) -> list[Any]:
    """Returns both operands of an operation, `None` for what is no constant."""
    signature = inspect.signature(operation.call)
    operands = signature.bind(*call.args, **call.kwargs).arguments.values()
    return [
        None
        if isinstance(operand, Value)
        else _constant(operation, operand, shapes[0])
        for operand in operands
    ]


def _constant(operation: Any, value: Any, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns a constant that broadcasts against rows of a shape."""
    constant = as_float64(value)
    own = tuple(constant.shape)
    if len(own) > len(shape) + 1 or (
        np.broadcast_shapes(own, (1, *shape)) != (1, *shape)
    ):
        raise unsupported(
            operation.name, operation, f"it broadcasts {[(None, *shape), own]}"
        )
    return constant[0] if len(own) > len(shape) else constant
