"""Masks of learned densities and channels have the original's gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.layers import MaskedConv2D
from hydra_tf.layers import MaskedDense
from hydra_tf.ops.masks import topk_mask
from hydra_tf.ops.rates import rate_of_density
from tests import golden

ARRAYS = golden.load("harp")
LEAST = 0.01


@pytest.mark.parametrize("case", range(len(ARRAYS["subnet_rates"])))
def test_a_density_gets_the_sum_of_the_masks_gradient(case):
    scores = tf.constant(ARRAYS["subnet_scores"])
    density = tf.constant(ARRAYS["subnet_rates"][case])
    with tf.GradientTape() as tape:
        tape.watch([scores, density])
        mask = topk_mask(scores, density)
        loss = tf.reduce_sum(mask * ARRAYS["subnet_upstream"])
    to_scores, to_density = tape.gradient(loss, [scores, density])
    assert np.count_nonzero(mask) == ARRAYS["subnet_kept"][case]
    np.testing.assert_array_equal(mask, ARRAYS["subnet_masks"][case])
    np.testing.assert_allclose(to_scores, ARRAYS["subnet_grad_scores"])
    np.testing.assert_allclose(
        to_density, ARRAYS["subnet_grad_rate"][case], rtol=1e-5
    )


def channel_layer(kind):
    kernel = ARRAYS[f"channel_{kind}_kernel"]
    if kind == "conv":
        layer = MaskedConv2D(kernel.shape[-1], 3, granularity="channel")
        layer.build((None, 8, 8, kernel.shape[-2]))
    else:
        layer = MaskedDense(kernel.shape[-1], granularity="channel")
        layer.build((None, kernel.shape[0]))
    layer.kernel.assign(kernel)
    layer.scores.assign(ARRAYS[f"channel_{kind}_scores"])
    layer.phase = "prune"
    return layer


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_channels_have_the_original_masks_and_gradients(kind, learned):
    """At the original's counts, which it rounds in another way."""
    layer = channel_layer(kind)
    upstream = ARRAYS[f"channel_{kind}_upstream"]
    size = layer.num_units
    for case, kept in enumerate(ARRAYS[f"channel_{kind}_kept"]):
        if not kept:
            continue  # Ours keeps one.
        # Just below a whole count, of which the ceiling is taken.
        density = float((kept - 0.5) / size)
        if learned:
            layer.learn_density(LEAST, density)
        else:
            layer.density = density
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_sum(layer.effective_kernel * upstream)
        channels = ARRAYS[f"channel_{kind}_masks"][case]
        np.testing.assert_array_equal(
            layer.mask, np.broadcast_to(channels[:, None], layer.kernel.shape)
        )
        np.testing.assert_allclose(
            tape.gradient(loss, layer.scores.value),
            ARRAYS[f"channel_{kind}_grad_scores"],
            rtol=1e-4,
            atol=1e-5,
        )
        if learned:
            share = 1 / (1 + np.exp(-rate_of_density(density, LEAST)))
            slope = (1 - LEAST) * share * (1 - share)
            assert float(
                tape.gradient(loss, layer.rate.value)
            ) == pytest.approx(
                ARRAYS[f"channel_{kind}_grad_rate"][case] * slope, rel=1e-4
            )


def test_a_rate_trains_with_a_keras_optimizer():
    layer = channel_layer("dense")
    layer.learn_density(LEAST, 0.5)
    before = float(layer.rate)
    optimizer = keras.optimizers.SGD(1.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.live_density)
    variables = [layer.rate]
    optimizer.apply(tape.gradient(loss, [layer.rate.value]), variables)
    assert float(layer.rate) < before
