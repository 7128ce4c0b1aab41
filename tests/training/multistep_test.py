"""Rounds that train scores leave the training around them as it was."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import InputError
from tests.pruning import networks

pytestmark = pytest.mark.usefixtures("without_tracing")
traced = pytest.mark.usefixtures("with_tracing")

RNG = np.random.default_rng(0)
X = RNG.random((16, 6, 6, 3), dtype=np.float32)
Y = RNG.integers(0, 3, 16)


class _OwnCollectives(tf.distribute.MirroredStrategy):
    """Its collective operations do not clash with another test file's."""

    _collective_key_base = 30_000


@functools.cache
def two_replicas():
    # The two logical devices of tests/conftest.py.
    return _OwnCollectives(["CPU:0", "CPU:1"])


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def make_network(granularity="weight", *, normalize=True):
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, name="conv1")(image)
    if normalize:
        x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(10, 3, name="conv2")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    masked = ht.to_masked(networks.shake(model), granularity=granularity)
    ht.set_phase(masked, "finetune")
    return masked


def trained_scores(epochs=2, **arguments):
    return ht.training.TrainedScores(
        ht.objectives.Natural(),
        batches(),
        epochs=epochs,
        optimizer=ht.training.SGD(0.5, momentum=0.9),
        **arguments,
    )


