"""Allocations split a density over the layers, to the last weight."""

import math

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


@pytest.mark.parametrize("rule", ["global", "erk"])
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
    counts = kept_counts(model, allocation.allocate(model, density, rule))
    total = sum(sizes(model).values())
    assert min(counts.values()) >= 1
    assert sum(counts.values()) == max(
        ht.kept_count(density, total), len(counts)
    )


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
