"""Training pulls learned densities to their target, under every objective."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training import Compression
from hydra_tf.training.harp import CompressionState
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

pytestmark = pytest.mark.usefixtures("without_tracing")
traced = pytest.mark.usefixtures("with_tracing")

ARRAYS = golden.load("harp")
TARGET = float(ARRAYS["hw_target_k"])
EPSILON = 0.1
RNG = np.random.default_rng(0)
X = RNG.random((8, 6, 6, 1), dtype=np.float32)
Y = RNG.integers(0, 3, 8)


def small_network(granularity="weight"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, 2, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(6, 2, name="conv2", activation="relu")(x)
    outputs = keras.layers.Dense(3, name="dense")(keras.layers.Flatten()(x))
    network = keras.Model(inputs, outputs)
    return ht.to_masked(network, granularity=granularity)


def learning_network(density=0.2, *, granularity="weight", **kwargs):
    network = small_network(granularity)
    ht.learn_densities(network, density, **{"initial_density": 0.5, **kwargs})
    ht.set_phase(network, "prune")
    return network


def compiled(network, compression=None, objective=None, **kwargs):
    robust = ht.RobustModel(
        network,
        objective or ht.objectives.Natural(),
        compression=Compression(0.2) if compression is None else compression,
    )
    robust.compile(ht.training.SGD(0.1, momentum=0.9), **kwargs)
    return robust


def fit(robust, epochs=1, **kwargs):
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return robust.fit(X, Y, epochs=epochs, **settings).history


def rates_of(network):
    layers = ht.masked_layers(network).values()
    return [float(layer.rate) for layer in layers if layer.prunable]


def scores_of(network):
    layers = ht.masked_layers(network).values()
    return [np.asarray(layer.scores) for layer in layers if layer.prunable]


# --- gamma ------------------------------------------------------------------


def golden_net():
    network = ht.to_masked(tiny_net(ARRAYS))
    ht.learn_densities(network, TARGET)
    ht.set_phase(network, "prune")
    return network


def set_rates(network, rate):
    for name in LAYERS:
        network.get_layer(name).rate.assign(rate)


@pytest.mark.parametrize("interrupted_after", [None, 2, 5, 8])
def test_gamma_grows_and_freezes_like_the_originals(interrupted_after):
    """Also if the run goes on from stored variables after an epoch."""
    network = golden_net()
    settings = Compression(TARGET, gamma_step=float(ARRAYS["hw_gamma"]))
    state = CompressionState(settings)
    state.watch(network)
    for epoch, rate in enumerate(ARRAYS["gamma_k_score"]):
        if epoch == interrupted_after:
            stored = [np.asarray(variable) for variable in state.variables]
            state = CompressionState(settings)
            state.watch(network)
            for variable, value in zip(state.variables, stored, strict=True):
                variable.assign(value)
        state.start_epoch(epoch)
        assert float(state.gamma) == pytest.approx(
            ARRAYS["gamma_used"][epoch], rel=1e-6
        )
        set_rates(network, rate)
        loss = float(state.figures()["compression_loss"])
        np.testing.assert_allclose(
            loss, ARRAYS["gamma_hw_loss"][epoch], rtol=0, atol=2e-5
        )
        assert state.is_reached() == bool(ARRAYS["gamma_hit"][epoch])
        state.end_epoch()
        frozen = ARRAYS["gamma_frozen_after"][epoch]
        assert bool(np.asarray(state.frozen)) == np.isfinite(frozen)
        if np.isfinite(frozen):
            assert float(state.gamma) == pytest.approx(frozen, rel=1e-6)


def test_fit_tells_the_epochs_and_logs_how_they_end():
    network = learning_network()
    robust = compiled(network, Compression(0.2, gamma_step=0.25))
    history = fit(robust, epochs=5, initial_epoch=3)
    assert history["gamma"] == pytest.approx([1.0, 1.25])
    loss = ht.CompressionLoss(network, 0.2)
    assert history["density"][-1] == pytest.approx(float(loss.current()))
    assert history["compression_loss"][-1] == pytest.approx(float(loss()))
    assert not robust.target_reached


@traced
def test_gamma_stays_once_the_target_is_reached():
    network = learning_network()
    robust = compiled(network, Compression(0.2, gamma_step=1.0))
    history = fit(robust, epochs=14)
    reached = [loss < 5e-5 for loss in history["compression_loss"]]
    first = reached.index(True)
    assert 0 < first < 13
    frozen = [first + 1.0] * (14 - first)
    assert history["gamma"] == [*range(1, first + 1), *frozen]
    # Another fit, of another number of epochs, goes on with it.
    assert fit(robust)["gamma"] == [first + 1.0]


def test_a_target_that_is_met_from_the_start_leaves_the_objective_alone():
    losses = []
    # The rates have a gradient of the objective even so; these stay.
    for settings in (Compression(0.6, gamma_step=100.0), Compression(1.0)):
        network = learning_network(0.6, learns="scores")
        losses.append(
            fit(compiled(network, settings, run_eagerly=True))["loss"]
        )
    assert losses[0] == losses[1]


def test_the_loss_is_the_objectives_plus_gamma_times_the_excess():
    network = learning_network()
    excess = float(ht.CompressionLoss(network, 0.2)())
    alone = compiled(learning_network(), Compression(1.0), run_eagerly=True)
    with_pressure = compiled(
        network, Compression(0.2, gamma_step=0.25), run_eagerly=True
    )
    common = {"batch_size": 8, "epochs": 3, "initial_epoch": 2}
    objective = fit(alone, **common)["loss"][0]
    total = fit(with_pressure, **common)["loss"][0]
    assert excess == pytest.approx(1.5, rel=1e-4)
    assert total == pytest.approx(objective + 0.75 * excess, rel=1e-5)


@pytest.mark.slow
@traced
def test_evaluation_compresses_nothing():
    robust = compiled(learning_network())
    history = fit(robust, validation_data=(X, Y))
    figures = {"compression_loss", "density", "gamma"}
    assert figures <= set(history)
    assert not {f"val_{name}" for name in figures} & set(history)
    values = robust.evaluate(X, Y, verbose=0, return_dict=True)
    assert not figures & set(values)
    assert values["loss"] == pytest.approx(history["val_loss"][0], rel=1e-5)
    values = robust.train_on_batch(X, Y, return_dict=True)
    assert figures <= set(values)


@traced
def test_a_loop_of_ones_own_tells_the_epochs():
    robust = compiled(learning_network(), Compression(0.2, gamma_step=2.0))
    gammas = []
    for epoch in range(8):
        robust.start_epoch(epoch)
        for _ in range(2):
            values = robust.train_on_batch(X, Y, return_dict=True)
        gammas.append(float(values["gamma"]))
        robust.end_epoch()
    first = next(e for e in range(8) if e and gammas[e] == gammas[e - 1])
    assert gammas == [2.0 * min(epoch + 1, first) for epoch in range(8)]


# --- what trains ------------------------------------------------------------


def epochs_of_ramp(last):
    return ht.schedules.LinearRamp(0, 2, first=0.0, last=last)


OBJECTIVES = {
    "natural": ht.objectives.Natural,
    "madry": lambda: ht.objectives.Madry(epsilon=EPSILON, num_steps=2),
    "trades": lambda: ht.objectives.TRADES(epsilon=EPSILON, num_steps=2),
    "mart": lambda: ht.objectives.MART(epsilon=EPSILON, num_steps=2),
    "fgsm": lambda: ht.objectives.FGSM(epsilon=EPSILON),
    "free_at": lambda: ht.objectives.FreeAT(epsilon=EPSILON, n_repeats=1),
    "ibp": lambda: ht.objectives.IBP(epsilon=EPSILON),
    "crown_ibp": lambda: ht.objectives.CROWNIBP(
        epsilon=epochs_of_ramp(EPSILON)
    ),
    "mixtrain": lambda: ht.objectives.MixTrain(
        epsilon=EPSILON, probability=1.0, num_examples=2
    ),
    "smoothing": lambda: ht.objectives.RandomizedSmoothing(sigma=0.2),
}


@pytest.mark.parametrize(
    ("name", "granularity"),
    [
        *((name, "weight") for name in OBJECTIVES),
        *((name, "channel") for name in ("trades", "ibp", "mixtrain")),
        *((name, "filter") for name in ("madry", "crown_ibp")),
    ],
)
def test_every_objective_trains_rates_and_scores(name, granularity):
    """Its own gradient reaches them: nothing compresses at a target of 1."""
    network = learning_network(granularity=granularity)
    rates, scores = rates_of(network), scores_of(network)
    # Eagerly: for a step, tracing takes longer.
    robust = compiled(
        network, Compression(1.0), OBJECTIVES[name](), run_eagerly=True
    )
    values = robust.train_on_batch(X, Y, return_dict=True)
    assert np.all(np.isfinite([float(value) for value in values.values()]))
    assert float(values["compression_loss"]) == 0.0
    assert np.all(np.isfinite(rates_of(network)))
    assert all(a != b for a, b in zip(rates, rates_of(network), strict=True))
    for before, after in zip(scores, scores_of(network), strict=True):
        assert np.all(np.isfinite(after))
        assert np.any(before != after)


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("name", ["natural", "ibp", "crown_ibp", "mixtrain"])
def test_the_rates_gradient_is_that_of_the_effective_kernels(name, granularity):
    """The sum of the mask's gradient, by every path to the kernels."""
    network = learning_network(granularity=granularity)
    objective = OBJECTIVES[name]()
    layers = [
        layer for layer in ht.masked_layers(network).values() if layer.prunable
    ]
    kernels = {}

    def loss_and_tape(watch_kernels):
        with (
            tf.GradientTape(persistent=True) as tape,
            ht.layers.reuse_effective_kernels(network),
        ):
            if watch_kernels:
                for layer in layers:
                    kernels[layer.name] = layer.kernel_for_call()
                    tape.watch(kernels[layer.name])
            # In a context within, which shares the tensors that are watched.
            loss = objective(
                network, X[:4], Y[:4], training=False, seed=3, epoch=1.0
            )
        return loss, tape

    loss, tape = loss_and_tape(watch_kernels=True)
    for layer in layers:
        to_kernel = tape.gradient(loss, kernels[layer.name])
        to_rate = tape.gradient(loss, layer.rate.value)
        least = layer.min_density
        share = (float(layer.live_density) - least) / (1 - least)
        slope = (1 - least) * share * (1 - share)
        expected = float(tf.reduce_sum(to_kernel * layer.kernel)) * slope
        assert float(to_rate) == pytest.approx(expected, rel=1e-3, abs=1e-7)
        assert expected != 0.0


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("learns", ["both", "scores", "rates"])
def test_modes_train_what_they_say(learns, granularity):
    network = learning_network(granularity=granularity, learns=learns)
    rates, scores = rates_of(network), scores_of(network)
    robust = compiled(
        network, Compression(0.2, gamma_step=1.0), run_eagerly=True
    )
    fit(robust)
    moved = [a != b for a, b in zip(rates, rates_of(network), strict=True)]
    assert moved == [learns != "scores"] * len(rates)
    for before, after in zip(scores, scores_of(network), strict=True):
        assert np.any(before != after) == (learns != "rates")


