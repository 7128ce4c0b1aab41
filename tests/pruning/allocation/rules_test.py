"""Allocations split a density over the layers, to the last weight."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning import allocation
from tests.pruning.networks import dense_chain
from tests.pruning.networks import kept_counts
from tests.pruning.networks import sizes


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
@hypothesis.settings(max_examples=8, deadline=None)
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
@hypothesis.settings(max_examples=6, deadline=None)
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
