"""Max pooling between linear functions of the entries of its windows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import reshape
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes


@dataclasses.dataclass(frozen=True)
class Sliding:
    """Windows that slide over a map without leaving it.

    Attributes:
        lengths: Of a window, along each side of the map.
        strides: From one window to the next.
    """

    lengths: tuple[int, ...]
    strides: tuple[int, ...]


class MaxPooling(Nonlinear):
    """The largest entry of every window of a map or series, channels last.

    Args:
        function: What computes it.
        windows: Integers `(windows, entries)`: the places of each window,
            counted row by row. A place may be there more than once.
        sliding: How the windows lie, if they slide without padding.
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor], tf.Tensor],
        windows: np.ndarray,
        sliding: Sliding | None = None,
    ):
        self._function = function
        self._windows = windows
        self.sliding = sliding

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        (x,) = inputs
        return self._function(x)

    def on_windows(
        self, size: Sequence[int], places: Sequence[int]
    ) -> MaxPooling:
        """Returns the same of a part of a map.

        Args:
            size: Of the part, along its sides.
            places: How many windows it has.
        """
        if self.sliding is None:
            raise ValueError("these windows do not slide")
        lengths, strides = self.sliding.lengths, self.sliding.strides
        windows = sliding_windows(size, lengths, strides, [0, 0], places)
        return MaxPooling(self._function, windows, self.sliding)

    def interval(self, *boxes: Interval) -> Interval:
        (x,) = boxes
        return Interval(*map(self, x.ends))

    def enclose(self, *boxes: Interval) -> Enclosure:
        """Returns an entry below; a line of the largest upper end's above."""
        (x,) = boxes
        # (batch, windows, entries, channels)
        lower, upper = map(self._gather, x.ends)
        count = lower.shape[2]
        below = tf.one_hot(tf.argmax(lower, 2), count, axis=2, dtype=x.dtype)
        first = tf.one_hot(tf.argmax(upper, 2), count, axis=2, dtype=x.dtype)
        low, high = (tf.reduce_sum(first * end, 2) for end in (lower, upper))
        # A place that is there twice is not one of the others.
        places = tf.constant(self._windows, x.dtype)[:, :, tf.newaxis]
        is_first = places == tf.reduce_sum(first * places, 2, keepdims=True)
        rest = tf.reduce_max(tf.where(is_first, x.dtype.min, upper), 2)
        # It is the first one or at most `rest`: a chord is above that.
        rest = tf.maximum(rest, low)
        width = tf.where(rest > low, high - low, tf.ones_like(low))
        slope = tf.where(rest > low, (high - rest) / width, tf.ones_like(low))
        shape = [-1, *self(x.lower).shape[1:]]
        return Enclosure(
            (below,),
            tf.reshape(tf.zeros_like(low), shape),
            (first * slope[:, :, tf.newaxis],),
            tf.reshape(rest - slope * low, shape),
        )

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        count, entries = self._windows.shape
        channels = rows.shape[-1]
        windows = reshape(rows, (count, 1, channels))
        windows *= tf.reshape(slopes[0], [-1, 1, count, entries, channels])
        merged = tf.reshape(windows, [-1, count * entries, channels])
        return (
            reshape(self._scatter(merged, shapes[0]), shapes[0], like=windows),
        )

    def _gather(self, x: tf.Tensor) -> tf.Tensor:
        """Returns `(rows, windows, entries, channels)`."""
        size = x.shape[1:-1].num_elements()
        flat = tf.reshape(x, [-1, size, x.shape[-1]])
        return tf.gather(flat, self._windows, axis=1)

    def _scatter(self, x: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
        """Returns the sums of what windows have of each place.

        Args:
            x: Tensor `(rows, windows * entries, channels)`.
            shape: Shape of the map.
        """
        places = self._windows.ravel()
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=math.prod(shape[:-1]))
        # For each place the entries of windows that are it; a zero fills up.
        sources = np.full((len(counts), counts.max()), len(places))
        firsts = np.cumsum(counts) - counts
        ranks = np.arange(len(places)) - firsts[places[order]]
        sources[places[order], ranks] = order
        padded = tf.pad(x, [[0, 0], [0, 1], [0, 0]])
        return tf.reduce_sum(tf.gather(padded, sources, axis=1), 2)


def sliding_windows(
    size: Sequence[int],
    lengths: Sequence[int],
    strides: Sequence[int],
    before: Sequence[int],
    places: Sequence[int],
) -> np.ndarray:
    """Returns the places of every window, for `MaxPooling`.

    Args:
        size: Of the map, along each of its axes without the channels.
        lengths: Of a window.
        strides: From one window to the next.
        before: What is padded in front.
        places: How many windows there are.
    """
    sides = []
    for length, window, stride, padded, count in zip(
        size, lengths, strides, before, places, strict=True
    ):
        starts: np.ndarray = np.arange(count)[:, np.newaxis] * stride - padded
        entries = starts + np.arange(window)
        # The padding never is the largest: a place of the map stands for it.
        sides.append(np.clip(entries, 0, length - 1))
    windows: np.ndarray = np.zeros([1, 1], int)
    for length, side in zip(size, sides, strict=True):
        windows = windows[:, np.newaxis, :, np.newaxis] * length
        windows = windows + side[:, np.newaxis, :]
        windows = windows.reshape(windows.shape[0] * windows.shape[1], -1)
    return windows
