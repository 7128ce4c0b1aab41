"""A prune phase in several rounds, whose scores are trained."""

import json

import keras
import numpy as np
import pytest

import hydra_tf.layers  # noqa: F401  Registers what the checkpoints hold.
from hydra_tf import interrupts
from hydra_tf.training import epoch_lines
from tests.trainers import binaries

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


def rounds(out):
    """How many rounds of scores ended; before, a line says "compiling"."""
    return sum(
        "scores 1/1" in line and "compiling" not in line
        for line in out.splitlines()
    )


@pytest.mark.slow
def test_stopped_between_rounds_ends_with_the_same_network(
    common, tmp_path, monkeypatch, capfd
):
    command = (*common, "--method=harp")
    folders = [tmp_path / "whole", tmp_path / "stopped"]
    assert binaries.run("prune", *command, f"--output_dir={folders[0]}") == 0
    assert rounds(capfd.readouterr().out) == 2

    original = epoch_lines.EpochLines.on_epoch_end

    def stop(self, epoch, logs=None):
        original(self, epoch, logs)
        if self._phase == "prune":
            raise interrupts.Interrupted(15)

    again = (*command, f"--output_dir={folders[1]}")
    with monkeypatch.context() as patch:
        patch.setattr(epoch_lines.EpochLines, "on_epoch_end", stop)
        assert binaries.run("prune", *again) == 128 + 15
    assert binaries.run("prune", *again) == 0
    # That of the second round alone.
    out = capfd.readouterr().out
    assert rounds(out) == 2 and "resuming after epoch 1" in out
    first, second = (network(folder) for folder in folders)
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, other, one.path)
    record = json.loads((folders[1] / "metrics.json").read_text())
    assert record["sparsity"]["density"] == pytest.approx(0.2, abs=0.002)
    assert record["sparsity"]["learned"]["target"] == 0.2