@traced
def test_pressure_lowers_the_densities_of_a_whole_group():
    network = learning_network(granularity="channel")
    before = float(ht.CompressionLoss(network, 0.2).current())
    history = fit(compiled(network, Compression(0.2, gamma_step=3.0)), epochs=8)
    assert history["density"][-1] < before / 2


def test_a_network_that_learns_no_density_is_a_clear_error():
    network = small_network()
    ht.set_phase(network, "prune")
    with pytest.raises(InputError, match="call hydra_tf.learn_densities"):
        fit(compiled(network))


@pytest.mark.parametrize("gamma_step", [0, -1.0, "0.1", float("inf"), True])
def test_a_wrong_gamma_step_is_a_clear_error(gamma_step):
    with pytest.raises(InputError, match="`gamma_step` must be a positive"):
        Compression(0.1, gamma_step=gamma_step)


def test_wrong_settings_are_clear_errors():
    with pytest.raises(InputError, match=r"`density` must be in \(0, 1\]"):
        Compression(10)
    with pytest.raises(InputError, match="`resource` must be one of"):
        Compression(0.1, resource="latency")
    with pytest.raises(InputError, match="`compression` must be a hydra_tf"):
        compiled(learning_network(), 0.1)


# --- saving -----------------------------------------------------------------


