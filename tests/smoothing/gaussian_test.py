import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from hydra_tf.errors import InputError
from hydra_tf.smoothing.gaussian import GaussianStream


def rows(start, count, seed=0, shape=(8, 8, 3)):
    stream = GaussianStream(seed, shape)
    draw = tf.function(lambda first: stream.rows(first, count))
    return draw(tf.constant(start, tf.int64)).numpy()


# Five numbers a row fill neither a step of the counter nor a register. Ten
# thousand numbers a row are shared out among threads.
@pytest.mark.parametrize("shape", [(8, 8, 3), (5,), (1, 1, 1), (10_001,)])
@pytest.mark.parametrize("first", [0, 2**40])
def test_a_row_is_the_same_in_every_run_of_rows(shape, first):
    everything = rows(first, 60, shape=shape)
    assert everything.shape == (60, *shape)
    for start, count in [(0, 1), (1, 7), (8, 30), (59, 1)]:
        np.testing.assert_array_equal(
            rows(first + start, count, shape=shape),
            everything[start : start + count],
        )


def test_rows_are_standard_normal_and_unlike_each_other():
    noise = rows(0, 400).reshape(400, -1)
    assert np.all(np.isfinite(noise)) and noise.max() > 4.0
    # Kolmogorov-Smirnov on 76,800 numbers; fixed seed, so it cannot flicker.
    assert stats.kstest(noise.reshape(-1), "norm").pvalue > 0.01
    correlations = np.corrcoef(noise)
    np.fill_diagonal(correlations, 0)
    # Of 192 numbers each: standard deviation 0.07.
    assert np.abs(correlations).max() < 0.4
    assert abs(correlations.mean()) < 1e-3


def test_seeds_give_streams_of_their_own():
    one, other = rows(0, 10, seed=1), rows(0, 10, seed=2)
    assert np.mean(one == other) < 0.01
    # The first rows of one stream are no later rows of another.
    assert abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < 0.1


def test_a_seed_is_needed():
    with pytest.raises(InputError, match="`seed` must be an integer"):
        GaussianStream(None, (3,))


def test_sigma_is_the_standard_deviation():
    stream = GaussianStream(0, (8, 8, 3), sigma=0.25)
    noise = stream.rows(tf.constant(7, tf.int64), 50)
    np.testing.assert_allclose(noise, 0.25 * rows(7, 50), rtol=1e-5, atol=1e-7)
