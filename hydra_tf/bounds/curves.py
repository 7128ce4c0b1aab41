"""Functions of each entry: GELU, SiLU, tanh and the like, between two lines.

Between its inflections a function is convex or concave, so that its distance
from a line is least and largest at one point, which bisection finds.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes
from hydra_tf.errors import InputError

# Where the slopes of lines are tried, from the lower to the upper end.
_PLACES = np.linspace(-1, 1, 9)
# Steps of bisection; lines are sound and a little farther away with few.
_NUM_STEPS = 12
# Share of its centre that an interval's width has to have for a chord.
_MIN_WIDTH = 1e-3


class Activation(Nonlinear):
    """A continuous function of each entry by itself.

    Args:
        function: The function, on tensors of any shape and float dtype.
        inflections: Where it changes between convex and concave, in increasing
            order. A straight piece counts as either one.
        minimum_at: Where it stops falling and begins to rise; by default it
            never falls.
        begins_convex: Whether it is convex before the first inflection.

    Example:

    >>> sigmoid = Activation(tf.sigmoid, inflections=(0.0,))
    >>> sigmoid(tf.constant([0.0])).numpy().tolist()
    [0.5]
    """

    by_entry = True

    def __init__(
        self,
        function: Callable[[tf.Tensor], tf.Tensor],
        *,
        inflections: Sequence[float] = (),
        minimum_at: float | None = None,
        begins_convex: bool = True,
    ):
        if not callable(function):
            raise InputError(
                "`function` must be a callable on tensors, such as tf.tanh. "
                f"Received: {function!r}"
            )
        self._function = function
        self._inflections = tuple(map(float, inflections))
        if list(self._inflections) != sorted(set(self._inflections)):
            raise InputError(
                "`inflections` must be numbers in increasing order. "
                f"Received: {tuple(inflections)}"
            )
        self._minimum_at = minimum_at
        self._begins_convex = begins_convex

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        (x,) = inputs
        return self._function(x)

    def interval(self, *boxes: Interval) -> Interval:
        (x,) = boxes
        ends = self(x.lower), self(x.upper)
        if self._minimum_at is None:
            return Interval(*ends)
        lowest = _within(self._minimum_at, x.lower, x.upper)
        return Interval(self(lowest), tf.maximum(*ends))

    def enclose(self, *boxes: Interval) -> Enclosure:
        """Returns lines that are close to the function at the centre.

        On average over the interval they are as close as lines can be.
        """
        (x,) = boxes
        slopes = self._choose_slopes(*x.ends)
        lowest, highest = self._distances(slopes, *x.ends)
        limits = self.interval(x)
        below, lower = _finite(slopes[0], lowest[0], x.center, limits.lower)
        above, upper = _finite(slopes[1], highest[1], x.center, limits.upper)
        return Enclosure((below,), lower, (above,), upper)

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        return (rows * tf.reshape(slopes[0], [-1, 1, *rows.shape[2:]]),)

    def _choose_slopes(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        """Returns the slopes of the lines below and above, stacked.

        Of the function's own slopes at some places and that of the chord, those
        whose lines are best at the centre. Any would be sound.
        """
        center, radius = 0.5 * (lower + upper), 0.5 * (upper - lower)
        points = tf.stack([center + place * radius for place in _PLACES])
        values, slopes = self._with_slope(points)
        has_chord = radius > _MIN_WIDTH * (1 + tf.abs(center))
        width = tf.where(has_chord, upper - lower, tf.ones_like(lower))
        middle = len(_PLACES) // 2
        chord = tf.where(
            has_chord, (values[-1] - values[0]) / width, slopes[middle]
        )
        below = above = chord
        lowest = highest = None
        for slope in [chord, *tf.unstack(slopes)]:
            distances = values - slope * (points - center)
            low = tf.reduce_min(distances, 0)
            high = tf.reduce_max(distances, 0)
            if lowest is not None:
                below = tf.where(low > lowest, slope, below)
                above = tf.where(high < highest, slope, above)
                low, high = tf.maximum(low, lowest), tf.minimum(high, highest)
            lowest, highest = low, high
        return tf.stack([below, above])

    def _distances(
        self, slopes: tf.Tensor, lower: tf.Tensor, upper: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns bounds on `function(x) - slope * x` over an interval.

        Args:
            slopes: Tensor `(lines, *shape)`.
            lower: Lower end of the interval, `shape`.
            upper: Its upper end.
        """

        def distance(x: tf.Tensor) -> tf.Tensor:
            return self(x) - slopes * x

        edges = tf.stack(
            [
                lower,
                *(_within(x, lower, upper) for x in self._inflections),
                upper,
            ]
        )
        # (pieces, lines, *shape)
        edges = edges[:, tf.newaxis] + tf.zeros_like(slopes)
        starts, ends = edges[:-1], edges[1:]
        first, last = tf.stop_gradient(starts), tf.stop_gradient(ends)
        is_convex = tf.reshape(
            [self._begins_convex ^ bool(i % 2) for i in range(first.shape[0])],
            [-1] + [1] * (len(first.shape) - 1),
        )
        # How much steeper than the line the function is at both ends.
        before, after = (self._with_slope(x)[1] - slopes for x in (first, last))
        for _ in range(_NUM_STEPS):
            middle = 0.5 * (first + last)
            steeper = self._with_slope(middle)[1] - slopes
            is_before = tf.where(is_convex, steeper < 0, steeper > 0)
            first = tf.where(is_before, middle, first)
            last = tf.where(is_before, last, middle)
            before = tf.where(is_before, steeper, before)
            after = tf.where(is_before, after, steeper)
        middle = first + _share(before, after) * (last - first)
        value, slope = self._with_slope(middle)
        value -= slopes * middle
        # What is left of the piece is on one side of the tangent there.
        tangent = value + (slope - slopes) * tf.stack(
            [first - middle, last - middle]
        )
        # An extreme at an end moves with that; one inside does not.
        turn = tf.where(first > starts, middle, starts)
        turn = distance(tf.where(last < ends, turn, ends))
        lowest = tf.where(is_convex, tf.reduce_min(tangent, 0), value)
        highest = tf.where(is_convex, value, tf.reduce_max(tangent, 0))
        lowest, highest = (
            tf.concat(
                [turn + tf.stop_gradient(each - turn), distance(edges)], 0
            )
            for each in (lowest, highest)
        )
        return tf.reduce_min(lowest, 0), tf.reduce_max(highest, 0)

    def _with_slope(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = self(x)
        return value, tape.gradient(value, x)


def _share(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Returns how far along an arc of a parabola has the slope of a line.

    Args:
        before: How much steeper than the line it is where it begins.
        after: The same where it ends.
    """
    before, after = tf.abs(before), tf.abs(after)
    total = before + after
    share = before / tf.where(total > 0, total, tf.ones_like(total))
    # The slopes at the ends may be those beyond a kink.
    return tf.clip_by_value(share, 1e-3, 1 - 1e-3)


def _within(x: float, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """Returns the points of intervals that are closest to a number."""
    return tf.minimum(tf.maximum(tf.constant(x, lower.dtype), lower), upper)


def _finite(
    slope: tf.Tensor, constant: tf.Tensor, center: tf.Tensor, limit: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a line, the constant one where numbers are too large."""
    usable = tf.math.is_finite(slope * center + constant)
    return (
        tf.where(usable, slope, tf.zeros_like(slope)),
        tf.where(usable, constant, limit),
    )
