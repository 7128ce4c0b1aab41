"""The choice of lines, row by row: where a CROWN pass spends its time.

Coefficients of a network's largest activation map are hundreds of megabytes in
training. XLA makes one loop over them of what TensorFlow's kernels would do in
seven; so inside `tf.function` these few element-wise steps are compiled.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Below this size a compilation is not worth its time.
_MIN_COMPILED_NUMBERS = 2**16


def row_sums(rows: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Products of rows `(batch or 1, rows, n)` with `(batch, n)` or `(n,)`."""
    if weights.shape.rank == 1:
        merged = tf.reshape(rows, [-1, rows.shape[2]])
        sums = tf.matmul(merged, weights[:, tf.newaxis])
        return tf.reshape(sums, tf.shape(rows)[:2])
    if rows.shape[0] == 1:
        return tf.matmul(weights, rows[0], transpose_b=True)
    return tf.linalg.matvec(rows, weights)


def take_lines(
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
            constant to gradients, unless it is the very `upper_slope`.
        upper_slope: Slope of the line above it, `(batch, n)`.
        intercept: Intercept of the line above it, `(batch, n)`.
        bias: What is added to the activation's input, `(n,)` or `(1,)`.

    Returns:
        Coefficients `(batch, rows, n)` of the activation's input before the
        bias, and constants `(batch, rows)`.
    """
    parallel = lower_slope is upper_slope
    if parallel or rows.shape[0] == 1 or not _is_compiled(rows):
        return _lines(rows, lower_slope, upper_slope, intercept, bias)
    return _compiled_lines(rows, lower_slope, upper_slope, intercept, bias)


def _is_compiled(rows: tf.Tensor) -> bool:
    if not tf.is_symbolic_tensor(rows) or rows.shape[1] is None:
        return False
    batch = rows.shape[0] or 32
    return batch * rows.shape[1] * rows.shape[2] >= _MIN_COMPILED_NUMBERS


def _lines(
    rows: tf.Tensor,
    lower_slope: tf.Tensor,
    upper_slope: tf.Tensor,
    intercept: tf.Tensor,
    bias: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    negative = tf.minimum(rows, 0)
    coefficients = lower_slope[:, tf.newaxis] * rows
    if lower_slope is not upper_slope:
        coefficients += (upper_slope - lower_slope)[:, tf.newaxis] * negative
    constants = row_sums(negative, intercept)
    bias = tf.broadcast_to(bias, tf.shape(rows)[2:])
    return coefficients, constants + row_sums(coefficients, bias)


@tf.custom_gradient
def _compiled_lines(
    rows: tf.Tensor,
    lower_slope: tf.Tensor,
    upper_slope: tf.Tensor,
    intercept: tf.Tensor,
    bias: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    coefficients = _coefficients(rows, lower_slope, upper_slope)
    constants = _constants(rows, intercept) + row_sums(
        coefficients, tf.broadcast_to(bias, tf.shape(rows)[2:])
    )

    def gradient(d_coefficients, d_constants):
        d_rows, d_upper_slope, d_intercept = _gradients(
            rows,
            lower_slope,
            upper_slope,
            intercept,
            bias,
            d_coefficients,
            d_constants,
        )
        merged = tf.reshape(coefficients, [-1, rows.shape[2]])
        d_bias = tf.matmul(tf.reshape(d_constants, [1, -1]), merged)[0]
        if bias.shape[0] == 1:
            d_bias = tf.reduce_sum(d_bias, keepdims=True)
        return d_rows, None, d_upper_slope, d_intercept, d_bias

    return (coefficients, constants), gradient


@tf.function(jit_compile=True, autograph=False)
def _coefficients(rows, lower_slope, upper_slope):
    return rows * tf.where(
        rows < 0, upper_slope[:, tf.newaxis], lower_slope[:, tf.newaxis]
    )


@tf.function(jit_compile=True, autograph=False)
def _constants(rows, intercept):
    return tf.linalg.matvec(tf.minimum(rows, 0), intercept)


@tf.function(jit_compile=True, autograph=False)
def _gradients(
    rows,
    lower_slope,
    upper_slope,
    intercept,
    bias,
    d_coefficients,
    d_constants,
):
    d_constants = d_constants[:, :, tf.newaxis]
    d_coefficients += d_constants * bias
    negative = tf.minimum(rows, 0)
    d_rows = tf.where(
        rows < 0,
        d_coefficients * upper_slope[:, tf.newaxis]
        + d_constants * intercept[:, tf.newaxis],
        d_coefficients * lower_slope[:, tf.newaxis],
    )
    return (
        d_rows,
        tf.reduce_sum(d_coefficients * negative, 1),
        tf.reduce_sum(d_constants * negative, 1),
    )
