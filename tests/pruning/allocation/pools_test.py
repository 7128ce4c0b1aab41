"""Allocations of channels: whole units, within the weights of the target."""

import functools

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning import allocation
from hydra_tf.pruning.channels.costs import UnitCosts
from tests.pruning import networks

RULES = ("global", "erk", "lamp")


def dense_chain(norms, granularity="channel"):
    """Layers 4 x 6, 6 x 8 and 8 x 2 whose rows have the given L1 norms."""
    model = keras.Sequential(
        [keras.Input((4,))]
        + [
            keras.layers.Dense(width, name=f"layer{index}")
            for index, width in enumerate((6, 8, 2))
        ]
    )
    for layer, values in zip(model.layers[1:], norms, strict=True):
        width = layer.kernel.shape[1]
        layer.kernel.assign(np.outer(values, np.ones(width) / width))
    return ht.to_masked(model, granularity=granularity)


@functools.cache
def joined(granularity):
    """An addition, a concatenation, a depthwise layer, a Flatten."""
    arguments = {"padding": "same", "use_bias": False}
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(8, 3, name="stem", **arguments)(image)
    y = keras.layers.Conv2D(5, 3, name="inner", **arguments)(x)
    y = keras.layers.Conv2D(8, 1, name="closing", **arguments)(y)
    x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise", **arguments)(x)
    z = keras.layers.Conv2D(4, 1, name="branch", **arguments)(x)
    x = keras.layers.Concatenate()([x, z])
    x = keras.layers.Conv2D(6, 3, strides=2, name="merge", **arguments)(x)
    x = keras.layers.Dense(9, name="dense")(keras.layers.Flatten()(x))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    return ht.to_masked(networks.shake(model), granularity=granularity)


def shaken(granularity, seed):
    """The same, with kernels and scores of its own."""
    model = joined(granularity)
    rng = np.random.default_rng(seed)
    for layer in ht.masked_layers(model).values():
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    ht.init_scores(model, "random", seed=seed)
    ht.set_density(model, 1.0)
    return model


# Of layer1 and layer2, with c1 and c2 channels kept: layer0 keeps 4 c1
# weights, layer1 c1 c2, layer2 2 c2. Half of the channels keep 12 + 12 + 8.
EQUAL = (np.ones(6), np.ones(8))
STEEP = (np.arange(10, 4, -1), np.array([9.5, 1, 1, 1, 1, 1, 1, 1]))


class TestByHand:
    @pytest.mark.parametrize(
        ("rule", "norms", "counts"),
        [
            # All of layer1 exceed the second of layer2: 24 + 6 + 2 = 32.
            ("global", STEEP, (6, 1)),
            # Scores 1, 1/2, 1/3, ... in both: (3, 3) keeps 27; a fourth of
            # layer1 would be 34, one of layer2 is 32.
            ("lamp", EQUAL, (3, 4)),
            # Sums of dimensions over sizes are 14 / 48 and 10 / 16: layer1
            # has its second channel from the scale 6 / 7 on, layer2 its sixth
            # from 1.1 on: 8 + 12 + 12 = 32, and the next are too many.
            ("erk", EQUAL, (2, 6)),
            ("uniform", STEEP, (3, 4)),
        ],
    )
    def test_chain(self, rule, norms, counts):
        model = dense_chain(norms)
        densities = allocation.allocate(model, 0.5, rule)
        assert densities == {"layer1": counts[0] / 6, "layer2": counts[1] / 8}
        ht.set_density(model, densities)
        assert ht.sparsity_report(model).kept == 32

    def test_global_threshold_compares_scores_if_asked_to(self):
        model = dense_chain(STEEP)
        layers = ht.masked_layers(model)
        layers["layer1"].scores.assign([9, 0, 0, 0, 0, 0])
        layers["layer2"].scores.assign(-np.arange(8.0) - 1)
        # 4 + c2 + 2 c2 up to 32: all eight are 28; the next of layer1 not.
        assert allocation.global_threshold(model, 0.5, by="scores") == {
            "layer1": 1 / 6,
            "layer2": 1.0,
        }


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize("rule", RULES)
@hypothesis.settings(max_examples=3, deadline=None)
@hypothesis.given(density=st.floats(0.25, 1.0), seed=st.integers(0, 100))
def test_as_many_channels_as_the_target_allows(
    rule, granularity, density, seed
):
    model = shaken(granularity, seed)
    densities = allocation.allocate(model, density, rule)
    assert densities == allocation.allocate(model, density, rule)
    budget = sum(
        np.prod(layer.kernel.shape) * float(layer.expected_density(density))
        for layer in ht.masked_layers(model).values()
    )
    ht.set_density(model, densities)
    # Float32 on the right.
    assert ht.sparsity_report(model).kept <= budget * (1 + 1e-5)
    # Tested to count as reports do.
    costs = UnitCosts(model)
    kept = [
        (round(densities[group.names[0]] * group.num_units), group)
        for group in costs.groups
    ]
    for group in costs.groups:
        shared = {densities[name] for name in group.names}
        assert len(shared) == 1
        (value,) = shared
        count = round(value * group.num_units)
        assert 1 <= count <= group.num_units
        assert value == count / group.num_units
        if count < group.num_units:
            # One more is too many.
            more = [each + (other is group) for each, other in kept]
            assert costs.of(more) > budget * (1 - 1e-5)


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize("rule", allocation.NAMES)
def test_density_one_keeps_all(rule, granularity):
    model = joined(granularity)
    assert set(allocation.allocate(model, 1.0, rule).values()) == {1.0}


