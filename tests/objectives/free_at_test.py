"""Free-AT: how its perturbation climbs, and how it attacks in evaluation."""

import numpy as np

from hydra_tf import objectives
from hydra_tf.attacks import pgd

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)


def linear(x):
    """Logits whose gradients have no zero."""
    return x[:, :3] - 2 * x[:, 2:]


def test_step_is_the_radius_unless_given():
    assert objectives.FreeAT(epsilon=0.4).step_size == 0.4
    assert objectives.FreeAT(epsilon=0.4, step_size=0.1).step_size == 0.1


def test_perturbation_climbs_within_the_ball_and_not_on_what_is_no_number():
    free = objectives.FreeAT(epsilon=0.4, step_size=0.3)
    before = np.array([[0.2, 0.2, -0.4, 0.1]], np.float32)
    gradient = np.array([[5.0, -1e-9, 2.0, np.nan]], np.float32)
    np.testing.assert_allclose(
        free.ascend(before, gradient), [[0.4, -0.1, -0.1, 0.1]], atol=1e-6
    )
    in_l2 = objectives.FreeAT(epsilon=0.4, step_size=0.3, threat_model="l2")
    none = np.zeros((1, 2), np.float32)
    moved = in_l2.ascend(none, np.array([[3e9, 4e9]], np.float32))
    np.testing.assert_allclose(moved, [[0.18, 0.24]], atol=1e-6)
    again = in_l2.ascend(moved, np.array([[3.0, 4.0]], np.float32))
    np.testing.assert_allclose(again, [[0.24, 0.32]], atol=1e-6)


def test_images_are_clipped_and_the_perturbation_is_not():
    free = objectives.FreeAT(epsilon=0.4)
    x, moved = np.array([[0.1, 0.9]]), np.array([[-0.3, 0.3]], np.float32)
    np.testing.assert_allclose(free.perturbed(x, moved), [[0.0, 1.0]])
    np.testing.assert_array_equal(free.carried(x, moved), moved)
    free = objectives.FreeAT(epsilon=0.4, clip=None)
    np.testing.assert_allclose(free.perturbed(x, moved), [[-0.2, 1.2]], 1e-6)
    free = objectives.FreeAT(epsilon=0.4, stay_in_range=True)
    np.testing.assert_allclose(free.carried(x, moved), [[-0.1, 0.1]], 1e-6)


def test_evaluation_takes_as_many_steps_from_the_images():
    free = objectives.FreeAT(epsilon=0.1, step_size=0.04, n_repeats=2)
    expected = pgd(
        linear, X, Y, epsilon=0.1, step_size=0.04, num_steps=2,
        random_start=False,
    )  # fmt: skip
    np.testing.assert_array_equal(free.perturb(linear, X, Y), expected)
    assert np.max(np.abs(expected - X)) > 0.07
