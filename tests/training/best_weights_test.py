"""A fit ends with the weights of the best epoch that counts."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training import BestWeights

X = np.random.default_rng(0).random((6, 4), dtype=np.float32)
Y = np.arange(6) % 3


class FakeModel:
    """A network whose weight is the number of the epoch."""

    def __init__(self, reached=True):
        self.network = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
        )
        self.target_reached = reached

    @property
    def weight(self):
        return float(np.squeeze(self.network.weights[0]))

    def set(self, value):
        self.network.weights[0].assign([[value]])


def run(callback, values, reached=None, first_epoch=0, model=None):
    """Plays epochs that log these robust accuracies; returns the model."""
    model = model or FakeModel()
    callback.set_model(model)
    for epoch, value in enumerate(values, first_epoch):
        model.set(float(epoch))
        model.target_reached = True if reached is None else reached[epoch]
        callback.on_epoch_end(
            epoch, {"natural_accuracy": 0.1, "robust_accuracy": value}
        )
    return model


def test_the_first_of_the_best_epochs_comes_back():
    best = BestWeights()
    model = run(best, [0.2, 0.5, 0.4, 0.5])
    assert (best.epoch, best.value) == (1, 0.5)
    assert model.weight == 3.0
    best.on_train_end()
    assert model.weight == 1.0


def test_natural_accuracy_decides_between_equals():
    best = BestWeights()
    best.set_model(FakeModel())
    for epoch, natural in enumerate([0.1, 0.3, 0.2]):
        logs = {"robust_accuracy": 0.1, "natural_accuracy": natural}
        best.on_epoch_end(epoch, logs)
    assert (best.epoch, best.value) == (1, 0.1)
    resumed = BestWeights()
    resumed.set_model(FakeModel())
    resumed.set_state(best.get_state())
    resumed.on_epoch_end(3, logs)
    assert (resumed.epoch, resumed.value) == (1, 0.1)


def test_only_epochs_that_reached_the_target_count():
    best = BestWeights()
    model = run(best, [0.9, 0.3, 0.8, 0.4], [False, True, False, True])
    best.on_train_end()
    assert (best.epoch, best.value, model.weight) == (3, 0.4, 3.0)


def test_the_last_weights_stay_if_no_epoch_counts():
    best = BestWeights()
    model = run(best, [0.9, 0.3], [False, False])
    best.on_train_end()
    assert best.epoch is None
    assert model.weight == 1.0


def test_the_caller_may_say_what_counts():
    best = BestWeights(is_eligible=lambda: best.model.weight != 1.0)
    run(best, [0.2, 0.5, 0.4])
    assert best.epoch == 2
    best = BestWeights(start_from_epoch=2)
    run(best, [0.2, 0.5, 0.3, 0.4])
    assert best.epoch == 3


def test_what_is_no_number_is_not_the_best():
    best = BestWeights()
    run(best, [float("nan"), 0.1, float("nan")])
    assert best.epoch == 1


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_goes_on_from_its_state(stop):
    values = [0.2, 0.6, 0.4, 0.5]
    first = BestWeights()
    model = run(first, values[:stop])
    state = {name: np.array(value) for name, value in first.get_state().items()}
    second = BestWeights()
    second.set_state(state)
    run(second, values[stop:], first_epoch=stop, model=model)
    second.on_train_end()
    assert (second.epoch, second.value, model.weight) == (1, 0.6, 1.0)


def test_the_state_before_any_epoch_counts_is_empty():
    best = BestWeights()
    run(best, [0.9], [False])
    assert best.get_state() == {}
    best.set_state(best.get_state())
    assert best.epoch is None
    run(best, [0.1])
    assert best.epoch == 0


def test_another_state_is_a_clear_error():
    with pytest.raises(InputError, match="`state` must be what BestWeights"):
        BestWeights().set_state({"epoch": 1, "loss": 2.0})


@pytest.mark.parametrize(
    ("logged", "chosen"),
    [
        (("natural_accuracy", "robust_accuracy"), "robust_accuracy"),
        (("natural_accuracy",), "natural_accuracy"),
        (("natural_accuracy", "certified_accuracy"), "certified_accuracy"),
        (
            ("certified_accuracy", "val_natural_accuracy"),
            "val_natural_accuracy",
        ),
    ],
)
def test_the_monitor_is_what_says_most(logged, chosen):
    best = BestWeights()
    best.set_model(FakeModel())
    best.on_epoch_end(0, {**dict.fromkeys(logged, 0.1), chosen: 0.7})
    assert best.value == 0.7


def test_an_unknown_monitor_is_a_clear_error():
    for monitor in ("val_robust_accuracy", None):
        best = BestWeights(monitor)
        best.set_model(FakeModel())
        with pytest.raises(InputError, match="be a log of training: loss, a"):
            best.on_epoch_end(0, {"loss": 1.0, "a": 2.0})


def learning(density):
    keras.utils.set_random_seed(0)
    network = ht.to_masked(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )
    ht.learn_densities(network, density, initial_density=0.5)
    ht.set_phase(network, "prune")
    robust = ht.RobustModel(
        network,
        ht.objectives.Natural(),
        compression=ht.training.Compression(density, gamma_step=1.0),
    )
    robust.compile(ht.training.SGD(0.5, momentum=0.0))
    return robust


def test_fit_ends_with_the_best_epoch_at_the_target():
    robust = learning(0.2)
    best = BestWeights()
    history = robust.fit(
        X, Y, batch_size=3, epochs=8, callbacks=[best], verbose=0
    ).history
    reached = np.round(np.float32(history["compression_loss"]), 4) == 0
    assert not reached[0]
    # The figures of the first epoch at whose end the target is reached are
    # those of a larger network.
    counts = reached & np.concatenate([[False], reached[:-1]])
    assert counts.any()
    values = np.where(counts, history["natural_accuracy"], -1)
    assert best.epoch == np.argmax(values)
    # Rates and scores of that epoch, which meets the target.
    layer = robust.network.layers[-1]
    assert float(layer.live_density) == pytest.approx(
        history["density"][best.epoch]
    )
    assert robust.target_reached
    ht.settle_densities(robust.network, 0.2)
    assert ht.sparsity_report(robust.network).kept <= 3


def test_a_fit_that_never_meets_the_target_keeps_its_last_epoch():
    robust = learning(0.2)
    robust.optimizer.learning_rate = 1e-6
    best = BestWeights()
    history = robust.fit(X, Y, epochs=2, callbacks=[best], verbose=0).history
    assert best.epoch is None
    layer = robust.network.layers[-1]
    assert float(layer.live_density) == pytest.approx(history["density"][-1])
    ht.settle_densities(robust.network, 0.2)
    assert ht.sparsity_report(robust.network).kept == 3
