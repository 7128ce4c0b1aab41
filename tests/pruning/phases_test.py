"""set_phase switches a whole model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning.channels.groups import channel_groups
from tests.pruning import networks

INPUTS = networks.images((8, 8, 8, 3))
LABELS = np.arange(8)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained(model):
    """Names of layers and variables, without the model's own in front."""
    return {"/".join(v.path.split("/")[-2:]) for v in model.trainable_variables}


def network():
    return ht.to_masked(networks.multi_branch(), density=0.5)


KERNELS_AND_BIASES = {
    f"{layer}/{name}"
    for layer in ("stem", "twice", "depthwise", "logits")
    for name in ("kernel", "bias")
}
SCORES = {
    f"{layer}/scores" for layer in ("stem", "twice", "depthwise", "logits")
}
NORMALIZATION = {"bn/gamma", "bn/beta"}


@pytest.mark.parametrize(
    ("phase", "train_normalization", "expected"),
    [
        ("pretrain", True, KERNELS_AND_BIASES | NORMALIZATION),
        ("prune", True, SCORES | NORMALIZATION),
        ("prune", False, SCORES),
        ("finetune", True, KERNELS_AND_BIASES | NORMALIZATION),
        ("finetune", False, KERNELS_AND_BIASES | NORMALIZATION),
    ],
)
def test_trains_exactly_what_the_phase_says(
    phase, train_normalization, expected
):
    model = network()
    # Whatever came before leaves no trace.
    ht.set_phase(model, "prune", train_normalization=False)
    ht.set_phase(model, phase, train_normalization=train_normalization)
    assert trained(model) == expected


def test_other_layers_train_with_the_kernels():
    model = ht.to_masked(networks.sequential(), exclude=["logits"])
    ht.set_phase(model, "prune")
    assert not any("logits" in path for path in trained(model))
    ht.set_phase(model, "finetune")
    assert {"logits/kernel", "logits/bias"} <= trained(model)


def test_frozen_layers_stay_frozen():
    model = network()
    model.get_layer("bn").trainable = False
    model.get_layer("stem").trainable = False
    for phase in ("pretrain", "prune", "finetune"):
        ht.set_phase(model, phase)
        assert not {p for p in trained(model) if p.startswith(("bn", "stem"))}


@pytest.mark.parametrize("phase", ["pretrain", "prune", "finetune"])
@pytest.mark.parametrize("train_normalization", [True, False])
def test_running_statistics_move_in_every_phase(phase, train_normalization):
    model = network()
    ht.set_phase(model, phase, train_normalization=train_normalization)
    normalization = model.get_layer("bn")
    statistics = np.asarray(normalization.moving_mean)
    scale = np.asarray(normalization.gamma)
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    model.fit(INPUTS, LABELS, verbose=0)
    assert not np.allclose(normalization.moving_mean, statistics)
    # And inference does not move them.
    statistics = np.asarray(normalization.moving_mean)
    model(INPUTS, training=False)
    np.testing.assert_array_equal(normalization.moving_mean, statistics)
    trains = phase != "prune" or train_normalization
    assert np.array_equal(normalization.gamma, scale) != trains


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize(
    ("learns", "names"),
    [
        (None, {"scores"}),
        ("both", {"scores", "rate"}),
        ("scores", {"scores"}),
        ("rates", {"rate"}),
    ],
)
def test_what_trains_of_channels_and_learned_densities(
    granularity, learns, names
):
    model = ht.to_masked(networks.multi_branch(), granularity=granularity)
    # The residual stream, with all that reads (or makes) and passes it on.
    (group,) = channel_groups(model)
    if learns:
        ht.learn_densities(model, 0.5, learns=learns)
    for phase in ("pretrain", "prune", "finetune", "prune"):
        ht.set_phase(model, phase)
        if phase == "prune":
            assert {
                id(v)
                for v in model.trainable_variables
                if v.name in ("scores", "rate", "kernel", "bias")
            } == {id(getattr(group.leader, name)) for name in names}
            assert NORMALIZATION <= trained(model)
        else:
            assert trained(model) == KERNELS_AND_BIASES | NORMALIZATION


def test_root_mean_square_normalization_counts_as_one():
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(4, name="dense"),
                keras.layers.RMSNormalization(name="rms"),
            ]
        )
    )
    ht.set_phase(model, "prune")
    assert trained(model) == {"dense/scores", "rms/scale"}


def test_functions_compiled_for_another_phase_are_dropped():
    model = network()
    ht.set_phase(model, "pretrain")
    model.compile("sgd", LOSS)
    dense = model.predict(INPUTS, verbose=0)
    ht.set_phase(model, "finetune")
    np.testing.assert_allclose(
        model.predict(INPUTS, verbose=0), model(INPUTS), atol=1e-5
    )
    assert not np.allclose(model(INPUTS), dense)


def test_phases_in_a_row_keep_density_and_mask():
    model = network()
    ht.set_phase(model, "prune")
    ht.init_scores(model, "random", seed=0)
    pruned = model(INPUTS)
    report = ht.sparsity_report(model)
    ht.set_phase(model, "finetune")
    np.testing.assert_array_equal(model(INPUTS), pruned)
    assert ht.sparsity_report(model) == report


def test_slots_are_made_for_the_trained_half_only():
    model = network()
    ht.set_phase(model, "prune")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, LOSS, run_eagerly=True)
    model.fit(INPUTS, LABELS, verbose=0)
    slots = [v for v in optimizer.variables if "momentum" in v.path]
    assert sum(tf.size(v.value) for v in slots) == sum(
        tf.size(v.value) for v in model.trainable_variables
    )


def test_unknown_phase():
    for phase in (None, "prunes"):
        with pytest.raises(InputError, match="pretrain, prune, finetune"):
            ht.set_phase(network(), phase)


def test_model_without_masked_layers():
    with pytest.raises(InputError, match="nothing to prune"):
        ht.set_phase(networks.sequential(), "prune")
