"""The runs of a report: where they are found, what belongs to which."""

import json

import pytest

from hydra_tf import files
from hydra_tf.errors import InputError
from tests.trainers.reporting import folders
from trainers.reporting import runs


def read(*paths):
    return runs.read([str(path) for path in paths])


def test_folders_stand_for_the_runs_in_them(tmp_path):
    folders.write(tmp_path / "grid" / "cells" / "one")
    folders.write(tmp_path / "grid" / "two")
    folders.write(tmp_path / "grid" / "two" / "compare" / "lwm", "lwm")
    (tmp_path / "grid" / "empty").mkdir()
    found, remarks = read(tmp_path / "grid", tmp_path / "grid" / "two")
    assert [run.name for run in found] == ["one", "two", "two/compare/lwm"]
    assert found[2].origin is found[1]
    assert not remarks


def test_compared_method_has_the_settings_of_its_run(tmp_path):
    folders.write(tmp_path / "run", flags=["--objective=madry", "--noaugment"])
    compared = folders.write(tmp_path / "run/compare/lwm", "lwm", dense=False)
    (compared / "flags.txt").unlink()
    _, run = read(tmp_path / "run")[0]
    assert run.setting("method") == "lwm"
    assert run.setting("objective") == "madry"
    assert run.setting("augment") == "false"
    assert run.setting("nothing") is None
    assert run.number("density") == 0.1


def test_half_finished_run_has_its_history_and_state(tmp_path):
    epochs = folders.phase(0.5, 0.5)["history"]
    folder = tmp_path / "stopped"
    files.write_json(folder / "checkpoints" / "pretrain.history.json", epochs)
    folders.write(tmp_path / "other")
    (run, *_), _ = read(folder, tmp_path / "other")
    assert run.histories == {"pretrain": epochs}
    assert run.state == "pretrain, epoch 2"
    assert not run.is_finished and run.last_phase is None
    metrics = {"phases": {"pretrain": folders.phase(0.9, 0.5)}}
    files.write_json(folder / "metrics.json", metrics)
    (run,), _ = read(folder)
    assert run.state == "after pretrain" and not run.is_finished


def test_run_without_an_epoch_is_remarked_beside_others(tmp_path):
    files.write_text(tmp_path / "new/checkpoints/pretrain.settings.json", "{}")
    folders.write(tmp_path / "done")
    found, remarks = read(tmp_path)
    assert [run.name for run in found] == ["done"]
    assert remarks == ["new: no epoch is finished yet."]


def test_failed_cells_of_a_sweep_are_remarked(tmp_path):
    folders.write(tmp_path / "good")
    cells = [{"name": "bad", "error": "out of memory"}, {"name": "good"}]
    (tmp_path / "sweep.json").write_text(json.dumps({"cells": cells}))
    _, remarks = read(tmp_path)
    assert remarks == ["bad failed: out of memory"]


def test_pretraining_that_cells_share_is_no_run_of_a_sweep(tmp_path):
    shared = folders.write(tmp_path / "pretrain" / "shared")
    (tmp_path / "sweep.json").write_text(json.dumps({"cells": []}))
    assert [each.path for each in read(tmp_path)[0]] == [shared]
    cell = folders.write(tmp_path / "cell")
    assert [each.path for each in read(tmp_path)[0]] == [cell]


def test_certificate_is_of_a_phase(tmp_path):
    run = folders.write(tmp_path / "run")
    for name, source in (
        ("last", run),
        ("first", run / "checkpoints" / "pretrain.keras"),
    ):
        record = {"certify": {"source": str(source)}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(record))
    (found,) = read(tmp_path)[0]
    assert {phase: folder.name for phase, _, folder in found.certificates} == {
        "finetune": "last",
        "pretrain": "first",
    }


def test_evaluation_belongs_to_the_run_of_its_source(tmp_path):
    run = folders.write(tmp_path / "run")
    compared = folders.write(run / "compare" / "lwm", "lwm")
    source = compared / "checkpoints" / "finetune.keras"
    folders.evaluation(tmp_path / "later", source)
    folders.evaluation(tmp_path / "dense", run / "checkpoints/pretrain.keras")
    folders.evaluation(tmp_path / "strange", tmp_path / "elsewhere.keras")
    found = {each.name: each for each in read(tmp_path)[0]}
    assert set(found) == {"run", "run/compare/lwm", "strange"}
    assert [each for each, _ in found["run"].evaluations] == ["pretrain"]
    ((phase, entry),) = found["run/compare/lwm"].evaluations
    assert phase == "finetune"
    assert entry["robust_accuracy"]["autoattack"] == 0.25
    assert [each for each, _ in found["strange"].evaluations] == ["evaluate"]


def test_relative_source_is_found_from_another_working_directory(
    tmp_path, monkeypatch
):
    folders.write(tmp_path / "runs" / "run")
    folders.evaluation(tmp_path / "runs" / "later", "runs/run")
    monkeypatch.chdir(tmp_path / "runs")
    (found,) = read(tmp_path / "runs")[0]
    assert found.name == "run" and len(found.evaluations) == 1


@pytest.mark.parametrize(
    "content, words",
    [
        ('{"phases": ', "cannot be read as JSON"),
        ('{"phases": {"pretrain": {"natural_accuracy": "high"}}}', "a number"),
    ],
)
def test_damaged_record_is_an_error_that_names_the_file(
    tmp_path, content, words
):
    folders.write(tmp_path / "good")
    path = files.write_text(tmp_path / "bad" / "metrics.json", content)
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
