"""Bounds on feature maps by their receptive fields.

A neuron of a convolution depends on a window of each map before it. A backward
pass from all neurons of a map need not carry coefficients for whole maps: for
every place of the map it is a pass through the windows of that place alone.
This module rewrites a network in that form: the same operations, on windows
instead of maps, with one entry of the batch for each image and place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.coefficients import row_sums
from hydra_tf.bounds.convolution import Convolution
from hydra_tf.bounds.max_pooling import MaxPooling
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.trace import Graph
from hydra_tf.bounds.trace import Node

# Windows have to be this much smaller than the maps to be worth the trouble.
_MAX_SHARE = 0.5
# Largest matrix that stands in for a convolution of windows.
_MAX_MATRIX = 2**18


@dataclasses.dataclass(frozen=True)
class Side:
    """Windows along one side of a map, one for each place.

    That of place `i` begins at `start + i * stride`.

    Attributes:
        stride: From the window of a place to that of the next.
        start: First entry of the first window; below 0 in the padding.
        size: Number of entries.
    """

    stride: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """The entry after the first window."""
        return self.start + self.size

    def union(self, other: Side) -> Side:
        """Returns windows that hold those of both."""
        start = min(self.start, other.start)
        return Side(self.stride, start, max(self.end, other.end) - start)

    def leaves(self, places: int, length: int) -> bool:
        """Whether any window leaves a map of `length` entries."""
        last = (places - 1) * self.stride
        return self.start < 0 or last + self.end > length


# Windows in rows and in columns.
Window = tuple[Side, Side]


@dataclasses.dataclass(frozen=True)
class WindowedNetwork:
    """A network up to a feature map, on windows.

    Attributes:
        graph: Operations on windows; value 0 is that of the image.
        output: Number of the value of one place of the map.
        shapes: Shape of each value.
        boxes: Intervals of windows where a backward pass ends, with the batch
            axis `batch * places`.
        relaxations: Of each operation that is not linear, by the number of the
            value that it computes.
    """

    graph: Graph
    output: int
    shapes: tuple[tuple[int, ...], ...]
    boxes: dict[int, Interval]
    relaxations: dict[int, Relaxation | Enclosure]


def find_windows(
    graph: Graph, start: int, shapes: Sequence[tuple[int, ...]]
) -> dict[int, Window] | None:
    """Returns the windows that the places of a map depend on, by value.

    Args:
        graph: The network.
        start: Number of the map.
        shapes: Shape of each value, without the batch.

    Returns:
        `None` if the map is none, if what computes it does not go by places,
        or if windows would not save much.
    """
    if len(shapes[start]) != 3:
        return None
    windows: dict[int, Window] = {start: (Side(1, 0, 1), Side(1, 0, 1))}
    for node in reversed(graph.nodes[:start]):
        if node.output not in windows or isinstance(node.operation, Monotone):
            continue
        before = _window_before(node, windows[node.output])
        if before is None:
            return None
        for number in node.inputs:
            known = windows.get(number, before)
            if any(
                a.stride != b.stride for a, b in zip(known, before, strict=True)
            ):
                return None
            windows[number] = (
                known[0].union(before[0]),
                known[1].union(before[1]),
            )
    carried = sum(
        math.prod(_shape(window, shapes[number]))
        for number, window in windows.items()
    )
    if carried > _MAX_SHARE * sum(
        math.prod(shapes[number]) for number in windows
    ):
        return None
    return windows


def num_window_entries(
    windows: Mapping[int, Window], shapes: Sequence[tuple[int, ...]]
) -> int:
    """Returns how many numbers all windows of an image have together.

    Args:
        windows: What `find_windows` returned.
        shapes: Shape of each value, without the batch.
    """
    places = math.prod(shapes[max(windows)][:2])
    return places * sum(
        math.prod(_shape(window, shapes[number]))
        for number, window in windows.items()
    )


def _window_before(node: Node, window: Window) -> Window | None:
    """Returns the windows of a node's inputs, `None` if it has no places."""
    operation = node.operation
    if isinstance(operation, Convolution):
        rows, columns = (
            Side(
                side.stride * stride,
                side.start * stride - before,
                (side.size - 1) * stride + (length - 1) * dilation + 1,
            )
            for side, stride, (before, _), length, dilation in zip(
                window,
                operation.strides,
                operation.padding,
                operation.kernel.shape[:2],
                operation.dilations,
                strict=True,
            )
        )
        return rows, columns
    if isinstance(operation, Scale):
        terms = [operation.factor]
        if operation.bias is not None:
            terms.append(operation.bias)
        return window if all(map(_is_by_channel, terms)) else None
    if isinstance(operation, Concatenation):
        return window if operation.axis in (-1, 3) else None
    if isinstance(operation, LeakyReLU | WeightedSum):
        return window
    if isinstance(operation, MaxPooling) and operation.sliding is not None:
        rows, columns = (
            Side(
                side.stride * stride,
                side.start * stride,
                (side.size - 1) * stride + length,
            )
            for side, stride, length in zip(
                window,
                operation.sliding.strides,
                operation.sliding.lengths,
                strict=True,
            )
        )
        return rows, columns
    if isinstance(operation, Nonlinear) and operation.by_entry:
        return window
    return None


