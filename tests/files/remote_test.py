"""Tests for hydra_tf.files.remote, on the memory that is TensorFlow's ram://."""

from __future__ import annotations

import itertools
import pathlib
import pickle
import threading

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.files import remote
from hydra_tf.resumable import ResumableTable

numbers = itertools.count()


@pytest.fixture
def folder():
    """A remote folder of the test's own, which is not there yet."""
    return files.as_path(f"ram://remote_test/{next(numbers)}")


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "text", ["gs://bucket/run/a.keras", "hdfs:///run/a.keras", "ram://a.keras"]
)
def test_paths_are_taken_apart_and_put_together_as_local_ones(text):
    path = files.as_path(text)
    assert isinstance(path, pathlib.Path)
    assert str(path) == text
    assert (path.name, path.suffix) == ("a.keras", ".keras")
    assert str(path.with_name("b")) == text.replace("a.keras", "b")
    assert path.parent / "a.keras" == path
    assert str(path / "c") == f"{text}/c"
    assert path.is_absolute() and path.resolve() == path
    assert pickle.loads(pickle.dumps(path)) == path
    assert files.is_remote(text) and files.is_remote(path)
    assert str((path / "c" / "d").relative_to(path)) == "c/d"


def test_scheme_file_is_local(tmp_path):
    assert files.as_path(f"file://{tmp_path}/x") == tmp_path / "x"
    assert not files.is_remote(f"file://{tmp_path}/x")
    assert not files.is_remote("runs/a:b")


def test_files_are_written_read_and_removed(folder):
    path = files.write_json(folder / "a" / "b.json", {"x": np.float32(0.5)})
    assert files.read_json(str(path)) == {"x": 0.5}
    assert path.stat().st_size == len(path.read_bytes()) > 5
    assert files.directory_size(folder) == path.stat().st_size
    assert files.is_file(path) and files.is_dir(folder / "a")
    assert not files.exists(folder / "c")
    assert files.read_json(folder / "c.json") is None
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.read_text()
    files.remove(folder)
    assert not folder.exists()


def test_file_is_replaced_when_the_block_ends_well_and_only_then(folder):
    path = folder / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(KeyError), files.replacing_file(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert content(folder) == {"a.txt": "old"}
    with files.replacing_file(path) as partial:
        assert partial.suffix == ".txt"
        partial.write_text("new")
        assert path.read_text() == "old"
    assert content(folder) == {"a.txt": "new"}


def test_folder_is_replaced_as_a_whole_when_the_block_ends_well(folder):
    path = folder / "model"
    for names in (("a", "b"), ("b", "c")):
        with files.replacing_directory(path) as partial:
            for name in names:
                (partial / name).mkdir()
                (partial / name / "x").write_text(name * len(names))
    assert content(folder) == {"model/b/x": "bb", "model/c/x": "cc"}
    with pytest.raises(KeyError), files.replacing_directory(path) as partial:
        (partial / "d").write_text("d")
        raise KeyError
    assert content(folder) == {"model/b/x": "bb", "model/c/x": "cc"}


def test_folder_killed_while_it_is_uploaded_stays_the_old_one(
    folder, monkeypatch
):
    path = folder / "model"
    with files.replacing_directory(path) as partial:
        (partial / "a").write_text("old")
    # As after a kill: nothing is cleared away.
    left = folder / f".model.{'0' * 32}.partial"
    files.write_text(left / "a", "new")
    assert files.recover_directory(path)
    assert content(path) == {"a": "old"}
    with files.replacing_directory(path) as partial:
        (partial / "a").write_text("newer")
    assert content(folder) == {"model/a": "newer"}


def test_folder_killed_within_its_commit_is_finished(folder):
    path = folder / "model"
    with files.replacing_directory(path) as partial:
        (partial / "a").write_text("old")
        (partial / "b").write_text("old")
    left = folder / f".model.{'0' * 32}.partial"
    files.write_text(left / "a", "new")
    files.write_text(folder / ".model.commit", left.name)
    # As a run does when it begins.
    files.clear_partial(folder.parent, below=True)
    assert files.recover_directory(path)
    assert content(folder) == {"model/a": "new"}


def test_folders_are_renamed_with_what_is_in_them(folder):
    files.write_text(folder / "a" / "b" / "c", "text")
    (folder / "a").rename(folder / "d")
    assert content(folder) == {"d/b/c": "text"}


def test_local_copy_has_the_content_and_goes(folder, tmp_path):
    files.write_text(folder / "a" / "b.txt", "text")
    with files.local_copy(folder) as copy:
        assert (copy / "a" / "b.txt").read_text() == "text"
    assert not copy.exists()
    with files.local_copy(tmp_path) as same:
        assert same == tmp_path


def test_table_grows_and_drops_a_line_that_was_cut_off(folder):
    path = folder / "table.tsv"

    def table():
        return ResumableTable(path, {"a": int}, {"seed": 1})

    first = table()
    assert first.read() == []
    first.append({"a": 1})
    first.append({"a": 2})
    path.append(b"3\tcu")
    second = table()
    assert second.read() == [{"a": 1}, {"a": 2}]
    second.append({"a": 3})
    assert table().read() == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_unknown_file_system_is_one_line():
    with pytest.raises(FileError, match="no file system nosuch://"):
        files.is_dir("nosuch://bucket/x")
    with pytest.raises(InputError, match="`folder`=nosuch://bucket/x"):
        files.check_writable("nosuch://bucket/x", "folder")
    with pytest.raises(FileError, match="nosuch"):
        files.write_text("nosuch://bucket/x", "")


def test_file_in_the_place_of_a_folder_is_named(folder):
    files.write_text(folder, "")
    with pytest.raises(FileError, match=f"{folder} is not a folder"):
        files.check_writable(folder / "a" / "b", "folder")
    with (
        pytest.raises(FileError, match="is not a folder"),
        files.replacing_directory(folder),
    ):
        pass


def test_host_that_does_not_answer_is_waited_for_in_vain(monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(remote, "_SECONDS", 0.05)
    monkeypatch.setattr(tf.io.gfile, "stat", lambda path: answer.wait(10))
    with pytest.raises(FileError, match="gs://asleep/x .* no answer within"):
        files.exists("gs://asleep/x")
    answer.set()


def test_refusal_of_a_bucket_is_one_line(monkeypatch):
    def refuse(path):
        raise tf.errors.PermissionDeniedError(None, None, "403\nand more")

    monkeypatch.setattr(tf.io.gfile, "stat", refuse)
    with pytest.raises(FileError) as caught:
        files.exists("gs://forbidden/x")
    assert "\n" not in str(caught.value)
    assert "gs://forbidden/x cannot be reached: 403; check" in str(caught.value)


def test_commit_of_what_is_gone_leaves_the_old_folder(folder):
    path = folder / "model"
    files.write_text(path / "a", "old")
    files.write_text(folder / ".model.commit", ".model.gone.partial")
    with pytest.raises(FileError, match="gone.partial is missing"):
        files.recover_directory(path)
    assert content(path) == {"a": "old"}
