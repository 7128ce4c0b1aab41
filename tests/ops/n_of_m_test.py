"""Masks that keep N of every M consecutive input channels."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hydra_tf import InputError
from hydra_tf.ops.masks import n_of_m_mask

DTYPES = ("float32", "bfloat16", "float16")


def slow_mask(scores, n, m, axis=-2):
    """One block at a time, by a stable sort."""
    magnitudes = np.moveaxis(np.abs(scores), axis, -1)
    mask = np.zeros(magnitudes.shape, np.float32)
    for position in np.ndindex(*magnitudes.shape[:-1]):
        for start in range(0, magnitudes.shape[-1], m):
            block = magnitudes[position][start : start + m]
            order = np.argsort(-block, kind="stable")
            mask[position][start + order[:n]] = 1
    return np.moveaxis(mask, -1, axis)


@st.composite
def patterns(draw):
    m = draw(st.integers(2, 8))
    return draw(st.integers(1, m - 1)), m


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    pattern=patterns(),
    num_blocks=st.integers(1, 3),
    before=st.lists(st.integers(1, 3), max_size=2),
    num_outputs=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_exactly_n_of_every_m_stay_the_largest_and_first(
    pattern, num_blocks, before, num_outputs, dtype, data
):
    n, m = pattern
    values = data.draw(
        hnp.arrays(
            np.float32,
            (*before, num_blocks * m, num_outputs),
            elements=st.one_of(
                # Ties, zeros of both signs, denormals, infinities.
                st.sampled_from(
                    [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 6e-8, 9e-41]
                    + [np.inf, -np.inf, 3e38, 65504.0, -65504.0]
                ),
                st.floats(width=32, allow_nan=False),
            ),
        )
    )
    scores = tf.cast(values, dtype)
    mask = n_of_m_mask(scores, n, m)
    assert mask.dtype == scores.dtype
    mask = tf.cast(mask, tf.float32).numpy()
    exact = tf.cast(scores, tf.float32).numpy()
    np.testing.assert_array_equal(mask, slow_mask(exact, n, m))
    blocks = mask.reshape(*before, num_blocks, m, num_outputs)
    np.testing.assert_array_equal(blocks.sum(axis=-2), n)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_axis(axis):
    scores = np.random.default_rng(0).normal(size=(4, 8, 4)).astype("float32")
    np.testing.assert_array_equal(
        n_of_m_mask(scores, 1, 4, axis), slow_mask(scores, 1, 4, axis)
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_the_upstream_times_the_sign(dtype):
    rng = np.random.default_rng(1)
    scores = tf.cast(rng.normal(size=(3, 8, 2)), dtype)
    scores = tf.concat([scores, tf.zeros((3, 8, 1), dtype)], axis=-1)
    upstream = tf.cast(rng.normal(size=(3, 8, 3)), dtype)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = tf.reduce_sum(n_of_m_mask(scores, 2, 4) * upstream)
    gradient = tape.gradient(value, scores)
    np.testing.assert_array_equal(gradient, upstream * tf.sign(scores))
    assert not np.any(gradient[..., 2])
    assert np.all(gradient[..., :2] != 0)  # removed entries included


@pytest.mark.parametrize("pattern", [(2, 4), (4, 8), (1, 4), (3, 4)])
@pytest.mark.parametrize("shape", [(16, 5), (3, 3, 8, 6)])
def test_layout_is_that_of_the_model_optimization_toolkit(pattern, shape):
    from tensorflow_model_optimization.python.core.sparsity.keras import (
        pruning_utils,
    )

    n, m = pattern
    scores = tf.constant(
        np.random.default_rng(2).normal(size=shape).astype("float32")
    )
    # There M counts zeros.
    rearranged = pruning_utils.generate_m_by_n_mask(
        pruning_utils.weights_rearrange(scores), (m - n, m)
    )
    theirs = pruning_utils.m_by_n_sparsity_mask_prepare(
        rearranged, scores.shape
    )
    ours = n_of_m_mask(scores, n, m)
    np.testing.assert_array_equal(ours, theirs)
    assert pruning_utils.is_pruned_m_by_n(scores * ours, (m - n, m))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_an_error(dtype):
    scores = tf.constant([[1.0], [np.nan]], dtype)
    with pytest.raises(InputError, match="`scores` holds a NaN"):
        n_of_m_mask(scores, 1, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="holds a NaN"):
        tf.function(lambda: n_of_m_mask(scores, 1, 2))()


def test_compiled_by_xla():
    scores = np.random.default_rng(3).normal(size=(3, 8, 4)).astype("float32")
    compiled = tf.function(n_of_m_mask, jit_compile=True)
    np.testing.assert_array_equal(
        compiled(tf.constant(scores), 2, 4), slow_mask(scores, 2, 4)
    )


@pytest.mark.parametrize(("n", "m"), [(2, 5), (0, 4), (4, 4), (3, 2)])
def test_other_patterns_are_clear_errors(n, m):
    with pytest.raises(InputError, match=rf"multiple of m={m} entries along"):
        n_of_m_mask(np.ones((8, 3), np.float32), n, m)


def test_other_dtypes_are_type_errors():
    with pytest.raises(TypeError, match="Received: dtype=float64"):
        n_of_m_mask(np.ones((8, 3)), 2, 4)