def _is_by_channel(term: Any) -> bool:
    """Whether a tensor that broadcasts against a map is the same everywhere."""
    shape = tf.convert_to_tensor(term).shape
    return all(side == 1 for side in shape[:-1])


def on_windows(
    graph: Graph,
    start: int,
    windows: Mapping[int, Window],
    values: Sequence[Interval],
    relaxations: Mapping[int, Relaxation | Enclosure],
) -> WindowedNetwork:
    """Returns the network up to a feature map on windows.

    Args:
        graph: The network.
        start: Number of the map.
        windows: What `find_windows` returned for it.
        values: Interval of each value.
        relaxations: Of each operation before the map that is not linear, by the
            number of the value that it computes.
    """
    return _WindowedBuilder(graph, start, windows, values, relaxations).result()


@dataclasses.dataclass(frozen=True)
class _Inside(Relaxation):
    """Zero outside of a map, the identity in it.

    Attributes:
        inside: Tensor `(batch * places, entries)` of zeros and ones.
    """

    inside: tf.Tensor

    def apply(
        self, coefficients: Coefficients, bias: tf.Tensor
    ) -> tuple[Coefficients, Ends]:
        kept = coefficients.map(lambda rows: rows * self.inside[:, tf.newaxis])
        return kept, kept.map(lambda rows: row_sums(rows, bias)).ends


class _WindowedBuilder:
    """Builds the windowed network, value by value."""

    def __init__(self, graph, start, windows, values, relaxations):
        self._windows: Mapping[int, Window] = windows
        self._values: Sequence[Interval] = values
        self._places: tuple[int, int] = values[start].shape[:2]
        self._nodes: list[Node] = []
        self._shapes: list[tuple[int, ...]] = [()]
        self._boxes: dict[int, Interval] = {}
        self._relaxations: dict[int, Relaxation | Enclosure] = {}
        self._numbers: dict[int, int] = {}
        if 0 in windows:
            self._numbers[0] = 0
            self._shapes[0] = self._shape(0)
            self._boxes[0] = self._box(0)
        for node in graph.nodes[:start]:
            if node.output in windows:
                self._add_value(node, relaxations)
        self._start = start

    def result(self) -> WindowedNetwork:
        output = self._numbers[self._start]
        names = ("input", *(node.name for node in self._nodes))
        graph = Graph(tuple(self._nodes), output, names, self._shapes[0])
        return WindowedNetwork(
            graph,
            output,
            tuple(self._shapes),
            self._boxes,
            self._relaxations,
        )

    def _add_value(self, node: Node, relaxations) -> None:
        window = self._windows[node.output]
        shape = self._shape(node.output)
        operation = node.operation
        if isinstance(operation, Monotone):
            # A backward pass ends here; what it reads is not in the windows.
            self._append(node, (), shape)
            self._boxes[self._last] = self._box(node.output)
            self._numbers[node.output] = self._last
            return
        needed = _window_before(node, window)
        inputs = tuple(
            self._cropped(node.name, number, needed) for number in node.inputs
        )
        if isinstance(operation, Convolution):
            operation = _on_window(operation, self._shapes[inputs[0]], shape)
        elif isinstance(operation, MaxPooling):
            operation = operation.on_windows(
                self._shapes[inputs[0]][:2], shape[:2]
            )
        self._append(
            dataclasses.replace(node, operation=operation), inputs, shape
        )
        if isinstance(operation, LeakyReLU | Nonlinear):
            # Slopes and intercepts are 0 outside the map, as the output is.
            # Of its own window: that of what it reads may be larger.
            self._relaxations[self._last] = relaxations[node.output].map(
                lambda lines: self._extract(lines, node.output)
            )
        elif self._leaves(node.output):
            # Behind the edge there are the zeros of the next padding, and not
            # what the operation would make of those before it.
            before = self._last
            self._append(
                Node(f"{node.name}_inside", LeakyReLU(), (), 0),
                (before,),
                shape,
            )
            ones = tf.ones([1, *self._values[node.output].shape], self._dtype)
            batch = tf.shape(self._values[0].lower)[0]
            self._relaxations[self._last] = _Inside(
                tf.tile(self._extract(ones, node.output), [batch, 1])
            )
        self._numbers[node.output] = self._last

    @property
    def _last(self) -> int:
        return len(self._nodes)

    @property
    def _dtype(self) -> tf.DType:
        return self._values[0].dtype

    def _append(
        self, node: Node, inputs: tuple[int, ...], shape: tuple[int, ...]
    ) -> None:
        number = len(self._nodes) + 1
        self._nodes.append(
            dataclasses.replace(node, inputs=inputs, output=number)
        )
        self._shapes.append(shape)

    def _cropped(self, name: str, number: int, needed: Window | None) -> int:
        """Returns the value of exactly the window that a node reads."""
        window = self._windows[number]
        if needed is None or needed == window:
            return self._numbers[number]
        top = needed[0].start - window[0].start
        left = needed[1].start - window[1].start
        height, width = (side.size for side in needed)
        crop = Linear(
            lambda x: x[:, top : top + height, left : left + width],
            diagonal=True,
        )
        shape = (height, width, self._values[number].shape[-1])
        self._append(
            Node(f"{name}_window", crop, (), 0), (self._numbers[number],), shape
        )
        return self._last

    def _shape(self, number: int) -> tuple[int, ...]:
        return _shape(self._windows[number], self._values[number].shape)

    def _leaves(self, number: int) -> bool:
        return any(
            side.leaves(places, length)
            for side, places, length in zip(
                self._windows[number],
                self._places,
                self._values[number].shape[:2],
                strict=True,
            )
        )

    def _box(self, number: int) -> Interval:
        value = self._values[number]
        shape = [-1, *self._shape(number)]
        return Interval(
            center=tf.reshape(self._extract(value.center, number), shape),
            radius=tf.reshape(self._extract(value.radius, number), shape),
        )

    def _extract(self, maps: tf.Tensor, number: int) -> tf.Tensor:
        """Returns the windows of maps, `(batch * places, entries)`.

        Args:
            maps: Tensor `(batch, ...)`, some numbers for each place.
            number: Of the value whose maps and windows these are.
        """
        rows, columns = self._windows[number]
        sides = self._values[number].shape[:2]
        depth = maps.shape[1:].num_elements() // math.prod(sides)
        maps = tf.reshape(maps, [-1, *sides, depth])
        windows = _slide(maps, 1, rows, self._places[0])
        windows = _slide(windows, 3, columns, self._places[1])
        # (batch, place, row, place, column, channel)
        windows = tf.transpose(windows, [0, 1, 3, 2, 4, 5])
        return tf.reshape(windows, [-1, rows.size * columns.size * depth])


