"""The state of a running phaseon disk: exact, complete."""

import keras
import numpy as np
import pytest

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
        kept.begin({"density": 0.3, "augment": True})
    with pytest.raises(InputError, match="=true, not .*`overwrite` to start"):
        kept.begin({"density": 0.2, "augment": False})