class Recorder(keras.callbacks.Callback):
    """Notes what is kept, and the kernels, at the end of each epoch."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.kept = []
        self.masks = []
        self.kernels = []

    def on_epoch_end(self, epoch, logs=None):
        layers = ht.masked_layers(self.network).values()
        self.kept.append(ht.sparsity_report(self.network).kept)
        self.masks.append([np.asarray(layer.mask) for layer in layers])
        self.kernels.append([np.asarray(layer.kernel) for layer in layers])


def pruned_in_steps(network, scores, sparsities, allocation="uniform"):
    """Finetunes an epoch for each sparsity that is not `None`."""
    with network.distribute_strategy.scope():
        robust = ht.RobustModel(network, ht.objectives.Natural())
        robust.compile(ht.training.SGD(0.05, momentum=0.9))
    recorder = Recorder(network)
    pruning = ht.MultiStepPruning(
        network,
        lambda epoch: (sparsities[epoch] is not None, sparsities[epoch] or 0),
        scores=scores,
        allocation=allocation,
        on_prune=robust.freeze_pruned_weights,
    )
    robust.fit(
        batches(),
        epochs=len(sparsities),
        shuffle=False,
        verbose=0,
        callbacks=[pruning, recorder],
    )
    return robust, recorder


@pytest.mark.parametrize(
    ("granularity", "learns"),
    [
        ("weight", None),
        ("weight", "both"),
        ("channel", "both"),
        ("filter", None),
    ],
)
def test_rounds_in_a_fit(granularity, learns, request):
    if granularity == "channel":
        request.getfixturevalue("with_tracing")
    network = make_network(granularity)
    scores = trained_scores(learns=learns, gamma_step=0.5)
    robust, recorder = pruned_in_steps(network, scores, [0.25, None, 0.5, None])
    # The density follows the schedule.
    reference = make_network(granularity)
    for epoch, density in [(1, 0.75), (3, 0.5)]:
        ht.set_density(reference, density)
        most = ht.sparsity_report(reference).kept
        if learns is None:
            assert recorder.kept[epoch] == most
        else:
            assert 0.5 * most < recorder.kept[epoch] <= most
    # Masks change in rounds, and only there.
    for before, after in [(0, 1), (2, 3)]:
        for one, other in zip(
            recorder.masks[before], recorder.masks[after], strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert recorder.kept[2] < recorder.kept[1]
    # What is pruned is frozen, what is kept trains.
    for mask, before, after in zip(
        recorder.masks[3], recorder.kernels[2], recorder.kernels[3], strict=True
    ):
        np.testing.assert_array_equal(before[mask == 0], after[mask == 0])
        assert np.any(before[mask == 1] != after[mask == 1])
    # The training around has made its own steps, and no others.
    assert int(robust.optimizer.iterations) == 8
    assert len(scores.histories) == 2
    assert len(scores.histories[0]["loss"]) == 2
    layers = ht.masked_layers(network).values()
    assert {layer.phase for layer in layers} == {"finetune"}
    assert {layer.rate for layer in layers} == {None}


def flags_of(model):
    return {each.path: each.trainable for each in model.variables}


def test_a_round_is_a_prune_phase():
    network, other = make_network(), make_network()
    for model in (network, other):
        ht.set_density(model, 0.3)
    other.get_layer("bn").trainable_variables[0].trainable = False
    network.get_layer("bn").trainable_variables[0].trainable = False
    flags = flags_of(network)
    before = [
        np.asarray(each.kernel) for each in ht.masked_layers(network).values()
    ]
    trained_scores()(network, 0.3)
    assert flags_of(network) == flags

    ht.init_scores(other)
    first = [np.asarray(each.mask) for each in ht.masked_layers(other).values()]
    ht.set_phase(other, "prune")
    robust = ht.RobustModel(other, ht.objectives.Natural())
    robust.compile(ht.training.SGD(0.5, momentum=0.9))
    robust.fit(batches(), epochs=2, shuffle=False, verbose=0)
    ht.set_phase(other, "finetune")
    for one, two in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    layers = ht.masked_layers(network).values()
    for layer, kernel, mask in zip(layers, before, first, strict=True):
        np.testing.assert_array_equal(layer.kernel, kernel)
        assert np.any(np.asarray(layer.mask) != mask)


def test_scores_may_go_on_from_round_to_round():
    network = make_network()
    ht.set_density(network, 0.5)
    scores = np.asarray(network.get_layer("conv2").scores)[::-1]
    network.get_layer("conv2").scores.assign(scores)
    ht.training.TrainedScores(
        ht.objectives.Natural(),
        (X, Y),
        batch_size=8,
        initial=None,
        optimizer=ht.training.SGD(1e-6),
    )(network, 0.5)
    found = np.asarray(network.get_layer("conv2").scores)
    np.testing.assert_allclose(found, scores, atol=1e-4)
    assert not np.array_equal(found, scores)


@pytest.mark.parametrize("data", [batches(), (X, Y)])
def test_scores_may_start_from_the_first_batch(data):
    network, expected = make_network(), make_network()
    ht.init_scores(expected, "snip", data=(X[:8], Y[:8]))
    ht.training.TrainedScores(
        ht.objectives.Natural(),
        data,
        batch_size=8 if isinstance(data, tuple) else None,
        initial="snip",
        optimizer=ht.training.SGD(1e-12),
    )(network, 0.5)
    for name, layer in ht.masked_layers(network).items():
        np.testing.assert_allclose(
            layer.scores, expected.get_layer(name).scores, atol=1e-6
        )


def test_learned_densities_start_as_allocated_and_differ_in_the_end():
    network = make_network()
    scores = trained_scores(epochs=3, learns="rates", gamma_step=0.1)
    pruned_in_steps(network, scores, [0.8], allocation="erk")
    densities = [
        float(layer.density) for layer in ht.masked_layers(network).values()
    ]
    assert len(set(densities)) == 3
    assert ht.sparsity_report(network).density <= 0.2
    start = make_network()
    assert densities != list(ht.allocation.erk(start, 0.2).values())
    assert "gamma" in scores.histories[0]
    assert {layer.learns for layer in ht.masked_layers(network).values()} == {
        "both"
    }


def test_the_network_itself_may_be_fitted():
    network = make_network()
    network.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    pruning = ht.MultiStepPruning(
        network, lambda epoch: (True, 0.5), scores=trained_scores(epochs=1)
    )
    losses = network.fit(
        X, Y, epochs=3, verbose=0, callbacks=[pruning]
    ).history["loss"]
    assert len(losses) == 3
    assert np.all(np.isfinite(losses))
    assert ht.sparsity_report(network).density == pytest.approx(0.5, abs=0.01)


def test_callbacks_are_new_in_every_round():
    made = []

    def callbacks():
        made.append(ht.training.BestWeights("natural_accuracy"))
        return [made[-1]]

    scores = trained_scores(callbacks=callbacks)
    pruned_in_steps(make_network(), scores, [0.25, 0.5])
    assert len(made) == 2
    assert all(each.epoch is not None for each in made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("granularity", "learns"),
    [("weight", "both"), pytest.param("channel", None, marks=pytest.mark.slow)],
)
@traced
def test_two_replicas_prune_like_one_device(granularity, learns):
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        with strategy.scope():
            # Each replica normalises a batch of its own.
            network = make_network(granularity, normalize=False)
        _, recorder = pruned_in_steps(
            network, trained_scores(epochs=1, learns=learns), [0.5, None]
        )
        found.append((recorder, network.get_layer("logits")))
    (one, layer), (two, other) = found
    assert one.kept == two.kept
    for first, second in zip(one.masks[-1], two.masks[-1], strict=True):
        # Rounding may swap entries of nearly equal scores.
        assert np.mean(first != second) < 0.02
    np.testing.assert_allclose(layer.scores, other.scores, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "`epochs` must be a positive integer"),
        ({"initial": "scaling"}, "`initial`: unknown score init.*'scaled'"),
        ({"learns": "rate"}, "`learns` must be one of.*'rates'"),
        ({"resource": "time"}, "`resource` must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        ht.training.TrainedScores(ht.objectives.Natural(), (X, Y), **arguments)
