"""Tests of the fast gradient sign method."""

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.attacks import fgsm
from hydra_tf.attacks import noise
from tests import golden
from tests.tiny_net import tiny_net


def test_fgsm_matches_golden():
    arrays = golden.load("pgd")
    model = tiny_net(arrays, masked=True)
    x, y = arrays["x"], arrays["y"]
    epsilon, step_size = float(arrays["epsilon"]), float(arrays["step_size"])
    np.testing.assert_allclose(
        fgsm(model, x, y, epsilon=epsilon),
        arrays["fgsm_whitebox_x_adv"],
        rtol=0,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        fgsm(model, x, y, epsilon=step_size),
        arrays["fgsm_x_adv"],
        rtol=0,
        atol=1e-6,
    )
    # Unclipped, the step itself shows: sign(0) must be 0.
    start = arrays["x"] + arrays["start_uniform"]
    stepped = fgsm(
        model,
        x,
        y,
        epsilon=1.0,
        step_size=epsilon,
        start=start,
        clip=(-1e3, 1e3),
    )
    np.testing.assert_allclose(
        stepped - start, arrays["fgsm_step"], rtol=0, atol=1e-6
    )


def test_random_start_depends_on_seed_and_index():
    x = tf.fill((4, 2, 2, 1), 0.5)
    settings = {
        "epsilon": 0.1,
        "step_size": 0.0,
        "random_start": True,
        "seed": noise.as_seed(2),
    }
    whole = fgsm(keras.layers.Flatten(), x, None, **settings)
    part = fgsm(keras.layers.Flatten(), x[:2], None, indices=[3, 1], **settings)
    np.testing.assert_array_equal(part, tf.gather(whole, [3, 1]))
    assert np.all(whole != x)
