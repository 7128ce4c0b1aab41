"""Boxes, by their ends or by centre and radius."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf


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

    def intersected(self, other: Interval) -> Interval:
        """Returns the box of what lies in both."""
        lower = tf.maximum(self.lower, other.lower)
        # Boxes of a single point may be apart by rounding.
        upper = tf.maximum(tf.minimum(self.upper, other.upper), lower)
        return Interval(lower, upper)

    def compute_center(self) -> None:
        """Computes centre and radius now, if they are not known."""
        _ = self.center, self.radius

    @property
    def _known(self) -> tf.Tensor:
        return self._form[0] if self._ends[0] is None else self._ends[0]
