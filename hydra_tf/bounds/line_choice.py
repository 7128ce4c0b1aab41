"""What is done to coefficients entry by entry, compiled where that pays.

This is where backward passes spend their time: coefficients of a network's
largest feature map are hundreds of megabytes in training. XLA makes one loop
over them of what TensorFlow's kernels would do in seven; so inside
`tf.function` these few steps, and their gradients, are compiled.

Masks make coefficients exactly zero, where the choice of a line has no
derivative. As in the published systems, a zero passes the gradients of both
lines (adaptive), or the mean of both sides (parallel).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.bounds import compilation


def row_sums(rows: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Products of rows `(batch or 1, rows, n)` with `(batch, n)` or `(n,)`."""
    if weights.shape.rank == 1:
        merged = tf.reshape(rows, [-1, rows.shape[2]])
        sums = tf.matmul(merged, weights[:, tf.newaxis])
        return tf.reshape(sums, tf.shape(rows)[:2])
    if rows.shape[0] == 1:
        return tf.matmul(weights, rows[0], transpose_b=True)
    return tf.linalg.matvec(rows, weights)


def adaptive_lines(
    rows: tf.Tensor,
    lower_slope: tf.Tensor,
    upper_slope: tf.Tensor,
    intercept: tf.Tensor,
    bias: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Lower bounds' coefficients and constants behind an activation.

    Args:
        rows: Coefficients of the activation's output, `(batch or 1, rows, n)`.
        lower_slope: Slope of the line below the activation, `(batch, n)`; a
            constant to gradients.
        upper_slope: Slope of the line above it, `(batch, n)`.
        intercept: Intercept of the line above it, `(batch, n)`.
        bias: What was added to the activation's input, `(n,)`.

    Returns:
        Coefficients `(batch, rows, n)` of the activation's input before the
        bias, and constants `(batch, rows)`.
    """
    if compilation.pays(rows, upper_slope.shape[0]):
        return _adaptive(rows, lower_slope, upper_slope, intercept, bias)
    negative = tf.minimum(rows, 0)
    coefficients = (
        lower_slope[:, tf.newaxis] * tf.maximum(rows, 0)
        + upper_slope[:, tf.newaxis] * negative
    )
    constants = row_sums(negative, intercept) + row_sums(coefficients, bias)
    return coefficients, constants


def parallel_lines(
    rows: tf.Tensor, slope: tf.Tensor, intercept: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `adaptive_lines`, where both lines have one slope.

    Returns:
        Coefficients, which lower and upper bounds have in common, and the
        constants of the lower and of the upper bounds.
    """
    if compilation.pays(rows, slope.shape[0]):
        return _parallel(rows, slope, intercept, bias)
    coefficients = slope[:, tf.newaxis] * rows
    constants = row_sums(coefficients, bias)
    absolute = tf.abs(rows)
    return (
        coefficients,
        constants + row_sums(0.5 * (rows - absolute), intercept),
        constants + row_sums(0.5 * (rows + absolute), intercept),
    )


@tf.custom_gradient
def _adaptive(
    rows: tf.Tensor,
    lower_slope: tf.Tensor,
    upper_slope: tf.Tensor,
    intercept: tf.Tensor,
    bias: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    coefficients = _adaptive_coefficients(rows, lower_slope, upper_slope)
    constants = _adaptive_constants(
        rows, lower_slope, upper_slope, intercept, bias
    )

    def gradient(d_coefficients, d_constants):
        d_rows, d_slope, d_intercept = _adaptive_gradients(
            *compilation.captured(
                rows,
                lower_slope,
                upper_slope,
                intercept,
                bias,
                d_coefficients,
                d_constants,
            ),
            shared=rows.shape[0] == 1,
        )
        d_bias = _bias_gradient(coefficients, d_constants)
        return d_rows, None, d_slope, d_intercept, d_bias

    return (coefficients, constants), gradient


@tf.custom_gradient
def _parallel(
    rows: tf.Tensor, slope: tf.Tensor, intercept: tf.Tensor, bias: tf.Tensor
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Any]:
    coefficients, lower, upper = _parallel_values(rows, slope, intercept)
    shift = row_sums(coefficients, bias)

    def gradient(d_coefficients, d_lower, d_upper):
        d_rows, d_slope, d_intercept = _parallel_gradients(
            *compilation.captured(
                rows,
                slope,
                intercept,
                bias,
                d_coefficients,
                d_lower,
                d_upper,
            ),
            shared=rows.shape[0] == 1,
        )
        d_bias = _bias_gradient(coefficients, d_lower + d_upper)
        return d_rows, d_slope, d_intercept, d_bias

    return (coefficients, lower + shift, upper + shift), gradient


def _bias_gradient(
    coefficients: tf.Tensor, d_constants: tf.Tensor
) -> tf.Tensor:
    merged = tf.reshape(coefficients, [-1, coefficients.shape[2]])
    return tf.matmul(tf.reshape(d_constants, [1, -1]), merged)[0]


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
        _over_batch(d_rows, shared),
        tf.reduce_sum(d_coefficients * negative, 1),
        tf.reduce_sum(d_constants * negative, 1),
    )


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
        _over_batch(d_rows, shared),
        tf.reduce_sum(d_coefficients * rows, 1),
        tf.reduce_sum(d_constants * rows, 1),
    )


def _over_batch(gradient: tf.Tensor, shared: bool) -> tf.Tensor:
    """Sums a gradient over the batch, if that shared the rows.

    Their shape does not tell: a function that was traced for any batch is
    also called for one of 1.
    """
    return tf.reduce_sum(gradient, 0, keepdims=True) if shared else gradient
