"""CROWN: bounds by two lines around every activation.

CROWN-IBP is its fast form, with intervals around the activations' inputs.
"""

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
from hydra_tf.bounds.propagation import crown_method
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.relaxation import bias_gradient
from hydra_tf.bounds.relaxation import lines_around
from hydra_tf.bounds.relaxation import over_batch


def crown(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    intermediate: str = "ibp",
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns CROWN's bounds on a network's outputs.

    Every activation is enclosed by two lines; what follows is linear, and
    bounded over the box as a whole. The lower line of a ReLU has slope 1 if the
    upper bound on its input exceeds the lower one in absolute value, else 0.

    Args:
        model: See `interval`, as the other arguments.
        lower: Lower ends of the boxes.
        upper: Upper ends of the boxes.
        spec: The specification.
        intermediate: Method that bounds the activations' inputs: `"crown"` for
            a pass for every neuron (method `crown`); `"ibp"`, the default, for
            intervals, which is `crown_ibp`.
        return_intermediate: Whether to return these bounds, too.

    Returns:
        As `interval`.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866)
    """
    method = crown_method(intermediate)
    return bounds_by(method, model, lower, upper, spec, return_intermediate)


def crown_ibp(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns CROWN-IBP's bounds: one pass of CROWN over interval bounds.

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

    - [Zhang et al., 2019](https://arxiv.org/abs/1906.06316)
    """
    return bounds_by(
        "crown_ibp", model, lower, upper, spec, return_intermediate
    )


@dataclasses.dataclass(frozen=True)
class AdaptiveLines(Relaxation):
    """Lines of two slopes, the lower one through the origin.

    `lower_slope * z <= activation(z) <= upper_slope * z + intercept`, exact
    where the sign of `z` is known.

    Attributes:
        lower_slope: Tensor `(batch, n)`, a constant to gradients.
        upper_slope: Tensor `(batch, n)`.
        intercept: Tensor `(batch, n)`, >= 0.
    """

    lower_slope: tf.Tensor
    upper_slope: tf.Tensor
    intercept: tf.Tensor

    def apply(
        self, coefficients: Coefficients, bias: tf.Tensor
    ) -> tuple[Coefficients, Ends]:
        lower, constant = self._lower(coefficients.lower, bias)
        if coefficients.upper is None:
            return Coefficients(lower, None), (constant, None)
        # The upper bound on a function is minus the lower bound on minus it.
        upper, upper_constant = self._lower(-coefficients.upper, bias)
        return Coefficients(lower, -upper), (constant, -upper_constant)

    def _lower(
        self, rows: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the coefficients and constants of lower bounds."""
        lines = (self.lower_slope, self.upper_slope, self.intercept)
        if xla.pays(rows, self.upper_slope.shape[0]):
            return _adaptive(rows, *lines, bias)
        negative = tf.minimum(rows, 0)
        coefficients = (
            self.lower_slope[:, tf.newaxis] * tf.maximum(rows, 0)
            + self.upper_slope[:, tf.newaxis] * negative
        )
        constants = row_sums(negative, self.intercept)
        return coefficients, constants + row_sums(coefficients, bias)


def adaptive_lines(activation: LeakyReLU, bounds: Interval) -> AdaptiveLines:
    """Returns CROWN's lines: the lower one has slope 1 if `upper > -lower`.

    Otherwise it has the activation's negative slope. The choice is a constant
    to gradients; the other line passes them to the bounds.

    Args:
        activation: The activation.
        bounds: Bounds on its input.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866), section 3.2
    """
    slope, intercept, lower_slope = lines_around(activation, bounds)
    return AdaptiveLines(tf.stop_gradient(lower_slope), slope, intercept)


CROWN_IBP = BackwardMethod(adaptive_lines, refines=False)
CROWN = BackwardMethod(adaptive_lines, refines=True)


@tf.custom_gradient
def _adaptive(*inputs: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    """Rows, both slopes, intercept and bias: as in `AdaptiveLines.apply`."""
    coefficients = _adaptive_coefficients(*inputs[:3])
    constants = _adaptive_constants(*inputs)

    def gradient(*upstream):
        d_rows, d_slope, d_intercept = _adaptive_gradients(
            *xla.captured(*inputs, *upstream), shared=inputs[0].shape[0] == 1
        )
        d_bias = bias_gradient(coefficients, upstream[1])
        return d_rows, None, d_slope, d_intercept, d_bias

    return (coefficients, constants), gradient


@tf.function(jit_compile=True, autograph=False)
def _adaptive_coefficients(rows, lower_slope, upper_slope):
    return rows * tf.where(
        rows < 0, upper_slope[:, tf.newaxis], lower_slope[:, tf.newaxis]
    )


@tf.function(jit_compile=True, autograph=False)
def _adaptive_constants(rows, lower_slope, upper_slope, intercept, bias):
    positive_weight = lower_slope * bias
    negative_weight = upper_slope * bias + intercept
    products = tf.maximum(rows, 0) * positive_weight[:, tf.newaxis]
    products += tf.minimum(rows, 0) * negative_weight[:, tf.newaxis]
    return tf.reduce_sum(products, -1)


@tf.function(jit_compile=True, autograph=False)
def _adaptive_gradients(
    rows,
    lower_slope,
    upper_slope,
    intercept,
    bias,
    d_coefficients,
    d_constants,
    shared,
):
    d_constants = d_constants[:, :, tf.newaxis]
    d_coefficients += d_constants * bias
    negative = tf.minimum(rows, 0)
    high = d_coefficients * upper_slope[:, tf.newaxis]
    high += d_constants * intercept[:, tf.newaxis]
    low = d_coefficients * lower_slope[:, tf.newaxis]
    zeros = tf.zeros_like(low)
    d_rows = tf.where(rows <= 0, high, zeros) + tf.where(rows >= 0, low, zeros)
    return (
        over_batch(d_rows, shared),
        tf.reduce_sum(d_coefficients * negative, 1),
        tf.reduce_sum(d_constants * negative, 1),
    )
