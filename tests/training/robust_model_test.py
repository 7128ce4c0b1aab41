"""RobustModel does what a Keras user expects of a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.attacks import fgsm
from hydra_tf.attacks import pgd
from hydra_tf.errors import InputError
from hydra_tf.layers import scores
from tests.keras_version import MEAN_ACTIVITY

pytestmark = pytest.mark.usefixtures("without_tracing")
traced = pytest.mark.usefixtures("with_tracing")

EPSILON = 0.1
RNG = np.random.default_rng(0)
X = RNG.random((12, 6, 6, 1), dtype=np.float32)
Y = RNG.integers(0, 3, 12)


def make_network(normalize=True, regularizer=None, dtype=None):
    keras.utils.set_random_seed(0)
    common = {"dtype": dtype, "kernel_regularizer": regularizer}
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(3, 3, 2, name="conv", **common)(inputs)
    if normalize:
        x = keras.layers.BatchNormalization(name="bn", dtype=dtype)(x)
    x = keras.layers.Flatten()(keras.layers.ReLU(dtype=dtype)(x))
    return keras.Model(inputs, keras.layers.Dense(3, name="dense", **common)(x))


def make_masked(phase, density=0.3, **kwargs):
    network = ht.to_masked(make_network())
    ht.set_density(network, density)
    ht.set_phase(network, phase, **kwargs)
    return network


def trades(**kwargs):
    return ht.objectives.TRADES(epsilon=EPSILON, num_steps=1, **kwargs)


def compiled(network=None, objective=None, optimizer=None, seed=0, **kwargs):
    robust = ht.RobustModel(
        make_network() if network is None else network,
        trades() if objective is None else objective,
        seed=seed,
    )
    robust.compile(optimizer or ht.training.SGD(0.1), **kwargs)
    return robust


def fit(robust, epochs=1, **kwargs):
    settings = {"batch_size": 6, "shuffle": False, "verbose": 0, **kwargs}
    return robust.fit(X, Y, epochs=epochs, **settings)


def weights_of(robust):
    """All but the stored masks, which follow from scores and density."""
    weights = robust.network.weights
    return [np.asarray(weight) for weight in weights if weight.dtype != "bool"]


def assert_equal_weights(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def differ(one, other):
    pairs = zip(weights_of(one), weights_of(other), strict=True)
    return any(np.any(a != b) for a, b in pairs)


# --- fit, evaluate, predict -------------------------------------------------


def test_fit_evaluate_and_predict_as_in_keras():
    robust = compiled(optimizer="adam", metrics=["accuracy"])
    history = fit(
        robust, epochs=2, batch_size=4, validation_data=(X, Y)
    ).history
    names = {
        "loss",
        "natural_ce",
        "robust_kl",
        "natural_accuracy",
        "robust_accuracy",
        "accuracy",
    }
    assert set(history) == names | {f"val_{name}" for name in names}
    assert history["accuracy"] == history["natural_accuracy"]
    values = robust.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    for name in names:
        np.testing.assert_allclose(
            values[name], history[f"val_{name}"][-1], rtol=1e-6
        )
    np.testing.assert_allclose(
        values["loss"], values["natural_ce"] + values["robust_kl"], rtol=1e-6
    )
    predicted = robust.predict(X, verbose=0)
    np.testing.assert_allclose(
        predicted, robust.network(X, training=False), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        values["natural_accuracy"], np.mean(predicted.argmax(1) == Y)
    )


def test_arrays_and_pipelines_agree():
    from_arrays = compiled()
    fit(from_arrays, batch_size=4)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    from_dataset = compiled()
    from_dataset.fit(data, verbose=0)
    assert_equal_weights(from_arrays, from_dataset)


def test_labels_of_shape_batch_by_one_are_labels():
    one, other = compiled(), compiled()
    fit(one)
    other.fit(X, Y[:, None], batch_size=6, shuffle=False, verbose=0)
    assert_equal_weights(one, other)


@traced
def test_network_that_its_first_batch_builds():
    network = keras.Sequential(
        [
            keras.layers.Flatten(),
            ht.layers.MaskedDense(3, density=0.2, phase="finetune"),
        ]
    )
    robust = compiled(network, optimizer=ht.training.SGD(weight_decay=0.1))
    robust.evaluate(X, Y, verbose=0)
    layer = network.layers[-1]
    before = layer.kernel.numpy()
    fit(robust)
    pruned = layer.mask.numpy() == 0
    np.testing.assert_array_equal(layer.kernel.numpy()[pruned], before[pruned])


# --- repeatability ----------------------------------------------------------


@traced
def test_the_seed_decides_the_noise():
    one, same, other = (
        compiled(
            objective=ht.objectives.FGSM(epsilon=EPSILON, random_start=True),
            seed=seed,
        )
        for seed in (1, 1, 2)
    )
    for robust in (one, same, other):
        fit(robust)
    assert_equal_weights(one, same)
    assert differ(one, other)
    values = [one.evaluate(X, Y, verbose=0) for _ in range(2)]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("phase", "optimizer"),
    [
        ("prune", ht.training.SGD),
        ("finetune", ht.training.Adam),
        ("finetune", keras.optimizers.Adam),
    ],
)
def test_a_saved_model_goes_on_bit_for_bit(phase, optimizer, tmp_path):
    uninterrupted = compiled(make_masked(phase), optimizer=optimizer(0.01))
    # fit() ends an epoch, and nothing else: 1 + 1 epochs are 2.
    fit(uninterrupted)
    uninterrupted.save(tmp_path / "robust.keras")
    fit(uninterrupted, initial_epoch=1, epochs=2)
    resumed = keras.models.load_model(tmp_path / "robust.keras")
    assert type(resumed.objective) is ht.objectives.TRADES
    assert resumed.objective.get_config() == trades().get_config()
    fit(resumed, initial_epoch=1, epochs=2)
    assert_equal_weights(resumed, uninterrupted)


def test_weights_file_goes_on_bit_for_bit(tmp_path):
    def with_momentum():
        optimizer = ht.training.SGD(0.1, momentum=0.9, weight_decay=0.1)
        return compiled(make_masked("finetune"), optimizer=optimizer)

    uninterrupted = with_momentum()
    fit(uninterrupted, epochs=2)
    first_half = with_momentum()
    fit(first_half)
    first_half.save_weights(tmp_path / "state.weights.h5")
    resumed = with_momentum()
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.load_weights(tmp_path / "state.weights.h5")
    fit(resumed, initial_epoch=1, epochs=2)
    assert_equal_weights(resumed, uninterrupted)


# --- what a step does -------------------------------------------------------


class Recording(ht.objectives.TRADES):
    """TRADES that keeps its perturbed images (run eagerly)."""

    def perturb(self, model, x, y, seed=None):
        self.perturbed = super().perturb(model, x, y, seed=seed)
        return self.perturbed


@pytest.mark.parametrize("training", [True, False])
def test_reported_numbers_equal_a_recomputation(training):
    objective = Recording(epsilon=EPSILON, num_steps=2)
    # A rate of zero: the weights can be asked again after the step.
    robust = compiled(
        objective=objective,
        optimizer=keras.optimizers.SGD(0.0),
        run_eagerly=True,
    )
    step = robust.train_on_batch if training else robust.test_on_batch
    logs = step(X, Y, return_dict=True)
    network = robust.network
    natural = network(X, training=training).numpy()
    adversarial = network(objective.perturbed, training=training).numpy()
    p, q = (
        np.exp(z) / np.exp(z).sum(1, keepdims=True)
        for z in (natural, adversarial)
    )
    expected = {
        "natural_ce": -np.log(p[range(12), Y]).mean(),
        "robust_kl": 6 * (p * np.log(p / q)).sum(1).mean(),
        "natural_accuracy": np.mean(natural.argmax(1) == Y),
        "robust_accuracy": np.mean(adversarial.argmax(1) == Y),
    }
    expected["loss"] = expected["natural_ce"] + expected["robust_kl"]
    assert set(logs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, atol=1e-7)


@traced
def test_madry_reports_natural_accuracy_of_an_inference_pass():
    robust = compiled(
        objective=ht.objectives.Madry(epsilon=EPSILON, num_steps=2),
        optimizer=keras.optimizers.SGD(0.0),
    )
    normalization = robust.network.get_layer("bn")
    # So far off that inference knows a single class.
    normalization.moving_mean.assign([1e3, -1e3, 1e3])
    normalization.momentum = 1.0
    predicted = robust.predict(X, verbose=0).argmax(1)
    assert len(set(predicted)) == 1
    labels = np.where(np.arange(12) < 5, predicted, (predicted + 1) % 3)
    logs = robust.train_on_batch(X, labels, return_dict=True)
    np.testing.assert_allclose(logs["natural_accuracy"], 5 / 12)
    np.testing.assert_array_equal(normalization.moving_mean, [1e3, -1e3, 1e3])


def test_running_statistics_move_once_per_training_pass():
    objective = Recording(epsilon=EPSILON, num_steps=3)
    robust = compiled(
        objective=objective,
        optimizer=keras.optimizers.SGD(0.0),
        run_eagerly=True,
    )
    normalization = robust.network.get_layer("bn")
    before = normalization.moving_mean.numpy()
    robust.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(normalization.moving_mean, before)
    robust.train_on_batch(X, Y)
    convolution = robust.network.get_layer("conv")
    expected = before
    momentum = normalization.momentum
    for images in (X, objective.perturbed):  # Natural first.
        mean = np.mean(convolution(images), axis=(0, 1, 2))
        expected = momentum * expected + (1 - momentum) * mean
    np.testing.assert_allclose(normalization.moving_mean, expected, rtol=1e-5)


def test_loss_holds_weight_and_activity_regularizers():
    inputs = keras.Input((6, 6, 1))
    outputs = keras.layers.Dense(
        3, kernel_regularizer=keras.regularizers.L2(0.5), name="dense"
    )(keras.layers.Flatten()(inputs))
    outputs = keras.layers.ActivityRegularization(l1=0.25)(outputs)
    network = keras.Model(inputs, outputs)
    robust = compiled(network, objective=ht.objectives.Natural())
    kernel = network.get_layer("dense").kernel.numpy()
    share = 1 / len(X) if MEAN_ACTIVITY else 1
    activity = share * np.abs(network(X).numpy()).sum()
    for logs in (
        robust.test_on_batch(X, Y, return_dict=True),
        robust.train_on_batch(X, Y, return_dict=True),
    ):
        np.testing.assert_allclose(
            logs["loss"] - logs["natural_ce"],
            0.5 * np.sum(kernel**2) + 0.25 * activity,
            rtol=1e-4,
        )
    # The gradient holds them too.
    before = kernel
    still = compiled(
        network,
        objective=ZeroLoss(),
        optimizer=keras.optimizers.SGD(0.1),
    )
    before = network.get_layer("dense").kernel.numpy()
    signs = np.sign(network(X).numpy())
    still.train_on_batch(X, Y)
    gradient = before + 0.25 * share * X.reshape(12, -1).T @ signs
    np.testing.assert_allclose(
        network.get_layer("dense").kernel, before - 0.1 * gradient, atol=1e-6
    )


class ZeroLoss(ht.objectives.Natural):
    """Leaves the network's own losses alone to train."""

    def loss(self, model, x, y, perturbed, training=True):
        return 0.0 * super().loss(model, x, y, perturbed, training)


