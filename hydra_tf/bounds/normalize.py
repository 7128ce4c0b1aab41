"""Division by the root mean square, as in layer normalisation.

The quotient is enclosed as a whole: bounds on numerator and denominator apart
would forget that no entry exceeds the root of the number of entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes
from hydra_tf.errors import InputError


class Normalize(Nonlinear):
    """`x / sqrt(mean(x ** 2) + stabilizer)` over the last axis.

    Args:
        stabilizer: Float > 0, what is added to the mean of the squares.
        centered: Whether the entries add up to 0.
    """

    def __init__(self, stabilizer: float, *, centered: bool = False):
        if not stabilizer > 0:
            raise InputError(
                "`stabilizer` must be above 0, else the quotient has no "
                f"limits. Received: {stabilizer}"
            )
        self._stabilizer = stabilizer
        self._centered = centered

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        (x,) = inputs
        square = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        return x * tf.math.rsqrt(square + self._stabilizer)

    def interval(self, *boxes: Interval) -> Interval:
        """Returns bounds: with its own entry it rises, the others fixed."""
        (x,) = boxes
        least, largest = _squares(x)
        lower, upper = x.ends
        return Interval(
            -self._largest(-lower, least, largest),
            self._largest(upper, least, largest),
        )

    def _largest(
        self, entry: tf.Tensor, least: tf.Tensor, largest: tf.Tensor
    ) -> tf.Tensor:
        """Returns what an entry is at most divided to.

        Args:
            entry: The entry's largest value.
            least: Least squares of all entries.
            largest: Their largest squares.
        """
        size = entry.shape[-1]
        others = _total(least) - least
        if self._centered and size > 1:
            # They add up to minus the entry.
            others = tf.maximum(others, tf.square(entry) / (size - 1))
        others = tf.where(entry > 0, others, _total(largest) - largest)
        square = (tf.square(entry) + tf.maximum(others, 0)) / size
        return entry * tf.math.rsqrt(square + self._stabilizer)

    def enclose(self, *boxes: Interval) -> Enclosure:
        (x,) = boxes
        center, radius = x.center, x.radius
        # The mean square is within `spread` above its tangent at the centre.
        spread = _mean(tf.square(radius))
        least, largest = (
            _mean(each) + self._stabilizer for each in _squares(x)
        )
        # Its inverse root is convex, between the chord and a parallel tangent.
        low, high = tf.math.rsqrt(largest), tf.math.rsqrt(least)
        slope = -tf.square(low) * tf.square(high) / (low + high)
        below = 1.5 * tf.pow(-2 * slope, 1 / 3) + slope * spread
        above = high - slope * least
        # The product of both, as in `Product`.
        factor, reach = 0.5 * (low + high), 0.5 * (high - low) * radius
        shift = center * (
            slope * (self._stabilizer - _mean(tf.square(center))) - factor
        )
        lower = shift - reach + tf.minimum(center * below, center * above)
        upper = shift + reach + tf.maximum(center * below, center * above)
        # Where the limits of the quotient alone say more, they are taken.
        limits = self.interval(x)
        is_close = upper - lower < limits.upper - limits.lower
        slopes = (
            factor,
            2 * slope / center.shape[-1],
            center,
            tf.cast(is_close, center.dtype),
        )
        return Enclosure(
            slopes,
            tf.where(is_close, lower, limits.lower),
            slopes,
            tf.where(is_close, upper, limits.upper),
        )

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        # The function is `factor x_i + twist center_i (center @ x)`.
        factor, twist, center, is_close = (e[:, tf.newaxis] for e in slopes)
        rows *= is_close
        return (factor * rows + twist * center * _total(rows * center),)


def _squares(x: Interval) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the least and the largest square of every entry."""
    nearest = tf.maximum(tf.maximum(x.lower, -x.upper), 0)
    farthest = tf.maximum(tf.abs(x.lower), tf.abs(x.upper))
    return tf.square(nearest), tf.square(farthest)


def _total(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x, -1, keepdims=True)


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, -1, keepdims=True)
