"""Objectives on bounds: what they cost, draw, report and refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.bounds import BoundPropagation
from hydra_tf.bounds import xla
from hydra_tf.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.random((12, 6, 6, 1), dtype=np.float32)
Y = RNG.integers(0, 3, 12)
RAMP = ht.schedules.LinearRamp(0, 2, first=0.0, last=0.1)
NAMES = ["crown_ibp", "ibp", "mixtrain"]


def make_network(normalize=False, dtype=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, 2, name="conv", dtype=dtype)(inputs)
    if normalize:
        x = keras.layers.BatchNormalization(name="bn", dtype=dtype)(x)
    x = keras.layers.ReLU(dtype=dtype)(x)
    x = keras.layers.Flatten(dtype=dtype)(x)
    return keras.Model(
        inputs, keras.layers.Dense(3, name="dense", dtype=dtype)(x)
    )


def make_masked(phase, normalize=False):
    network = ht.to_masked(make_network(normalize))
    ht.set_density(network, 0.5)
    ht.set_phase(network, phase)
    return network


def make_robust(objective, network=None, optimizer=None, **kwargs):
    attack = kwargs.pop("attack", None)
    robust = ht.RobustModel(network or make_network(), objective, attack=attack)
    robust.compile(optimizer or ht.training.SGD(0.1), **kwargs)
    return robust


def fit(robust, **kwargs):
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return robust.fit(X, Y, **settings).history


class Recorder:
    """A network that keeps the figures of its objective."""

    is_view = True

    def __init__(self, network):
        self.network = network
        self.figures = {}

    def __call__(self, images, training=None):
        return self.network(images, training=training)

    def record_figures(self, figures):
        self.figures.update(figures)


def terms_and_figures(objective, network, **kwargs):
    recorder = Recorder(network)
    x = tf.constant(X)
    terms = objective.loss_terms(recorder, x, tf.constant(Y), x, **kwargs)
    return terms, recorder.figures


# --- the losses -------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_the_worst_logits():
    network = make_network()
    terms, figures = terms_and_figures(ht.objectives.IBP(epsilon=0.05), network)
    margins = ht.bounds.margins(network, X, Y, 0.05, "ibp").numpy()
    logits = np.zeros((12, 3))
    for row, (label, lower) in enumerate(zip(Y, margins, strict=True)):
        logits[row, [c for c in range(3) if c != label]] = -lower
    exponentials = np.exp(logits)
    shares = exponentials[range(12), Y] / exponentials.sum(1)
    np.testing.assert_allclose(
        terms["robust_ce"], -np.log(shares).mean(), rtol=1e-5
    )
    assert figures["certified_accuracy"] == (
        np.mean(ht.bounds.certified(network, X, Y, 0.05, "ibp")),
        1.0,
    )


@pytest.mark.parametrize("name", NAMES)
def test_without_a_radius_the_loss_is_the_natural_one(name):
    settings = {"epsilon": 0.0}
    if name == "mixtrain":
        settings |= {"num_examples": 12, "probability": 1}
    network = make_network()
    objective = ht.objectives.create(name, **settings)
    if name == "mixtrain":
        objective.draw = lambda seed, num_images: (True, tf.range(12))
    terms, figures = terms_and_figures(objective, network)
    natural = ht.objectives.Natural()(network, X, Y)
    weight = settings.get("symbolic_weight", 0.1 if name == "mixtrain" else 1)
    np.testing.assert_allclose(terms["robust_ce"], weight * natural, rtol=1e-5)
    predicted = network(X).numpy().argmax(1)
    np.testing.assert_allclose(
        figures["certified_accuracy"][0], np.mean(predicted == Y)
    )


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_labels_and_fixed_seeds(name):
    objective = ht.objectives.create(name, epsilon=0.1)
    network = make_network()
    losses = [
        float(objective(network, X, labels, seed=1))
        for labels in (Y, Y[:, None])
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_are_finite_for_confident_networks(name):
    network = make_network()
    for weight in network.weights:
        weight.assign(1e3 * weight)
    objective = ht.objectives.create(name, epsilon=RAMP)
    for epoch in (0.0, 1.0, None):
        with tf.GradientTape() as tape:
            loss = objective(network, X, Y, seed=0, epoch=epoch)
        weights = [weight.value for weight in network.trainable_variables]
        for value in (loss, *tape.gradient(loss, weights)):
            assert np.all(np.isfinite(value))


@pytest.fixture
def crown_passes(monkeypatch):
    """The passes of CROWN, one entry each."""
    passes = []
    crown = BoundPropagation.crown

    def counted(self, *args, **kwargs):
        passes.append(args)
        return crown(self, *args, **kwargs)

    monkeypatch.setattr(BoundPropagation, "crown", counted)
    return passes


@pytest.mark.parametrize(
    ("settings", "epoch", "weight"),
    [
        ({"epsilon": 0.1}, 0.0, 0.0),
        ({"epsilon": 0.0}, 0.0, 0.0),
        ({"epsilon": RAMP}, 0.0, 1.0),
        ({"epsilon": RAMP}, 0.5, 0.75),
        ({"epsilon": RAMP}, 2.0, 0.0),
        ({"epsilon": RAMP}, None, 0.0),
        ({"crown_weight": 0.5}, 0.0, 0.5),
        ({"crown_weight": 1e-6}, 0.0, 1e-6),
        ({"epsilon": RAMP, "crown_weight": 0.25}, None, 0.25),
        (
            {"crown_weight": ht.schedules.LinearRamp(0, 1, 1.0, 0.0)},
            0.25,
            0.75,
        ),
        # A radius that shrinks.
        ({"epsilon": ht.schedules.LinearRamp(0, 1, 0.2, 0.1)}, 0.0, 0.0),
    ],
)
def test_crown_has_its_weight_and_costs_nothing_without(
    settings, epoch, weight, crown_passes
):
    objective = ht.objectives.CROWNIBP(**settings)
    network = make_network()
    terms, figures = terms_and_figures(objective, network, epoch=epoch)
    np.testing.assert_allclose(figures["crown_weight"], weight, rtol=1e-5)
    assert len(crown_passes) == (weight >= 1e-5)
    epsilon = float(figures["epsilon"])
    ibp, crown = (
        ht.bounds.margins(network, X, Y, epsilon, method).numpy()
        for method in ("ibp", "crown_ibp")
    )
    mixed = weight * crown + (1 - weight) * ibp
    expected = np.log1p(np.exp(-mixed).sum(1)).mean()
    np.testing.assert_allclose(terms["robust_ce"], expected, rtol=1e-5)


def test_a_constant_radius_traces_no_pass_of_crown(crown_passes):
    fit(make_robust(ht.objectives.CROWNIBP(epsilon=0.1)))
    assert not crown_passes
    fit(make_robust(ht.objectives.CROWNIBP(epsilon=RAMP)))
    assert crown_passes


# --- MixTrain's draws -------------------------------------------------------


def draws(objective, seeds, num_images=12):
    results = [
        objective.draw(tf.constant([seed, 0]), tf.constant(num_images))
        for seed in seeds
    ]
    used = np.array([bool(is_used) for is_used, _ in results])
    return used, np.stack([positions for _, positions in results])


def test_draws_follow_the_probability_and_the_seed():
    objective = ht.objectives.MixTrain(probability=0.8, num_examples=5)
    used, positions = draws(objective, range(300))
    # Four standard deviations of a mean of 300.
    assert abs(used.mean() - 0.8) < 4 * np.sqrt(0.16 / 300)
    counts = np.bincount(positions.ravel(), minlength=12)
    assert len(counts) == 12
    assert np.all(np.abs(counts - 125) < 4 * np.sqrt(125))
    # With replacement: 1 - 12 * 11 * 10 * 9 * 8 / 12**5 of them repeat one.
    repeats = np.mean([len(set(row)) < 5 for row in positions])
    assert abs(repeats - 0.618) < 4 * np.sqrt(0.618 * 0.382 / 300)
    again, same = draws(objective, range(300))
    np.testing.assert_array_equal(used, again)
    np.testing.assert_array_equal(positions, same)
    unseeded = [
        tuple(objective.draw(None, tf.constant(12))[1].numpy())
        for _ in range(9)
    ]
    assert len(set(unseeded)) > 1


@pytest.mark.parametrize("probability", [0, 1])
def test_certain_draws_need_no_branch(probability):
    objective = ht.objectives.MixTrain(probability=probability)
    is_used, _ = objective.draw(None, tf.constant(12))
    assert is_used is bool(probability)


class EveryOther(ht.objectives.MixTrain):
    """Bounds all images in steps 0, 2 and so on (run eagerly)."""

    step = -1

    def draw(self, seed, num_images):
        self.step += 1
        return tf.constant(self.step % 2 == 0), tf.range(num_images)


def test_steps_without_bounds_do_not_count_in_the_certified_accuracy():
    network = make_network()
    # So small that accuracy with a radius is accuracy.
    robust = make_robust(
        EveryOther(epsilon=1e-6),
        network,
        keras.optimizers.SGD(0.0),
        run_eagerly=True,
    )
    right = network.predict(X, verbose=0).argmax(1) == Y
    history = fit(robust)
    np.testing.assert_allclose(
        history["certified_accuracy"],
        [np.mean([*right[:4], *right[8:]])],
        rtol=1e-6,
    )
    np.testing.assert_allclose(history["natural_accuracy"], [np.mean(right)])
    terms, figures = terms_and_figures(
        ht.objectives.MixTrain(probability=0), network
    )
    assert terms["robust_ce"] == 0.0
    assert figures["certified_accuracy"] == (0.0, 0.0)
    # Evaluation bounds images of every batch.
    _, figures = terms_and_figures(
        ht.objectives.MixTrain(probability=0), network, training=False
    )
    assert figures["certified_accuracy"][1] == 1.0


# --- within a RobustModel ---------------------------------------------------


FIGURES = {
    "ibp": {"robust_ce", "natural_ce", "epsilon"},
    "crown_ibp": {"robust_ce", "natural_ce", "epsilon", "crown_weight"},
    "mixtrain": {"robust_ce", "natural_ce", "epsilon", "symbolic_weight"},
}


@pytest.mark.parametrize("phase", ["pretrain", "prune", "finetune"])
@pytest.mark.parametrize("name", NAMES)
def test_every_phase_trains_and_logs_figures(name, phase):
    network = make_masked(phase, normalize=True)
    before = {w.path: w.numpy() for w in network.trainable_variables}
    objective = ht.objectives.create(name, epsilon=RAMP)
    robust = make_robust(objective, network)
    history = fit(robust, epochs=3, validation_data=(X, Y))
    names = FIGURES[name] | {"loss", "natural_accuracy", "certified_accuracy"}
    assert set(history) == names | {f"val_{each}" for each in names}
    assert all(np.all(np.isfinite(values)) for values in history.values())
    # Three steps an epoch, the last one of which begins at 2/3.
    np.testing.assert_allclose(
        history["epsilon"], [0.1 / 3, 0.25 / 3, 0.1], rtol=1e-5
    )
    np.testing.assert_allclose(history["val_epsilon"], 0.1, rtol=1e-6)
    if name == "crown_ibp":
        np.testing.assert_allclose(
            history["crown_weight"], [2 / 3, 1 / 6, 0.0], atol=1e-6
        )
    assert before
    for weight in network.trainable_variables:
        assert np.any(weight.numpy() != before[weight.path]), weight.path


@pytest.mark.parametrize("name", NAMES)
def test_compiled_steps_train_alike(name, monkeypatch):
    # Within the branches of a step, whose gradients the steps are part of.
    weights = []
    for least in (1, 10**9):
        monkeypatch.setattr(xla, "MIN_NUMBERS", least)
        network = make_masked("prune", normalize=True)
        objective = ht.objectives.create(name, epsilon=RAMP)
        fit(make_robust(objective, network), epochs=2)
        weights.append([w.numpy() for w in network.trainable_variables])
    for compiled, plain in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)


def test_training_certifies():
    # Dark images and bright ones, of which 0.1 is no great change.
    bright = np.arange(12) % 2
    images = (0.2 + 0.6 * bright[:, None, None, None] + 0 * X).astype("float32")
    robust = make_robust(
        ht.objectives.CROWNIBP(epsilon=ht.schedules.LinearRamp(0, 20, 0, 0.1)),
        optimizer=ht.training.Adam(0.02),
        attack=ht.objectives.Madry(epsilon=0.1, num_steps=5),
    )
    history = robust.fit(images, bright, epochs=40, verbose=0).history
    # Training attacks nothing; evaluation does.
    assert "robust_accuracy" not in history
    values = robust.evaluate(images, bright, verbose=0, return_dict=True)
    assert values["certified_accuracy"] == 1.0
    assert values["robust_accuracy"] == values["natural_accuracy"] == 1.0
    certified = ht.bounds.certified(robust, images, bright, 0.1, "ibp")
    assert np.all(certified)


def test_running_statistics_move_after_the_bounds():
    network = make_network(normalize=True)
    normalization = network.get_layer("bn")
    rng = np.random.default_rng(1)
    normalization.moving_mean.assign(rng.normal(size=4))
    before = normalization.moving_mean.numpy()
    margins = ht.bounds.margins(network, X, Y, 0.1, "ibp").numpy()
    expected = np.log1p(np.exp(-margins).sum(1)).mean()
    for run_eagerly in (False, True):
        normalization.moving_mean.assign(before)
        normalization.moving_variance.assign(np.ones(4))
        robust = make_robust(
            ht.objectives.IBP(epsilon=0.1),
            network,
            keras.optimizers.SGD(0.0),
            run_eagerly=run_eagerly,
        )
        logs = robust.train_on_batch(X, Y, return_dict=True)
        np.testing.assert_allclose(logs["robust_ce"], expected, rtol=1e-5)
        mean = np.mean(network.get_layer("conv")(X), axis=(0, 1, 2))
        np.testing.assert_allclose(
            normalization.moving_mean, 0.99 * before + 0.01 * mean, rtol=1e-4
        )


def test_masks_are_selected_once_in_a_step_with_branches(monkeypatch):
    network = make_masked("prune")
    robust = make_robust(ht.objectives.CROWNIBP(epsilon=RAMP), network)
    calls = []
    for cls in {type(layer) for layer in ht.masked_layers(network).values()}:
        original = cls.exact_kernel
        monkeypatch.setattr(
            cls,
            "exact_kernel",
            property(
                lambda self, original=original: (
                    calls.append(self.name) or original.fget(self)
                )
            ),
        )
    robust.optimizer.build(robust.trainable_variables)  # Else traced twice.
    robust.train_on_batch(X, Y)
    assert sorted(calls) == ["conv", "dense"]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_goes_on_where_its_schedules_were(name, tmp_path):
    settings = {"epsilon": ht.schedules.SmoothedRamp(0, 3, 0.0, 0.1)}
    if name == "mixtrain":
        settings["symbolic_weight"] = ht.schedules.IntervalWeight(1)
    if name == "crown_ibp":
        settings["crown_weight"] = ht.schedules.LinearRamp(0, 3, 0.9, 0.1)
    objective = ht.objectives.create(name, **settings)
    whole = make_robust(objective, make_masked("finetune"))
    fit(whole, epochs=4)
    half = make_robust(objective, make_masked("finetune"))
    fit(half, epochs=2)
    half.save(tmp_path / "half.keras")
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    assert type(resumed.objective) is type(objective)
    assert resumed.objective.get_config() == objective.get_config()
    fit(resumed, epochs=4, initial_epoch=2)
    # TensorFlow sums the gradients of CROWN's passes in no fixed order: two
    # unbroken runs differ in their last bits, too.
    tolerance = 1e-6 if name == "crown_ibp" else 0
    for one, other in zip(
        resumed.network.weights, whole.network.weights, strict=True
    ):
        np.testing.assert_allclose(
            one.numpy(), other.numpy(), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy):
    network = make_network(normalize=True, dtype=policy)
    robust = make_robust(ht.objectives.CROWNIBP(epsilon=RAMP), network)
    history = fit(robust, epochs=2)
    assert all(np.all(np.isfinite(values)) for values in history.values())


# --- mistakes ---------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (-0.1, "`epsilon` must be a number >= 0. Received: epsilon=-0.1"),
        (float("nan"), "`epsilon` must be a number >= 0"),
        ("2/255", "`epsilon` must be a number or a schedule"),
        (
            ht.schedules.LinearRamp(0, 1, 0.1, -0.1),
            "`epsilon` must be a schedule of numbers >= 0",
        ),
    ],
)
def test_a_wrong_radius_is_refused_at_once(name, epsilon, message):
    with pytest.raises(InputError, match=message) as error:
        ht.objectives.create(name, epsilon=epsilon)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("crown_ibp", {"crown_weight": 2}, "must be a number from 0 to 1"),
        ("crown_ibp", {"crown_weight": -1}, "must be a number from 0 to 1"),
        (
            "crown_ibp",
            {"crown_weight": ht.schedules.LinearRamp(0, 1, 2.0, 0.0)},
            "must be a schedule of numbers from 0 to 1",
        ),
        ("mixtrain", {"symbolic_weight": -1}, "`symbolic_weight` must be"),
        ("mixtrain", {"probability": 1.5}, "`probability` must be a number"),
        ("mixtrain", {"probability": "1"}, "`probability` must be a number"),
        ("mixtrain", {"num_examples": 0}, "`num_examples` must be an integer"),
        ("mixtrain", {"num_examples": 1.5}, "`num_examples` must be"),
        ("ibp", {"beta": 1.0}, "has no setting 'beta'"),
    ],
)
def test_wrong_settings_are_refused_at_once(name, settings, message):
    with pytest.raises(InputError, match=message) as error:
        ht.objectives.create(name, **settings)
    assert "\n" not in str(error.value)


class Unknown(keras.layers.Layer):
    """A layer that nobody has bounds of."""

    def call(self, inputs):
        return inputs


def unsupported(*, is_built):
    layers = [keras.Input((6, 6, 1))] if is_built else []
    return keras.Sequential(
        [
            *layers,
            keras.layers.Flatten(),
            Unknown(name="odd"),
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_network_without_bounds_is_refused_by_name(name):
    objective = ht.objectives.create(name)
    with pytest.raises(InputError, match="'odd'"):
        ht.RobustModel(unsupported(is_built=True), objective)
    with pytest.raises(InputError, match="is not built"):
        ht.RobustModel(unsupported(is_built=False), objective)
    with pytest.raises(InputError, match="bounds need the graph of a network"):
        objective(lambda x: x, X, Y)


def test_a_label_that_is_no_class_is_named():
    with pytest.raises(InputError, match="labels from 0 to 2. Received: 3"):
        ht.objectives.IBP()(make_network(), X, Y + 1)
