"""A prune phase in several rounds, whose scores are trained."""

import json

import keras
import numpy as np
import pytest

import hydra_tf.layers  # noqa: F401  Registers what the checkpoints hold.
from flags import pruning_flags
from hydra_tf import interrupts
from tests.trainers import binaries
from trainers import progress
from trainers import rounds

STEPS = (
    "--multistep",
    "--pruning_rounds=2",
    "--prune_epochs=2",
    "--round_learning_rate=0.1",
    "--prune_learning_rate=0.01",
)


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """The flags of all runs, with a pretrained network to start from."""
    folder = tmp_path_factory.mktemp("dense")
    data_dir = f"--data_dir={tmp_path_factory.mktemp('tfds')}"
    common = (*binaries.TINY, data_dir)
    assert binaries.run("pretrain", *common, f"--output_dir={folder}") == 0
    return (*common, *STEPS, f"--source={folder}")


def network(folder):
    path = folder / "checkpoints" / "prune.keras"
    return keras.saving.load_model(path, compile=False)


def test_stopped_between_rounds_ends_with_the_same_network(
    common, tmp_path, monkeypatch, capfd
):
    command = (*common, "--method=harp")
    folders = [tmp_path / "whole", tmp_path / "stopped"]
    assert binaries.run("prune", *command, f"--output_dir={folders[0]}") == 0
    assert capfd.readouterr().out.count("scores 1/1") == 2

    original = progress.EpochLines.on_epoch_end

    def stop(self, epoch, logs=None):
        original(self, epoch, logs)
        if self._phase == "prune":
            raise interrupts.Interrupted(15)

    again = (*command, f"--output_dir={folders[1]}")
    with monkeypatch.context() as patch:
        patch.setattr(progress.EpochLines, "on_epoch_end", stop)
        assert binaries.run("prune", *again) == 128 + 15
    assert binaries.run("prune", *again) == 0
    # That of the second round alone.
    out = capfd.readouterr().out
    assert out.count("scores 1/1") == 2 and "going on after epoch 1" in out
    first, second = (network(folder) for folder in folders)
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, other, one.path)
    record = json.loads((folders[1] / "metrics.json").read_text())
    assert record["sparsity"]["density"] == pytest.approx(0.2, abs=0.002)
    assert record["sparsity"]["learned"]["target"] == 0.2


def settings(**changes):
    """Returns settings of a multi-step method."""
    fields = {
        name: None for name in pruning_flags.PruningSettings.__annotations__
    }
    fields |= {"density": 0.1, "pruning_rounds": 3, "multistep": True}
    return pruning_flags.PruningSettings(**{**fields, **changes})


def densities(schedule, epochs):
    """Returns the density of each epoch that begins with a round."""
    found = {}
    for epoch in range(epochs):
        prunes, sparsity = schedule(epoch)
        if prunes:
            found[epoch] = 1 - float(sparsity)
    return found


def test_rounds_are_spread_over_the_phase_and_end_at_the_density():
    schedule = rounds.schedule(settings(pruning_schedule="polynomial"), 7)
    found = densities(schedule, 7)
    assert list(found) == [0, 2, 4]
    assert found[4] == pytest.approx(0.1)
    assert sorted(found.values(), reverse=True) == list(found.values())
    # tfmot's cubic decay, from 1, after a third of the way.
    assert found[0] == pytest.approx(0.1 + 0.9 * (2 / 3) ** 3)


def test_constant_schedule_prunes_all_at_once_and_rounds_choose_anew():
    schedule = rounds.schedule(settings(pruning_schedule="constant"), 3)
    assert densities(schedule, 3) == pytest.approx({0: 0.1, 1: 0.1, 2: 0.1})


def test_more_rounds_than_epochs_are_one_in_each():
    schedule = rounds.schedule(
        settings(pruning_schedule="polynomial", pruning_rounds=10), 2
    )
    assert list(densities(schedule, 2)) == [0, 1]
