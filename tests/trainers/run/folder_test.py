"""The run's folder: who may write to it, what it remembers."""

import multiprocessing

import pytest

from hydra_tf.errors import InputError
from trainers.run.folder import RunFolder


def _open(path, queue):
    """Tries to take the folder from another process."""
    try:
        RunFolder(path).open()
        queue.put("opened")
    except InputError as error:
        queue.put(str(error))


def test_second_process_is_told_that_the_folder_is_in_use(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_open, args=(folder.path, queue))
    process.start()
    assert "in use by another process" in queue.get(timeout=20)
    process.join()


def test_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="no run of these programs"):
        RunFolder(tmp_path).open(overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        RunFolder(tmp_path / "run").open()
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder(tmp_path / "run" / "deeper").open()


def test_overwriting_removes_what_a_run_left_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    folder.phase("prune").begin({"density": 0.1})
    folder.finished("prune").write_text("")
    folder.metrics.write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    folder.open(overwrite=True)
    assert folder.last_finished() is None
    assert not folder.metrics.exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_last_finished_phase_is_the_latest_in_order(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.last_finished() is None
    folder.phase("finetune").write_history([])
    for phase in ("prune", "pretrain"):
        folder.finished(phase).write_text("")
        assert folder.last_finished() == "prune"
    assert set(folder.describe_checkpoints()) == {"pretrain", "prune"}


def test_metrics_of_other_phases_stay(tmp_path):
    folder = RunFolder(tmp_path)
    folder.merge_metrics({"phases": {"pretrain": {"a": 1}}, "run": {"x": 1}})
    metrics = folder.merge_metrics(
        {"phases": {"prune": {"a": 2}}, "run": {"y": 1}}
    )
    assert metrics == folder.read_metrics()
    assert metrics == {
        "phases": {"pretrain": {"a": 1}, "prune": {"a": 2}},
        "run": {"y": 1},
    }


def test_damaged_record_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.write_text("{")
    with pytest.raises(InputError, match="metrics.json cannot be read"):
        folder.read_metrics()
