"""The compression loss and its gradients are those of the original system."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.groups import channel_groups
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

ARRAYS = golden.load("harp")
TARGET = float(ARRAYS["hw_target_k"])
RATES = ARRAYS["hw_k_score"]


def golden_net(rates, learns="both"):
    """Returns the masked tiny net in its prune phase, with these rates."""
    model = ht.to_masked(tiny_net(ARRAYS))
    ht.learn_densities(model, TARGET, learns=learns)
    for name, rate in zip(LAYERS, rates, strict=True):
        layer = model.get_layer(name)
        layer.scores.assign(ARRAYS[f"{name}_scores"])
        layer.rate.assign(rate)
        assert layer.min_density == pytest.approx(float(ARRAYS["hw_k_min"]))
    ht.set_phase(model, "prune")
    return model


def rates_of(model):
    return [model.get_layer(name).rate for name in LAYERS]


@pytest.mark.parametrize("case", range(len(RATES)))
def test_loss_and_gradient_of_the_original(case):
    model = golden_net(RATES[case])
    compression = ht.CompressionLoss(model, TARGET)
    assert compression.target == pytest.approx(TARGET, rel=1e-6)
    with tf.GradientTape() as tape:
        loss = compression()
    gradients = tape.gradient(loss, [rate.value for rate in rates_of(model)])
    np.testing.assert_allclose(
        compression.current(), ARRAYS["hw_current_rate"][case], atol=1e-6
    )
    np.testing.assert_allclose(loss, ARRAYS["hw_loss"][case], atol=1e-5)
    np.testing.assert_allclose(
        gradients, ARRAYS["hw_grad_k_score"][case], rtol=1e-4, atol=1e-7
    )


def test_masks_and_gradients_through_the_network_are_the_originals():
    model = golden_net(ARRAYS["chain_k_score"])
    compression = ht.CompressionLoss(model, TARGET)
    for name, rate, kept in zip(
        LAYERS, ARRAYS["chain_rates"], ARRAYS["chain_kept"], strict=True
    ):
        layer = model.get_layer(name)
        np.testing.assert_allclose(layer.live_density, rate, atol=1e-6)
        assert np.count_nonzero(layer.mask) == kept
        np.testing.assert_array_equal(layer.mask, ARRAYS[f"chain_mask_{name}"])
    rates = rates_of(model)
    scores = [model.get_layer(name).scores for name in LAYERS]
    with tf.GradientTape(persistent=True) as tape:
        logits = model(ARRAYS["x"], training=True)
        ce = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(ARRAYS["y"], logits)
        )
        excess = compression()
        total = ce + float(ARRAYS["chain_gamma"]) * excess
    np.testing.assert_allclose(logits, ARRAYS["chain_logits"], atol=1e-4)
    for value, key in (
        (ce, "chain_ce"),
        (excess, "chain_hw_loss"),
        (total, "chain_total_loss"),
    ):
        np.testing.assert_allclose(value, ARRAYS[key], rtol=1e-5)
    for value, key in (
        (ce, "chain_ce_grad_k_score"),
        (total, "chain_total_grad_k_score"),
    ):
        np.testing.assert_allclose(
            tape.gradient(value, [rate.value for rate in rates]),
            ARRAYS[key],
            rtol=1e-4,
        )
    for name, gradient in zip(
        LAYERS,
        tape.gradient(ce, [score.value for score in scores]),
        strict=True,
    ):
        expected = ARRAYS[f"chain_ce_grad_{name}_scores"]
        np.testing.assert_allclose(
            gradient, expected, atol=1e-4 * np.abs(expected).max()
        )


def convolutions(granularity):
    """3 -> 4 -> 6 channels at 4 x 4 and 2 x 2 positions, then 5 classes."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="a"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(6, 3, 2, padding="same", name="b"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="c"),
        ]
    )
    model = ht.to_masked(model, granularity=granularity)
    ht.set_phase(model, "prune")
    return model


