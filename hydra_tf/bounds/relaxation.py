"""Lines that enclose an activation between the bounds on its input.

Applying them is where backward passes spend their time: coefficients of a
network's largest feature map are hundreds of megabytes in training. XLA makes
one loop over them of what TensorFlow's kernels would do in seven; so inside
`tf.function` these few steps, and their gradients, are compiled.

Masks make coefficients exactly zero, where the choice of a line has no
derivative. As in the published systems, a zero passes the gradients of both
lines (CROWN), or the mean of both sides (symbolic intervals).
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from hydra_tf.bounds import xla
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.operations import LeakyReLU

# Least width of an interval that a slope is computed from.
_MIN_WIDTH = 1e-8


@dataclasses.dataclass(frozen=True)
class Relaxation(abc.ABC):
    """Lines around the entries of an activation.

    Its attributes are tensors `(batch, n)`.
    """

    @abc.abstractmethod
    def apply(
        self, coefficients: Coefficients, bias: tf.Tensor
    ) -> tuple[Coefficients, Ends]:
        """Replaces the activation's output by lines of its input.

        A lower bound takes the lower line where its coefficient is positive and
        the upper one where it is negative; an upper bound the other way round.

        Args:
            coefficients: Those of the activation's output, `(batch or 1, rows,
                n)`.
            bias: Tensor `(n,)` that was added to the activation's input: the
                coefficients returned are those of the input before that.

        Returns:
            Those of its input, and the constants that come with them, of the
            lower and of the upper bounds, `(batch, rows)` each.
        """

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Relaxation:
        """Returns the same with every tensor mapped."""
        return type(self)(*map(function, vars(self).values()))


def lines_around(
    activation: LeakyReLU, bounds: Interval
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the lines around an activation.

    Args:
        activation: The activation.
        bounds: Bounds on its input.

    Returns:
        Slope and intercept of the upper line, the chord, and the slope of
        CROWN's lower line through the origin; `(batch, n)` each.
    """
    flat = [-1, math.prod(bounds.shape)]
    if bounds.has_center:
        ends, lines = (bounds.center, bounds.radius), _lines_of_form
    else:
        ends, lines = bounds.ends, _lines_of_ends
    slope = tf.constant(activation.negative_slope, ends[0].dtype)
    return lines(*(tf.reshape(end, flat) for end in ends), slope)


@xla.where_it_pays
def _lines_of_form(center, radius, negative_slope):
    return _chord(center - radius, center + radius, negative_slope)


@xla.where_it_pays
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


def bias_gradient(coefficients: tf.Tensor, d_constants: tf.Tensor) -> tf.Tensor:
    """Returns the gradient to a bias that all rows have in common."""
    merged = tf.reshape(coefficients, [-1, coefficients.shape[2]])
    return tf.matmul(tf.reshape(d_constants, [1, -1]), merged)[0]


def over_batch(gradient: tf.Tensor, shared: bool) -> tf.Tensor:
    """Sums a gradient over the batch, if that shared the rows.

    Their shape does not tell: a function that was traced for any batch is
    also called for one of 1.
    """
    return tf.reduce_sum(gradient, 0, keepdims=True) if shared else gradient