@traced
def test_a_saved_model_goes_on_where_it_was(tmp_path):
    settings = Compression(0.2, gamma_step=1.0, resource="flops")
    robust = compiled(learning_network(), settings)
    fit(robust, epochs=14)
    assert bool(np.asarray(robust.compression_state.frozen))
    robust.save(tmp_path / "robust.keras")
    loaded = keras.saving.load_model(tmp_path / "robust.keras")
    assert loaded.compression.get_config() == settings.get_config()
    assert rates_of(loaded.network) == rates_of(robust.network)
    expected = fit(robust, epochs=16, initial_epoch=14)
    history = fit(loaded, epochs=16, initial_epoch=14)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6)


def test_files_without_compression_load():
    robust = ht.RobustModel(small_network(), ht.objectives.Natural())
    config = robust.get_config()
    assert config.pop("compression") is None
    assert ht.RobustModel.from_config(config).compression is None


# --- several replicas -------------------------------------------------------


class _OwnCollectives(tf.distribute.MirroredStrategy):
    _collective_key_base = 20_000


def distributed(strategy, objective):
    with strategy.scope():
        network = learning_network(0.2)
        # Its statistics of a replica's own batch are another function.
        network.get_layer("bn").trainable = False
        return compiled(network, Compression(0.2, gamma_step=2.0), objective())


# Of the last batch, of 3 images or of 1, a replica gets fewer or none.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_images"),
    [("fgsm", 7), pytest.param("ibp", 5, marks=pytest.mark.slow)],
)
@traced
def test_two_replicas_compress_like_one_device(name, num_images):
    results = []
    for strategy in (
        tf.distribute.get_strategy(),
        _OwnCollectives(["CPU:0", "CPU:1"]),
    ):
        robust = distributed(strategy, OBJECTIVES[name])
        history = robust.fit(
            X[:num_images],
            Y[:num_images],
            batch_size=4,
            epochs=3,
            shuffle=False,
            verbose=0,
        ).history
        results.append((rates_of(robust.network), history))
    (rates, history), (other_rates, other_history) = results
    np.testing.assert_allclose(rates, other_rates, rtol=0, atol=2e-6)
    assert history.keys() == other_history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(values, other_history[name], rtol=2e-5)
    assert history["density"][-1] < history["density"][0] < 0.5
