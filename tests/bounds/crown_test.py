"""Tests of what is CROWN's own: its lower line, and its two forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.crown import adaptive_lines
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.errors import InputError
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights
from tests.bounds.random_points import two_sided_network


@pytest.fixture(scope="module")
def network():
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(5, activation="relu", name="one"),
                keras.layers.Dense(5, activation="relu", name="two"),
                keras.layers.Dense(3),
            ]
        )
    )


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_the_lower_line_goes_along_the_longer_side(slope):
    bounds = Interval(tf.constant([[-1.0, -3.0]]), tf.constant([[2.0, 1.0]]))
    lines = adaptive_lines(LeakyReLU(slope), bounds)
    np.testing.assert_allclose(lines.lower_slope, [[1, slope]])
    # Chords from (-1, -slope) to (2, 2) and (-3, -3 slope) to (1, 1).
    np.testing.assert_allclose(
        lines.upper_slope, [[(2 + slope) / 3, (1 + 3 * slope) / 4]], rtol=1e-6
    )


def test_the_choice_of_the_lower_line_is_a_constant_to_gradients():
    ends = tf.constant([[-1.0]]), tf.constant([[2.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(ends)
        lines = adaptive_lines(LeakyReLU(), Interval(*ends))
    assert tape.gradient(lines.lower_slope, ends) == (None, None)
    # Of 2 / (2 - -1), by hand.
    for gradient, expected in zip(
        tape.gradient(lines.upper_slope, ends), (2 / 9, 1 / 9), strict=True
    ):
        np.testing.assert_allclose(gradient, [[expected]], rtol=1e-6)


def test_bounds_by_hand():
    # f = relu(x) + relu(-x) for -1 <= x <= 3. Above, chords of slope 3/4 and
    # 1/4: 0.75 (x + 1) + 0.25 (3 - x) = 1.5 + 0.5 x, 3 at x = 3. Below, the
    # line x of the first and 0 of the second: -1 at x = -1.
    model = two_sided_network()
    box = np.array([[-1.0]], np.float32), np.array([[3.0]], np.float32)
    for function in (bounds.crown, bounds.crown_ibp):
        lower, upper = function(model, *box)
        np.testing.assert_allclose([lower, upper], [[[-1]], [[3]]], rtol=1e-6)


def test_crown_over_intervals_is_crown_ibp(network):
    box = random_box(network)
    made = bounds.BoundPropagation(network, *box)
    *ends, layers = bounds.crown_ibp(network, *box, return_intermediate=True)
    for others in (
        bounds.crown(network, *box, intermediate="ibp"),
        bounds.crown(network, *box),
        made.bound("crown_ibp"),
    ):
        np.testing.assert_array_equal(ends, others)
    *_, expected = bounds.interval(network, *box, return_intermediate=True)
    assert list(layers) == ["one", "two"]
    for name, ends in layers.items():
        np.testing.assert_array_equal(ends, expected[name])


def test_a_pass_for_every_neuron_is_tighter(network):
    box = random_box(network)
    loose = bounds.crown_ibp(network, *box)
    *tight, layers = bounds.crown(
        network, *box, intermediate="crown", return_intermediate=True
    )
    np.testing.assert_array_equal(
        tight, bounds.BoundPropagation(network, *box).bound("crown")
    )
    assert np.mean(tight[1] - tight[0]) < np.mean(loose[1] - loose[0])
    *_, intervals = bounds.interval(network, *box, return_intermediate=True)
    for name, (lower, upper) in layers.items():
        assert np.mean(upper - lower) <= np.mean(
            intervals[name][1] - intervals[name][0]
        )


def test_unknown_intermediate_bounds_are_refused(network):
    with pytest.raises(InputError, match="'ibp', 'crown'.*'alpha'"):
        bounds.crown(network, *random_box(network), None, "alpha")
