"""FGSM: one step, from the image or from a random point."""

import numpy as np

from hydra_tf import objectives

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)


def linear(x):
    """Logits whose gradients have no zero."""
    return x[:, :3] - 2 * x[:, 2:]


def test_step_is_the_radius_unless_given():
    assert objectives.FGSM(epsilon=0.4).step_size == 0.4
    assert objectives.FGSM(epsilon=0.4, step_size=0.5).step_size == 0.5


def test_one_step_goes_to_the_boundary():
    x = 0.5 * X + 0.25
    moved = objectives.FGSM(epsilon=0.1).perturb(linear, x, Y) - x
    is_seen = np.abs(moved) > 1e-6
    np.testing.assert_allclose(np.abs(moved)[is_seen], 0.1, rtol=1e-5)
    assert np.mean(is_seen) > 0.9


def test_random_starts_stay_in_the_ball():
    objective = objectives.FGSM(epsilon=0.1, step_size=0.0, random_start=True)
    first, again, other = (
        objective.perturb(linear, X, Y, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.9
    assert np.all(np.abs(first - X) <= 0.1 + 1e-6)


def noisy(**settings):
    return objectives.FGSM(epsilon=0.1, noise_magnitude=2, **settings)


def test_noise_is_of_so_many_radii_within_the_images():
    start = noisy(step_size=0.0).perturb(linear, X, Y, seed=1)
    moved = np.abs(start - X)
    assert 0.19 < np.max(moved) <= 0.2 + 1e-6
    assert np.min(start) >= 0 and np.max(start) <= 1


def test_a_step_from_noise_is_not_projected():
    x = 0.4 * X + 0.3  # Out of reach of the image range.
    start = noisy(step_size=0.0).perturb(linear, x, Y, seed=1)
    end = noisy().perturb(linear, x, Y, seed=1)
    moved = np.abs(end - start)
    is_seen = moved > 1e-6
    np.testing.assert_allclose(moved[is_seen], 0.1, rtol=1e-4)
    assert np.mean(is_seen) > 0.9
    assert np.max(np.abs(end - x)) > 0.2


def test_a_step_from_noise_ends_in_the_image_range():
    reached = noisy().perturb(linear, X, Y, seed=1)
    assert np.min(reached) >= 0 and np.max(reached) <= 1
    in_l2 = noisy(threat_model="l2").perturb(linear, X, Y, seed=1)
    assert np.all(np.linalg.norm(in_l2 - X, axis=1) <= 0.3 + 1e-5)
