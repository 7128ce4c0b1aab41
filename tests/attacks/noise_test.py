"""Tests of the random starting points."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.errors import InputError

X = tf.zeros((400, 3, 2))
DRAWS = [noise.uniform_like, noise.normal_like, noise.l2_ball_like]


@pytest.mark.parametrize("draw", DRAWS)
def test_seed_decides_the_noise(draw):
    first = draw(X, noise.as_seed(7))
    np.testing.assert_array_equal(first, draw(X, noise.as_seed(7)))
    assert np.all(first != draw(X, noise.as_seed(8)))


@pytest.mark.parametrize("draw", DRAWS)
def test_fresh_noise_follows_the_global_seed(draw):
    keras.utils.set_random_seed(3)
    first, second = draw(X, None), draw(X, None)
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(first, draw(X, None))
    assert np.any(first != second)


@pytest.mark.parametrize("draw", DRAWS)
def test_same_numbers_in_xla(draw):
    compiled = tf.function(lambda: draw(X, noise.as_seed(1)), jit_compile=True)
    np.testing.assert_allclose(compiled(), draw(X, noise.as_seed(1)), atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 4, 3), (7, 3, 5)])
@pytest.mark.parametrize("draw", DRAWS)
def test_noise_of_a_row_depends_on_its_index_alone(draw, shape):
    seed = noise.as_seed(4)
    whole = draw(tf.zeros(shape), seed)
    indices = [5, 0, 3]
    rows = tf.zeros((3, *shape[1:]))
    np.testing.assert_array_equal(
        draw(rows, seed, indices), tf.gather(whole, indices)
    )
    np.testing.assert_array_equal(draw(rows, seed), whole[:3])


def test_uniform_noise_fills_its_range():
    drawn = noise.uniform_like(X, noise.as_seed(0)).numpy()
    assert -1 <= drawn.min() < -0.99 and 0.99 < drawn.max() < 1
    assert abs(drawn.mean()) < 0.05


def test_l2_ball_noise_is_uniform_in_the_ball():
    drawn = noise.l2_ball_like(X, noise.as_seed(0)).numpy()
    radii = np.linalg.norm(drawn.reshape(400, -1), axis=1)
    assert radii.max() <= 1 + 1e-6
    # P(radius <= r) = r**6: radii to the sixth power are uniform.
    assert abs((radii**6).mean() - 0.5) < 0.05
    assert abs((radii**6 < 0.25).mean() - 0.25) < 0.07


def test_every_form_of_seed_is_accepted():
    np.testing.assert_array_equal(noise.as_seed(5), [5, 0])
    np.testing.assert_array_equal(noise.as_seed(np.int64(2**31 + 5)), [5, 1])
    np.testing.assert_array_equal(noise.as_seed(tf.constant(5)), [5, 0])
    np.testing.assert_array_equal(noise.as_seed(tf.constant([5, 6])), [5, 6])
    assert noise.as_seed(None) is None


@pytest.mark.parametrize("seed", [-1, 2**62, 1.5, [1, 2, 3], True])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InputError, match="`seed` must be"):
        noise.as_seed(seed)


def test_no_rows_have_no_noise():
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64)])
    def drawn(indices):
        template = tf.zeros([tf.shape(indices)[0], 3])
        return noise.uniform_like(template, noise.as_seed(0), indices)

    assert drawn(tf.zeros([0], tf.int64)).shape == (0, 3)
    assert drawn(tf.zeros([2], tf.int64)).shape == (2, 3)
