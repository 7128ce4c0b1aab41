"""Tests of functions of each entry between two lines."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.curves import Activation
from hydra_tf.bounds.rules.activations import activation
from tests.bounds.enclosing import check_encloses
from tests.bounds.enclosing import points_in

NAMES = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "log_sigmoid",
    "mish",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "tanh",
    "tanh_shrink",
]


def curve(function):
    (operation,) = activation(keras.layers.Activation(function))
    return operation


def boxes(dtype, seed=0, *, most=1.5):
    """Returns intervals from points to wide ones."""
    random = np.random.default_rng(seed)
    center = random.uniform(-6, 6, (1, 400))
    radius = 10 ** random.uniform(-8, most, center.shape)
    radius[:, :20] = 0
    return Interval(
        tf.constant(center - radius, dtype), tf.constant(center + radius, dtype)
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("name", [*NAMES, keras.ops.gelu])
def test_lines_enclose_the_function(name, dtype):
    box = boxes(dtype)
    limits, lines = check_encloses(curve(name), [box])
    assert lines < 0.9 * limits


def test_lines_are_close_to_the_function_where_intervals_are_short():
    gelu = curve("gelu")
    gaps = []
    for radius in (0.1, 0.01):
        x = tf.linspace(tf.constant(-3, tf.float64), 3, 61)[tf.newaxis]
        limits, lines = check_encloses(gelu, [Interval(x - radius, x + radius)])
        assert lines < 0.2 * limits
        gaps.append(lines)
    assert gaps[1] < gaps[0] / 50  # Of second order.


def test_lines_by_hand():
    # gelu(x) - x / 2 is even: 0 in the middle and largest at both ends.
    box = Interval(*tf.constant([[[-2.0]], [[2.0]]], tf.float64))
    lines = curve("gelu").enclose(box)
    top = float(keras.activations.gelu(tf.constant(2.0, tf.float64))) - 1
    np.testing.assert_allclose(lines.lower_slopes[0], 0.5, atol=1e-12)
    np.testing.assert_allclose(lines.upper_slopes[0], 0.5, atol=1e-12)
    np.testing.assert_allclose(lines.lower, 0, atol=1e-6)
    np.testing.assert_allclose(lines.upper, top, rtol=1e-6)


def test_an_interval_reaches_down_to_the_minimum():
    gelu = curve("gelu")
    ends = tf.constant([[[-3.0, -0.5, -3.0]], [[1.0, 1.0, -1.0]]], tf.float64)
    box = gelu.interval(Interval(*ends))
    lowest = float(tf.reduce_min(gelu(tf.linspace(ends[0, 0, 0], 0, 10001))))
    expected = [lowest, gelu(ends[0, 0, 1]), gelu(ends[1, 0, 2])]
    np.testing.assert_allclose(box.lower[0], expected, atol=1e-7)
    # Where it falls all the way, the lower end of the input is its upper one.
    expected = [gelu(ends[1, 0, 0]), gelu(ends[1, 0, 1]), gelu(ends[0, 0, 2])]
    np.testing.assert_allclose(box.upper[0], expected)
    points = points_in([Interval(*ends)], 50)[0]
    assert np.all(gelu(tf.constant(points)) >= box.lower)


def test_numbers_too_large_for_lines_leave_the_interval():
    exponential = curve("exponential")
    box = Interval(tf.constant([[0.0]]), tf.constant([[200.0]]))
    lines = exponential.enclose(box)
    assert float(lines.lower[0, 0]) <= 1 and np.isinf(lines.upper[0, 0])
    assert float(lines.upper_slopes[0][0, 0]) == 0


def test_gradients_reach_the_ends():
    silu = curve("silu")
    lower, upper = tf.constant([[-1.0, 0.5]]), tf.constant([[2.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch([lower, upper])
        lines = silu.enclose(Interval(lower, upper))
        total = tf.reduce_sum(lines.upper - lines.lower)
    for gradient in tape.gradient(total, [lower, upper]):
        assert np.all(np.isfinite(gradient))
        assert gradient[0, 0] != 0


def test_gradients_are_those_of_a_chord():
    softplus = curve("softplus")
    ends = [tf.constant([[end]], tf.float64) for end in (-1.0, 2.0)]
    with tf.GradientTape() as tape:
        tape.watch(ends)
        lines = softplus.enclose(Interval(*ends))
        top = lines.upper_slopes[0] * 0.5 + lines.upper
    values = [float(softplus(end)[0, 0]) for end in ends]
    np.testing.assert_allclose(top, [[sum(values) / 2]], rtol=1e-6)
    chord = (values[1] - values[0]) / 3
    for gradient, end in zip(tape.gradient(top, ends), ends, strict=True):
        # Half way between both ends, half of each one's way counts.
        expected = 0.5 * (tf.sigmoid(end) - chord)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4)


def test_a_function_of_ones_own():
    # Concave, then convex: cubes.
    cube = Activation(lambda x: x**3, inflections=(0.0,), begins_convex=False)
    check_encloses(cube, [boxes(tf.float64, most=0.5)])
