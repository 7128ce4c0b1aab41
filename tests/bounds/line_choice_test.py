"""Tests of the entry-by-entry steps, plain and compiled."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds import compilation
from hydra_tf.bounds import line_choice

BATCH, ROWS, SIZE = 4, 5, 30


def make_inputs(batch_of_rows):
    """Returns rows with zeros, as masks make them, and lines."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(batch_of_rows, ROWS, SIZE))
    rows *= random.random(rows.shape) > 0.4
    rows[:, 0] = 0
    size = (BATCH, SIZE)
    lines = [(random.random(size) > 0.5), random.random(size)]
    intercept, bias = random.random(size), random.normal(size=SIZE)
    return [
        tf.constant(each, tf.float32)
        for each in (rows, *lines, intercept, bias)
    ]


def adaptive(rows, lower_slope, upper_slope, intercept, bias):
    return line_choice.adaptive_lines(
        rows, tf.stop_gradient(lower_slope), upper_slope, intercept, bias
    )


def parallel(rows, lower_slope, slope, intercept, bias):
    return line_choice.parallel_lines(rows, slope, intercept, bias)


def by_hand(function, rows, lower_slope, upper_slope, intercept, bias):
    """Returns what the lines add up to, entry by entry."""
    if function is parallel:
        lower_slope = upper_slope
    shape = (BATCH, ROWS, SIZE)
    coefficients, low, high = np.zeros(shape), *np.zeros((2, *shape[:2]))
    for b, r, i in np.ndindex(shape):
        row = rows[b % len(rows), r, i]
        slope = upper_slope[b, i] if row < 0 else lower_slope[b, i]
        coefficients[b, r, i] = row * slope
        low[b, r] += min(row, 0) * intercept[b, i] + row * slope * bias[i]
        high[b, r] += max(row, 0) * intercept[b, i] + row * slope * bias[i]
    return [coefficients, low] + ([high] if function is parallel else [])


def run(monkeypatch, function, inputs, *, compiled):
    """Returns the outputs and the gradients of a random sum of them."""
    monkeypatch.setattr(compilation, "MIN_NUMBERS", 0 if compiled else 10**12)
    random = np.random.default_rng(1)
    sizes = (BATCH, ROWS, SIZE), (BATCH, ROWS), (BATCH, ROWS)
    shares = [random.normal(size=size).astype(np.float32) for size in sizes]

    @tf.function
    def compute(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
            total = sum(
                tf.reduce_sum(output * share)
                for output, share in zip(outputs, shares, strict=False)
            )
        sources = [inputs[0], *inputs[2:]]
        return list(outputs), tape.gradient(total, sources)

    return compute(*inputs)


@pytest.mark.parametrize("function", [adaptive, parallel])
@pytest.mark.parametrize("batch_of_rows", [1, BATCH])
def test_compiled_steps_are_the_plain_ones(
    monkeypatch, function, batch_of_rows
):
    inputs = make_inputs(batch_of_rows)
    plain, plain_gradients = run(monkeypatch, function, inputs, compiled=False)
    outputs, gradients = run(monkeypatch, function, inputs, compiled=True)
    expected = by_hand(function, *(each.numpy() for each in inputs))
    for value, other, known in zip(outputs, plain, expected, strict=True):
        np.testing.assert_allclose(value, known, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other, known, rtol=1e-4, atol=1e-5)
    for value, other in zip(gradients, plain_gradients, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


def test_a_zero_passes_the_gradients_of_both_lines(monkeypatch):
    rows = tf.zeros([1, 1, 1])
    lines = [tf.constant([[value]]) for value in (1.0, 0.25, 0.5)]
    bias = tf.zeros([1])
    for compiled in (True, False):
        monkeypatch.setattr(
            compilation, "MIN_NUMBERS", 0 if compiled else 10**12
        )

        @tf.function
        def gradient(rows):
            with tf.GradientTape() as tape:
                tape.watch(rows)
                coefficients, constants = adaptive(rows, *lines, bias)
                total = tf.reduce_sum(coefficients) + tf.reduce_sum(constants)
            return tape.gradient(total, rows)

        # The lower line's slope, 1, the upper one's, 0.25, and intercept, 0.5.
        np.testing.assert_allclose(gradient(rows), [[[1.75]]])


def test_row_sums():
    random = np.random.default_rng(0)
    for batch in (1, 3):
        rows = random.normal(size=(batch, 2, 4))
        weights = random.normal(size=(3, 4))
        np.testing.assert_allclose(
            line_choice.row_sums(tf.constant(rows), tf.constant(weights)),
            np.sum(rows * weights[:, np.newaxis], axis=-1),
        )
        np.testing.assert_allclose(
            line_choice.row_sums(tf.constant(rows), tf.constant(weights[0])),
            np.sum(rows * weights[0], axis=-1),
        )
