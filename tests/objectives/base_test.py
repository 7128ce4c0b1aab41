"""Tests of what all objectives share, and of bringing one's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import objectives
from hydra_tf.attacks import fgsm
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.errors import InputError
from hydra_tf.objectives import Loss
from hydra_tf.objectives.base import loss_seed

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)
# Those that search a ball of images by gradients.
ADVERSARIAL = ["fgsm", "free_at", "madry", "mart", "trades"]
# Those that bound the outputs of a network, whose layers they need to see.
VERIFIABLE = ["crown_ibp", "ibp", "mixtrain"]
OF_ANY_CALLABLE = [n for n in objectives.names() if n not in VERIFIABLE]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture
def passes(model, monkeypatch):
    """The forward passes of the model: images and mode."""
    calls = []
    call = model.call

    def counted(x, training=None, mask=None):
        calls.append((x, training))
        return call(x, training=training)

    monkeypatch.setattr(model, "call", counted)
    return calls


@pytest.mark.parametrize("name", objectives.names())
def test_config_round_trip(name):
    objective = objectives.create(name)
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(objective)
    )
    assert type(clone) is type(objective)
    assert clone.get_config() == objective.get_config()
    assert repr(clone) == repr(objective)


def test_repr_shows_the_settings():
    objective = objectives.TRADES(beta=3.0, epsilon=0.5, step_size=0.25)
    assert repr(objective) == (
        "TRADES(beta=3.0, epsilon=0.5, step_size=0.25, num_steps=10, "
        "threat_model='linf', clip=(0.0, 1.0))"
    )


@pytest.mark.parametrize("name", objectives.names())
def test_calling_perturbs_then_sums_the_terms(name, model):
    objective = objectives.create(name, **small_ball(name))
    perturbed = objective.perturb(model, X, Y, seed=1)
    loss = objective.losses(model, X, Y, perturbed, seed=loss_seed(1))
    np.testing.assert_allclose(loss.value, sum(loss.terms.values()), rtol=1e-6)
    assert loss.value == objective(model, X, Y, seed=1)
    assert loss.value == objective.loss(
        model, X, Y, perturbed, seed=loss_seed(1)
    )
    assert set(loss.terms) == set(objective.term_names)
    assert set(loss.figures) == set(objective.figure_names)
    assert np.any(perturbed != X) == (name not in ["natural", *VERIFIABLE])


def small_ball(name):
    if name == "natural":
        return {}
    return {"sigma": 0.1} if name == "smoothing" else {"epsilon": 0.1}


@pytest.mark.parametrize("name", ["madry", "mart", "trades"])
def test_seed_decides_the_perturbation(name, model):
    # Without steps, so that different starts cannot end in the same corner.
    objective = objectives.create(name, epsilon=0.1, num_steps=0)
    perturb = tf.function(
        lambda seed: objective.perturb(model, X, Y, seed=seed),
        autograph=False,
    )
    seeds = [tf.constant([0, 1]), tf.constant([0, 1]), tf.constant([0, 2])]
    first, again, other = map(perturb, seeds)
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.9


# The forward passes of a loss: on the natural, on the perturbed images.
PASSES = {
    "natural": "n",
    "madry": "p",
    "fgsm": "p",
    "free_at": "p",
    "trades": "np",
    "mart": "np",
    "smoothing": "np",
    **dict.fromkeys(VERIFIABLE, "n"),
}


@pytest.mark.parametrize("name", objectives.names())
def test_each_batch_is_passed_once_and_the_logits_are_kept(name, model, passes):
    images = {"n": tf.constant(X), "p": tf.constant(X + 0.01)}
    objective = objectives.create(name)
    loss = objective.losses(model, images["n"], Y, images["p"])
    assert [training for _, training in passes] == [True] * len(PASSES[name])
    for (seen, _), kind in zip(passes, PASSES[name], strict=True):
        np.testing.assert_array_equal(seen, images[kind])
    for kind, logits in (
        ("n", loss.natural_logits),
        ("p", loss.robust_logits),
    ):
        if kind in PASSES[name]:
            np.testing.assert_allclose(logits, model(images[kind]), rtol=1e-5)
        else:
            assert logits is None


@pytest.mark.parametrize("name", objectives.names())
def test_a_training_step_needs_no_further_pass(name, model, passes):
    objective = objectives.create(name, **small_ball(name))
    perturb = objective.perturb

    def perturb_and_forget(*args, **kwargs):
        perturbed = perturb(*args, **kwargs)
        passes.clear()
        return perturbed

    objective.perturb = perturb_and_forget
    robust = ht.RobustModel(model, objective)
    robust.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    robust.train_on_batch(X, Y)
    # Those that see the perturbed images alone are asked for the others.
    expected = [True] * len(PASSES[name]) * objective.n_repeats
    expected += [False] * (PASSES[name] == "p")
    assert [training for _, training in passes] == expected


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_attacks_run_in_inference_mode(name, model, passes):
    objectives.create(name).perturb(model, X, Y)
    assert passes and not any(training for _, training in passes)


@pytest.mark.parametrize("name", OF_ANY_CALLABLE)
def test_plain_callables_and_label_columns_will_do(name, model):
    objective = objectives.create(name)

    def plain(x):
        return model(x)

    np.testing.assert_allclose(
        objective(plain, X, Y[:, None], seed=0),
        objective(model, X, Y, seed=0),
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", OF_ANY_CALLABLE)
def test_loss_and_gradients_are_finite_for_confident_networks(name):
    scale = tf.Variable(1e3)

    def confident(x):
        return scale * tf.constant(X[:, :3] - X[:, 2:]) + x[:, :3]

    objective = objectives.create(name)
    with tf.GradientTape() as tape:
        loss = objective(confident, X, Y, seed=0)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, scale))


def test_an_objective_may_override_only_the_loss(model):
    class OnlyLoss(objectives.Objective):
        def loss(self, model, x, y, perturbed, training=True):
            return 2 * tf.reduce_mean(cross_entropy(model(perturbed), y))

    natural = objectives.Natural()(model, X, Y)
    np.testing.assert_allclose(OnlyLoss()(model, X, Y), 2 * natural, rtol=1e-6)


def test_a_loss_may_build_on_that_of_its_parent(model):
    class Doubled(objectives.Natural):
        def loss(self, model, x, y, perturbed, training=True):
            return 2 * super().loss(model, x, y, perturbed, training)

    class Shifted(Doubled):
        def losses(self, *args, **kwargs):
            return Loss(super().losses(*args, **kwargs).value + 1.0)

    natural = objectives.Natural()(model, X, Y)
    for objective, expected in (
        (Doubled(), 2 * natural),
        (Shifted(), 2 * natural + 1),
    ):
        for loss in (
            objective(model, X, Y),
            objective.loss(model, X, Y, X),
            objective.losses(model, X, Y, X).value,
        ):
            np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_mixin_may_bring_the_loss(model):
    class Ones:
        def losses(self, model, x, y, perturbed, **kwargs):
            return Loss.of_terms({"one": tf.constant(1.0)})

    class One(Ones, objectives.TRADES):
        pass

    assert One().loss(model, X, Y, X) == 1.0
    assert One()(model, X, Y) == 1.0


def test_an_objective_may_override_only_the_attack(model):
    @keras.saving.register_keras_serializable(package="base_test")
    class OnlyAttack(objectives.Objective):
        def __init__(self, radius=0.1):
            self.radius = radius

        def perturb(self, model, x, y, seed=None):
            return fgsm(model, x, y, epsilon=self.radius)

    objective = OnlyAttack(radius=0.2)
    np.testing.assert_allclose(
        objective(model, X, Y, seed=3),
        objectives.FGSM(epsilon=0.2)(model, X, Y),
        rtol=1e-6,
    )
    assert OnlyAttack.from_config(objective.get_config()).radius == 0.2


def test_only_an_objective_with_an_attack_perturbs():
    class Mixed(objectives.Natural):
        perturb = objectives.FGSM.perturb

    class Sampling(objectives.FGSM):
        perturbs = False

    assert objectives.FGSM().perturbs and objectives.TRADES().perturbs
    assert objectives.RandomizedSmoothing().perturbs and Mixed().perturbs
    assert not objectives.Natural().perturbs
    assert not objectives.CROWNIBP().perturbs and not Sampling().perturbs


def test_settings_of_the_parent_are_part_of_the_config():
    class Louder(objectives.TRADES):
        def __init__(self, *, volume, **settings):
            super().__init__(**settings)
            self.volume = volume

    config = Louder(volume=11, beta=2.0).get_config()
    assert config["volume"] == 11 and config["beta"] == 2.0
    assert Louder.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("names", "setting", "value", "message"),
    [
        (ADVERSARIAL, "epsilon", -1.0, "a number >= 0"),
        (ADVERSARIAL, "epsilon", [0.1], "a number >= 0"),
        (ADVERSARIAL, "step_size", -1.0, "a number >= 0"),
        (ADVERSARIAL, "threat_model", "l1", "one of 'linf', 'l2'"),
        (["madry", "mart", "trades"], "num_steps", 2.5, "a whole number >= 0"),
        (["fgsm", "madry"], "random_start", "no", "True or False"),
        (["mart", "trades"], "beta", -1.0, "a number >= 0"),
        (["mart", "trades"], "beta", "six", "a number >= 0"),
    ],
)
def test_wrong_settings_are_refused_at_once(names, setting, value, message):
    for name in names:
        with pytest.raises(InputError, match=f"`{setting}` must be {message}"):
            objectives.create(name, **{setting: value})


def test_losses_get_the_epoch_and_a_seed_of_their_own(model):
    class Asking(objectives.Objective):
        def losses(
            self,
            model,
            x,
            y,
            perturbed,
            *,
            training=True,
            epoch=None,
            seed=None,
        ):
            return Loss(tf.constant(epoch), {"seed": tf.reduce_sum(seed)})

    assert Asking()(model, X, Y, epoch=2.5, seed=3) == 2.5
    seed = loss_seed(tf.constant([3, 4]))
    assert np.any(seed != [3, 4])
    loss = Asking().losses(model, X, Y, X, epoch=2.5, seed=seed)
    assert loss.terms["seed"] == np.sum(seed)


@pytest.mark.parametrize("name", OF_ANY_CALLABLE)
def test_a_ramp_leaves_objectives_without_bounds_alone(name):
    objective = objectives.create(name)
    assert objective.with_ramp(0, 5) is objective
    assert objective.full_from_epoch == 0.0


def test_settings_are_keyword_only():
    with pytest.raises(InputError, match="Name each: beta="):
        objectives.TRADES(6.0)


def test_two_replicas_see_the_loss_of_one(model):
    devices = [d.name for d in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices[:2])
    objective = objectives.TRADES(epsilon=0.1, num_steps=2)
    with strategy.scope():
        mirrored = keras.models.clone_model(model)
        mirrored.set_weights(model.get_weights())
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(6)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))

    @tf.function(autograph=False)
    def run():
        return strategy.run(
            lambda x, y: objective(mirrored, x, y, seed=4), args=batch
        )

    losses = strategy.experimental_local_results(run())
    np.testing.assert_allclose(
        np.mean(losses), objective(model, X, Y, seed=4), rtol=1e-5
    )
