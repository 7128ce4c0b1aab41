"""Objectives on bounds: what they cost, draw, report and refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.bounds import xla
from hydra_tf.errors import InputError
from tests.objectives.small_case import RAMP
from tests.objectives.small_case import X
from tests.objectives.small_case import Y
from tests.objectives.small_case import fit
from tests.objectives.small_case import losses
from tests.objectives.small_case import make_masked
from tests.objectives.small_case import make_network
from tests.objectives.small_case import make_robust

pytestmark = pytest.mark.usefixtures("without_tracing")
traced = pytest.mark.usefixtures("with_tracing")

NAMES = ["crown_ibp", "ibp", "mixtrain"]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_radius_the_loss_is_the_natural_one(name):
    objective = ht.objectives.create(name, epsilon=0.0)
    # MixTrain's term is weighted, and one of the images drawn.
    weight = 0.1 if name == "mixtrain" else 1.0
    drawn = {"drawn": (True, tf.range(12))} if name == "mixtrain" else {}
    network = make_network()
    loss = losses(objective, network, **drawn)
    natural = ht.objectives.Natural()(network, X, Y)
    np.testing.assert_allclose(
        loss.terms["robust_ce"], weight * natural, rtol=1e-5
    )
    predicted = network(X).numpy().argmax(1)
    np.testing.assert_allclose(
        loss.figures["certified_accuracy"][0], np.mean(predicted == Y)
    )


@pytest.mark.parametrize("clip", [(-0.5, 1.5), None])
@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_clipped_to_the_limits_of_a_pixel(name, clip):
    objective = ht.objectives.create(name, epsilon=0.2, clip=clip)
    drawn = {"drawn": (True, tf.range(12))} if name == "mixtrain" else {}
    network = make_network()
    loss = losses(objective, network, **drawn)
    method = "symbolic" if name == "mixtrain" else "ibp"
    for limits, is_equal in ((clip, True), ((0.0, 1.0), False)):
        margins = ht.bounds.margins(network, X, Y, 0.2, method, clip=limits)
        expected = np.log1p(np.exp(-margins.numpy()).sum(1)).mean()
        if name == "mixtrain":
            expected *= 0.1
        found = loss.terms["robust_ce"]
        assert np.allclose(found, expected, rtol=1e-5, atol=0) == is_equal


@pytest.mark.parametrize("name", NAMES)
def test_a_ramp_grows_from_0_to_the_radius(name):
    objective = ht.objectives.create(name, epsilon=0.1)
    assert objective.full_from_epoch == 0.0
    ramped = objective.with_ramp(1, 3, "smoothed")
    assert ramped.epsilon == ht.schedules.SmoothedRamp(1, 3, 0.0, 0.1)
    assert ramped.full_from_epoch == 3.0
    assert objective.epsilon == 0.1
    assert objective.with_ramp(0, 0).epsilon == 0.1
    # A schedule of one's own stands.
    assert ramped.with_ramp(0, 0).get_config() == ramped.get_config()
    with pytest.raises(InputError, match="`epsilon` is a schedule already"):
        ramped.with_ramp(0, 5)


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


FIGURES = {
    "ibp": {"robust_ce", "natural_ce", "epsilon"},
    "crown_ibp": {"robust_ce", "natural_ce", "epsilon", "crown_weight"},
    "mixtrain": {"robust_ce", "natural_ce", "epsilon", "symbolic_weight"},
}


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("pretrain", marks=pytest.mark.slow),
        "prune",
        pytest.param("finetune", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", NAMES)
@traced
def test_every_phase_trains_and_logs_figures(name, phase):
    network = make_masked(phase, normalize=True)
    before = {w.path: w.numpy() for w in network.trainable_variables}
    objective = ht.objectives.create(name, epsilon=RAMP)
    robust = make_robust(objective, network)
    # Evaluation is the same in every phase.
    evaluated = {"validation_data": (X, Y)} if phase == "prune" else {}
    history = fit(robust, epochs=3, **evaluated)
    names = FIGURES[name] | {"loss", "natural_accuracy", "certified_accuracy"}
    if evaluated:
        names |= {f"val_{each}" for each in names}
        np.testing.assert_allclose(history["val_epsilon"], 0.1, rtol=1e-6)
    assert set(history) == names
    assert all(np.all(np.isfinite(values)) for values in history.values())
    # Three steps an epoch, the last one of which begins at 2/3.
    np.testing.assert_allclose(
        history["epsilon"], [0.1 / 3, 0.25 / 3, 0.1], rtol=1e-5
    )
    if name == "crown_ibp":
        np.testing.assert_allclose(
            history["crown_weight"], [2 / 3, 1 / 6, 0.0], atol=1e-6
        )
    assert before
    for weight in network.trainable_variables:
        assert np.any(weight.numpy() != before[weight.path]), weight.path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ibp",
        pytest.param("crown_ibp", marks=pytest.mark.slow),
        pytest.param("mixtrain", marks=pytest.mark.slow),
    ],
)
@traced
def test_compiled_steps_train_alike(name, monkeypatch):
    # Within the branches of a step, whose gradients the steps are part of.
    weights = []
    for least in (1, 10**9):
        monkeypatch.setattr(xla, "MIN_NUMBERS", least)
        network = make_masked("prune", normalize=True)
        objective = ht.objectives.create(name, epsilon=RAMP)
        fit(make_robust(objective, network))
        weights.append([w.numpy() for w in network.trainable_variables])
    for compiled, plain in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)


@traced
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


@traced
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


@traced
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
    # fit() ends an epoch, and nothing else: 2 + 2 epochs are 4.
    fit(whole, epochs=2, batch_size=12)
    whole.save(tmp_path / "half.keras")
    fit(whole, epochs=4, initial_epoch=2, batch_size=12)
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    assert type(resumed.objective) is type(objective)
    assert resumed.objective.get_config() == objective.get_config()
    fit(resumed, epochs=4, initial_epoch=2, batch_size=12)
    # TensorFlow sums the gradients of CROWN's passes in no fixed order: two
    # unbroken runs differ in their last bits, too.
    tolerance = 1e-6 if name == "crown_ibp" else 0
    for one, other in zip(
        resumed.network.weights, whole.network.weights, strict=True
    ):
        np.testing.assert_allclose(
            one.numpy(), other.numpy(), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_bfloat16",
        pytest.param("mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_mixed_precision_trains(policy, request):
    if policy == "mixed_float16":
        request.getfixturevalue("with_tracing")
    network = make_network(normalize=True, dtype=policy)
    robust = make_robust(ht.objectives.CROWNIBP(epsilon=RAMP), network)
    history = fit(robust, epochs=2, batch_size=12)
    assert all(np.all(np.isfinite(values)) for values in history.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (-0.1, "`epsilon` must be a number >= 0. Received: epsilon=-0.1"),
        (float("nan"), "`epsilon` must be a number >= 0"),
        ("2/255", "`epsilon` must be a number or a schedule"),
        (
            ht.schedules.LinearRamp(0, 1, 0.1, -0.1),
            "`epsilon` must start and end at a number >= 0",
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
        ("crown_ibp", {"crown_weight": 2}, r"must be a number in \[0, 1\]"),
        ("crown_ibp", {"crown_weight": -1}, r"must be a number in \[0, 1\]"),
        (
            "crown_ibp",
            {"crown_weight": ht.schedules.LinearRamp(0, 1, 2.0, 0.0)},
            r"must start and end at a number in \[0, 1\]",
        ),
        ("mixtrain", {"symbolic_weight": -1}, "`symbolic_weight` must be"),
        ("mixtrain", {"probability": 1.5}, "`probability` must be a number"),
        ("mixtrain", {"probability": "1"}, "`probability` must be a number"),
        (
            "mixtrain",
            {"num_examples": 0},
            "`num_examples` must be a whole number",
        ),
        ("mixtrain", {"num_examples": 1.5}, "`num_examples` must be"),
        ("ibp", {"clip": (1.0, 0.0)}, "`clip` must be a pair"),
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
    with pytest.raises(InputError, match="classes from 0 to 2, .*Received: 3"):
        ht.objectives.IBP()(make_network(), X, Y + 1)
