"""Softmax between linear functions of its inputs.

As `1 / sum_j exp(x_j - x_i)`: exponentials and the reciprocal are convex, each
lies between its chord and a tangent. Computed with logarithms of the sums, so
that no number overflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes

# A tangent of exp is positive down to 1 before the point where it touches.
_REACH = 0.99


class Softmax(Nonlinear):
    """Softmax over the last axis.

    Reference:

    - [Bonaert et al., 2021](https://dl.acm.org/doi/10.1145/3453483.3454056),
      section 5.3, for this form of it
    - [Shi et al., 2020](https://arxiv.org/abs/2002.06622), for the tangents
    """

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        (x,) = inputs
        return tf.nn.softmax(x)

    def interval(self, *boxes: Interval) -> Interval:
        """Returns the bounds, exact entry by entry."""
        (x,) = boxes
        lowest, highest = _differences(x)
        return Interval(
            tf.exp(-tf.reduce_logsumexp(highest, -1)),
            tf.exp(-tf.reduce_logsumexp(lowest, -1)),
        )

    def enclose(self, *boxes: Interval) -> Enclosure:
        (x,) = boxes
        lowest, highest = _differences(x)  # (..., i, j)
        low = tf.reduce_logsumexp(lowest, -1, keepdims=True)
        high = tf.reduce_logsumexp(highest, -1, keepdims=True)
        # Above: the chord of 1 / sum, and tangents below the exponentials.
        touch = tf.minimum(0.5 * (lowest + highest), lowest + _REACH)
        above = tf.exp(touch - low - high)
        upper = (
            tf.exp(-low)
            + tf.exp(-high)
            - tf.reduce_sum(above * (1 - touch), -1, keepdims=True)
        )
        # Below: a tangent of 1 / sum, and chords above the exponentials.
        middle = tf.reduce_logsumexp(
            tf.concat([low, high], -1), -1, keepdims=True
        ) - math.log(2)
        below = tf.exp(highest - 2 * middle) * _chord(highest - lowest)
        lower = 2 * tf.exp(-middle) - tf.reduce_sum(
            tf.exp(lowest - 2 * middle) - below * lowest, -1, keepdims=True
        )
        # Where the input's limits alone say more, they are taken.
        center = _differences(Interval(x.center, x.center))[0]
        limits = self.interval(x)
        lower, upper = lower[..., 0], upper[..., 0]
        is_close = (
            lower - tf.reduce_sum(below * center, -1) > limits.lower,
            upper - tf.reduce_sum(above * center, -1) < limits.upper,
        )
        return Enclosure(
            (_where(is_close[0], below),),
            tf.where(is_close[0], lower, limits.lower),
            (_where(is_close[1], above),),
            tf.where(is_close[1], upper, limits.upper),
        )

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        # The function is `-sum_j slopes[i, j] (x_j - x_i)`.
        (slopes,) = slopes
        sums = tf.reduce_sum(slopes, -1)
        # (batch, ..., rows, i) @ (batch, ..., i, j)
        rank = len(rows.shape)
        inner = [0, *range(2, rank - 1), 1, rank - 1]
        outer = [0, rank - 2, *range(1, rank - 2), rank - 1]
        product = tf.matmul(tf.transpose(rows, inner), slopes)
        product = tf.transpose(product, outer)
        return (rows * sums[:, tf.newaxis] - product,)


def _differences(x: Interval) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns bounds on `x_j - x_i`, `(..., i, j)` each; 0 for `i == j`."""
    rows, columns = (
        [end[..., tf.newaxis, :] for end in x.ends],
        [end[..., tf.newaxis] for end in x.ends],
    )
    apart = 1 - tf.eye(x.shape[-1], dtype=x.dtype)
    return apart * (rows[0] - columns[1]), apart * (rows[1] - columns[0])


def _chord(width: tf.Tensor) -> tf.Tensor:
    """Returns the slope of the chord of exp over `[-width, 0]`."""
    is_wide = width > 1e-2
    safe = tf.where(is_wide, width, tf.ones_like(width))
    # A few terms of the series are a little more: the line stays above.
    return tf.where(
        is_wide, -tf.math.expm1(-safe) / safe, 1 - 0.5 * width + width**2 / 6
    )


def _where(condition: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
    condition = condition[..., tf.newaxis]
    return tf.where(condition, slopes, tf.zeros_like(slopes))
