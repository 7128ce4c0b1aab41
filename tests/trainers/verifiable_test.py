"""Pipelines of the objectives whose networks are certified."""

import json

import pytest

from tests.trainers import binaries

PHASES = ("pretrain", "prune", "finetune")


pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return f"--data_dir={tmp_path_factory.mktemp('tfds')}"


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def run(folder, data_dir, *arguments):
    return binaries.run(
        "pipeline",
        *binaries.TINY,
        data_dir,
        "--optimizer=adam",
        "--learning_rate=0.005",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        *arguments,
        f"--output_dir={folder}",
    )


@pytest.fixture(scope="module")
def certified(tmp_path_factory, data_dir):
    """The folder of a run under CROWN-IBP."""
    folder = tmp_path_factory.mktemp("runs") / "certified"
    code = run(
        folder,
        data_dir,
        "--objective=crown_ibp",
        "--model=mnist_model",
        "--epsilon=0.01",
        "--pretrain_epochs=5",
        "--schedule_start=2",
        "--schedule_length=2",
    )
    assert code == 0
    return folder


def test_every_phase_is_attacked_and_certified(certified):
    record = metrics(certified)
    for phase in PHASES:
        entry = record["phases"][phase]
        proved = entry["certified_accuracy"]
        assert set(proved) == {"ibp", "crown_ibp"}
        for value in proved.values():
            assert (
                value
                <= entry["robust_accuracy"]["pgd"]
                <= entry["natural_accuracy"]
            )
        assert entry["certification"]["ibp"] == {
            "epsilon": 0.01,
            "threat_model": "linf",
            "dtype": "float32",
        }
    assert max(record["phases"]["pretrain"]["certified_accuracy"].values()) > 0
    assert set(record["certification"]) == {"ibp", "crown_ibp"}
    card = (certified / "README.md").read_text()
    assert "certified accuracy, crown_ibp" in card
    assert "proved right" in card


def test_history_shows_the_ramp_in_pretraining_alone(certified):
    record = metrics(certified)
    history = record["phases"]["pretrain"]["history"]
    assert history[0]["epsilon"] == history[1]["epsilon"] == 0
    assert 0 < history[2]["epsilon"] < 0.01
    assert history[4]["epsilon"] == pytest.approx(0.01)
    assert history[0]["crown_weight"] == 1
    assert history[4]["crown_weight"] == 0
    assert all(0 <= epoch["certified_accuracy"] <= 1 for epoch in history)
    # No attack, no accuracy under it.
    assert "robust_accuracy" not in history[0]
    for phase in ("prune", "finetune"):
        (epoch,) = record["phases"][phase]["history"]
        assert epoch["epsilon"] == pytest.approx(0.01)
        assert epoch["crown_weight"] == 0
    assert record["run"]["schedule_length"] == 2
    assert record["run"]["schedule_start"] == 2
    assert record["run"]["prune_schedule_length"] == 0


def test_other_ramp_is_other_settings(certified, data_dir, capfd):
    arguments = (
        "--objective=crown_ibp",
        "--model=mnist_model",
        "--epsilon=0.01",
        "--pretrain_epochs=5",
        "--schedule_start=2",
    )
    assert run(certified, data_dir, *arguments, "--schedule_length=3") == 2
    err = capfd.readouterr().err
    assert "--schedule_length=2.0, not --schedule_length=3.0" in err
    assert run(certified, data_dir, *arguments, "--schedule_length=4") == 2
    err = capfd.readouterr().err
    assert "--schedule_length=4: the ramp must lie within the 5 epochs" in err
    assert err.count("\n") == 1


def test_certify_reads_the_run(certified, data_dir, tmp_path, capfd):
    code = binaries.run(
        "certify",
        f"--source={certified}",
        "--dataset=digits",
        data_dir,
        "--method=ibp",
        "--epsilons=0.005,0.01",
        "--num_examples=40",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    assert "pgd, Linf 0.01" in capfd.readouterr().out
    result = metrics(tmp_path)["certify"]
    entry = metrics(certified)["phases"]["finetune"]
    assert result["natural_accuracy"] == entry["natural_accuracy"]
    assert result["certified_accuracy"][1] == {
        "radius": 0.01,
        "certified_accuracy": entry["certified_accuracy"]["ibp"],
    }


def test_saved_model_is_evaluated_without_bounds(
    certified, data_dir, tmp_path, capfd
):
    arguments = (
        "evaluate",
        *binaries.TINY,
        data_dir,
        "--objective=crown_ibp",
        f"--source={certified / 'saved_model'}",
        f"--output_dir={tmp_path}",
    )
    assert binaries.run(*arguments) == 0
    assert "certified_accuracy" not in metrics(tmp_path)["phases"]["evaluate"]
    capfd.readouterr()
    assert binaries.run(*arguments, "--eval_certify=ibp") == 2
    err = capfd.readouterr().err
    assert "--eval_certify=ibp needs the layers of a Keras model" in err
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    ["smoothing", "mixtrain"],
)
def test_other_objectives_run_through_the_pipeline(
    objective, tmp_path, data_dir, capfd
):
    code = run(
        tmp_path,
        data_dir,
        f"--objective={objective}",
        "--model=mnist_model",
        "--epsilon=0.01",
        "--pretrain_epochs=1",
        "--eval_smoothing_samples=50",
        "--eval_radii=0.1,0.2",
        "--symbolic_examples=2",
    )
    assert code == 0
    entry = metrics(tmp_path)["phases"]["finetune"]
    assert (
        set(entry["certified_accuracy"])
        == {
            "smoothing": {"smoothing@0.1", "smoothing@0.2"},
            "mixtrain": {"symbolic"},
        }[objective]
    )
    out = capfd.readouterr().out
    # Noise is no attack, and mixtrain has no other images.
    assert ("  noisy " in out) == (objective == "smoothing")
    assert "  robust " not in out.split("natural ")[1]
    assert ("attacks and bounds within Linf 0.01" in out) == (
        objective == "mixtrain"
    )
    if objective == "smoothing":
        described = entry["certification"]["smoothing@0.2"]
        assert described["sigma"] == 0.25
        assert (described["num_samples"], described["radius"]) == (50, 0.2)
