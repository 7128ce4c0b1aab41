"""Linear bounds, carried from a value back to the network's input.

Rows of coefficients stand for linear functions of a value. Each operation on
the way back replaces the value by what it was computed from; at the input box
the linear functions are bounded exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TypeGuard

import tensorflow as tf

from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.graph import Graph
from hydra_tf.bounds.graph import Node
from hydra_tf.bounds.graph import size
from hydra_tf.bounds.interval_pass import Interval
from hydra_tf.bounds.line_choice import row_sums
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.relaxation import Relaxation

# Lower and upper bounds; the latter are None where nobody wants them.
Ends = tuple[tf.Tensor, tf.Tensor | None]


def bound(
    graph: Graph,
    start: int,
    rows: tf.Tensor,
    values: Sequence[Interval],
    relaxations: Mapping[int, Relaxation],
    *,
    stop: int = 0,
    upper: bool = True,
) -> Ends:
    """Returns bounds of linear functions of a value.

    Args:
        graph: The network.
        start: Number of the value.
        rows: The functions: tensor `(batch or 1, rows, *value_shape)`.
        values: Interval of each value. Read are the shapes, the intervals where
            the way back ends, and those behind operations that are only known
            to be monotone.
        relaxations: Of each activation's input that lies before `start`.
        stop: Number of the value where the way back ends: only operations
            after it are gone through.
        upper: Whether upper bounds are wanted, too.

    Returns:
        Lower and upper bounds, `(batch, rows)` each.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866), theorem 3.2
    - [Xu et al., 2020](https://arxiv.org/abs/2002.12920), for any graph
    """
    pending = {start: Coefficients(rows, rows if upper else None)}
    constants: list[Ends] = []
    settled: set[int] = set()  # Values whose bias is in the constants.
    for node in reversed(graph.nodes[stop:start]):
        coefficients = pending.pop(node.output, None)
        if coefficients is None:
            continue
        operation = node.operation
        shapes = [values[number].shape for number in node.inputs]
        if isinstance(operation, Linear):
            if operation.bias is not None and node.output not in settled:
                constants.append(_dot_bias(coefficients, operation.bias))
            before = [
                coefficients.map(
                    functools.partial(_transpose, operation, shapes[0])
                )
            ]
        elif isinstance(operation, WeightedSum):
            before = [_scaled(coefficients, w) for w in operation.weights]
        elif isinstance(operation, Concatenation):
            before = _split(coefficients, operation.axis, shapes)
        elif isinstance(operation, LeakyReLU):
            bias = None
            producer = graph.producer(node.inputs[0])
            if _is_private(graph, producer, stop):
                # Its bias is taken along, which saves a pass over the rows.
                bias = _flat_bias(producer.operation.bias, rows, shapes[0])
                settled.add(producer.output)
            flat, constant = relaxations[node.inputs[0]].apply(
                coefficients.map(_flat), bias
            )
            constants.append(constant)
            before = [flat.map(functools.partial(_unflatten, shape=shapes[0]))]
        else:
            # Nothing is known of it but the interval of what it returns.
            constants.append(_concretize(coefficients, values[node.output]))
            continue
        for number, each in zip(node.inputs, before, strict=True):
            known = pending.get(number)
            pending[number] = each if known is None else known.plus(each)
    for number, coefficients in pending.items():
        constants.append(_concretize(coefficients, values[number]))
    lower = functools.reduce(tf.add, [low for low, _ in constants])
    if not upper:
        return lower, None
    return lower, functools.reduce(tf.add, [high for _, high in constants])


def _transpose(
    operation: Linear, shape: tuple[int, ...], rows: tf.Tensor
) -> tf.Tensor:
    merged = tf.reshape(rows, [-1, *rows.shape[2:]])
    result = operation.transpose(merged, shape)
    return _restore(result, rows, shape)


def _is_private(graph: Graph, node: Node | None, stop: int) -> TypeGuard[Node]:
    """Whether a node has a bias and is read once, within the way back."""
    return (
        node is not None
        and node.output > stop
        and isinstance(node.operation, Linear)
        and node.operation.bias is not None
        and graph.num_readers[node.output] == 1
    )


def _flat_bias(
    bias: tf.Tensor, rows: tf.Tensor, shape: tuple[int, ...]
) -> tf.Tensor:
    """Returns a bias as the tensor of a value's size, `(n,)`."""
    bias = tf.cast(bias, rows.dtype)
    return tf.reshape(tf.broadcast_to(bias, shape), [-1])


def _dot_bias(coefficients: Coefficients, bias: tf.Tensor) -> Ends:
    both = coefficients.map(functools.partial(_times_bias, bias=bias))
    return both.lower, both.upper


def _times_bias(rows: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Returns each row's product with the bias, `(batch or 1, rows)`."""
    bias = tf.cast(bias, rows.dtype)
    shape = rows.shape[2:]
    channels = shape[-1]
    if tf.TensorShape(bias.shape).num_elements() == channels:
        # One number a channel, as a rule: sum over the places first.
        if bias.shape.rank and bias.shape[-1] == channels:
            places = list(range(2, rows.shape.rank - 1))
            summed = tf.reduce_sum(rows, places) if places else rows
            return tf.linalg.matvec(summed, tf.reshape(bias, [-1]))
    return tf.linalg.matvec(_flat(rows), _flat_bias(bias, rows, shape))


def _scaled(coefficients: Coefficients, weight: float) -> Coefficients:
    if weight == 1:
        return coefficients
    return coefficients.map(lambda rows: weight * rows)


def _split(
    coefficients: Coefficients, axis: int, shapes: Sequence[tuple[int, ...]]
) -> list[Coefficients]:
    """Returns the coefficients of each part of a concatenation."""
    axis = axis % (len(shapes[0]) + 1)  # Of a value with its batch.
    sizes = [shape[axis - 1] for shape in shapes]
    lower = tf.split(coefficients.lower, sizes, axis + 1)
    if coefficients.agree:
        return [Coefficients(each, each) for each in lower]
    if coefficients.upper is None:
        return [Coefficients(each, None) for each in lower]
    upper = tf.split(coefficients.upper, sizes, axis + 1)
    return [Coefficients(*both) for both in zip(lower, upper, strict=True)]


def _concretize(coefficients: Coefficients, box: Interval) -> Ends:
    """Returns the exact bounds of the linear functions over a box."""
    center = tf.reshape(box.center, [-1, size(box.shape)])
    radius = tf.reshape(box.radius, [-1, size(box.shape)])
    flat = coefficients.map(_flat)
    middle = flat.map(lambda rows: row_sums(rows, center))
    reach = flat.map(lambda rows: row_sums(tf.abs(rows), radius))
    if middle.upper is None or reach.upper is None:
        return middle.lower - reach.lower, None
    return middle.lower - reach.lower, middle.upper + reach.upper


def _flat(rows: tf.Tensor) -> tf.Tensor:
    return _unflatten(rows, (size(rows.shape[2:]),))


def _unflatten(rows: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Rows `(batch or 1, rows, ...)` as `(batch or 1, rows, *shape)`."""
    return _restore(rows, rows, shape)


def _restore(
    rows: tf.Tensor, like: tf.Tensor, shape: tuple[int, ...]
) -> tf.Tensor:
    """Gives a tensor the first two axes of another and a shape after them."""
    outer = tf.shape(like)[:2]
    restored = tf.reshape(rows, tf.concat([outer, shape], 0))
    return tf.ensure_shape(restored, [*like.shape[:2], *shape])
