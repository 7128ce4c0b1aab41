"""Rounding to 8 bits and back."""

import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from hydra_tf.ops.fake_quantization import fake_quantized_activations
from hydra_tf.ops.fake_quantization import fake_quantized_weights

FLOATS = st.floats(-100, 100, width=32)
KERNELS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4), elements=FLOATS
)


@hypothesis.given(KERNELS)
def test_weights_are_a_channel_s_integers(kernel):
    rounded = fake_quantized_weights(tf.constant(kernel), [-1]).numpy()
    others = tuple(range(kernel.ndim - 1))
    scale = np.abs(kernel).max(axis=others) / 127
    assert np.all(rounded[kernel == 0] == 0)
    assert np.all(np.abs(rounded - kernel) <= scale * 0.501 + 1e-6)
    integers = rounded / np.where(scale > 0, scale, 1)
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-3)
    assert np.all(np.abs(integers) < 127.5)


@hypothesis.given(KERNELS)
def test_activations_are_256_steps_one_of_them_zero(values):
    rounded = fake_quantized_activations(tf.constant(values)).numpy()
    low, high = min(values.min(), 0), max(values.max(), 0)
    step = (high - low) / 255
    assert np.all(np.abs(rounded - values) <= step * 1.01 + 1e-5)
    assert np.all(np.abs(rounded[values == 0]) <= 1e-5)
    assert len(np.unique(rounded.round(5))) <= 256


def test_depthwise_kernels_have_a_scale_for_each_channel():
    kernel = np.zeros((3, 3, 2, 1), np.float32)
    kernel[..., 0, 0], kernel[0, 0, 1, 0] = 100, 0.01
    rounded = fake_quantized_weights(tf.constant(kernel), [-2, -1]).numpy()
    np.testing.assert_allclose(rounded, kernel, rtol=1e-5)


def test_gradients_are_those_of_the_values():
    values = tf.constant([[-0.3, 0.7], [0.011, 0.0]])
    for function in (
        lambda x: fake_quantized_weights(x, [-1]),
        fake_quantized_activations,
    ):
        with tf.GradientTape() as tape:
            tape.watch(values)
            total = tf.reduce_sum(function(values) * [[1.0, 2.0], [3.0, 4.0]])
        np.testing.assert_array_equal(
            tape.gradient(total, values), [[1.0, 2.0], [3.0, 4.0]]
        )


def test_activations_keep_their_dtype():
    values = tf.constant([-1.0, 0.5], tf.bfloat16)
    assert fake_quantized_activations(values).dtype == tf.bfloat16


def test_nothing_but_zeros_stays_so():
    zeros = tf.zeros((2, 3))
    assert not np.any(fake_quantized_activations(zeros).numpy())
    assert not np.any(fake_quantized_weights(zeros, [-1]).numpy())