WEIGHTS = {"a": 9 * 3 * 4, "b": 9 * 4 * 6, "c": 2 * 2 * 6 * 5}
# A weight of a convolution is used once for every output position.
FLOPS = {"a": 2 * 16 * 108, "b": 2 * 4 * 216, "c": 2 * 120}


@pytest.mark.parametrize("resource", ["weights", "flops"])
def test_single_weights_by_hand(resource):
    model = convolutions("weight")
    densities = {"a": 0.9, "b": 0.2, "c": 0.5}
    ht.learn_densities(model, 0.3, initial=densities)
    costs = WEIGHTS if resource == "weights" else FLOPS
    current = sum(costs[name] * densities[name] for name in costs)
    current /= sum(costs.values())
    loss = ht.CompressionLoss(model, 0.3, resource)
    assert loss.target == pytest.approx(0.3)
    assert float(loss.current()) == pytest.approx(current, rel=1e-5)
    assert float(loss()) == pytest.approx(max(current / 0.3 - 1, 0), rel=1e-5)
    assert not loss.is_reached()


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize("resource", ["weights", "flops"])
def test_channels_by_hand(resource, granularity):
    """A layer between two that are pruned counts by both of its sides."""
    model = convolutions(granularity)
    ht.learn_densities(model, 0.5, initial_density=0.5)
    # The four channels between a and b, and the six between b and c.
    first, second = channel_groups(model)
    assert (first.num_units, second.num_units) == (4, 6)
    least = 0.05
    first.leader.learn_density(least, 0.75)
    second.leader.learn_density(least, 0.25)
    costs = WEIGHTS if resource == "weights" else FLOPS

    def fraction(one, two):
        kept = costs["a"] * one + costs["b"] * one * two + costs["c"] * two
        return kept / sum(costs.values())

    loss = ht.CompressionLoss(model, 0.5, resource)
    assert loss.target == pytest.approx(fraction(0.5, 0.5), rel=1e-5)
    with tf.GradientTape() as tape:
        current = loss.current()
    assert float(current) == pytest.approx(fraction(0.75, 0.25), rel=1e-5)
    rates = [group.leader.rate.value for group in (first, second)]
    gradients = tape.gradient(current, rates)
    for index, density in enumerate((0.75, 0.25)):
        at = [0.75, 0.25]
        at[index] = 1.0
        high = fraction(*at)
        at[index] = 0.0
        share = (density - least) / (1 - least)
        slope = (1 - least) * share * (1 - share)
        assert float(gradients[index]) == pytest.approx(
            (high - fraction(*at)) * slope, rel=1e-4
        )


def test_the_target_is_reached_to_four_decimals():
    for rate, hit in zip(
        ARRAYS["gamma_k_score"], ARRAYS["gamma_hit"], strict=True
    ):
        loss = ht.CompressionLoss(golden_net([rate] * 4), TARGET)
        assert loss.is_reached() == bool(hit)


def test_densities_that_are_no_numbers_reach_no_target():
    model = golden_net([np.nan] * 4)
    assert not ht.CompressionLoss(model, TARGET).is_reached()


def test_wrong_arguments_are_clear_errors():
    model = golden_net(RATES[0])
    with pytest.raises(InputError, match=r"`density` must be in \(0, 1\]"):
        ht.CompressionLoss(model, 1.5)
    with pytest.raises(InputError, match="`resource` .* Did you mean 'flops'"):
        ht.CompressionLoss(model, 0.1, "flop")
    plain = tiny_net(ARRAYS)
    with pytest.raises(InputError, match="holds no masked layer"):
        ht.CompressionLoss(plain, 0.1)


def test_unknown_image_sizes_have_no_flops():
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((None, None, 3)),
                keras.layers.Conv2D(4, 3, name="any_size"),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(2),
            ]
        )
    )
    ht.CompressionLoss(model, 0.5)
    with pytest.raises(InputError, match="'any_size' .* images of any size"):
        ht.CompressionLoss(model, 0.5, "flops")
