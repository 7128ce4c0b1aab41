"""Symbolic interval analysis: both lines around an activation are parallel."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from hydra_tf.bounds import xla
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.coefficients import row_sums
from hydra_tf.bounds.methods import BackwardMethod
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.propagation import Bounds
from hydra_tf.bounds.propagation import bounds_by
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.relaxation import bias_gradient
from hydra_tf.bounds.relaxation import lines_around
from hydra_tf.bounds.relaxation import over_batch


def symbolic_interval(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns the bounds of symbolic interval analysis (method `symbolic`).

    Every value is a linear function of the input plus one error for each
    activation of unknown sign. The whole batch is analysed at once, from the
    outputs back to the input, which gives the bounds of the forward analysis.

    Args:
        model: See `interval`, as the other arguments.
        lower: Lower ends of the boxes.
        upper: Upper ends of the boxes.
        spec: The specification.
        return_intermediate: Whether to return the bounds on every activation's
            input, too.

    Returns:
        As `interval`.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098)
    - [Wang et al., 2018](https://arxiv.org/abs/1811.02625), MixTrain
    """
    return bounds_by("symbolic", model, lower, upper, spec, return_intermediate)


@dataclasses.dataclass(frozen=True)
class ParallelLines(Relaxation):
    """Two lines of one slope, the lower one through the origin.

    `slope * z <= activation(z) <= slope * z + intercept`, exact where the sign
    of `z` is known.

    Attributes:
        slope: Tensor `(batch, n)`.
        intercept: Tensor `(batch, n)`, >= 0.
    """

    slope: tf.Tensor
    intercept: tf.Tensor

    def apply(
        self, coefficients: Coefficients, bias: tf.Tensor
    ) -> tuple[Coefficients, Ends]:
        lower, constant, upper_constant = self._both(coefficients.lower, bias)
        if coefficients.upper is None:
            return Coefficients(lower, None), (constant, None)
        upper = lower
        if not coefficients.agree:
            upper, _, upper_constant = self._both(coefficients.upper, bias)
        return Coefficients(lower, upper), (constant, upper_constant)

    def _both(
        self, rows: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the coefficients that lower and upper bounds have in common.

        Behind them, the constants of the lower and of the upper bounds.
        """
        if xla.pays(rows, self.slope.shape[0]):
            return _parallel(rows, self.slope, self.intercept, bias)
        coefficients = self.slope[:, tf.newaxis] * rows
        constants = row_sums(coefficients, bias)
        absolute = tf.abs(rows)
        return (
            coefficients,
            constants + row_sums(0.5 * (rows - absolute), self.intercept),
            constants + row_sums(0.5 * (rows + absolute), self.intercept),
        )


def parallel_lines(activation: LeakyReLU, bounds: Interval) -> ParallelLines:
    """Returns the lines of symbolic intervals: both have the chord's slope.

    Args:
        activation: The activation.
        bounds: Bounds on its input.

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098), section 3
    """
    slope, intercept, _ = lines_around(activation, bounds)
    return ParallelLines(slope, intercept)


SYMBOLIC = BackwardMethod(parallel_lines, refines=True)


@tf.custom_gradient
def _parallel(
    *inputs: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Any]:
    """Rows, slope, intercept and bias: as in `ParallelLines.apply`."""
    coefficients, lower, upper = _parallel_values(*inputs[:3])
    shift = row_sums(coefficients, inputs[3])

    def gradient(*upstream):
        d_rows, d_slope, d_intercept = _parallel_gradients(
            *xla.captured(*inputs, *upstream), shared=inputs[0].shape[0] == 1
        )
        d_bias = bias_gradient(coefficients, upstream[1] + upstream[2])
        return d_rows, d_slope, d_intercept, d_bias

    return (coefficients, lower + shift, upper + shift), gradient


@tf.function(jit_compile=True, autograph=False)
def _parallel_values(rows, slope, intercept):
    intercept = intercept[:, tf.newaxis]
    return (
        rows * slope[:, tf.newaxis],
        tf.reduce_sum(tf.minimum(rows, 0) * intercept, -1),
        tf.reduce_sum(tf.maximum(rows, 0) * intercept, -1),
    )


@tf.function(jit_compile=True, autograph=False)
def _parallel_gradients(
    rows, slope, intercept, bias, d_coefficients, d_lower, d_upper, shared
):
    d_lower = d_lower[:, :, tf.newaxis]
    d_upper = d_upper[:, :, tf.newaxis]
    d_coefficients += (d_lower + d_upper) * bias
    d_constants = tf.where(
        tf.equal(rows, 0),
        0.5 * (d_lower + d_upper),
        tf.where(rows < 0, d_lower, d_upper),
    )
    d_rows = (
        d_coefficients * slope[:, tf.newaxis]
        + d_constants * intercept[:, tf.newaxis]
    )
    return (
        over_batch(d_rows, shared),
        tf.reduce_sum(d_coefficients * rows, 1),
        tf.reduce_sum(d_constants * rows, 1),
    )
