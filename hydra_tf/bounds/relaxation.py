"""Two lines that enclose an activation between the bounds of its input."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.interval_pass import Interval
from hydra_tf.bounds.line_choice import adaptive_lines
from hydra_tf.bounds.line_choice import parallel_lines
from hydra_tf.bounds.operations import LeakyReLU

# Least width of an interval that a slope is computed from.
_MIN_WIDTH = 1e-8


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """Lines around `max(z, negative_slope * z)` for `lower <= z <= upper`.

    `lower_slope * z <= activation(z) <= upper_slope * z + intercept`, exact
    where the sign of `z` is known.

    Attributes:
        lower_slope: Tensor `(batch, n)`; `None` if it is the upper one.
        upper_slope: Tensor `(batch, n)`.
        intercept: Tensor `(batch, n)`, >= 0.
    """

    lower_slope: tf.Tensor | None
    upper_slope: tf.Tensor
    intercept: tf.Tensor

    def apply(
        self, coefficients: Coefficients, bias: tf.Tensor | None = None
    ) -> tuple[Coefficients, tuple[tf.Tensor, tf.Tensor | None]]:
        """Replaces the activation's output by lines of its input.

        A lower bound takes the lower line where its coefficient is positive and
        the upper one where it is negative; an upper bound the other way round.

        Args:
            coefficients: Those of the activation's output, `(batch or 1, rows,
                n)`.
            bias: Tensor `(n,)` that was added to the activation's input: the
                coefficients returned are to be those of the input before that.

        Returns:
            Those of its input, and the constants that come with them, of the
            lower and of the upper bounds, `(batch, rows)` each.
        """
        if bias is None:
            bias = tf.zeros(
                coefficients.lower.shape[2:], self.upper_slope.dtype
            )
        if self.lower_slope is None:
            lower, constant, upper_constant = parallel_lines(
                coefficients.lower, self.upper_slope, self.intercept, bias
            )
            if coefficients.upper is None:
                return Coefficients(lower, None), (constant, None)
            upper = lower
            if not coefficients.agree:
                upper, _, upper_constant = parallel_lines(
                    coefficients.upper, self.upper_slope, self.intercept, bias
                )
            return Coefficients(lower, upper), (constant, upper_constant)
        lines = (self.lower_slope, self.upper_slope, self.intercept, bias)
        lower, constant = adaptive_lines(coefficients.lower, *lines)
        if coefficients.upper is None:
            return Coefficients(lower, None), (constant, None)
        # The upper bound of a function is minus the lower bound of minus it.
        upper, upper_constant = adaptive_lines(-coefficients.upper, *lines)
        return Coefficients(lower, -upper), (constant, -upper_constant)


def adaptive(activation: LeakyReLU, bounds: Interval) -> Relaxation:
    """Returns CROWN's lines: the lower one has slope 1 if `upper > -lower`.

    Otherwise it has the activation's negative slope. The choice is a constant
    to gradients; the other line passes them to the bounds.

    Args:
        activation: The activation.
        bounds: Bounds of its input.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866), section 3.2
    """
    slope, intercept = _chord(activation, bounds)
    negative_slope = activation.negative_slope
    one = tf.ones([], slope.dtype)
    # The chord's slope lies nearer to that side whose part is longer.
    lower_slope = tf.where(
        slope > 0.5 * (1 + negative_slope), one, negative_slope * one
    )
    return Relaxation(tf.stop_gradient(lower_slope), slope, intercept)


def parallel(activation: LeakyReLU, bounds: Interval) -> Relaxation:
    """Returns the lines of symbolic intervals: both have the chord's slope.

    Args:
        activation: The activation.
        bounds: Bounds of its input.

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098), section 3
    """
    slope, intercept = _chord(activation, bounds)
    return Relaxation(None, slope, intercept)


def _chord(
    activation: LeakyReLU, bounds: Interval
) -> tuple[tf.Tensor, tf.Tensor]:
    """Slope and intercept of the line through the activation at both ends."""
    shape = [-1, tf.reduce_prod(bounds.shape)]
    lower = tf.minimum(tf.reshape(bounds.lower, shape), 0)
    upper = tf.maximum(tf.reshape(bounds.upper, shape), 0)
    upper = tf.maximum(upper, lower + _MIN_WIDTH)
    share = upper / (upper - lower)
    negative_slope = activation.negative_slope
    slope = share
    if negative_slope:
        slope = negative_slope + (1 - negative_slope) * share
    return slope, (negative_slope - slope) * lower
