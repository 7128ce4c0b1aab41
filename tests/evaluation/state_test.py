"""The file from which an evaluation is resumed."""

import json

import numpy as np
import pytest

from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.evaluation.state import State
from tests.disks import file_size_limit

SETTINGS = {"epsilon": 0.1, "attacks": ("pgd",)}


@pytest.fixture
def path(tmp_path):
    """The file of an evaluation that was stopped."""
    path = tmp_path / "made" / "state.json"
    with pytest.raises(KeyboardInterrupt), State(path, SETTINGS) as state:
        part = state.part("pgd attack", withstood=np.zeros(3, bool), done=0)
        assert part["done"] == 0
        part["withstood"][1:] = True
        part["done"] = 2
        raise KeyboardInterrupt
    return path


def test_parts_are_there_again(path):
    before = json.loads(path.read_text())["seconds"]
    with State(path, SETTINGS) as state:
        part = state.part("pgd attack", withstood=np.zeros(3, bool), done=0)
        assert part["withstood"].tolist() == [False, True, True]
        assert part["done"] == 2
        assert state.part("smoothing", radii=[]) == {"radii": []}
        assert state.seconds > before
    assert not path.exists()


def test_file_is_written_now_and_then(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with State(path, SETTINGS) as state:
        part = state.part("bounds", done=0)
        for now[0], written in ((0.5, None), (1.5, 2), (2.0, 2), (2.6, 4)):
            part["done"] += 1
            state.save()
            if written is None:
                assert not path.exists()
            else:
                found = json.loads(path.read_text())["parts"]
                assert found == {"bounds": {"done": written}}


def test_without_a_path_there_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt), State(None, SETTINGS):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_other_settings_are_refused(path):
    before = path.read_text()
    with pytest.raises(InputError, match="epsilon 0.1 instead of 0.2"):
        State(path, {**SETTINGS, "epsilon": 0.2})
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"settings": {}}'])
def test_files_of_another_kind_are_refused(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no evaluation to resume"):
        State(path, SETTINGS)
    assert path.read_text() == text


def test_no_changed_byte_is_taken_for_a_result(path):
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            state = State(path, SETTINGS)
        except InputError as error:
            assert "state.json" in str(error) and "\n" not in str(error)
        else:
            # Such as white space between words of JSON.
            part = state.part("pgd attack")
            assert part["withstood"].tolist() == [False, True, True]


def test_file_that_cannot_be_written_is_refused_before_anything_is_done(
    tmp_path,
):
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "file" / "state.json", "file is not a folder"),
        (tmp_path / ("x" * 300) / "state.json", "File name too long"),
    ):
        with pytest.raises(FileError, match=f"`state`=.*{words}"):
            State(path, SETTINGS)


def test_full_disk_keeps_what_was_kept(path):
    whole = path.read_bytes()
    with (
        file_size_limit(10),
        pytest.raises(KeyboardInterrupt),
        State(path, SETTINGS) as state,
    ):
        state.part("more", done=1)
        raise KeyboardInterrupt
    assert path.read_bytes() == whole
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]
