"""Tests of the lines around activations."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds import relaxation
from hydra_tf.bounds.interval_pass import Interval
from hydra_tf.bounds.operations import LeakyReLU

# Unstable both ways, stable, ends at zero, single points, nearly so.
LOWER = [-1.0, -3.0, 0.5, -2.0, 0.0, -1.0, 0.0, 2.0, -2.0, -1e-9, -1e-30, -1e5]
UPPER = [2.0, 1.0, 2.0, -0.5, 1.0, 0.0, 0.0, 2.0, -2.0, 1e-9, 1e-30, 1e-5]


def boxes(dtype, by_ends):
    lower = tf.constant([LOWER], dtype)
    upper = tf.constant([UPPER], dtype)
    if by_ends:
        return Interval(lower, upper)
    return Interval(center=(lower + upper) / 2, radius=(upper - lower) / 2)


@pytest.mark.parametrize("by_ends", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("relax", [relaxation.adaptive, relaxation.parallel])
def test_lines_enclose_the_activation(relax, slope, by_ends):
    activation = LeakyReLU(slope)
    lines = relax(activation, boxes(tf.float64, by_ends))
    upper_slope, intercept = lines.upper_slope[0], lines.intercept[0]
    lower_slope = lines.lower_slope
    if lower_slope is None:  # Both lines have one slope.
        lower_slope = [upper_slope]
    assert np.all(intercept >= 0)
    slack = 1e-12 * np.maximum(1, np.abs(LOWER))
    for share in np.linspace(0, 1, 11):
        z = np.array(LOWER) + share * (np.array(UPPER) - np.array(LOWER))
        value = np.maximum(z, slope * z)
        assert np.all(lower_slope[0] * z <= value + slack)
        assert np.all(value <= upper_slope * z + intercept + slack)


def test_lines_are_exact_where_the_sign_is_known():
    for relax in (relaxation.adaptive, relaxation.parallel):
        lines = relax(LeakyReLU(), boxes(tf.float32, True))
        for i, slope in ((2, 1), (3, 0), (4, 1), (5, 0), (7, 1), (8, 0)):
            assert lines.upper_slope[0, i] == slope
            np.testing.assert_allclose(lines.intercept[0, i], 0, atol=1e-7)
            if lines.lower_slope is not None:
                assert lines.lower_slope[0, i] == slope


def test_the_lower_line_goes_along_the_longer_side():
    for slope in (0.0, 0.25):
        lines = relaxation.adaptive(LeakyReLU(slope), boxes(tf.float32, True))
        np.testing.assert_allclose(lines.lower_slope[0, :2], [1, slope])
        # Chords from (-1, -slope) to (2, 2) and (-3, -3 slope) to (1, 1).
        np.testing.assert_allclose(
            lines.upper_slope[0, :2],
            [(2 + slope) / 3, (1 + 3 * slope) / 4],
            rtol=1e-6,
        )


def test_the_choice_of_the_lower_line_is_a_constant_to_gradients():
    ends = tf.constant([[-1.0]]), tf.constant([[2.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(ends)
        lines = relaxation.adaptive(LeakyReLU(), Interval(*ends))
    assert tape.gradient(lines.lower_slope, ends) == (None, None)
    # Of 2 / (2 - -1), by hand.
    for gradient, expected in zip(
        tape.gradient(lines.upper_slope, ends), (2 / 9, 1 / 9), strict=True
    ):
        np.testing.assert_allclose(gradient, [[expected]], rtol=1e-6)
