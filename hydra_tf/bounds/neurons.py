"""Bounds on every neuron of a value, by passes back that fit into memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds import backward
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.intervals import apply
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.receptive_fields import Window
from hydra_tf.bounds.receptive_fields import find_windows
from hydra_tf.bounds.receptive_fields import num_window_entries
from hydra_tf.bounds.receptive_fields import on_windows
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.trace import Graph
from hydra_tf.bounds.xla import USUAL_BATCH
from hydra_tf.ops.loops import map_in_order

# Numbers in the largest tensor of coefficients of a pass, about.
_MAX_NUMBERS = 2**25
# Numbers in the windows of a batch's feature maps.
_MAX_WINDOWS = 2**26

# Returns the lines around an activation by bounds on its input.
Relax = Callable[[LeakyReLU, Interval], Relaxation]


@dataclasses.dataclass(frozen=True)
class LayerBounds:
    """Bounds on a network's values, and lines around what is not linear.

    Attributes:
        values: Interval of each value.
        relaxations: Of each operation that is not linear, by the number of the
            value that it computes (several may read one value).
    """

    values: Sequence[Interval]
    relaxations: Mapping[int, Relaxation | Enclosure]

    def of_image(self, image: tf.Tensor) -> LayerBounds:
        """Returns those of one image of the batch, a batch of one."""
        return LayerBounds(
            [value.of_image(image) for value in self.values],
            {
                number: each.map(lambda tensor: tensor[image, tf.newaxis])
                for number, each in self.relaxations.items()
            },
        )


def relaxed(
    graph: Graph, intervals: Sequence[Interval], relax: Relax
) -> LayerBounds:
    """Returns intervals with what encloses the network's operations over them.

    Args:
        graph: The network.
        intervals: Interval of each value.
        relax: Returns the lines around an activation.
    """
    relaxations: dict[int, Relaxation | Enclosure] = {}
    for node in graph.nodes:
        inputs = [intervals[number] for number in node.inputs]
        if isinstance(node.operation, LeakyReLU):
            relaxations[node.output] = relax(node.operation, *inputs)
        elif isinstance(node.operation, Nonlinear):
            relaxations[node.output] = node.operation.enclose(*inputs)
    return LayerBounds(intervals, relaxations)


def refine(
    graph: Graph, intervals: Sequence[Interval], relax: Relax
) -> LayerBounds:
    """Returns bounds on activations' inputs, by passes of their own.

    Args:
        graph: The network.
        intervals: Interval of each value.
        relax: Returns the lines around an activation.
    """
    values = list(intervals)
    relaxations: dict[int, Relaxation | Enclosure] = {}
    layers = LayerBounds(values, relaxations)
    bounded = set(graph.exact_values)
    finished: list[tf.Tensor] = []
    # Whether anything but the passes reads intervals.
    has_limits = any(
        isinstance(node.operation, Monotone | Nonlinear) for node in graph.nodes
    )
    for node in graph.nodes:
        operation = node.operation
        if isinstance(operation, LeakyReLU | Monotone | Nonlinear):
            for before in node.inputs:
                if before in bounded:
                    continue
                # One after the other: what passes prepare is large.
                with tf.control_dependencies(finished):
                    box = bound_value(graph, before, layers)
                if isinstance(operation, Nonlinear):
                    # Far from linear, intervals may be the tighter ones.
                    box = box.intersected(values[before])
                values[before] = box
                finished = [box.lower]
                bounded.add(before)
        inputs = [values[number] for number in node.inputs]
        if has_limits and any(
            value is not intervals[number]
            for value, number in zip(inputs, node.inputs, strict=True)
        ):
            values[node.output] = apply(operation, inputs)
        if isinstance(operation, LeakyReLU):
            relaxations[node.output] = relax(operation, inputs[0])
        elif isinstance(operation, Nonlinear):
            relaxations[node.output] = operation.enclose(*inputs)
            if operation.by_entry:
                bounded.add(node.output)
    return layers


def bound_value(graph: Graph, number: int, layers: LayerBounds) -> Interval:
    """Returns bounds on every entry of a value, by a pass back from it.

    Args:
        graph: The network.
        number: Number of the value.
        layers: Bounds on the values before it.
    """
    values = layers.values
    shapes = [value.shape for value in values]
    windows = find_windows(graph, number, shapes)
    if windows is None:
        boxes = {each: values[each] for each in graph.pass_ends}
        lower, upper = _bound_entries(
            graph, number, shapes, boxes, layers.relaxations, _batch(values)
        )
    elif _batch(values) * num_window_entries(windows, shapes) <= _MAX_WINDOWS:
        lower, upper = _bound_places(graph, number, windows, layers)
    else:
        # Windows of a single image fit into memory, all together do not.
        lower, upper = map_in_order(
            lambda image: _bound_places(
                graph, number, windows, layers.of_image(image)
            ),
            tf.range(tf.shape(values[0].lower)[0]),
            (values[0].dtype,) * 2,
        )
    shape = [-1, *values[number].shape]
    return Interval(tf.reshape(lower, shape), tf.reshape(upper, shape))


def _bound_places(
    graph: Graph,
    number: int,
    windows: Mapping[int, Window],
    layers: LayerBounds,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns bounds on a feature map, each of its places by itself."""
    values = layers.values
    small = on_windows(graph, number, windows, values, layers.relaxations)
    return _bound_entries(
        small.graph,
        small.output,
        small.shapes,
        small.boxes,
        small.relaxations,
        _batch(values) * math.prod(values[number].shape[:2]),
    )


def _bound_entries(
    graph: Graph,
    number: int,
    shapes: Sequence[tuple[int, ...]],
    boxes: Mapping[int, Interval],
    relaxations: Mapping[int, Relaxation | Enclosure],
    batch: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns lower and upper bounds `(batch, entries)`."""
    shape = shapes[number]
    entries = math.prod(shape)
    # Not for the first time inside the loop, whose tensors stay there.
    for box in boxes.values():
        box.compute_center()
    dtype = next(iter(boxes.values())).dtype

    def bound(first: tf.Tensor | int, count: int) -> tuple[tf.Tensor, ...]:
        rows = tf.one_hot(tf.range(count) + first, entries, dtype=dtype)
        rows = tf.reshape(rows, [1, count, *shape])
        return backward.bound(graph, number, rows, shapes, boxes, relaxations)

    largest = max(map(math.prod, shapes[: number + 1]))
    count = min(entries, max(1, _MAX_NUMBERS // (largest * batch)))
    if count == entries:
        return bound(0, entries)
    # As many rows at a time as memory allows.
    lower, upper = map_in_order(
        lambda first: bound(first, count),
        tf.range(0, entries, count),
        (dtype, dtype),
    )
    return _joined(lower)[:, :entries], _joined(upper)[:, :entries]


def _joined(parts: tf.Tensor) -> tf.Tensor:
    """Parts `(parts, batch, rows)` as `(batch, parts * rows)`."""
    batch = tf.shape(parts)[1]
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), [batch, -1])


def _batch(values: Sequence[Interval]) -> int:
    """Returns the size of the batch, or what it is likely to be."""
    return values[0].batch or USUAL_BATCH
