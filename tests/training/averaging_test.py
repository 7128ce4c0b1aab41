"""The average of weights: what it is, what measures it, what ends with it."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import interrupts

pytestmark = pytest.mark.usefixtures("without_tracing")

DECAY = 0.75
RNG = np.random.default_rng(0)
X = RNG.random((16, 4, 4, 1), np.float32)
Y = np.arange(16) % 2


def network():
    """Returns a masked network with the same weights every time."""
    keras.utils.set_random_seed(0)
    plain = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="last"),
        ],
        name="network",
    )
    return ht.start_pruning(plain, density=0.5)


def compiled(phase="finetune", **options):
    masked = network()
    ht.set_phase(masked, phase)
    robust = ht.RobustModel(
        masked,
        ht.objectives.FGSM(epsilon=0.1),
        weight_averaging=DECAY,
        **options,
    )
    robust.compile(ht.training.SGD(0.5, momentum=0.9))
    return robust


def values_of(model):
    """Returns the float weights but those of masks, by layer and name."""
    names = ("kernel", "bias", "gamma", "beta", "mean", "variance")
    return {
        "/".join(weight.path.split("/")[-2:]): np.array(weight)
        for weight in model.weights
        if weight.path.endswith(names)
    }


def assert_close(one, other):
    assert one.keys() == other.keys()
    for path, value in one.items():
        np.testing.assert_allclose(value, other[path], 1e-5, 1e-6, path)


@pytest.mark.parametrize("phase", ["finetune", "prune"])
def test_it_follows_all_weights_but_the_scores(phase):
    robust = compiled(phase)
    expected = values_of(robust.network)
    assert len(expected) == 8
    robust.start_epoch(0)
    for _ in range(3):
        robust.train_on_batch(X, Y)
        for path, value in values_of(robust.network).items():
            expected[path] = DECAY * expected[path] + (1 - DECAY) * value
    now = values_of(robust.network)
    scores = np.array(robust.network.get_layer("conv").scores)
    with robust.averaged():
        assert_close(values_of(robust.network), expected)
        after = np.array(robust.network.get_layer("conv").scores)
        np.testing.assert_array_equal(after, scores)
    assert_close(values_of(robust.network), now)
    path = "norm/moving_mean"
    assert np.abs(now[path] - expected[path]).max() > 1e-3


def test_evaluation_and_prediction_are_those_of_the_average(tmp_path):
    robust = compiled()
    before = robust.evaluate(X, Y, verbose=0)  # Not begun.
    robust.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    trained = values_of(robust.network)
    figures = robust.evaluate(X, Y, verbose=0)
    assert figures != before
    logits = robust.predict(X, verbose=0)
    assert_close(values_of(robust.network), trained)
    robust.save(tmp_path / "model.keras")
    robust.weight_average.take()
    np.testing.assert_array_equal(robust.network(X), logits)
    assert robust.evaluate(X, Y, verbose=0) == figures
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.weight_average.decay == DECAY
    assert_close(values_of(loaded.network), trained)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), logits, 1e-5, 1e-6)


def run(folder=None, **options):
    return ht.training.run_phase(
        network(),
        "finetune",
        ht.data.from_arrays(X, Y, batch_size=16, seed=1),
        ht.objectives.FGSM(epsilon=0.1),
        epochs=3,
        learning_rate=0.5,
        weight_averaging=DECAY,
        weight_perturbation=0.05,
        perturbation_warmup=1,
        folder=folder,
        **options,
    )


class Seen(keras.callbacks.Callback):
    """The averages after each epoch; perhaps stops after one."""

    def __init__(self, stop=None):
        super().__init__()
        self.averages = []
        self._stop = stop

    def on_epoch_end(self, epoch, logs=None):
        with self.model.averaged():
            self.averages.append(values_of(self.model.network))
        if epoch + 1 == self._stop:
            raise interrupts.Interrupted(15)


def test_a_phase_ends_with_the_average():
    seen = Seen()
    assert_close(values_of(run(callbacks=[seen])), seen.averages[-1])


@pytest.mark.slow
def test_the_best_epoch_is_that_of_the_average_also_after_a_stop(tmp_path):
    options = {
        "select": "best",
        "validation": (1 - X, Y),
        "validation_attack": ht.objectives.FGSM(epsilon=0.1),
    }
    seen = Seen()
    whole = run(tmp_path / "a", callbacks=[seen], **options)
    kept = ht.training.PhaseCheckpoints(tmp_path / "a", "finetune")
    best = kept.read_history()[-1]["best_epoch"]
    assert_close(values_of(whole), seen.averages[best - 1])
    with pytest.raises(interrupts.Interrupted):
        run(tmp_path / "b", callbacks=[Seen(stop=2)], **options)
    resumed = run(tmp_path / "b", **options)
    for path, value in values_of(resumed).items():
        np.testing.assert_array_equal(value, values_of(whole)[path])
