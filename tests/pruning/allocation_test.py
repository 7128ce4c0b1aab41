"""Allocations split a density over the layers, to the last weight."""

import math
import re

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning import allocation
from tests import golden

STRATEGIES = golden.load("strategies")
ARCHITECTURES = ("vgg16_bn", "resnet18")


def golden_shapes(name):
    """Kernel shapes; dense ones are stored as (1, 1, in, out)."""
    return [
        tuple(int(size) for size in (shape[2:] if is_dense else shape))
        for shape, is_dense in zip(
            STRATEGIES[f"{name}_json_shapes"],
            STRATEGIES[f"{name}_json_is_dense"],
            strict=True,
        )
    ]


def dense_chain(widths, seed=0, scales=None):
    """A chain of dense layers without biases, of the given widths."""
    model = keras.Sequential(
        [keras.Input((widths[0],))]
        + [
            keras.layers.Dense(width, use_bias=False, name=f"layer{index}")
            for index, width in enumerate(widths[1:])
        ]
    )
    rng = np.random.default_rng(seed)
    for index, layer in enumerate(model.layers):
        scale = 1.0 if scales is None else scales[index]
        layer.kernel.assign(scale * rng.normal(size=layer.kernel.shape))
    return ht.to_masked(model)


def sizes(model):
    return {
        name: math.prod(layer.kernel.shape)
        for name, layer in ht.masked_layers(model).items()
    }


def kept_counts(model, densities):
    ht.set_density(model, densities)
    return {
        name: int(np.sum(layer.mask))
        for name, layer in ht.masked_layers(model).items()
    }


class TestErkGolden:
    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_formula(self, name):
        densities = allocation.erk_densities(golden_shapes(name), 0.1)
        np.testing.assert_allclose(
            densities, STRATEGIES[f"{name}_erk_formula"], rtol=1e-10
        )
        kept = [
            round(density * math.prod(shape))
            for density, shape in zip(
                densities, golden_shapes(name), strict=True
            )
        ]
        np.testing.assert_array_equal(kept, STRATEGIES[f"{name}_erk_kept"])

    @pytest.mark.parametrize("name", ARCHITECTURES)
    @pytest.mark.parametrize("index", [0, 1])
    def test_formula_at_other_densities(self, name, index):
        np.testing.assert_allclose(
            allocation.erk_densities(
                golden_shapes(name),
                float(STRATEGIES["extra_densities"][index]),
            ),
            STRATEGIES[f"extra_{name}_erk"][index],
            rtol=1e-10,
        )


def unit_name(original):
    """The name here of a layer that the golden file calls `original`."""
    if original == "linear":
        return "logits"
    match = re.match(r"layer(\d)\.(\d)\.(conv\d|shortcut)", original)
    if match is None:
        return original
    block, unit, layer = match.groups()
    return f"block{block}_unit{int(unit) + 1}_{layer}"


class TestErkOfModels:
    """The published figures, 10 % of VGG16-BN and ResNet18."""

    def test_vgg16_bn(self):
        model = ht.to_masked(ht.models.create("vgg16_bn", (32, 32, 3), 10))
        densities = allocation.erk(model, 0.1)
        # Both name their layers in the order of the network.
        assert list(densities) == list(ht.masked_layers(model))
        np.testing.assert_allclose(
            list(densities.values()), STRATEGIES["vgg16_bn_erk"], atol=1e-6
        )
        self.check_total(model, densities)

    def test_resnet18(self):
        model = ht.to_masked(ht.models.create("resnet18", (32, 32, 3), 10))
        densities = allocation.erk(model, 0.1)
        # There shortcuts come before their block's convolutions.
        names = [unit_name(each) for each in STRATEGIES["resnet18_json_names"]]
        assert set(names) == set(densities)
        np.testing.assert_allclose(
            [densities[name] for name in names],
            STRATEGIES["resnet18_erk"],
            atol=1e-6,
        )
        self.check_total(model, densities)

    def check_total(self, model, densities):
        counts = [
            ht.kept_count(densities[name], size)
            for name, size in sizes(model).items()
        ]
        total = sum(sizes(model).values())
        assert sum(counts) == ht.kept_count(0.1, total)


class TestErk:
    def test_by_hand(self):
        # Sums of dimensions 4 + 2 = 6 and 2 + 6 = 8, sizes 8 and 12. Ten
        # weights of 20: c (6 + 8) = 10, so 4.29 and 5.71, in whole 4 and 6.
        assert allocation.erk(dense_chain([4, 2, 6]), 0.5) == {
            "layer0": 4 / 8,
            "layer1": 6 / 12,
        }

    def test_layers_that_would_exceed_one_are_dense(self):
        # Sums 12 and 3 of sizes 20 and 2; 12 weights: c = 12 / 15, of which
        # the second would keep 2.4 of 2. So 2, and 10 of 20.
        assert allocation.erk(dense_chain([10, 2, 1]), 12 / 22) == {
            "layer0": 0.5,
            "layer1": 1.0,
        }

    def test_density_one_is_dense(self):
        assert set(allocation.erk(dense_chain([4, 3, 5, 2]), 1.0).values()) == {
            1.0
        }


