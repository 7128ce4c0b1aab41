"""Held-out images from the command line to history, card, events and plot."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf.training import epoch_lines
from tests.trainers import binaries

COMMAND = (
    *binaries.TINY,
    "--validation_fraction=0.25",
    "--epochs=3",
    # So long that it never stops, but the best epoch is the result.
    "--patience=2",
    "--lr_schedule=one_cycle",
    "--cutmix=0.5",
    "--progress=epochs",
    "--num_steps=1",
    "--eval_examples=10",
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return f"--data_dir={tmp_path_factory.mktemp('tfds')}"


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    output = f"--output_dir={folder}"
    assert binaries.run("pretrain", *COMMAND, data_dir, output) == 0
    return folder


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_record_holds_validation_and_the_best_epoch(whole):
    record = metrics(whole)
    phase = record["phases"]["pretrain"]
    figures = [epoch["val_robust_accuracy"] for epoch in phase["history"]]
    assert len(figures) == 3
    assert all(0 <= each <= 1 for each in figures)
    assert "val_natural_accuracy" in phase["history"][0]
    assert phase["best_epoch"] == 1 + figures.index(max(figures))
    assert record["run"]["select"] == "best"
    assert record["run"]["patience"] == 2
    assert record["run"]["lr_schedule"] == "one_cycle"
    assert record["dataset"]["cutmix"] == 0.5
    assert "stopped_early" not in phase
    assert record["run"]["validation_fraction"] == 0.25
    # 36 of 144 images.
    assert record["dataset"]["num_train"] == 108
    assert record["dataset"]["num_validation"] == 36
    plot = whole / "learning_curves.png"
    assert record["artifacts"]["learning_curves"] == {
        "path": plot.name,
        "bytes": plot.stat().st_size,
    }


def test_validation_is_within_the_radius_of_the_evaluation(data_dir, tmp_path):
    output = f"--output_dir={tmp_path}"
    flags = ("--epochs=1", "--eval_epsilon=0")
    assert binaries.run("pretrain", *COMMAND, *flags, data_dir, output) == 0
    (epoch,) = metrics(tmp_path)["phases"]["pretrain"]["history"]
    assert epoch["val_robust_accuracy"] == epoch["val_natural_accuracy"]
    assert epoch["robust_accuracy"] < epoch["natural_accuracy"]


def test_events_have_validation_beside_training(whole):
    found = {}
    for path in (whole / "events").rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                name = str(path.parent.relative_to(whole / "events"))
                found.setdefault(name, set()).add(value.tag)
    both = {"natural_accuracy", "robust_accuracy"}
    assert both <= found["pretrain"] & found["pretrain/validation"]
    assert not any(tag.startswith("val_") for tag in found["pretrain"])


@pytest.mark.slow
def test_run_that_stops_early_goes_on_with_its_next_phase(
    data_dir, tmp_path, capfd
):
    command = [
        *binaries.TINY,
        "--validation_fraction=0.25",
        "--patience=1",
        # Nothing changes, so the first epoch stays the best.
        "--learning_rate=1e-30",
        "--pretrain_epochs=4",
        "--prune_epochs=0",
        "--method=lwm",
        "--finetune_epochs=4",
        "--num_steps=1",
        "--eval_examples=10",
        "--progress=epochs",
        data_dir,
        f"--output_dir={tmp_path}",
    ]
    assert binaries.run("pipeline", *command) == 0
    out = capfd.readouterr().out
    assert out.count("stopped early, best was epoch 1\n") == 2
    before = metrics(tmp_path)
    for phase in ("pretrain", "finetune"):
        entry = before["phases"][phase]
        assert (entry["epochs"], entry["best_epoch"]) == (2, 1)
        assert entry["stopped_early"] is True
    # Finished: nothing is trained.
    assert binaries.run("pipeline", *command) == 0
    assert "stopped early" not in capfd.readouterr().out
    assert metrics(tmp_path) == before


@pytest.mark.slow
def test_stopped_run_ends_with_the_same_network(
    whole, data_dir, tmp_path, monkeypatch, capfd
):
    command = (*COMMAND, data_dir, f"--output_dir={tmp_path}")
    original = epoch_lines.EpochLines.on_epoch_end

    def stop(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            raise interrupts.Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(epoch_lines.EpochLines, "on_epoch_end", stop)
        assert binaries.run("pretrain", *command) == 128 + 15
    changed = (*command, "--validation_fraction=0.5")
    assert binaries.run("pretrain", *changed) == 2
    assert "--validation_fraction=0.25, not" in capfd.readouterr().err
    assert binaries.run("pretrain", *command) == 0
    out = capfd.readouterr().out
    assert "pretrain 3/3  step  compiling" in out
    assert "val robust" in out
    one, other = (
        keras.saving.load_model(folder / "checkpoints" / "pretrain.keras")
        for folder in (whole, tmp_path)
    )
    for first, second in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(first, second, first.path)
