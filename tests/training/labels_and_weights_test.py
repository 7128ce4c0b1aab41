"""One-hot and soft labels, weights of images and classes, in fit."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError

pytestmark = pytest.mark.usefixtures("without_tracing")

RNG = np.random.default_rng(0)
X = RNG.random((8, 5), np.float32)
Y = np.arange(8) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[Y]
SOFT = 0.7 * ONE_HOT + 0.3 * ONE_HOT[::-1]
WEIGHTS = np.linspace(0, 2, 8).astype(np.float32)

OBJECTIVES = [
    ht.objectives.Natural(),
    ht.objectives.Madry(epsilon=0.1, num_steps=1),
    ht.objectives.FGSM(epsilon=0.1),
    ht.objectives.FreeAT(epsilon=0.1, n_repeats=2),
    ht.objectives.TRADES(epsilon=0.1, num_steps=1),
    ht.objectives.MART(epsilon=0.1, num_steps=1),
    ht.objectives.RandomizedSmoothing(),
    ht.objectives.RandomizedSmoothing(form="noise"),
    ht.objectives.IBP(epsilon=0.1),
    ht.objectives.CROWNIBP(epsilon=0.1, crown_weight=0.5),
    ht.objectives.MixTrain(epsilon=0.1, probability=1.0),
]
SOFT_ONES = [each for each in OBJECTIVES if each.soft_labels]


def name_of(objective):
    return type(objective).__name__


@functools.cache
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(3),
        ]
    )


def make_robust(objective, **kwargs):
    copy = keras.models.clone_model(network())
    copy.set_weights(network().get_weights())
    robust = ht.RobustModel(copy, objective)
    robust.compile(keras.optimizers.SGD(0.1), **kwargs)
    return robust


def losses(objective, x=X, y=Y, **kwargs):
    """Returns the loss with its terms and figures as an objective has them."""
    # Of the images themselves: what the attack finds is another test's.
    loss = objective.losses(network(), x, y, x, seed=(0, 1), **kwargs)
    figures = {
        name: value[0] if isinstance(value, tuple) else value
        for name, value in loss.figures.items()
    }
    return {"loss": loss.value, **loss.terms}, figures


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_one_hot_labels_are_classes(objective):
    expected = objective(network(), X, Y, seed=0)
    one_hot = objective(network(), X, ONE_HOT, seed=0)
    np.testing.assert_allclose(one_hot, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "objective", [OBJECTIVES[4], OBJECTIVES[5]], ids=name_of
)
def test_one_hot_labels_train_as_classes(objective):
    found = []
    for y in (Y, ONE_HOT.astype(int)):
        robust = make_robust(objective)
        logs = robust.train_on_batch(X, y, return_dict=True)
        found.append([*logs.values(), *robust.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_soft_labels_weight_the_cross_entropy_of_classes():
    assert [name_of(each) for each in SOFT_ONES] == [
        "Natural",
        "Madry",
        "FGSM",
        "FreeAT",
        "TRADES",
        "RandomizedSmoothing",
        "RandomizedSmoothing",
    ]
    robust = make_robust(ht.objectives.Natural(), metrics=["accuracy"])
    logits = robust.network(X).numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    logs = robust.train_on_batch(X, SOFT, return_dict=True)
    np.testing.assert_allclose(
        logs["natural_ce"], -(SOFT * log_p).sum(1).mean(), rtol=1e-5
    )
    accuracy = np.mean(logits.argmax(1) == SOFT.argmax(1))
    np.testing.assert_allclose(logs["natural_accuracy"], accuracy)
    np.testing.assert_allclose(logs["accuracy"], accuracy)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_soft_labels_have_a_loss_or_are_refused(objective):
    if not objective.soft_labels:
        with pytest.raises(InputError, match="for soft labels"):
            objective(network(), X, SOFT)
        return
    # Linear in the labels, but for what is drawn and found with them.
    of_classes = [
        losses(objective, y=np.full(8, label))[0]["loss"] for label in range(3)
    ]
    third = np.full((8, 3), 1 / 3, np.float32)
    np.testing.assert_allclose(
        losses(objective, y=third)[0]["loss"], np.mean(of_classes), rtol=1e-5
    )


def test_soft_labels_of_a_later_batch_are_refused():
    robust = make_robust(ht.objectives.MART(epsilon=0.1, num_steps=1))
    with pytest.raises(InputError, match="for soft labels"):
        robust.fit(X, SOFT, verbose=0)
    data = tf.data.Dataset.from_tensors((X, ONE_HOT)).concatenate(
        tf.data.Dataset.from_tensors((X, SOFT))
    )
    with pytest.raises(InputError, match="for soft labels"):
        robust.fit(data, verbose=0)


def test_attack_climbs_the_cross_entropy_of_soft_labels():
    found = [
        ht.attacks.fgsm(network(), X, y, epsilon=0.1).numpy()
        for y in (Y, ONE_HOT, SOFT)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)(
            SOFT, network()(x)
        )
    moved = X + 0.1 * np.sign(tape.gradient(loss, x))
    np.testing.assert_allclose(found[2], np.clip(moved, 0, 1), atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_weights_of_images_weight_the_loss(objective):
    plain, figures = losses(objective)
    twice, same = losses(objective, sample_weight=2 * np.ones(8))
    for name, value in plain.items():
        np.testing.assert_allclose(twice[name], 2 * value, rtol=1e-5)
    for name, value in figures.items():
        np.testing.assert_allclose(same[name], value, rtol=1e-5)
    if isinstance(objective, ht.objectives.MixTrain):
        return  # It draws images by their number.
    half = np.array([2] * 4 + [0] * 4)
    weighted, _ = losses(objective, sample_weight=half)
    for name, value in losses(objective, X[:4], Y[:4])[0].items():
        np.testing.assert_allclose(weighted[name], value, rtol=1e-4)


def test_the_attack_is_not_weighted():
    found = []

    class Recording(ht.objectives.TRADES):
        def perturb(self, *args, **kwargs):
            found.append(super().perturb(*args, **kwargs))
            return found[-1]

    robust = make_robust(Recording(epsilon=0.1, num_steps=2))
    for weights in (None, WEIGHTS):
        robust.test_on_batch(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(*found)


def test_weights_are_those_of_keras():
    robust = make_robust(ht.objectives.Natural())
    plain = keras.models.clone_model(robust.network)
    plain.set_weights(robust.get_weights())
    plain.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    arguments = {
        "class_weight": {0: 0.5, 1: 3.0, 2: 1.0},
        "batch_size": 4,
        "shuffle": False,
        "verbose": 0,
    }
    for model in (robust, plain):
        model.fit(X, Y, **arguments)
        model.fit(X, Y, sample_weight=WEIGHTS, batch_size=3, shuffle=False)
    for one, other in zip(
        robust.network.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for model in (robust, plain):
        loss = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0)
        model.loss_found = loss[0] if isinstance(loss, list) else loss
    assert robust.loss_found == pytest.approx(plain.loss_found, rel=1e-4)


def test_weighted_metrics_see_the_weights():
    robust = make_robust(
        ht.objectives.Natural(),
        metrics=["accuracy"],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy("weighted")],
    )
    correct = robust.network(X).numpy().argmax(1) == Y
    logs = robust.test_on_batch(X, Y, sample_weight=WEIGHTS, return_dict=True)
    np.testing.assert_allclose(logs["accuracy"], correct.mean())
    np.testing.assert_allclose(
        logs["weighted"], correct @ WEIGHTS / WEIGHTS.sum(), rtol=1e-5
    )


def test_batches_that_are_dictionaries():
    arrays = {"image": X, "label": Y}
    data = tf.data.Dataset.from_tensor_slices(
        arrays | {"sample_weight": WEIGHTS, "id": Y}
    )
    expected = make_robust(ht.objectives.Natural())
    expected.fit(X, Y, WEIGHTS.size, sample_weight=WEIGHTS, verbose=0)
    robust = make_robust(ht.objectives.Natural())
    robust.fit(data.batch(8), verbose=0, validation_data=data.batch(8))
    for one, other in zip(
        robust.get_weights(), expected.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert robust.evaluate(data.batch(8), verbose=0) == robust.evaluate(
        arrays | {"sample_weight": WEIGHTS}, verbose=0
    )
    np.testing.assert_allclose(
        robust.predict(data.batch(8), verbose=0),
        robust.predict(X, verbose=0),
        rtol=1e-5,
    )
    trained = ht.training.run_phase(
        robust.network,
        "pretrain",
        data.batch(4),
        ht.objectives.Natural(),
        epochs=1,
    )
    assert np.all(np.isfinite(trained.get_weights()[0]))