# --- phases -----------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", [ht.training.SGD, ht.training.Adam, ht.training.RMSprop]
)
def test_finetune_leaves_pruned_weights_bitwise_unchanged(optimizer):
    network = make_masked("finetune")
    robust = compiled(network, optimizer=optimizer(0.1, weight_decay=0.1))
    before = {
        name: layer.kernel.numpy()
        for name, layer in ht.masked_layers(network).items()
    }
    fit(robust, epochs=2)
    for name, layer in ht.masked_layers(network).items():
        kept = layer.mask.numpy() > 0
        after = layer.kernel.numpy()
        np.testing.assert_array_equal(after[~kept], before[name][~kept])
        assert np.all(after[kept] != before[name][kept])


@pytest.mark.parametrize("train_normalization", [True, False])
def test_prune_trains_scores_and_normalization_only(train_normalization):
    network = make_masked("prune", train_normalization=train_normalization)
    robust = compiled(network, optimizer=ht.training.SGD(weight_decay=0.1))
    before = {weight.path: weight.numpy() for weight in network.weights}
    fit(robust)
    moved = {
        weight.path
        for weight in network.weights
        if np.any(weight.numpy() != before[weight.path])
    }
    # The stored mask is that of the finetune phase.
    assert moved - {"conv/mask", "dense/mask"} == {
        "conv/scores",
        "dense/scores",
        "bn/moving_mean",
        "bn/moving_variance",
    } | ({"bn/gamma", "bn/beta"} if train_normalization else set())


