"""Tests for hydra_tf.files."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from tests import disks


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_given_and_leaves_nothing_else(tmp_path):
    path = files.write_text(tmp_path / "a" / "b.txt", "ε = 8/255\r\n")
    assert path.read_bytes() == "ε = 8/255\r\n".encode()
    assert names(path.parent) == ["b.txt"]


def test_text_replaces_an_earlier_file(tmp_path):
    files.write_text(tmp_path / "b.txt", "old")
    files.write_text(tmp_path / "b.txt", "new")
    assert (tmp_path / "b.txt").read_text() == "new"


def test_text_that_cannot_be_encoded_keeps_the_old_file(tmp_path):
    files.write_text(tmp_path / "b.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "b.txt", "\ud800")
    assert (tmp_path / "b.txt").read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_text_has_the_permissions_of_an_ordinary_file(tmp_path):
    files.write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (
        tmp_path / "plain"
    ).stat().st_mode


def test_json_keeps_the_order_and_converts_numpy(tmp_path):
    value = {
        "z": np.float32(0.5),
        "a": np.arange(3),
        "path": pathlib.Path("run/x"),
        "nested": [{"flag": np.bool_(True)}, None, (1, 2.5)],
    }
    path = files.write_json(tmp_path / "m.json", value)
    text = path.read_text()
    assert json.loads(text) == {
        "z": 0.5,
        "a": [0, 1, 2],
        "path": os.path.join("run", "x"),
        "nested": [{"flag": True}, None, [1, 2.5]],
    }
    assert list(json.loads(text)) == ["z", "a", "path", "nested"]
    assert text.startswith('{\n  "z": 0.5,\n') and text.endswith("}\n")


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), np.float32("-inf")]
)
def test_json_names_the_place_of_a_number_that_is_not_finite(tmp_path, number):
    value = {"phases": {"prune": {"losses": [0.1, number]}}}
    with pytest.raises(ValueError, match=r"`phases\.prune\.losses\[1\]`"):
        files.write_json(tmp_path / "m.json", value)
    assert names(tmp_path) == []


def test_json_names_the_place_of_a_value_it_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="object: found at `a`"):
        files.write_json(tmp_path / "m.json", {"a": object()})


def test_directory_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "model"
    with files.replacing_directory(target) as folder:
        (folder / "x").write_text("1")
        assert not target.exists()
    assert names(target.parent) == ["model"]
    assert (target / "x").read_text() == "1"


def test_directory_is_replaced_as_a_whole(tmp_path):
    for name in ("old", "new"):
        with files.replacing_directory(tmp_path / "model") as folder:
            (folder / name).write_text(name)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


def test_directory_stays_when_the_block_raises(tmp_path):
    with files.replacing_directory(tmp_path / "model") as folder:
        (folder / "x").write_text("old")
    with (
        pytest.raises(KeyboardInterrupt),
        files.replacing_directory(tmp_path / "model") as folder,
    ):
        (folder / "x").write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["model"]
    assert (tmp_path / "model" / "x").read_text() == "old"


def test_directory_survives_a_kill_and_the_leftover_is_cleared(tmp_path):
    with files.replacing_directory(tmp_path / "model") as folder:
        (folder / "x").write_text("old")
    # The module alone: the package would import TensorFlow first.
    program = (
        "import os, runpy, signal, sys\n"
        "files = runpy.run_path(sys.argv[1])\n"
        "with files['replacing_directory'](sys.argv[2]) as folder:\n"
        "    (folder / 'x').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, files.__file__, tmp_path / "model"],
        check=False,
    )
    assert result.returncode == -signal.SIGKILL
    assert (tmp_path / "model" / "x").read_text() == "old"
    with files.replacing_directory(tmp_path / "model") as folder:
        assert names(folder) == []
        (folder / "x").write_text("new")
    assert names(tmp_path) == ["model"]
    assert (tmp_path / "model" / "x").read_text() == "new"


def test_directory_is_put_back_after_a_kill_between_the_renames(tmp_path):
    (tmp_path / ".model.previous").mkdir()
    (tmp_path / ".model.previous" / "x").write_text("old")
    assert files.recover_directory(tmp_path / "model")
    assert (tmp_path / "model" / "x").read_text() == "old"
    assert names(tmp_path) == ["model"]
    assert not files.recover_directory(tmp_path / "other")


def test_directory_refuses_to_replace_a_file(tmp_path):
    (tmp_path / "model").write_text("x")
    with (
        pytest.raises(FileError, match="model is not a folder"),
        files.replacing_directory(tmp_path / "model"),
    ):
        pass
    assert (tmp_path / "model").read_text() == "x"


def test_directory_size_counts_all_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"45")
    assert files.directory_size(tmp_path) == 5


@pytest.mark.parametrize("write", ["text", "json", "npz", "keras", "folder"])
def test_full_disk_is_one_line_and_the_last_version_stays(tmp_path, write):
    path = (
        tmp_path
        / {
            "text": "a.txt",
            "json": "a.json",
            "npz": "a.npz",
            "keras": "a.keras",
            "folder": "a",
        }[write]
    )

    def save(size):
        if write == "text":
            files.write_text(path, "x" * size)
        elif write == "json":
            files.write_json(path, ["x" * size])
        elif write == "npz":
            with files.replacing_file(path) as partial:
                np.savez(partial, first=np.zeros(size), second=np.zeros(size))
        elif write == "keras":
            network = keras.Sequential(
                [keras.Input((1,)), keras.layers.Dense(size)]
            )
            with files.replacing_file(path) as partial:
                network.save(partial)
        else:
            module = tf.Module()
            module.values = tf.Variable(tf.zeros(size))
            with files.replacing_directory(path) as folder:
                tf.saved_model.save(module, str(folder))

    def content():
        found = path.rglob("*") if path.is_dir() else [path]
        return [each.read_bytes() for each in found if each.is_file()]

    save(1)
    before = content()
    with (
        disks.file_size_limit(100_000),
        pytest.raises(
            FileError, match=r"a\S* cannot be written: File"
        ) as error,
    ):
        save(200_000)
    assert error.value.errno == errno.EFBIG
    assert str(error.value).endswith(
        "; raise the limit (ulimit -f) and run it again"
    )
    assert content() == before
    assert names(tmp_path) == [path.name]


def test_disk_full_at_the_last_moment_keeps_the_last_version(tmp_path):
    path = files.write_text(tmp_path / "a", "old")
    with (
        disks.full_at(0),
        pytest.raises(FileError, match="a cannot be written: No space left"),
    ):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_place_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "file" / "a", "file is not a folder"),
        (tmp_path / ("x" * 300), "File name too long; give a shorter path"),
        (pathlib.Path("/proc/nothing/a"), "No such file"),
    ):
        with pytest.raises(FileError, match=f"cannot be written: .*{words}"):
            files.write_text(path, "")
    assert names(tmp_path) == ["file"]


def test_error_about_another_file_stays_what_it_is(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="nowhere"),
        files.replacing_file(tmp_path / "a"),
    ):
        open("/nowhere/else")
    with pytest.raises(KeyError), files.replacing_file(tmp_path / "a"):
        raise KeyError("a")
    assert names(tmp_path) == []


def test_json_that_is_none_is_refused(tmp_path):
    path = tmp_path / "a.json"
    assert files.read_json(path) is None
    path.mkdir()
    with pytest.raises(FileError, match="a.json cannot be read: Is a dir"):
        files.read_json(path)
    path.rmdir()
    for text, words in (
        ("", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ('{"a": 1, "a": 2}', "it has 'a' twice"),
        ("[Infinity]", "Infinity is no number"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=f"a.json .*{words}.*; delete it"):
            files.read_json(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="can't decode byte 0xff"):
        files.read_json(path)


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.as_path("~/run") == tmp_path / "run"
    assert files.as_path(pathlib.Path("run~")) == pathlib.Path("run~")
    with pytest.raises(InputError, match="no such home folder"):
        files.as_path("~nobody_of_this_name/run")
    with pytest.raises(InputError, match="Received: None"):
        files.as_path(None)
