"""Rows of coefficients of linear functions, and their products."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

# Lower and upper bounds; the latter are None where nobody wants them.
Ends = tuple[tf.Tensor, tf.Tensor | None]


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """Rows of coefficients of one value, for lower and for upper bounds.

    Attributes:
        lower: Tensor `(batch or 1, rows, *value_shape)`.
        upper: The same for upper bounds: the very same tensor where both agree;
            `None` where no upper bounds are wanted.
    """

    lower: tf.Tensor
    upper: tf.Tensor | None

    @property
    def agree(self) -> bool:
        """Whether lower and upper bounds have the same coefficients."""
        return self.upper is self.lower

    @property
    def ends(self) -> Ends:
        """Those of lower and those of upper bounds."""
        return self.lower, self.upper

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Coefficients:
        """Returns both mapped, once if they agree."""
        lower = function(self.lower)
        if self.agree:
            return Coefficients(lower, lower)
        return Coefficients(
            lower, None if self.upper is None else function(self.upper)
        )

    def plus(self, other: Coefficients) -> Coefficients:
        """Returns the sum of both."""
        lower = self.lower + other.lower
        if self.upper is None or other.upper is None:
            return Coefficients(lower, None)
        if self.agree and other.agree:
            return Coefficients(lower, lower)
        return Coefficients(lower, self.upper + other.upper)


def row_sums(rows: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Products of rows `(batch or 1, rows, n)` with `(batch, n)` or `(n,)`."""
    if weights.shape.rank == 1:
        merged = tf.reshape(rows, [-1, rows.shape[2]])
        sums = tf.matmul(merged, weights[:, tf.newaxis])
        return tf.reshape(sums, tf.shape(rows)[:2])
    if rows.shape[0] == 1:
        return tf.matmul(weights, rows[0], transpose_b=True)
    return tf.linalg.matvec(rows, weights)


def flat(rows: tf.Tensor) -> tf.Tensor:
    """Returns rows `(batch or 1, rows, ...)` as `(batch or 1, rows, n)`."""
    return reshape(rows, (math.prod(rows.shape[2:]),))


def reshape(
    rows: tf.Tensor, shape: tuple[int, ...], like: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns rows as `(batch or 1, rows, *shape)`.

    Args:
        rows: Tensor of as many entries.
        shape: Shape of the value, without the batch.
        like: Tensor with the first two axes wanted, by default `rows`.
    """
    like = rows if like is None else like
    reshaped = tf.reshape(rows, tf.concat([tf.shape(like)[:2], shape], 0))
    return tf.ensure_shape(reshaped, [*like.shape[:2], *shape])
