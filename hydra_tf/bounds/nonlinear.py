"""What functions that are not linear are enclosed by.

Such a function lies between two linear functions of its inputs, plus constants,
wherever its inputs are in their boxes. A backward pass goes on with those.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.coefficients import flat
from hydra_tf.bounds.coefficients import row_sums

Slopes = tuple[tf.Tensor, ...]


class Nonlinear(abc.ABC):
    """A function of one or more values that is not linear.

    Attributes:
        by_entry: Whether each output entry depends on one input entry alone.
    """

    by_entry = False

    @abc.abstractmethod
    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        """Returns the function's value for rows."""

    @abc.abstractmethod
    def interval(self, *boxes: Interval) -> Interval:
        """Returns bounds on every output entry over boxes of the inputs."""

    @abc.abstractmethod
    def enclose(self, *boxes: Interval) -> Enclosure:
        """Returns linear functions below and above it over boxes."""

    @abc.abstractmethod
    def transpose(
        self,
        rows: tf.Tensor,
        slopes: Slopes,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tf.Tensor, ...]:
        """Returns rows mapped by the transpose of a linear function.

        Args:
            rows: Tensor `(batch or 1, rows, *output_shape)`.
            slopes: What `enclose` describes the linear function by.
            shapes: Shape of each input, without the batch.

        Returns:
            For each input, a tensor `(batch, rows, *input_shape)`.
        """


@dataclasses.dataclass(frozen=True)
class Enclosure:
    """Linear functions of the inputs, plus constants, around a function.

    Attributes:
        lower_slopes: Tensors that describe the linear function below, as the
            operation knows them; their first axis is the batch.
        lower: What is added to it; `(batch, *output_shape)`.
        upper_slopes: As `lower_slopes`, of the one above; the very same tuple
            where both are parallel.
        upper: What is added to that.
    """

    lower_slopes: Slopes
    lower: tf.Tensor
    upper_slopes: Slopes
    upper: tf.Tensor

    @property
    def is_parallel(self) -> bool:
        """Whether both linear functions are the same."""
        return self.lower_slopes is self.upper_slopes

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Enclosure:
        """Returns the same with every tensor mapped."""
        lower_slopes = upper_slopes = tuple(map(function, self.lower_slopes))
        if not self.is_parallel:
            upper_slopes = tuple(map(function, self.upper_slopes))
        return Enclosure(
            lower_slopes,
            function(self.lower),
            upper_slopes,
            function(self.upper),
        )

    def apply(
        self,
        operation: Nonlinear,
        coefficients: Coefficients,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[list[Coefficients], Ends]:
        """Replaces the operation's output by linear functions of its inputs.

        Args:
            operation: The operation that is enclosed.
            coefficients: Those of its output.
            shapes: Shape of each of its inputs, without the batch.

        Returns:
            Those of its inputs, and the constants that come with them, of the
            lower and of the upper bounds, `(batch, rows)` each.
        """
        lower, low = self._below(operation, coefficients.lower, shapes)
        if coefficients.upper is None:
            return [Coefficients(each, None) for each in lower], (low, None)
        # The upper bound on a function is minus the lower bound on minus it.
        if self.is_parallel and coefficients.agree:
            high = -self._constant(-coefficients.upper)
            return [Coefficients(each, each) for each in lower], (low, high)
        upper, high = self._below(operation, -coefficients.upper, shapes)
        return [
            Coefficients(below, -above)
            for below, above in zip(lower, upper, strict=True)
        ], (low, -high)

    def _below(
        self,
        operation: Nonlinear,
        rows: tf.Tensor,
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        """Returns the coefficients and constants of lower bounds."""
        constant = self._constant(rows)
        if self.is_parallel:
            slopes = self.lower_slopes
            return operation.transpose(rows, slopes, shapes), constant
        positive, negative = tf.maximum(rows, 0), tf.minimum(rows, 0)
        parts = zip(
            operation.transpose(positive, self.lower_slopes, shapes),
            operation.transpose(negative, self.upper_slopes, shapes),
            strict=True,
        )
        return tuple(one + other for one, other in parts), constant

    def _constant(self, rows: tf.Tensor) -> tf.Tensor:
        rows = flat(rows)
        size = [-1, rows.shape[2]]
        lower, upper = (tf.reshape(e, size) for e in (self.lower, self.upper))
        return row_sums(tf.maximum(rows, 0), lower) + row_sums(
            tf.minimum(rows, 0), upper
        )