@pytest.mark.parametrize("optimizer", [ht.training.SGD, ht.training.Adam])
@pytest.mark.parametrize("phase", ["pretrain", "prune", "finetune"])
def test_memory_is_at_most_two_and_a_half_times_the_dense(phase, optimizer):
    def bytes_of(network):
        robust = compiled(network, optimizer=optimizer(0.1))
        robust.optimizer.build(robust.trainable_variables)
        variables = network.variables + robust.optimizer.variables
        return sum(np.asarray(variable).nbytes for variable in variables)

    def wide():
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(200, activation="relu"),
                keras.layers.Dense(3),
            ]
        )

    masked = ht.to_masked(wide())
    ht.set_phase(masked, phase)
    assert bytes_of(masked) <= 2.5 * bytes_of(wide())


def test_slots_exist_for_what_trains_only():
    network = make_masked("prune")
    robust = compiled(network)
    fit(robust)
    slots = {
        tuple(variable.shape)
        for variable in robust.optimizer.variables
        if "momentum" in variable.path
    }
    assert len(robust.trainable_variables) == 4
    assert slots == {tuple(v.shape) for v in robust.trainable_variables}
    # Iteration, learning rate and four slots.
    assert len(robust.optimizer.variables) == 6


def test_each_mask_is_selected_once_per_step(monkeypatch):
    network = make_masked("prune")
    robust = compiled(
        network,
        objective=ht.objectives.TRADES(epsilon=EPSILON, num_steps=3),
        run_eagerly=True,
    )
    shapes = []
    original = scores.mask_of_count
    monkeypatch.setattr(
        scores,
        "mask_of_count",
        lambda values, count: (
            shapes.append(tuple(values.shape)) or original(values, count)
        ),
    )
    robust.train_on_batch(X, Y)
    layers = [network.get_layer("conv"), network.get_layer("dense")]
    assert shapes == [tuple(layer.kernel.shape) for layer in layers]
    shapes.clear()
    robust.test_on_batch(X, Y)
    assert shapes == [tuple(layer.kernel.shape) for layer in layers]