def golden_lamp_model():
    """Four layers with the kernels of the golden file, side by side."""
    kernels = [STRATEGIES[f"lamp_small_kernel{index}"] for index in range(4)]
    inputs, outputs = [], []
    for index, kernel in enumerate(kernels):
        arguments = {"use_bias": False, "name": f"layer{index}"}
        if kernel.ndim == 4:
            image = keras.Input((5, 5, kernel.shape[2]))
            layer = keras.layers.Conv2D(
                kernel.shape[3], kernel.shape[:2], **arguments
            )
        else:
            image = keras.Input(kernel.shape[:1])
            layer = keras.layers.Dense(kernel.shape[1], **arguments)
        inputs.append(image)
        outputs.append(layer(image))
        layer.kernel.assign(kernel)
    return ht.to_masked(keras.Model(inputs, outputs))


class TestLamp:
    @pytest.mark.parametrize("index", range(4))
    def test_scores_equal_the_published_formula(self, index):
        np.testing.assert_allclose(
            allocation.lamp_scores(STRATEGIES[f"lamp_small_kernel{index}"]),
            STRATEGIES[f"lamp_small_scores{index}"],
            rtol=1e-10,
        )

    @pytest.mark.parametrize("index", range(3))
    def test_counts_equal_the_published_formula(self, index):
        model = golden_lamp_model()
        total = sum(sizes(model).values())
        # The golden counts round to nearest, where these round up.
        number = round(float(STRATEGIES["lamp_small_densities"][index]) * total)
        counts = kept_counts(model, allocation.lamp(model, number / total))
        assert sum(counts.values()) == number
        np.testing.assert_array_equal(
            [counts[f"layer{index}"] for index in range(4)],
            STRATEGIES["lamp_small_kept"][index],
        )

    def test_scores_by_hand(self):
        # 3 first: 9 / 9; then 2 of 9 + 4; then the first 1 of 14, the other
        # of 15; and nothing.
        np.testing.assert_allclose(
            allocation.lamp_scores([[1.0, -1.0, 3.0], [0.0, -2.0, 0.0]]),
            [[1 / 14, 1 / 15, 1.0], [0.0, 4 / 13, 0.0]],
        )

    def test_a_layer_of_zeros_scores_nothing(self):
        assert not allocation.lamp_scores(np.zeros((2, 3))).any()

    def test_does_not_depend_on_the_scale_of_layers(self):
        one = dense_chain([9, 8, 7])
        other = dense_chain([9, 8, 7], scales=[1e-6, 1e6])
        assert allocation.lamp(one, 0.3) == allocation.lamp(other, 0.3)

    def test_many_weights_of_the_densest_layer(self):
        # Equal weights: scores 1, 1/2, 1/3, ... in both layers; of the 12
        # largest of 4 + 16, the small layer has all of its 4.
        model = dense_chain([4, 1, 16])
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.ones(layer.kernel.shape))
        assert kept_counts(model, allocation.lamp(model, 12 / 20)) == {
            "layer0": 4,
            "layer1": 8,
        }


class TestGlobalThreshold:
    @pytest.mark.parametrize("by", ["magnitude", "scores"])
    @pytest.mark.parametrize("density", [0.9, 0.31, 0.1])
    def test_keeps_what_one_threshold_keeps(self, by, density):
        model = dense_chain([20, 15, 10], scales=[1.0, 0.7])
        layers = ht.masked_layers(model)
        if by == "scores":
            for layer, scale in zip(layers.values(), (0.6, 1.0), strict=True):
                layer.scores.assign(scale * np.asarray(layer.scores)[::-1])
        values = [
            np.abs(
                np.asarray(layer.kernel if by == "magnitude" else layer.scores)
            )
            for layer in layers.values()
        ]
        everything = np.sort(np.concatenate([v.ravel() for v in values]))
        threshold = everything[-ht.kept_count(density, everything.size)]
        densities = allocation.global_threshold(model, density, by=by)
        counts = kept_counts(model, densities)
        for (name, layer), value in zip(layers.items(), values, strict=True):
            assert counts[name] == np.sum(value >= threshold)
            # Scaled scores order the weights as their magnitudes do.
            np.testing.assert_array_equal(layer.mask, value >= threshold)

    def test_starved_layer_keeps_one_weight(self):
        model = dense_chain([10, 10, 10], scales=[1.0, 1e-6])
        assert kept_counts(model, allocation.global_threshold(model, 0.1)) == {
            "layer0": 19,
            "layer1": 1,
        }

    def test_ties_go_to_the_earlier_layer(self):
        model = dense_chain([4, 4, 4])
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.ones((4, 4)))
        assert allocation.global_threshold(model, 0.75) == {
            "layer0": 1.0,
            "layer1": 0.5,
        }

    def test_unknown_criterion(self):
        with pytest.raises(InputError, match="'magnitude' or 'scores'"):
            allocation.global_threshold(dense_chain([3, 3]), 0.5, by="size")


