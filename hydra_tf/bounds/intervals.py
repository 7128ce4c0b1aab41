"""What operations make of boxes: interval arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds import xla
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.trace import Graph


def propagate(graph: Graph, box: Interval) -> list[Interval]:
    """Returns the interval of every value.

    Affine maps carry the centre by the weights and the radius by the absolute
    weights; monotone functions carry the ends.

    Args:
        graph: The network.
        box: Interval of its input.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715), section 3
    """
    values = [box]
    for node in graph.nodes:
        inputs = [values[number] for number in node.inputs]
        values.append(apply(node.operation, inputs))
    return values


def apply(operation: Operation, inputs: Sequence[Interval]) -> Interval:
    """Returns the interval of what an operation computes.

    Args:
        operation: The operation.
        inputs: Interval of each of its inputs.
    """
    first = inputs[0]
    if isinstance(operation, Nonlinear):
        return operation.interval(*inputs)
    if isinstance(operation, Linear):
        return Interval(
            center=operation(first.center),
            radius=operation.absolute(first.radius),
        )
    if isinstance(operation, WeightedSum):
        absolute = WeightedSum([abs(weight) for weight in operation.weights])
        return Interval(
            center=operation(*(each.center for each in inputs)),
            radius=absolute(*(each.radius for each in inputs)),
        )
    if isinstance(operation, Concatenation):
        return Interval(
            operation(*(each.lower for each in inputs)),
            operation(*(each.upper for each in inputs)),
        )
    if isinstance(operation, LeakyReLU) and first.has_center:
        slope = tf.constant(operation.negative_slope, first.center.dtype)
        center, radius = _activate(first.center, first.radius, slope)
        return Interval(center=center, radius=radius)
    return Interval(operation(first.lower), operation(first.upper))


@xla.where_it_pays
def _activate(
    center: tf.Tensor, radius: tf.Tensor, negative_slope: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre and radius behind a leaky ReLU."""
    lower, upper = center - radius, center + radius
    lower = tf.where(lower > 0, lower, negative_slope * lower)
    upper = tf.where(upper > 0, upper, negative_slope * upper)
    return 0.5 * (lower + upper), 0.5 * (upper - lower)
