"""A pruning method on a network: its start, its end, and what fails before."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests.pruning import networks

IMAGES = networks.images((4, 6, 6, 1))
LABELS = np.arange(4)
ALL = ("first", "second", "last")


def network():
    return networks.shake(
        keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                keras.layers.Conv2D(8, 3, name="first"),
                keras.layers.Conv2D(8, 3, name="second"),
                keras.layers.Flatten(),
                keras.layers.Dense(4, name="last"),
            ]
        )
    )


def live_densities(masked):
    return {
        name: pytest.approx(float(layer.live_density), abs=1e-5)
        for name, layer in ht.masked_layers(masked).items()
        if layer.prunable
    }


def harp_starts(**settings):
    """Returns the densities from which layers learn, by name."""
    return live_densities(
        ht.Pruning(method="harp", **settings).start(network())
    )


def by_last_channel(network, groups, *, seed, data):
    """Scores that grow with the index of each weight."""
    return [
        np.arange(group.num_units).reshape(group.leader.scores.shape)
        for group in groups
    ]


def half_of_each(network, density):
    """Half of the density in each layer."""
    return {name: density / 2 for name in ht.masked_layers(network)}


@pytest.mark.parametrize(
    ("settings", "density"),
    [
        ({}, 0.1),
        ({"density": 0.01}, 0.1),
        ({"density": 0.3}, 0.3),
        ({"rates": 0.25}, 0.25),
        ({"rates": "uniform"}, 0.1),
        # What is not learned has to be at the target.
        ({"density": 0.05, "learn": "scores"}, 0.05),
        ({"density": 0.05, "learn": "scores", "rates": 0.2}, 0.2),
    ],
)
def test_densities_start_alike_unless_told(settings, density):
    assert harp_starts(**settings) == dict.fromkeys(ALL, density)


def test_densities_start_from_a_rule():
    expected = ht.allocation.erk(ht.to_masked(network()), 0.1)
    assert harp_starts(rates="erk") == expected
    assert len(set(expected.values())) == 3


def test_densities_start_from_a_file_or_mapping(tmp_path):
    path = tmp_path / "rates.json"
    given = {"first": 0.9, "second": 0.2, "last": 0.5}
    path.write_text(json.dumps(given))
    for rates in (given, path, str(path)):
        assert harp_starts(rates=rates) == given
    assert harp_starts(rates=given, learn="scores") == given


def test_densities_below_the_least_or_of_1_are_clipped():
    found = harp_starts(
        rates={"first": 1.0, "second": 0.001, "last": 0.5}, density=0.1
    )
    # A thousandth of the range [0.01, 1] from its ends.
    assert found["first"] == 1 - 0.00099
    assert found["second"] == 0.01 + 0.00099


@pytest.mark.parametrize("argument", ["rates", "allocation"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"other": 0.5}, "names 'other'"),
        ({"first": 0.5, "second": 0.5}, "no density for layer 'last'"),
        ({"first": 0.5, "second": 0.5, "last": 1.5}, r"1\.5"),
        ([0.5, 0.5, 0.5], "must be an object"),
    ],
)
def test_files_for_another_network_are_refused(
    argument, content, words, tmp_path
):
    path = tmp_path / "densities.json"
    path.write_text(json.dumps(content))
    method = "harp" if argument == "rates" else "hydra"
    pruning = ht.Pruning(method=method, **{argument: path})
    with pytest.raises(
        InputError, match=f"^`{argument}='.*densities.json'`.*{words}"
    ):
        pruning.check(network())


def test_missing_files_are_refused():
    path = pathlib.Path("no_such.json")
    with pytest.raises(InputError, match="no_such.json'`: it does not exist"):
        ht.Pruning(allocation=path).check(network())


def test_channels_that_are_not_enough_are_found_before_training():
    pruning = ht.Pruning(granularity="channel", density=0.1)
    with pytest.raises(InputError, match="`density` would remove .*'second'"):
        pruning.check(network())
    ht.Pruning(granularity="channel", density=0.5).check(network())


@pytest.mark.parametrize(
    ("granularity", "resource"), [("weight", "weights"), ("channel", "flops")]
)
def test_learned_targets_out_of_reach_are_found_before_training(
    granularity, resource
):
    pruning = ht.Pruning(
        method="harp", granularity=granularity, density=0.001, rates=0.5
    )
    with pytest.raises(
        InputError,
        match=f"(?i)^`density` is too small: .* leaves .* {resource},",
    ):
        pruning.check(network())


def test_layers_that_are_no_layers_are_found_before_training():
    with pytest.raises(InputError, match="^`exclude` names 'frist'"):
        ht.Pruning(exclude=["frist"]).check(network())


def test_advice_to_exclude_a_layer_names_those_excluded_already():
    pruning = ht.Pruning(granularity="2:5", exclude=["first"])
    with pytest.raises(
        InputError,
        match=r"`granularity='2:5'` .*=\['first', 'second', 'last'\]`$",
    ):
        pruning.check(network())


def test_masks_of_another_granularity_are_replaced():
    masked = ht.to_masked(network(), density=0.5)
    copy = ht.Pruning(granularity="channel").masked_copy(masked)
    assert copy.get_layer("second").granularity == "channel"
    kernel = copy.get_layer("second").kernel.numpy()
    assert (kernel == 0).sum() == kernel.size // 2


@pytest.mark.parametrize("method", ["hydra", "lwm", "random"])
def test_one_shot_methods_keep_the_density(method):
    masked = ht.start_pruning(network(), 0.25, method, seed=1)
    assert live_densities(masked) == dict.fromkeys(ALL, 0.25)
    assert {each.phase for each in ht.masked_layers(masked).values()} == {
        "prune"
    }
    expected = ht.to_masked(network(), density=0.25)
    ht.init_scores(
        expected, "random" if method == "random" else "scaled", seed=1
    )
    for name, layer in ht.masked_layers(masked).items():
        np.testing.assert_array_equal(
            layer.scores, expected.get_layer(name).scores
        )


def test_scores_of_the_loss_take_a_batch_or_the_first_of_a_dataset():
    batch = (IMAGES, LABELS)
    dataset = tf.data.Dataset.from_tensors(batch)
    scores = []
    for data in (batch, dataset):
        masked = ht.start_pruning(network(), 0.5, "snip", data=data)
        scores.append(np.asarray(masked.get_layer("last").scores))
    np.testing.assert_array_equal(*scores)
    with pytest.raises(InputError, match="'snip' needs one batch"):
        ht.start_pruning(network(), 0.5, "snip")


def test_densities_may_be_given():
    given = {"first": 1.0, "second": 0.25, "last": 0.5}
    masked = ht.start_pruning(network(), allocation=given)
    assert live_densities(masked) == given


def test_rounds_start_dense_with_the_weights_training():
    pruning = ht.Pruning(multistep=True, density=0.1)
    masked = pruning.start(network(), epochs=2)
    assert live_densities(masked) == dict.fromkeys(ALL, 1.0)
    assert masked.get_layer("first").phase == "finetune"
    # Without epochs there are no rounds.
    at_once = pruning.start(network(), epochs=0)
    assert live_densities(at_once) == dict.fromkeys(ALL, 0.1)
    assert at_once.get_layer("first").phase == "prune"


def test_learned_densities_are_rounded_in_the_end_and_others_left():
    harp = ht.Pruning(method="harp", density=0.2, rates=0.5)
    masked = harp.start(network())
    total = ht.sparsity_report(masked).weights
    harp.finish(masked)
    assert ht.sparsity_report(masked).kept == ht.kept_count(0.2, total)
    for again in (masked, ht.start_pruning(network(), 0.2)):
        before = live_densities(again)
        harp.finish(again)
        assert live_densities(again) == before


def test_a_method_of_ones_own_chooses_by_its_scores():
    masked = ht.start_pruning(
        network(), 0.5, method=f"{__name__}:by_last_channel"
    )
    mask = np.asarray(masked.get_layer("last").mask).ravel()
    np.testing.assert_array_equal(mask, np.arange(mask.size) >= mask.size / 2)


def test_an_allocation_of_ones_own_splits_the_density():
    rule = f"{__name__}:half_of_each"
    masked = ht.start_pruning(network(), 0.5, allocation=rule)
    assert live_densities(masked) == dict.fromkeys(ALL, 0.25)
    assert ht.allocation.allocate(masked, 0.5, rule) == live_densities(masked)
