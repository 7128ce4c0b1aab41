"""Training tells an objective how many epochs are done."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training.epoch_clock import EpochClock
from hydra_tf.training.epoch_clock import check_length

X = np.random.default_rng(0).random((12, 4), dtype=np.float32)
Y = np.arange(12) % 3


@keras.saving.register_keras_serializable(package="epoch_clock_test")
class Recording(ht.objectives.Natural):
    """Reports the epoch as a figure, and keeps each one (run eagerly)."""

    figure_names = ("epoch", "half_accuracy")

    def __init__(self):
        self.epochs = []
        self.seeds = []

    def losses(self, model, x, y, perturbed, *, epoch, seed, **kwargs):
        if tf.executing_eagerly():
            self.epochs.append(None if epoch is None else float(epoch))
            self.seeds.append(tuple(np.asarray(seed)))
        figures = {
            "epoch": -1.0 if epoch is None else epoch,
            # Known of every other batch only.
            "half_accuracy": (
                tf.cast(y[0] == 0, tf.float32),
                tf.cast(y[0] < 2, tf.float32),
            ),
        }
        loss = super().losses(model, x, y, perturbed, **kwargs)
        return dataclasses.replace(loss, figures=figures)


def make_robust(optimizer=None, objective=None, **kwargs):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    robust = ht.RobustModel(network, objective or Recording())
    robust.compile(optimizer or "sgd", **kwargs)
    return robust


def fit(robust, batch_size=3, **kwargs):
    settings = {"shuffle": False, "verbose": 0, **kwargs}
    return robust.fit(X, Y, batch_size=batch_size, **settings)


def test_epochs_grow_batch_by_batch_from_the_initial_epoch():
    robust = make_robust(run_eagerly=True)
    fit(robust, epochs=7, initial_epoch=5)
    expected = [5, 5.25, 5.5, 5.75, 6, 6.25, 6.5, 6.75]
    assert robust.objective.epochs == expected
    # Another fit is another beginning, whatever the optimiser's step.
    robust.objective.epochs.clear()
    fit(robust, batch_size=5)
    np.testing.assert_allclose(
        robust.objective.epochs, [0, 1 / 3, 2 / 3], rtol=1e-6
    )


def test_evaluation_is_at_the_end_of_all_schedules():
    robust = make_robust(run_eagerly=True)
    history = fit(robust, batch_size=6, validation_data=(X[:3], Y[:3])).history
    assert robust.objective.epochs == [0, 0.5, None]
    assert history["epoch"] == [0.5]
    assert history["val_epoch"] == [-1.0]


def test_the_loss_has_a_seed_of_its_own_in_every_step():
    perturb_seeds = []

    class Perturbing(Recording):
        def perturb(self, model, x, y, seed=None):
            perturb_seeds.append(tuple(np.asarray(seed)))
            return x

    robust = make_robust(objective=Perturbing(), run_eagerly=True)
    fit(robust)
    seeds = robust.objective.seeds
    assert len({*seeds, *perturb_seeds}) == 8
    again = make_robust(run_eagerly=True)
    fit(again)
    assert again.objective.seeds == seeds


@pytest.mark.parametrize("steps_per_execution", [1, 3, 4])
def test_several_steps_per_execution_count_one_by_one(steps_per_execution):
    robust = make_robust(steps_per_execution=steps_per_execution)
    epochs = []
    fit(
        robust,
        epochs=3,
        initial_epoch=1,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: epochs.append(logs["epoch"])
            )
        ],
    )
    assert epochs == [1.75, 2.75]
    assert robust.train_function is not None


def test_accumulated_gradients_do_not_slow_the_clock():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    history = fit(make_robust(optimizer)).history
    assert history["epoch"] == [0.75]


def test_a_dataset_of_unknown_length_is_counted_in_its_first_epoch():
    def batches():
        for start in range(0, 12, 3):
            yield X[start : start + 3], Y[start : start + 3]

    signature = (
        tf.TensorSpec((None, 4), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    robust = make_robust(run_eagerly=True)
    robust.fit(data, epochs=3, verbose=0)
    assert robust.objective.epochs == [
        *(0, 0, 0, 0),
        *(1, 1.25, 1.5, 1.75),
        *(2, 2.25, 2.5, 2.75),
    ]


def test_steps_per_epoch_are_what_an_epoch_has():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3).repeat()
    robust = make_robust()
    history = robust.fit(data, epochs=2, steps_per_epoch=5, verbose=0).history
    np.testing.assert_allclose(history["epoch"], [0.8, 1.8], rtol=1e-6)


def test_epochs_need_no_new_trace_and_are_no_weights(tmp_path):
    traces = []
    robust = make_robust()
    num_weights = len(robust.weights)
    losses = robust.objective.losses
    robust.objective.losses = lambda *args, **kwargs: (
        traces.append(kwargs["epoch"]) or losses(*args, **kwargs)
    )
    fit(robust, epochs=3)
    fit(robust, epochs=9, initial_epoch=7)
    assert len(traces) == 1
    del robust.objective.losses
    assert len(robust.weights) == num_weights == 2
    robust.save(tmp_path / "robust.keras")
    loaded = keras.saving.load_model(tmp_path / "robust.keras")
    assert fit(loaded, epochs=3, initial_epoch=2).history["epoch"] == [2.75]


def test_ones_own_loop_starts_epochs_itself():
    robust = make_robust(run_eagerly=True)
    robust.train_on_batch(X, Y)
    robust.start_epoch(4, steps_per_epoch=2)
    for _ in range(3):
        robust.train_on_batch(X, Y)
    robust.start_epoch(7)
    for _ in range(2):
        robust.train_on_batch(X, Y)
    # More batches than were announced end the epoch, no more.
    assert robust.objective.epochs == [0, 4, 4.5, 5, 7, 7]


def test_a_list_of_callbacks_of_ones_own_will_do():
    robust = make_robust(run_eagerly=True)
    own = keras.callbacks.CallbackList(
        [], add_history=True, model=robust, epochs=1, steps=4
    )
    fit(robust, callbacks=own)
    assert robust.objective.epochs == [0, 0.25, 0.5, 0.75]
    keras_way = make_robust(run_eagerly=True)
    fit(keras_way, callbacks=keras.callbacks.History())
    assert keras_way.objective.epochs == robust.objective.epochs


def test_figures_are_last_values_or_weighted_means():
    robust = make_robust()
    # The labels of the batches begin with 0, 2, 1 and 0.
    history = robust.fit(
        X[:7],
        np.array([0, 0, 2, 2, 1, 1, 0]),
        batch_size=2,
        shuffle=False,
        verbose=0,
    )
    # Of 2 + 2 + 1 images that count, 2 + 1 are of class 0.
    np.testing.assert_allclose(history.history["half_accuracy"], [3 / 5])
    assert history.history["epoch"] == [0.75]


def test_replicas_share_the_clock():
    devices = [d.name for d in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices[:2])
    with strategy.scope():
        robust = make_robust()
    history = fit(robust, batch_size=4, epochs=4, initial_epoch=2).history
    np.testing.assert_allclose(history["epoch"], [2 + 2 / 3, 3 + 2 / 3])
    assert set(history) == {
        "loss",
        "natural_ce",
        "natural_accuracy",
        "epoch",
        "half_accuracy",
    }


def test_a_clock_before_any_epoch_shows_zero():
    clock = EpochClock()
    clock.tick()
    assert float(clock.now()) == 0.0
    assert clock.batches == 1


def test_schedules_need_a_known_number_of_batches():
    objective = ht.objectives.IBP(epsilon=ht.schedules.LinearRamp(0, 2, 0, 0.1))
    known = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    unknown = known.filter(lambda x, y: True)
    generator = (each for each in known)
    for data in (unknown, generator):
        with pytest.raises(InputError, match="`steps_per_epoch`.*`epsilon`"):
            check_length(data, None, objective)
        check_length(data, None, ht.objectives.Natural())
        check_length(data, 4, objective)
    check_length(known, None, objective)
    check_length(X, None, objective)
    with pytest.raises(InputError, match="dataset without end"):
        make_robust().fit(known.repeat(), verbose=0)