def _slide(maps: tf.Tensor, axis: int, side: Side, places: int) -> tf.Tensor:
    """Returns windows along an axis, which becomes two: places and entries."""
    length = maps.shape[axis]
    last = (places - 1) * side.stride
    padding = [[0, 0] for _ in maps.shape]
    padding[axis] = [
        max(0, -side.start),
        max(0, last + side.start + side.size - length),
    ]
    maps = tf.pad(maps, padding)
    first = max(0, side.start)
    slices = []
    for entry in range(first, first + side.size):
        index: list[slice] = [slice(None)] * axis
        index.append(slice(entry, entry + last + 1, side.stride))
        slices.append(maps[tuple(index)])
    return tf.stack(slices, axis + 1)


def _on_window(
    operation: Convolution,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> Linear:
    """Returns a convolution of windows, which need no padding.

    As a matrix where windows are small: convolutions of many tiny images are
    slow.
    """
    plain = operation.without_padding()
    inputs, outputs = math.prod(input_shape), math.prod(output_shape)
    if inputs * outputs > _MAX_MATRIX:
        return plain

    def multiply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        matrix = _as_matrix(plain, kernel, input_shape, outputs)
        flat = tf.matmul(tf.reshape(x, [-1, inputs]), matrix)
        return tf.reshape(flat, [-1, *output_shape])

    def transpose(
        rows: tf.Tensor, kernel: tf.Tensor, shape: tuple[int, ...]
    ) -> tf.Tensor:
        matrix = _as_matrix(plain, kernel, input_shape, outputs)
        flat = tf.matmul(
            tf.reshape(rows, [-1, outputs]), matrix, transpose_b=True
        )
        return tf.reshape(flat, [-1, *shape])

    return Linear(
        multiply, kernel=plain.kernel, bias=plain.bias, transpose=transpose
    )


def _as_matrix(
    operation: Convolution,
    kernel: tf.Tensor,
    input_shape: tuple[int, ...],
    outputs: int,
) -> tf.Tensor:
    """Returns a convolution as a matrix `(input entries, output entries)`."""
    inputs = math.prod(input_shape)
    units = tf.reshape(tf.eye(inputs, dtype=kernel.dtype), [-1, *input_shape])
    return tf.reshape(operation.convolve(units, kernel), [inputs, outputs])


def _shape(window: Window, map_shape: tuple[int, ...]) -> tuple[int, ...]:
    return (window[0].size, window[1].size, map_shape[-1])
