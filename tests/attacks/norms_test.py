"""The size of perturbations in a norm, and of gradients in its dual."""

import numpy as np
import tensorflow as tf

from hydra_tf.attacks.norms import dual_norm
from hydra_tf.attacks.norms import norm

X = tf.constant([[[3.0, -4.0]], [[0.0, 0.0]]])


def test_norms_of_rows():
    np.testing.assert_allclose(norm(X, "linf"), [4, 0])
    np.testing.assert_allclose(norm(X, "l2"), [5, 0])
    assert norm(X, "l2", keepdims=True).shape == (2, 1, 1)


def test_dual_norm_is_the_rise_along_the_steepest_step():
    np.testing.assert_allclose(dual_norm(X, "linf"), [7, 0])
    np.testing.assert_allclose(dual_norm(X, "l2"), [5, 0])
