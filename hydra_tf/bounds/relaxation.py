"""Two lines that enclose an activation between the bounds of its input."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from hydra_tf.bounds import compilation
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

    def of_image(self, image: tf.Tensor) -> Relaxation:
        """Returns the lines of one image of the batch, a batch of one."""
        return Relaxation(
            None
            if self.lower_slope is None
            else self.lower_slope[image, tf.newaxis],
            self.upper_slope[image, tf.newaxis],
            self.intercept[image, tf.newaxis],
        )

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
    slope, intercept, lower_slope = _lines(activation, bounds)
    return Relaxation(tf.stop_gradient(lower_slope), slope, intercept)


def parallel(activation: LeakyReLU, bounds: Interval) -> Relaxation:
    """Returns the lines of symbolic intervals: both have the chord's slope.

    Args:
        activation: The activation.
        bounds: Bounds of its input.

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098), section 3
    """
    slope, intercept, _ = _lines(activation, bounds)
    return Relaxation(None, slope, intercept)


def _lines(
    activation: LeakyReLU, bounds: Interval
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Slope and intercept of the upper line, slope of CROWN's lower line."""
    flat = [-1, math.prod(bounds.shape)]
    if bounds.has_center:
        ends, lines = (bounds.center, bounds.radius), _lines_of_form
    else:
        ends, lines = bounds.ends(), _lines_of_ends
    slope = tf.constant(activation.negative_slope, ends[0].dtype)
    return lines(*(tf.reshape(end, flat) for end in ends), slope)


@compilation.where_it_pays
def _lines_of_form(center, radius, negative_slope):
    return _chord(center - radius, center + radius, negative_slope)


@compilation.where_it_pays
def _lines_of_ends(lower, upper, negative_slope):
    return _chord(lower, upper, negative_slope)


def _chord(
    lower: tf.Tensor, upper: tf.Tensor, negative_slope: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The line through the activation at both ends."""
    lower = tf.minimum(lower, 0)
    upper = tf.maximum(upper, 0)
    upper = tf.maximum(upper, lower + _MIN_WIDTH)
    share = upper / (upper - lower)
    slope = negative_slope + (1 - negative_slope) * share
    # The lower line goes along that side whose part is longer.
    lower_slope = tf.where(share > 0.5, tf.ones_like(share), negative_slope)
    return slope, (negative_slope - slope) * lower, lower_slope
