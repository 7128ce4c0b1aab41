"""Rules of products."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.products import MatMul
from hydra_tf.bounds.products import Product
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported


@register_rule(keras.layers.Multiply)
def _multiply(layer: Any, shapes: list[tuple]) -> Operation:
    return _product(layer, shapes)


@register_named_rule("Multiply")
def _multiply_operation(operation: Any, shapes: list[tuple]) -> Operation:
    return _product(operation, shapes)


@register_named_rule("Matmul")
def _matmul_operation(operation: Any, shapes: list[tuple]) -> Operation:
    if (
        len(shapes) != 2
        or len(shapes[0]) != len(shapes[1])
        or len(shapes[0]) < 2
    ):
        raise unsupported(operation.name, operation, f"it multiplies {shapes}")
    if shapes[0][:-2] != shapes[1][:-2]:
        raise unsupported(operation.name, operation, f"it broadcasts {shapes}")
    return MatMul()


def _product(operation: Any, shapes: list[tuple]) -> Operation:
    if len(shapes) != 2:
        raise unsupported(operation.name, operation, "it has no two inputs")
    if len(shapes[0]) != len(shapes[1]):
        raise unsupported(operation.name, operation, f"it broadcasts {shapes}")
    return Product()
