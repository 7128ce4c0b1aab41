"""Coefficients of linear functions, for lower and for upper bounds at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """Rows of coefficients of one value.

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
