"""Products of two bounded values, entry by entry and of matrices.

A product of `x` and `y` in boxes of centres `c` and radii `r` is `c_y x + c_x y
- c_x c_y`, the mean of McCormick's planes on either side, up to `r_x r_y`.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.nonlinear import Slopes


class Product(Nonlinear):
    """`x * y`, entry by entry, of shapes that broadcast.

    Reference:

    - [McCormick, 1976](https://doi.org/10.1007/BF01580665)
    """

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        x, y = inputs
        return x * y

    def interval(self, *boxes: Interval) -> Interval:
        x, y = boxes
        corners = [a * b for a in x.ends for b in y.ends]
        return Interval(
            tf.reduce_min(tf.stack(corners), 0),
            tf.reduce_max(tf.stack(corners), 0),
        )

    def enclose(self, *boxes: Interval) -> Enclosure:
        x, y = boxes
        product = self(x.center, y.center)
        reach = self(x.radius, y.radius)
        slopes = (x.center, y.center)
        return Enclosure(slopes, -product - reach, slopes, reach - product)

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        x, y = slopes
        return (
            _summed(rows * y[:, tf.newaxis], shapes[0]),
            _summed(rows * x[:, tf.newaxis], shapes[1]),
        )


class MatMul(Product):
    """`x @ y` over the last two axes: `(..., m, k) @ (..., k, n)`."""

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        x, y = inputs
        return tf.matmul(x, y)

    def interval(self, *boxes: Interval) -> Interval:
        x, y = boxes
        terms = super().interval(
            Interval(*(end[..., tf.newaxis] for end in x.ends)),
            Interval(*(end[..., tf.newaxis, :, :] for end in y.ends)),
        )
        return Interval(*(tf.reduce_sum(end, -2) for end in terms.ends))

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        x, y = slopes
        return (
            tf.matmul(rows, y[:, tf.newaxis], transpose_b=True),
            tf.matmul(x[:, tf.newaxis], rows, transpose_a=True),
        )


class WeightedMean(MatMul):
    """`x @ y` where every row of `x` is of weights >= 0 that add up to 1.

    As in attention, whose outputs are means of the values.
    """

    def interval(self, *boxes: Interval) -> Interval:
        """Returns the least and the largest mean of such weights, exactly."""
        x, y = boxes
        upper = _largest_mean(x, y.upper)
        return Interval(-_largest_mean(x, -y.lower), upper)

    def enclose(self, *boxes: Interval) -> Enclosure:
        x, y = boxes
        # As the weights add up to 1, any constant can be taken off what is
        # averaged: the weights' errors count the less.
        shift = tf.reduce_mean(y.center, -2, keepdims=True)
        product = self(x.center, y.center) - shift
        reach = self(x.radius, y.radius)
        limits = self.interval(x, y)
        is_close = 2 * reach < limits.upper - limits.lower
        slopes = (
            x.center,
            y.center - shift,
            tf.cast(is_close, product.dtype),
        )
        return Enclosure(
            slopes,
            tf.where(is_close, -product - reach, limits.lower),
            slopes,
            tf.where(is_close, reach - product, limits.upper),
        )

    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        x, y, is_close = slopes
        return super().transpose(rows * is_close[:, tf.newaxis], (x, y), shapes)


def _largest_mean(weights: Interval, values: tf.Tensor) -> tf.Tensor:
    """Returns the largest mean of values, weights being in their boxes.

    What the least weights leave of 1 goes to the largest values first.

    Args:
        weights: Of shape `(batch, ..., m, k)`.
        values: Tensor `(batch, ..., k, n)`.
    """
    rank = len(values.shape)
    columns = tf.linalg.matrix_transpose(values)  # (..., n, k)
    order = tf.argsort(columns, direction="DESCENDING")
    columns = tf.gather(columns, order, batch_dims=rank - 1)
    least, width = (
        # (..., n, k, m)
        tf.gather(
            tf.linalg.matrix_transpose(tensor), order, batch_dims=rank - 2
        )
        for tensor in (weights.lower, weights.upper - weights.lower)
    )
    left = 1 - tf.reduce_sum(weights.lower, -1)[..., tf.newaxis, tf.newaxis, :]
    left = tf.maximum(left - tf.cumsum(width, -2, exclusive=True), 0)
    shares = least + tf.minimum(width, left)
    means = tf.reduce_sum(shares * columns[..., tf.newaxis], -2)
    return tf.linalg.matrix_transpose(means)


def _summed(rows: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns rows summed over the axes along which a value was repeated."""
    axes = [
        axis
        for axis, (size, own) in enumerate(
            zip(rows.shape[2:], shape, strict=True), 2
        )
        if own == 1 and size != 1
    ]
    return tf.reduce_sum(rows, axes, keepdims=True) if axes else rows
