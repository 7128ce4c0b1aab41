"""The images that an attack may reach, of single pixels on paper."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.ball import Ball

CENTRE = np.array([[0.5, 0.5], [0.05, 0.5]], np.float32)


def ball(threat_model, epsilon=0.1, centre=CENTRE):
    return Ball(
        tf.constant(centre),
        tf.constant(epsilon),
        threat_model,
        (tf.constant(0.0), tf.constant(1.0)),
    )


@pytest.mark.parametrize(
    ("threat_model", "expected"),
    [
        ("linf", [[0.6, 0.4], [0.0, 0.6]]),
        # Along (3, -4) / 5; out of the range first, then back to the ball.
        ("l2", [[0.56, 0.42], [0.005279, 0.589443]]),
    ],
)
def test_points_outside_are_projected(threat_model, expected):
    points = CENTRE + np.array([[3.0, -4.0], [-0.5, 0.1]], np.float32)
    if threat_model == "l2":
        points[0] = CENTRE[0] + [0.3, -0.4]
    projected = ball(threat_model).finish(tf.constant(points))
    np.testing.assert_allclose(projected, expected, atol=1e-5)


def test_steps_have_their_length_in_the_norm_of_the_ball():
    gradient = tf.constant([[0.003, -0.004], [0.0, 0.0]])
    for threat_model, step in (
        ("linf", [0.01, -0.01]),
        ("l2", [0.006, -0.008]),
    ):
        stepped = ball(threat_model).step(tf.constant(CENTRE), gradient, 0.01)
        np.testing.assert_allclose(stepped[0], CENTRE[0] + step, atol=1e-6)
        np.testing.assert_array_equal(stepped[1], CENTRE[1])


def test_l2_steps_survive_gradients_whose_squares_underflow():
    gradient = tf.constant([[-1e-30, 0.0], [0.0, 1e-30]])
    stepped = ball("l2", 0.2).step(tf.constant(CENTRE), gradient, 0.2)
    np.testing.assert_allclose(stepped, [[0.3, 0.5], [0.05, 0.7]], atol=1e-6)


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_random_points_fill_the_ball_and_stay_in_range(threat_model):
    centre = np.full((500, 2), 0.1, np.float32)
    points = ball(threat_model, 0.3, centre).random_point(noise.as_seed(0))
    order = {"linf": np.inf, "l2": 2}[threat_model]
    distances = np.linalg.norm(points - centre, order, axis=1)
    assert 0.28 < distances.max() <= 0.3 + 1e-6
    assert np.min(points) == 0


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_a_gradient_that_is_no_number_leads_nowhere(threat_model):
    gradient = tf.constant([[np.nan, 1], [np.inf, 1]], tf.float32)
    given = ball(threat_model)
    moved = given.finish(given.step(tf.constant(CENTRE), gradient, 0.01))
    assert np.all(np.isfinite(moved))
    assert moved[0, 0] == 0.5
