"""Attacks start where those on the batch before ended."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.errors import InputError
from hydra_tf.training.batch import Batch
from hydra_tf.training.warm_start import WarmStart

pytestmark = pytest.mark.usefixtures("without_tracing")

RNG = np.random.default_rng(0)
X = RNG.random((10, 4, 4, 1), dtype=np.float32)
Y = np.arange(10) % 2
MADRY = ht.objectives.Madry(epsilon=0.1, num_steps=2)


def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="last"),
        ]
    )


def keep(state, moved):
    """Lets a state keep these perturbations."""
    moved = np.asarray(moved, np.float32)
    labels = np.zeros(len(moved))
    state.keep(Batch((np.full_like(moved, 0.5), labels)), 0.5 + moved)


def test_first_batch_starts_close_to_the_images():
    state = WarmStart(4, (3,), seed=1)
    moved = np.abs(state.starts(np.full((4, 3), 0.5), None) - 0.5)
    assert 0 < np.min(moved) and np.max(moved) < 0.01
    other = WarmStart(4, (3,), seed=2)
    assert np.any(other.perturbations != state.perturbations)


def test_batches_start_from_the_perturbations_of_the_last():
    state = WarmStart(3, (2,))
    keep(state, [[0.1, 0.2], [-0.1, 0.0], [0.25, -0.25]])
    x = np.array([[0.5, 0.9], [0.05, 0.5]])
    np.testing.assert_allclose(
        state.starts(x, (0.0, 1.0)), [[0.6, 1.0], [0.0, 0.5]], atol=1e-6
    )
    np.testing.assert_allclose(
        state.starts(x, None)[1], [-0.05, 0.5], atol=1e-6
    )


def test_smaller_and_larger_batches():
    state = WarmStart(3, (1,))
    keep(state, [[1], [2], [3]])
    keep(state, [[4]])
    np.testing.assert_allclose(state.perturbations, [[4], [2], [3]])
    keep(state, [[5], [6], [7], [8]])
    np.testing.assert_allclose(state.perturbations, [[5], [6], [7]])
    starts = state.starts(np.zeros((4, 1)), None)
    np.testing.assert_allclose(starts, [[5], [6], [7], [5]])


def run(folder=None, **options):
    """Returns the weights after a phase of two epochs."""
    network = ht.training.run_phase(
        model(),
        "pretrain",
        tf.data.Dataset.from_tensor_slices((X[:7], Y[:7])).batch(4),
        ht.objectives.FGSM(epsilon=0.1),
        epochs=2,
        folder=folder,
        **{"warm_start": True, **options},
    )
    return np.concatenate([np.ravel(w) for w in network.get_weights()])


def test_resumed_phase_ends_with_the_same_weights(tmp_path):
    def stop(epoch, logs):
        raise interrupts.Interrupted(15)

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(interrupts.Interrupted):
        run(tmp_path, callbacks=[stopping])
    whole = run()
    np.testing.assert_array_equal(whole, run(tmp_path))
    assert np.any(whole != run(warm_start=False))


@pytest.mark.parametrize(
    "objective",
    [
        ht.objectives.FGSM(epsilon=0.1),
        ht.objectives.TRADES(epsilon=0.1, num_steps=3),
    ],
)
def test_training_starts_there_and_evaluation_does_not(objective):
    robust = ht.RobustModel(model(), objective, warm_start=4)
    robust.compile(ht.training.SGD(0.1))
    robust.train_on_batch(X[:4], Y[:4])
    moved = np.abs(robust.warm_start_state.perturbations)
    assert 0.07 < np.max(moved) <= 0.1 + 1e-6
    robust.test_on_batch(X[:4], Y[:4])
    np.testing.assert_array_equal(
        moved, np.abs(robust.warm_start_state.perturbations)
    )


def test_perturbations_are_saved_with_the_model(tmp_path):
    robust = ht.RobustModel(model(), MADRY, warm_start=4)
    robust.compile(ht.training.SGD(0.1))
    robust.train_on_batch(X[:4], Y[:4])
    robust.save(tmp_path / "robust.keras")
    again = keras.saving.load_model(tmp_path / "robust.keras")
    np.testing.assert_array_equal(
        again.warm_start_state.perturbations,
        robust.warm_start_state.perturbations,
    )


def test_images_need_one_size():
    inputs = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    network = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    with pytest.raises(InputError, match="images of one size"):
        ht.RobustModel(network, MADRY, warm_start=4)