def test_names_are_those_of_the_prunable_layers_in_graph_order():
    model = joined("channel")
    names = [
        name
        for name, layer in ht.masked_layers(model).items()
        if layer.prunable
    ]
    assert "stem" not in names
    for rule in allocation.NAMES:
        assert list(allocation.allocate(model, 0.5, rule)) == names


@pytest.mark.parametrize("rule", RULES)
@hypothesis.settings(max_examples=3, deadline=None)
@hypothesis.given(
    falling=st.lists(st.floats(0.25, 1.0), min_size=2, max_size=3),
    seed=st.integers(0, 100),
)
def test_nested_never_keeps_more_of_a_layer(rule, falling, seed):
    model = shaken("channel", seed)
    before = dict.fromkeys(allocation.uniform(model, 1.0), 1.0)
    for density in sorted([*falling, falling[-1]], reverse=True):
        densities = allocation.allocate(model, density, rule, nested=True)
        assert all(densities[name] <= before[name] for name in before)
        ht.set_density(model, densities)
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.asarray(layer.kernel)[..., ::-1])
        before = densities


def test_nested_keeps_what_is_left_at_a_higher_density():
    model = dense_chain(EQUAL)
    ht.set_density(model, 0.5)
    assert allocation.allocate(model, 0.9, "lamp", nested=True) == {
        "layer1": 0.5,
        "layer2": 0.5,
    }


def test_of_a_part_of_a_network_other_layers_channels_stay_as_they_are():
    model = dense_chain(EQUAL)
    ht.set_density(model, 0.5)
    features = keras.Model(model.inputs, model.get_layer("layer1").output)
    # Its outputs are what `layer2` keeps: 4 of 8. So 5 rows of 4 weights fit.
    for rule in RULES:
        densities = allocation.allocate(features, 0.9, rule)
        assert densities == {"layer1": 5 / 6}
    ht.learn_densities(features, 0.5, initial={"layer1": 1.0})
    assert ht.settle_densities(features, 0.5) == {"layer1": 0.5}
    assert float(model.get_layer("layer2").density) == 0.5


class TestTooFewChannels:
    @pytest.mark.parametrize("rule", allocation.NAMES)
    def test_names_layer_density_and_what_is_possible(self, rule):
        model = dense_chain(EQUAL)
        with pytest.raises(
            InputError,
            match="would remove a whole layer: 0.15 of 6 channels of layer "
            "'layer1' .* least density .* is 0.166667",
        ):
            allocation.allocate(model, 0.15, rule)
        densities = allocation.allocate(model, 0.166667, rule)
        assert densities["layer1"] == pytest.approx(1 / 6, abs=1e-6)

    def test_one_channel_in_49_is_possible(self):
        # 1 / 49 * 49 is less than 1 in floats.
        model = ht.to_masked(
            keras.Sequential(
                [
                    keras.Input((2,)),
                    keras.layers.Dense(49),
                    keras.layers.Dense(2, name="logits"),
                ]
            ),
            granularity="channel",
        )
        assert allocation.erk(model, 1 / 49) == {"logits": 1 / 49}


class TestFiles:
    def test_layers_that_share_channels_need_the_same_density(self):
        model = joined("channel")
        densities = allocation.erk(model, 0.5)
        allocation.check_complete(model, densities)
        with pytest.raises(
            InputError, match="'inner' the density 0.5 and 'depthwise' 0.75"
        ):
            allocation.check_complete(
                model,
                {
                    **dict.fromkeys(densities, 0.5),
                    "depthwise": 0.75,
                },
            )

    def test_layers_without_a_density(self):
        model = dense_chain(EQUAL)
        with pytest.raises(InputError, match="'layer0', whose channels cannot"):
            allocation.check_complete(
                model, {"layer0": 1.0, "layer1": 0.5, "layer2": 0.5}
            )

    def test_less_than_one_channel(self):
        with pytest.raises(
            InputError, match="`allocation` would remove .* 'layer2'"
        ):
            allocation.check_complete(
                dense_chain(EQUAL), {"layer1": 0.5, "layer2": 0.1}
            )


class TestOtherGranularities:
    @pytest.mark.parametrize("rule", RULES)
    def test_n_of_m_has_nothing_to_allocate(self, rule):
        model = dense_chain(EQUAL, "1:2")
        with pytest.raises(
            InputError, match="keeps 1:2 weights: only the uniform allocation"
        ):
            allocation.allocate(model, 0.5, rule)

    def test_n_of_m_is_uniform_at_that_density(self):
        model = dense_chain(EQUAL, "1:2")
        assert set(allocation.uniform(model, 0.5).values()) == {0.5}
        with pytest.raises(InputError, match="`density` must be 0.5, because"):
            allocation.uniform(model, 0.25)

    def test_weights_and_channels_are_not_compared(self):
        layers = ht.layers
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.MaskedDense(3, name="one"),
                layers.MaskedDense(3, granularity="channel", name="other"),
            ]
        )
        with pytest.raises(InputError, match="'one' has .* 'other' has"):
            allocation.lamp(model, 0.5)
        assert allocation.uniform(model, 0.5) == {"one": 0.5, "other": 0.5}
