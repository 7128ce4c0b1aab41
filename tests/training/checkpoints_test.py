"""The state of a running phaseon disk: exact, complete."""

import keras
import numpy as np
import pytest

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.training import checkpoints


def variables(values):
    return [keras.Variable(value) for value in values]


def test_state_comes_back_bit_by_bit(tmp_path):
    path = tmp_path / "state.npz"
    values = [np.float32(0.1), np.arange(6.0).reshape(2, 3), np.int32(7)]
    checkpoints.save_state(path, variables(values), epoch=3)
    restored = variables([np.zeros_like(value) for value in values])
    assert checkpoints.restore_state(path, restored) == (3, {})
    for value, variable in zip(values, restored, strict=True):
        np.testing.assert_array_equal(value.astype(variable.dtype), variable)
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


def test_further_arrays_are_kept_by_name(tmp_path):
    path = tmp_path / "state.npz"
    further = {"epoch": np.asarray(2), "weight_0": np.float32([0.1, 0.2])}
    checkpoints.save_state(path, variables([1.0]), 3, further)
    restored = variables([0.0])
    epoch, again = checkpoints.restore_state(path, restored)
    assert (epoch, float(restored[0])) == (3, 1.0)
    assert again.keys() == further.keys()
    for name, array in further.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


@pytest.mark.parametrize(
    "other", [[1.0], [1.0, 2.0, 3.0], [1.0, np.ones(2)]], ids=str
)
def test_state_of_another_network_is_refused(tmp_path, other):
    path = tmp_path / "state.npz"
    checkpoints.save_state(path, variables([1.0, 2.0]), epoch=1)
    with pytest.raises(InputError, match="state.npz"):
        checkpoints.restore_state(path, variables(other))


def test_truncated_state_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    checkpoints.save_state(path, variables([np.ones(100)]), epoch=1)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        checkpoints.restore_state(path, variables([np.ones(100)]))


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    checkpoints.save_state(path, variables([1.0]), epoch=1)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_state(path, variables([2.0]), epoch=2)
    assert checkpoints.restore_state(path, variables([0.0])) == (1, {})
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


def test_other_settings_are_refused_once_a_phase_has_begun(tmp_path):
    kept = checkpoints.PhaseCheckpoints(tmp_path, "prune")
    kept.begin({"density": 0.1, "augment": True})
    # Nothing was trained with them yet.
    kept.begin({"density": 0.2, "augment": True})
    kept.network.write_text("")
    kept.begin({"density": 0.2, "augment": True})
    with pytest.raises(InputError, match="`density`=0.2, not `density`=0.3"):
        kept.check_settings({"density": 0.3, "augment": True})
    with pytest.raises(InputError, match="=true, not .*`overwrite` to start"):
        kept.check_settings({"density": 0.2, "augment": False})


def written(tmp_path):
    path = tmp_path / "state.npz"
    checkpoints.save_state(path, variables([np.float32([0.5, 2])]), epoch=3)
    return path


def test_no_changed_byte_is_taken_for_weights(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flipped in (1, 64):
            changed = bytearray(whole)
            changed[place] ^= flipped
            path.write_bytes(changed)
            restored = variables([np.zeros(2, np.float32)])
            try:
                epoch, _ = checkpoints.restore_state(path, restored)
            except InputError as error:
                message = str(error)
                assert "\n" not in message and "state.npz" in message
            else:
                # Such as a date in its directory.
                assert epoch == 3
                np.testing.assert_array_equal(restored[0], [0.5, 2])


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"epoch": [1, 2]}, "only integer scalar"),
        ({"epoch": 1.5}, "integer"),
        ({"epoch": "three"}, "integer"),
        ({"epoch": -1}, "not the state of a phase"),
        ({"00000": np.float32([np.nan, 1])}, "no finite numbers"),
        ({"00000": np.array(["a", "b"])}, "another network"),
        ({"00000": np.array([{}, {}])}, "allow_pickle"),
        ({"other": 1}, "not the state of a phase"),
    ],
    ids=str,
)
def test_state_of_other_things_is_refused(tmp_path, arrays, words):
    path = tmp_path / "state.npz"
    values = {"epoch": 1, "00000": np.float32([1, 2])} | arrays
    np.savez(path, **values)
    restored = variables([np.zeros(2, np.float32)])
    with pytest.raises(InputError, match=words) as caught:
        checkpoints.restore_state(path, restored)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(restored[0], [0, 0])


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_state_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"state.npz cannot be read .*delete"):
        checkpoints.restore_state(path, variables([1.0]))


@pytest.mark.parametrize(
    "history",
    ["{}", '"a"', "1", "null", "[1]", "[{}]", '[{"epoch": 1, "seconds": "a"}]']
    + ['[{"epoch": 1, "seconds": 1, "loss": [1]}]', "[", "[NaN]", "[" * 9999],
)
def test_history_of_another_shape_is_refused(tmp_path, history):
    kept = checkpoints.PhaseCheckpoints(tmp_path, "prune")
    kept.begin({"seed": 1})
    (tmp_path / "checkpoints" / "prune.history.json").write_text(history)
    with pytest.raises(InputError, match=r"history.json cannot be .*delete it"):
        kept.read_history()


@pytest.mark.parametrize("settings", ["[]", "1", '"a"', "null", "", "{}"])
def test_settings_of_another_shape_are_refused_and_nothing_is_lost(
    tmp_path, settings
):
    kept = checkpoints.PhaseCheckpoints(tmp_path, "prune")
    kept.begin({"seed": 1})
    checkpoints.save_state(kept.state, variables([1.0]), epoch=1)
    (tmp_path / "checkpoints" / "prune.settings.json").write_text(settings)
    with pytest.raises(InputError, match="settings.json .*`overwrite`"):
        kept.check_settings({"seed": 1})
    assert kept.state.is_file()


def test_half_written_files_of_the_phase_are_cleared(tmp_path):
    kept = checkpoints.PhaseCheckpoints(tmp_path, "prune")
    kept.begin({"seed": 1})
    folder = tmp_path / "checkpoints"
    for name in ("prune.state.{}.partial.npz", "prune.{}.partial.keras"):
        (folder / f".{name.format('0' * 32)}").write_text("")
    with files.replacing_file(kept.state) as alive:
        alive.write_text("")
        kept.begin({"seed": 1})
        assert {path.name for path in folder.iterdir()} == {
            "prune.settings.json",
            alive.name,
        }


def test_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    for folder, words in (
        (tmp_path, "checkpoints is not a folder"),
        (tmp_path / ("x" * 300), "File name too long; give a shorter path"),
        ("/" + "x/" * 2100, "File name too long"),
        ("a\0b", "embedded null byte"),
    ):
        kept = checkpoints.PhaseCheckpoints(folder, "prune")
        with pytest.raises(FileError, match=words) as caught:
            kept.check()
        assert str(caught.value).startswith("`folder`=")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_network_that_is_whole_is_not_called_damaged(tmp_path, monkeypatch):
    kept = checkpoints.PhaseCheckpoints(tmp_path, "prune")
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    kept.finish(network)

    def fail(*args, **kwargs):
        raise LookupError("unknown encoding: cp437")

    with monkeypatch.context() as patch:
        patch.setattr(keras.saving, "load_model", fail)
        with pytest.raises(InputError, match="although the file is whole"):
            kept.load_network()
    kept.network.write_bytes(kept.network.read_bytes()[:-50])
    with pytest.raises(InputError, match="is damaged; delete it, or pass"):
        kept.load_network()
