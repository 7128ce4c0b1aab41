"""The state of a running phase: exact, complete, finite."""

import keras
import numpy as np
import pytest

from hydra_tf.errors import DivergedError
from hydra_tf.errors import InputError
from trainers import checkpoints


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


def guard():
    """Returns a guard of one weight, and the weight."""
    weight = keras.Variable([1.0, 2.0], name="kernel")
    callback = checkpoints.FiniteGuard("prune", [weight])
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback.set_model(model)
    callback.on_epoch_begin(4)
    return callback, weight


def test_loss_that_is_not_finite_stops_with_place_and_advice():
    callback, _ = guard()
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(
        DivergedError,
        match="prune phase, epoch 5, step 3: the loss is nan.*learning_rate",
    ):
        callback.on_train_batch_end(2, {"loss": float("nan")})


def test_weight_that_is_not_finite_stops_at_the_epoch_s_end():
    callback, weight = guard()
    callback.on_epoch_end(4, {})
    weight.assign([1.0, np.inf])
    with pytest.raises(DivergedError, match="kernel is not finite"):
        callback.on_epoch_end(4, {})