@traced
def test_a_phase_set_after_compile_is_an_error_in_fit():
    network = make_masked("prune")
    robust = compiled(network, ht.objectives.Natural())
    fit(robust)
    ht.set_phase(network, "finetune")
    with pytest.raises(InputError, match=r"call compile\(\) again"):
        fit(robust)
    robust.compile(ht.training.SGD(0.1))
    fit(robust)


@traced
def test_evaluate_and_predict_follow_a_phase_set_after_compile():
    network = make_masked("finetune", density=0.1)
    robust = compiled(network)
    robust.evaluate(X, Y, verbose=0)
    masked = robust.predict(X, verbose=0)
    ht.set_phase(network, "pretrain")  # No mask applies.
    dense = robust.predict(X, verbose=0)
    np.testing.assert_allclose(dense, network(X), rtol=1e-5, atol=1e-6)
    assert np.abs(dense - masked).max() > 1e-3
    fresh = compiled(network).evaluate(X, Y, verbose=0)
    assert robust.evaluate(X, Y, verbose=0) == fresh


# --- a user's own objectives and attacks ------------------------------------


class OwnLoss(ht.objectives.Madry):
    """Overrides `loss` alone; reads the network's weights."""

    def loss(self, model, x, y, perturbed, training=True):
        logits = model(perturbed, training=training)
        penalty = tf.add_n([tf.nn.l2_loss(w) for w in model.trainable_weights])
        y = tf.one_hot(y, 3)
        return (
            tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
            + 0.1 * penalty
        )


class OwnTerms(ht.objectives.Madry):
    """Overrides `losses` alone, with a name that logs use."""

    term_names = ("squares",)

    def losses(self, model, x, y, perturbed, *, training=True, **kwargs):
        logits = model(perturbed, training=training)
        terms = {
            "squares": tf.reduce_mean(tf.square(logits)),
            "loss": tf.constant(1.0),
        }
        return ht.objectives.Loss.of_terms(terms)


class OwnPerturb(ht.objectives.TRADES):
    """Overrides `perturb` alone; its perturbations are not random."""

    def perturb(self, model, x, y, seed=None):
        return fgsm(model, x, y, epsilon=EPSILON)


class OwnSeededPerturb(ht.objectives.TRADES):
    """Overrides `perturb` with noise of the step's own seed."""

    def perturb(self, model, x, y, seed=None):
        noise = tf.random.stateless_uniform(tf.shape(x), seed, -0.1, 0.1)
        return tf.clip_by_value(x + noise, 0.0, 1.0)


@pytest.mark.parametrize(
    ("objective", "terms"),
    [
        (OwnLoss, set()),
        (OwnTerms, {"squares"}),
        (OwnPerturb, {"natural_ce", "robust_kl"}),
        (OwnSeededPerturb, {"natural_ce", "robust_kl"}),
    ],
)
def test_own_objective_trains(objective, terms, request):
    if objective is OwnSeededPerturb:
        request.getfixturevalue("with_tracing")
    robust = compiled(objective=objective())
    before = weights_of(robust)
    history = fit(robust, validation_data=(X, Y)).history
    always = {"loss", "natural_accuracy", "robust_accuracy"}
    expected = terms | always
    assert set(history) == expected | {f"val_{name}" for name in expected}
    assert np.all(np.isfinite(history["loss"]))
    if objective is OwnTerms:
        np.testing.assert_allclose(
            history["loss"], np.add(history["squares"], 1.0), rtol=1e-6
        )
    after = weights_of(robust)
    assert any(np.any(a != b) for a, b in zip(after, before, strict=True))


