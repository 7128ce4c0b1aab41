"""A backward pass: linear bounds carried from a value back to the input.

Rows of coefficients stand for linear functions of a value. Each operation on
the way back replaces the value by what it was computed from; at the input box
the linear functions are bounded exactly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.coefficients import flat
from hydra_tf.bounds.coefficients import reshape
from hydra_tf.bounds.coefficients import row_sums
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.trace import Graph


def bound(
    graph: Graph,
    start: int,
    rows: tf.Tensor,
    shapes: Sequence[tuple[int, ...]],
    boxes: Mapping[int, Interval],
    relaxations: Mapping[int, Relaxation | Enclosure],
    *,
    stop: int = 0,
    upper: bool = True,
) -> Ends:
    """Returns bounds on linear functions of a value.

    Args:
        graph: The network.
        start: Number of the value.
        rows: The functions: tensor `(batch or 1, rows, *value_shape)`.
        shapes: Shape of each value, without the batch.
        boxes: Intervals of the values where the pass ends: the network's
            input, and the outputs of operations only known to be monotone.
        relaxations: Of each operation before `start` that is not linear, by the
            number of the value that it computes.
        stop: Number of the value where the pass ends: only operations
            after it are passed.
        upper: Whether upper bounds are wanted, too.

    Returns:
        Lower and upper bounds, `(batch, rows)` each.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866), theorem 3.2
    - [Xu et al., 2020](https://arxiv.org/abs/2002.12920), for any graph
    """
    pending = {start: Coefficients(rows, rows if upper else None)}
    constants: list[Ends] = []
    added: set[int] = set()  # Values whose bias is in the constants.
    for node in reversed(graph.nodes[stop:start]):
        coefficients = pending.pop(node.output, None)
        if coefficients is None:
            continue
        operation = node.operation
        relaxation = relaxations.get(node.output)
        before_shapes = [shapes[number] for number in node.inputs]
        if isinstance(operation, Linear):
            if operation.bias is not None and node.output not in added:
                constants.append(
                    coefficients.map(
                        functools.partial(_times_bias, bias=operation.bias)
                    ).ends
                )
            before = [
                coefficients.map(
                    functools.partial(_transpose, operation, before_shapes[0])
                )
            ]
        elif isinstance(operation, WeightedSum):
            before = [_scaled(coefficients, w) for w in operation.weights]
        elif isinstance(operation, Concatenation):
            before = _split(coefficients, operation.axis, before_shapes)
        elif isinstance(operation, Nonlinear) and isinstance(
            relaxation, Enclosure
        ):
            before, constant = relaxation.apply(
                operation, coefficients, before_shapes
            )
            constants.append(constant)
        elif isinstance(relaxation, Relaxation):
            # The bias before it is added here, which saves a pass over rows.
            bias = _own_bias(graph, node.inputs[0], stop)
            if bias is None:
                bias = tf.zeros([], rows.dtype)
            else:
                added.add(node.inputs[0])
            replaced, constant = relaxation.apply(
                coefficients.map(flat),
                _flat_bias(bias, rows, before_shapes[0]),
            )
            constants.append(constant)
            before = [
                replaced.map(functools.partial(reshape, shape=before_shapes[0]))
            ]
        else:
            # Nothing is known of it but the interval of what it returns.
            constants.append(_concretize(coefficients, boxes[node.output]))
            continue
        for number, each in zip(node.inputs, before, strict=True):
            known = pending.get(number)
            pending[number] = each if known is None else known.plus(each)
    for number, coefficients in pending.items():
        constants.append(_concretize(coefficients, boxes[number]))
    lower = functools.reduce(tf.add, [low for low, _ in constants])
    if not upper:
        return lower, None
    return lower, functools.reduce(tf.add, [high for _, high in constants])


def _transpose(
    operation: Linear, shape: tuple[int, ...], rows: tf.Tensor
) -> tf.Tensor:
    merged = tf.reshape(rows, [-1, *rows.shape[2:]])
    result = operation.transpose(merged, shape)
    return reshape(result, shape, like=rows)


def _own_bias(graph: Graph, value: int, stop: int) -> tf.Tensor | None:
    """Returns the bias that was added to a value which is read once.

    Args:
        graph: The network.
        value: Number of the value.
        stop: Number of the value where the pass ends.
    """
    producer = graph.producer(value)
    if (
        producer is None
        or value <= stop
        or graph.num_readers[value] > 1
        or not isinstance(producer.operation, Linear)
    ):
        return None
    return producer.operation.bias


def _flat_bias(
    bias: tf.Tensor, rows: tf.Tensor, shape: tuple[int, ...]
) -> tf.Tensor:
    """Returns a bias as the tensor of a value's size, `(n,)`."""
    bias = tf.cast(bias, rows.dtype)
    return tf.reshape(tf.broadcast_to(bias, shape), [-1])


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
    return tf.linalg.matvec(flat(rows), _flat_bias(bias, rows, shape))


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
    """Returns the exact bounds on the linear functions over a box."""
    size = math.prod(box.shape)
    center = tf.reshape(box.center, [-1, size])
    radius = tf.reshape(box.radius, [-1, size])
    rows = coefficients.map(flat)
    middle = rows.map(lambda each: row_sums(each, center))
    reach = rows.map(lambda each: row_sums(tf.abs(each), radius))
    if middle.upper is None or reach.upper is None:
        return middle.lower - reach.lower, None
    return middle.lower - reach.lower, middle.upper + reach.upper
