"""Max pooling between linear functions of the entries of its windows."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import reshape
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes
from hydra_tf.bounds.operations import Linear


class MaxPooling(Nonlinear):
    """The largest entry of every window of a map or series, channels last.

    Args:
        function: What computes it.
        windows: Integers `(windows, entries)`: the places of each window,
            counted row by row. A place may be there more than once.
    """

    def __init__(
        self, function: Callable[[tf.Tensor], tf.Tensor], windows: np.ndarray
    ):
        self._function = function
        self._windows = windows
        self._gather = Linear(self._gathered)

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        (x,) = inputs
        return self._function(x)

    def _gathered(self, x: tf.Tensor) -> tf.Tensor:
        """Returns `(rows, windows, entries, channels)`."""
        size = x.shape[1:-1].num_elements()
        flat = tf.reshape(x, [-1, size, x.shape[-1]])
        return tf.gather(flat, self._windows, axis=1)

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
        windows = reshape(rows, (len(self._windows), 1, rows.shape[-1]))
        windows *= slopes[0][:, tf.newaxis]
        merged = tf.reshape(windows, [-1, *windows.shape[2:]])
        result = self._gather.transpose(merged, shapes[0])
        return (reshape(result, shapes[0], like=windows),)


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
