"""Boxes, and what operations make of them: interval arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hydra_tf.bounds import xla
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.trace import Graph


class Interval:
    """A box, by its ends or by its centre and radius, whichever is at hand.

    Args:
        lower: Lower ends, or `None`.
        upper: Upper ends, or `None`.
        center: Centre, or `None`.
        radius: Half the width, or `None`.
    """

    def __init__(
        self,
        lower: tf.Tensor | None = None,
        upper: tf.Tensor | None = None,
        *,
        center: tf.Tensor | None = None,
        radius: tf.Tensor | None = None,
    ):
        # Either pair is complete.
        self._ends: tuple[Any, Any] = (lower, upper)
        self._form: tuple[Any, Any] = (center, radius)

    @functools.cached_property
    def lower(self) -> tf.Tensor:
        """Lower ends."""
        if self._ends[0] is None:
            return self._form[0] - self._form[1]
        return self._ends[0]

    @functools.cached_property
    def upper(self) -> tf.Tensor:
        """Upper ends."""
        if self._ends[1] is None:
            return self._form[0] + self._form[1]
        return self._ends[1]

    @functools.cached_property
    def center(self) -> tf.Tensor:
        """Middle between the ends."""
        if self._form[0] is None:
            return 0.5 * (self._ends[0] + self._ends[1])
        return self._form[0]

    @functools.cached_property
    def radius(self) -> tf.Tensor:
        """Half the distance of the ends."""
        if self._form[1] is None:
            return 0.5 * (self._ends[1] - self._ends[0])
        return self._form[1]

    @property
    def has_center(self) -> bool:
        """Whether it is known by its centre and radius."""
        return self._form[0] is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row, without the batch."""
        return tuple(self._known.shape[1:])

    @property
    def batch(self) -> int | None:
        """Size of the batch, `None` while it is not known."""
        return self._known.shape[0]

    @property
    def dtype(self) -> tf.DType:
        """Dtype of the ends."""
        return self._known.dtype

    @property
    def ends(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Lower and upper ends."""
        return self.lower, self.upper

    def of_image(self, image: tf.Tensor) -> Interval:
        """Returns the box of one image of the batch, a batch of one."""
        if self.has_center:
            center, radius = (part[image, tf.newaxis] for part in self._form)
            return Interval(center=center, radius=radius)
        return Interval(*(part[image, tf.newaxis] for part in self._ends))

    def compute_center(self) -> None:
        """Computes centre and radius now, if they are not known."""
        _ = self.center, self.radius

    @property
    def _known(self) -> tf.Tensor:
        return self._form[0] if self._ends[0] is None else self._ends[0]


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
        values.append(_apply(node.operation, inputs))
    return values


def _apply(operation: Operation, inputs: Sequence[Interval]) -> Interval:
    first = inputs[0]
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
