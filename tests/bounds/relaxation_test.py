"""Tests of the lines around activations, plain and compiled."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds import xla
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.crown import AdaptiveLines
from hydra_tf.bounds.crown import adaptive_lines
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.symbolic import ParallelLines
from hydra_tf.bounds.symbolic import parallel_lines

# Unstable both ways, stable, ends at zero, single points, nearly so.
LOWER = [-1.0, -3.0, 0.5, -2.0, 0.0, -1.0, 0.0, 2.0, -2.0, -1e-9, -1e-30, -1e5]
UPPER = [2.0, 1.0, 2.0, -0.5, 1.0, 0.0, 0.0, 2.0, -2.0, 1e-9, 1e-30, 1e5]
# Where the sign of the input is known, with the slope that is left of a ReLU.
STABLE = {2: 1, 3: 0, 4: 1, 5: 0, 7: 1, 8: 0}

BATCH, ROWS, SIZE = 4, 5, 30


def slopes_and_intercept(relax, slope, bounds):
    lines = relax(LeakyReLU(slope), bounds)
    if relax is parallel_lines:
        return lines.slope[0], lines.slope[0], lines.intercept[0]
    return lines.lower_slope[0], lines.upper_slope[0], lines.intercept[0]


@pytest.mark.parametrize("by_ends", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("relax", [adaptive_lines, parallel_lines])
def test_lines_enclose_the_activation(relax, slope, by_ends):
    lower, upper = tf.constant([LOWER, UPPER], tf.float64)[:, tf.newaxis]
    bounds = Interval(lower, upper)
    if not by_ends:
        bounds = Interval(center=bounds.center, radius=bounds.radius)
    below, above, intercept = slopes_and_intercept(relax, slope, bounds)
    assert np.all(intercept >= 0)
    slack = 1e-12 * np.maximum(1, np.abs(LOWER))
    for share in np.linspace(0, 1, 11):
        z = np.array(LOWER) + share * (np.array(UPPER) - np.array(LOWER))
        value = np.maximum(z, slope * z)
        assert np.all(below * z <= value + slack)
        assert np.all(value <= above * z + intercept + slack)


@pytest.mark.parametrize("relax", [adaptive_lines, parallel_lines])
def test_lines_are_exact_where_the_sign_is_known(relax):
    bounds = Interval(tf.constant([LOWER]), tf.constant([UPPER]))
    below, above, intercept = slopes_and_intercept(relax, 0.0, bounds)
    for i, slope in STABLE.items():
        assert below[i] == above[i] == slope
        np.testing.assert_allclose(intercept[i], 0, atol=1e-7)


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
    lines = AdaptiveLines(tf.stop_gradient(lower_slope), upper_slope, intercept)
    coefficients, ends = lines.apply(Coefficients(rows, None), bias)
    return coefficients.lower, ends[0]


def parallel(rows, lower_slope, slope, intercept, bias):
    lines = ParallelLines(slope, intercept)
    coefficients, ends = lines.apply(Coefficients(rows, rows), bias)
    assert coefficients.agree
    return coefficients.lower, *ends


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
    monkeypatch.setattr(xla, "MIN_NUMBERS", 0 if compiled else 10**12)
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


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # The lower line's slope, 1, the upper one's, 0.25, its intercept, 0.5.
        (adaptive, 1 + 0.25 + 0.5),
        # The slope, 0.25, and half the intercept from each constant.
        (parallel, 0.25 + 0.25 + 0.25),
    ],
)
def test_a_zero_passes_gradients_of_both_sides(
    monkeypatch, function, expected, compiled
):
    monkeypatch.setattr(xla, "MIN_NUMBERS", 0 if compiled else 10**12)
    lines = [tf.constant([[value]]) for value in (1.0, 0.25, 0.5)]

    @tf.function
    def gradient(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            outputs = function(rows, *lines, tf.zeros([1]))
            total = tf.add_n([tf.reduce_sum(output) for output in outputs])
        return tape.gradient(total, rows)

    np.testing.assert_allclose(gradient(tf.zeros([1, 1, 1])), [[[expected]]])