def test_evaluate_uses_the_attack_it_is_given(tmp_path):
    seen = []

    def erase(model, images, labels):
        seen.append(model)
        return tf.zeros_like(images)

    network = make_network()
    robust = ht.RobustModel(network, trades(), attack=erase)
    robust.compile("sgd")
    values = robust.evaluate(X, Y, verbose=0, return_dict=True)
    assert seen[0] is network
    of_black = network(np.zeros_like(X[:1])).numpy().argmax()
    assert values["robust_accuracy"] == pytest.approx(np.mean(of_black == Y))

    # An objective as the attack: repeatable and saved with the model.
    strong = ht.objectives.Madry(epsilon=0.3, num_steps=3)
    robust = ht.RobustModel(network, trades(), attack=strong)
    robust.compile("sgd")
    first, second = (robust.evaluate(X, Y, verbose=0) for _ in range(2))
    assert first == second
    robust.save(tmp_path / "robust.keras")
    loaded = keras.models.load_model(tmp_path / "robust.keras")
    assert loaded.attack.get_config() == strong.get_config()


def test_training_shows_robust_accuracy_of_its_own_attack_only():
    always = {"loss", "natural_ce", "natural_accuracy"}
    assert (
        set(fit(compiled(objective=ht.objectives.Natural())).history) == always
    )
    robust = ht.RobustModel(
        make_network(),
        ht.objectives.Natural(),
        attack=ht.objectives.Madry(epsilon=0.3, num_steps=3),
    )
    robust.compile("sgd")
    history = fit(robust, epochs=2, validation_data=(X, Y)).history
    assert set(history) == {
        *always,
        *(f"val_{name}" for name in (*always, "robust_accuracy")),
    }
    assert history["val_robust_accuracy"] != history["val_natural_accuracy"]


# --- mistakes ---------------------------------------------------------------


class PerExample(ht.objectives.Natural):
    def loss(self, model, x, y, perturbed, training=True):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            y, model(x, training=training)
        )


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: compiled(loss="mse"), "`loss` comes from the objective"),
        (
            lambda: fit(
                compiled(objective=OwnLoss()), sample_weight=X[:, 0, 0, 0]
            ),
            "need an objective whose `losses` has the argument `sample_weight`",
        ),
        (lambda: compiled().fit(X, verbose=0), "needs labels"),
        (
            lambda: compiled().fit(X, np.eye(4)[Y], verbose=0),
            r"shape \(batch, 3\), as the network has 3 logits",
        ),
        (
            lambda: compiled().fit(X, Y + 1, verbose=0),
            "`y` must hold classes from 0 to 2, as the network has 3 logits. "
            "Received: 3",
        ),
        (
            lambda: compiled().evaluate(X, Y - 1, verbose=0),
            "`y` must hold classes from 0 to 2",
        ),
        (
            lambda: fit(compiled(), validation_data=(X, Y + 1)),
            "`y` must hold classes from 0 to 2",
        ),
        (
            lambda: fit(compiled(objective=PerExample())),
            "must return a scalar",
        ),
        (
            lambda: ht.RobustModel(make_network(), "trades"),
            "must be a hydra_tf.objectives.Objective",
        ),
        (lambda: ht.RobustModel(tf.identity, trades()), "`network` must be"),
        (
            lambda: ht.RobustModel(make_network(), trades(), attack="pgd"),
            "`attack` must be",
        ),
        (lambda: compiled(seed=-1), "`seed` must be a whole number"),
        (lambda: compiled(seed=0.5), "`seed` must be a whole number"),
    ],
    # Not the functions' own text, which differs between test processes.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_get_one_clear_line(mistake, message):
    with pytest.raises(InputError, match=message) as error:
        mistake()
    assert "\n" not in str(error.value)


def test_an_attack_that_cannot_be_saved_is_named(tmp_path):
    class Attack:
        def __call__(self, model, images, labels):
            return pgd(
                model, images, labels, epsilon=0.1, step_size=0.1, num_steps=1
            )

    robust = ht.RobustModel(make_network(), trades(), attack=Attack())
    with pytest.raises(InputError, match="`attack` cannot be saved"):
        robust.save(tmp_path / "robust.keras")
