"""The run's folder: who may write to it, what it remembers."""

import errno
import multiprocessing
import os
import tempfile

import pytest

from hydra_tf import files
from hydra_tf.errors import FileError
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


@pytest.mark.parametrize(
    "metrics",
    ["[]", '"a"', "1", "null", '{"phases": []}', '{"phases": {"prune": 1}}']
    + ['{"phases": {"prune": {"num_examples": "40"}}}', '{"artifacts": null}']
    + ['{"phases": {"prune": {"history": [[1]]}}}', '{"sparsity": {}}']
    + ['{"run": 1}', '{"phases": {}, "phases": {}}', '{"run": {"x": NaN}}'],
)
def test_record_of_another_shape_is_named(tmp_path, metrics):
    folder = RunFolder(tmp_path)
    folder.metrics.write_text(metrics)
    with pytest.raises(InputError, match=r"metrics.json cannot .*; delete it"):
        folder.read_metrics()


@pytest.mark.parametrize(
    "name", ["checkpoints", "saved_model", "events", "compare"]
)
def test_file_in_place_of_a_folder_is_named(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name} that is no folder"):
        RunFolder(tmp_path).open()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(InputError, match="holds metrics.json that is no file"):
        RunFolder(tmp_path).open(overwrite=True)


def test_folder_that_cannot_be_written_is_left_alone(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # Root may write wherever permissions say that nobody may.
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(FileError, match="`output_dir`=.*Read-only file system"):
        RunFolder(tmp_path / "run").open()
    assert not list(tmp_path.iterdir())


def test_half_written_files_of_a_killed_run_are_cleared(tmp_path):
    mark = "0" * 32
    for name in (
        f".metrics.{mark}.partial.json",
        f"checkpoints/.prune.state.{mark}.partial.npz",
        f"compare/lwm/checkpoints/.prune.{mark}.partial.keras",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    saved_model = tmp_path / f".saved_model.{mark}.partial"
    (saved_model / "variables").mkdir(parents=True)
    (tmp_path / "compare/lwm/.notes.partial").write_text("mine")
    RunFolder(tmp_path).open()
    assert {path.name for path in tmp_path.rglob("*")} == {
        "checkpoints",
        "compare",
        "lwm",
        ".lock",
        ".notes.partial",
    }


def test_half_written_files_of_a_living_run_stay(tmp_path):
    folder = RunFolder(tmp_path)
    folder.open()
    with files.replacing_file(folder.metrics) as alive:
        alive.write_text("{}")
        with pytest.raises(InputError, match="in use by another process"):
            RunFolder(tmp_path).open()
        assert alive.exists()
        # Also those that a library writes there without the folder's lock.
        files.clear_partial(tmp_path, below=True)
        assert alive.exists()
