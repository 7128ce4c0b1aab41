"""Madry: where the attack starts."""

import numpy as np

from hydra_tf import objectives

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)


def linear(x):
    """Logits whose gradients have no zero."""
    return x[:, :3] - 2 * x[:, 2:]


def test_starts_at_random_points_of_the_ball():
    still = objectives.Madry(num_steps=0, random_start=False, epsilon=0.1)
    moved = objectives.Madry(num_steps=0, epsilon=0.1)
    np.testing.assert_array_equal(still.perturb(linear, X, Y), X)
    perturbed = moved.perturb(linear, X, Y)
    assert np.all(np.abs(perturbed - X) <= 0.1 + 1e-6)
    assert np.mean(perturbed != X) > 0.9
