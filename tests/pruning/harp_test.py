"""HARP: learned densities, their loss, and how they are rounded in the end."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.costs import UnitCosts
from hydra_tf.pruning.channels.groups import channel_groups
from tests import golden
from tests.pruning import networks
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

EXAMPLES = settings(deadline=None, max_examples=4)


def residual():
    """Channels that an addition and a concatenation join, and a depthwise."""
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = keras.layers.Conv2D(5, 3, padding="same", name="inner")(x)
    y = keras.layers.ReLU()(y)
    y = keras.layers.Conv2D(6, 3, padding="same", name="outer")(y)
    x = keras.layers.Add()([x, y])
    z = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Concatenate()([x, z, x])
    x = keras.layers.Conv2D(4, 2, strides=2, name="down")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(7, name="hidden", activation="relu")(x)
    outputs = keras.layers.Dense(3, name="logits")(x)
    return networks.shake(keras.Model(inputs, outputs))


GRANULARITIES = ("weight", "channel", "filter")


@functools.cache
def masked_residual(granularity):
    return ht.to_masked(residual(), granularity=granularity)


def learn(granularity, rates, density=0.3):
    """Returns the network with these rates; there may be more than groups."""
    model = masked_residual(granularity)
    ht.learn_densities(model, density)
    for group, rate in zip(channel_groups(model), rates, strict=False):
        group.leader.rate.assign(rate)
    return model


def kept_of(report, resource="weights"):
    return report.kept if resource == "weights" else report.effective_flops


def target_of(model, report, density, resource):
    """What the target allows, by the report's figures and the loss's target."""
    total = report.weights if resource == "weights" else report.flops
    return ht.CompressionLoss(model, density, resource).target * total


RATES = st.lists(
    st.floats(-12, 12, allow_nan=False, width=32), min_size=7, max_size=7
)


@pytest.mark.parametrize("resource", ["weights", "flops"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@given(RATES, st.floats(0.25, 1.0), st.integers(0, 2**16))
@EXAMPLES
def test_any_rates_are_rounded_within_the_target(
    granularity, resource, rates, density, seed
):
    model = learn(granularity, rates, density)
    rng = np.random.default_rng(seed)
    for group in channel_groups(model):
        scores = group.leader.scores
        scores.assign(rng.normal(size=scores.shape))
    groups = channel_groups(model)
    live = [np.count_nonzero(g.leader.scoring.mask()) for g in groups]
    report = ht.sparsity_report(model)
    before = kept_of(report, resource)
    target = target_of(model, report, density, resource)
    densities = ht.settle_densities(model, density, resource)
    after = kept_of(ht.sparsity_report(model), resource)
    counts = [np.count_nonzero(g.leader.scoring.mask()) for g in groups]
    if granularity == "weight" and resource == "weights":
        exact = ht.kept_count(density, report.weights)
        assert after == min(before, exact)
    else:
        assert after <= target * (1 + 1e-6)
        if before <= target * (1 - 1e-6):
            assert after == before
    for group, count, learned in zip(groups, counts, live, strict=True):
        assert 1 <= count <= learned
        assert group.leader.rate is None
        for name in group.names:
            assert densities[name] == count / group.num_units
    # The same rates and scores again.
    learn(granularity, rates, density)
    assert ht.settle_densities(model, density, resource) == densities


@pytest.mark.parametrize("resource", ["weights", "flops"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_costs_are_what_the_report_counts(granularity, resource):
    model = masked_residual(granularity)
    rng = np.random.default_rng(0)
    groups = channel_groups(model)
    for _ in range(5):
        for group in groups:
            scores = group.leader.scores
            scores.assign(rng.normal(size=scores.shape))
        counts = [int(rng.integers(1, g.num_units + 1)) for g in groups]
        for group, count in zip(groups, counts, strict=True):
            group.leader.density = count / group.num_units
        costs = UnitCosts(model, resource)
        report = ht.sparsity_report(model)
        assert costs.of(counts) == kept_of(report, resource)


def model_by_hand(granularity="weight"):
    """Kernels of 40, 20, 8 and 2 weights."""
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(5, name="a"),
            keras.layers.Dense(4, name="b"),
            keras.layers.Dense(2, name="c"),
            keras.layers.Dense(1, name="d"),
        ]
    )
    return ht.to_masked(model, granularity=granularity)


# --- the start --------------------------------------------------------------


@pytest.mark.parametrize(
    ("density", "given", "start"),
    [(0.01, None, 0.1), (0.3, None, 0.3), (0.3, 0.7, 0.7)],
)
def test_densities_start_uniform(density, given, start):
    model = model_by_hand()
    ht.learn_densities(model, density, initial_density=given)
    for layer in ht.masked_layers(model).values():
        assert float(layer.live_density) == pytest.approx(start, rel=1e-5)
        assert layer.min_density == 0.1 * density
        assert layer.learns == "both"


@pytest.mark.parametrize("name", ["erk", "lamp", "global"])
def test_densities_start_at_an_allocation(name):
    model = model_by_hand()
    ht.learn_densities(model, 0.1, initial=name, initial_density=0.4)
    allocation = ht.allocation.allocate(model, 0.4, name)
    for layer, density in allocation.items():
        # Rates of densities near the ends are clipped.
        assert float(ht.masked_layers(model)[layer].live_density) == (
            pytest.approx(min(density, 0.999), abs=2e-4)
        )


def test_densities_start_at_a_mapping():
    model = model_by_hand()
    initial = {"a": 0.2, "b": 0.5, "c": 0.9, "d": 0.5}
    ht.learn_densities(model, 0.1, initial=initial, learns="rates")
    for name, layer in ht.masked_layers(model).items():
        assert float(layer.live_density) == pytest.approx(initial[name])
        assert layer.learns == "rates"


def test_learning_again_resets_the_rates():
    model = model_by_hand()
    ht.learn_densities(model, 0.1)
    model.get_layer("a").rate.assign(5.0)
    ht.learn_densities(model, 0.2)
    layer = model.get_layer("a")
    assert float(layer.live_density) == pytest.approx(0.2)
    assert layer.min_density == pytest.approx(0.02)


def test_layers_that_share_channels_share_a_rate():
    model = masked_residual("channel")
    ht.learn_densities(model, 0.2)
    (group,) = (g for g in channel_groups(model) if "inner" in g.names)
    assert len(group.names) > 1
    assert len({id(layer.rate) for layer in group.layers.values()}) == 1


def test_a_mapping_that_divides_a_group_is_a_clear_error():
    model = masked_residual("channel")
    (group,) = (g for g in channel_groups(model) if "inner" in g.names)
    initial = {n: 0.5 for g in channel_groups(model) for n in g.names}
    initial[group.names[-1]] = 0.25
    with pytest.raises(InputError, match="they share their channels"):
        ht.learn_densities(model, 0.2, initial=initial)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": 0.0}, r"`density` must be in \(0, 1\]"),
        (
            {"learns": "nothing"},
            "`learns` must be one of 'both', 'scores', 'rates'",
        ),
        ({"initial": "erkk"}, "Did you mean 'erk'"),
        ({"initial": {"a": 0.5}}, "`initial` has no density for layer 'b'"),
        ({"initial": {"x": 0.5}}, "names 'x', which is no masked layer"),
        ({"initial_density": 2}, r"`initial_density` must be in \(0, 1\]"),
        (
            {"initial": {}, "initial_density": 0.1},
            "`initial_density` is split by a named allocation",
        ),
    ],
)
def test_wrong_arguments_change_nothing(arguments, message):
    model = model_by_hand()
    with pytest.raises(InputError, match=message):
        ht.learn_densities(model, **{"density": 0.1, **arguments})
    assert all(layer.rate is None for layer in ht.masked_layers(model).values())


def test_n_of_m_has_no_density_to_learn():
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(8),
                keras.layers.Dense(3, name="second"),
            ]
        ),
        granularity="2:4",
    )
    with pytest.raises(InputError, match="no density to learn: it keeps 2:4"):
        ht.learn_densities(model, 0.5)


# --- rounding ---------------------------------------------------------------


def test_rounded_by_hand():
    model = model_by_hand()
    # 49 of 70 weights are learned, and 35 may stay.
    initial = {"a": 0.8, "b": 0.5, "c": 0.75, "d": 0.5}
    ht.learn_densities(model, 0.5, initial=initial)
    assert ht.sparsity_report(model).kept == 32 + 10 + 6 + 1
    densities = ht.settle_densities(model, 0.5)
    # Times 0.72 that is 23, 7, 4 and one.
    assert densities == {"a": 23 / 40, "b": 7 / 20, "c": 4 / 8, "d": 1 / 2}
    report = ht.sparsity_report(model)
    assert report.kept == 35
    for layer in ht.masked_layers(model).values():
        assert layer.rate is None
        assert layer.min_density is None
    assert ht.allocation.check_complete(model, densities) is None


def test_what_is_below_the_target_stays():
    model = model_by_hand()
    ht.learn_densities(model, 0.5, initial=dict.fromkeys("abcd", 0.25))
    before = ht.sparsity_report(model).to_dict()
    ht.settle_densities(model, 0.5)
    assert ht.sparsity_report(model).to_dict() == before


def test_masks_of_the_finetune_phase_follow():
    model = model_by_hand()
    ht.learn_densities(model, 0.5, initial=dict.fromkeys("abcd", 0.9))
    ht.set_phase(model, "finetune")
    assert ht.sparsity_report(model).kept > 35
    ht.settle_densities(model, 0.5)
    assert ht.sparsity_report(model).kept == 35


def test_rounded_densities_are_saved_with_the_model(tmp_path):
    model = model_by_hand()
    ht.learn_densities(model, 0.5, initial=dict.fromkeys("abcd", 0.9))
    model.save(tmp_path / "learning.keras")
    densities = ht.settle_densities(model, 0.5)
    model.save(tmp_path / "settled.keras")
    learning = keras.saving.load_model(tmp_path / "learning.keras")
    assert ht.settle_densities(learning, 0.5) == densities
    settled = keras.saving.load_model(tmp_path / "settled.keras")
    assert ht.sparsity_report(settled).kept == 35
    with pytest.raises(InputError, match="has no learned density to round"):
        ht.settle_densities(settled, 0.5)


@pytest.mark.parametrize("resource", ["weights", "flops"])
@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_a_target_below_one_unit_a_layer_is_a_clear_error(
    granularity, resource
):
    model = model_by_hand(granularity)
    ht.learn_densities(model, 0.01)
    with pytest.raises(
        InputError,
        match=f"(?i)`density` is too small: 0.01 .* leaves .* {resource}, but",
    ):
        ht.settle_densities(model, 0.01, resource)
    # Nothing has changed.
    groups = channel_groups(model)
    assert all(group.leader.rate is not None for group in groups)


# --- the loss ----------------------------------------------------------------

ARRAYS = golden.load("harp")
TARGET = float(ARRAYS["hw_target_k"])
GOLDEN_RATES = ARRAYS["hw_k_score"]


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


@pytest.mark.parametrize("case", range(len(GOLDEN_RATES)))
def test_loss_and_gradient_of_the_original(case):
    model = golden_net(GOLDEN_RATES[case])
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


def test_wrong_arguments_of_the_loss_are_clear_errors():
    model = golden_net(GOLDEN_RATES[0])
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