def test_uniform_gives_every_layer_the_density():
    assert allocation.uniform(dense_chain([4, 3, 2]), 0.3) == {
        "layer0": 0.3,
        "layer1": 0.3,
    }


@pytest.mark.parametrize("rule", ["global", "lamp"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(rule, value):
    model = dense_chain([3, 3])
    kernel = np.ones((3, 3))
    kernel[1, 1] = value
    model.get_layer("layer0").kernel.assign(kernel)
    with pytest.raises(InputError, match="layer 'layer0' holds infinite or"):
        allocation.allocate(model, 0.5, rule)


@pytest.mark.parametrize("rule", ["global", "erk", "lamp"])
@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(
    widths=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    density=st.one_of(
        st.floats(1e-6, 1.0), st.sampled_from([1.0, 0.9, 0.1, 0.05, 1e-9])
    ),
    seed=st.integers(0, 100),
)
def test_total_is_exact_and_no_layer_is_empty(rule, widths, density, seed):
    model = dense_chain(widths, seed)
    densities = allocation.allocate(model, density, rule)
    assert densities == allocation.allocate(model, density, rule)
    counts = kept_counts(model, densities)
    total = sum(sizes(model).values())
    assert min(counts.values()) >= 1
    assert sum(counts.values()) == max(
        ht.kept_count(density, total), len(counts)
    )


@pytest.mark.parametrize("rule", ["global", "erk", "lamp"])
@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(
    widths=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    falling=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=3),
    seed=st.integers(0, 100),
)
def test_nested_never_keeps_more_of_a_layer(rule, widths, falling, seed):
    model = dense_chain(widths, seed)
    total = sum(sizes(model).values())
    before = sizes(model)
    for density in sorted(falling, reverse=True):
        densities = allocation.allocate(model, density, rule, nested=True)
        # Kernels that train in between change what is largest.
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.asarray(layer.kernel)[::-1])
        counts = kept_counts(model, densities)
        assert all(counts[name] <= before[name] for name in counts)
        assert sum(counts.values()) == max(
            ht.kept_count(density, total), len(counts)
        )
        before = counts


def test_nested_does_not_compare_pruned_weights():
    model = dense_chain([4, 4, 4], scales=[1.0, 1.0])
    first, second = ht.masked_layers(model).values()
    # The largest weights of the first layer are pruned.
    first.kernel.assign(np.reshape(np.arange(16.0) + 100, (4, 4)))
    first.scores.assign(np.reshape(np.arange(16.0)[::-1], (4, 4)))
    second.kernel.assign(np.full((4, 4), 104.5))
    ht.set_density(model, {"layer0": 0.5, "layer1": 1.0})
    # Live ones are 100 to 107; 3 of them exceed 104.5.
    assert allocation.allocate(model, 19 / 32, "global", nested=True) == {
        "layer0": 3 / 16,
        "layer1": 1.0,
    }


@pytest.mark.parametrize("rule", ["global", "erk", "lamp"])
def test_nested_keeps_what_is_left_at_a_higher_density(rule):
    model = dense_chain([6, 6, 6])
    ht.set_density(model, 0.25)
    densities = allocation.allocate(model, 0.5, rule, nested=True)
    assert set(densities.values()) == {0.25}


@pytest.mark.parametrize("rule", allocation.NAMES)
def test_tiny_density_leaves_one_weight_in_every_layer(rule):
    model = dense_chain([9, 8, 7, 6])
    counts = kept_counts(model, allocation.allocate(model, 1e-9, rule))
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("rule", allocation.NAMES)
@pytest.mark.parametrize("density", [0.0, 1.1])
def test_density_outside_its_range(rule, density):
    with pytest.raises(InputError, match="`density` must be in"):
        allocation.allocate(dense_chain([3, 3]), density, rule)


def test_unknown_rule():
    with pytest.raises(InputError, match="Did you mean 'uniform'"):
        allocation.allocate(dense_chain([3, 3]), 0.5, "uniforms")


def test_mapping_from_a_file_must_fit_the_model():
    model = dense_chain([3, 3, 3])
    allocation.check_complete(model, {"layer0": 0.5, "layer1": 1})
    with pytest.raises(InputError, match="no density for layer 'layer1'"):
        allocation.check_complete(model, {"layer0": 0.5})
    with pytest.raises(InputError, match="names 'other', which is no masked"):
        allocation.check_complete(
            model, {"layer0": 0.5, "layer1": 0.5, "other": 0.5}
        )
    with pytest.raises(InputError, match=r"allocation\['layer1'\]"):
        allocation.check_complete(model, {"layer0": 0.5, "layer1": 0})
