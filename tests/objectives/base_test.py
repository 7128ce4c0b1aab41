"""Tests of what all objectives share, and of bringing one's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import objectives
from hydra_tf.attacks import fgsm
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.errors import InputError

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)
# Those that search a ball of images by gradients.
ADVERSARIAL = ["fgsm", "madry", "mart", "trades"]
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


class Recorder:
    """A view of a model that keeps what it sees."""

    is_view = True

    def __init__(self, model):
        self.model = self.network = model
        self.calls = []
        self.terms = None

    def __call__(self, x, training=None):
        self.calls.append((x, training))
        return self.model(x, training=training)

    def record_terms(self, terms):
        self.terms = terms


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
        "threat_model='linf')"
    )


def test_step_size_follows_epsilon_unless_given():
    assert objectives.TRADES().step_size == 2 / 255
    assert objectives.Madry(epsilon=0.4).step_size == 0.1
    l2 = objectives.TRADES(epsilon=0.5, num_steps=10, threat_model="l2")
    assert l2.step_size == 0.1
    assert objectives.FGSM(epsilon=0.4).step_size == 0.4
    assert objectives.MART(step_size=0.3).step_size == 0.3


@pytest.mark.parametrize("name", objectives.names())
def test_call_perturbs_then_sums_the_terms(name, model):
    objective = objectives.create(name, **small_ball(name))
    perturbed = objectives.call_perturb(objective, model, X, Y, seed=1)
    recorder = Recorder(model)
    loss = objectives.call_loss(objective, recorder, X, Y, perturbed, seed=1)
    np.testing.assert_allclose(loss, sum(recorder.terms.values()), rtol=1e-6)
    assert loss == objective(model, X, Y, seed=1)
    assert set(recorder.terms) == set(objective.term_names)
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
        lambda seed: objectives.call_perturb(objective, model, X, Y, seed=seed)
    )
    seeds = [tf.constant([0, 1]), tf.constant([0, 1]), tf.constant([0, 2])]
    first, again, other = map(perturb, seeds)
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.9


@pytest.mark.parametrize("name", objectives.names())
def test_each_batch_is_passed_once_and_as_it_is(name, model):
    recorder = Recorder(model)
    objective = objectives.create(name)
    x, perturbed = tf.constant(X), tf.constant(X + 0.01)
    objective.loss(recorder, x, Y, perturbed, training=True)
    expected = {
        "natural": [x],
        "madry": [perturbed],
        "fgsm": [perturbed],
        "trades": [x, perturbed],
        "mart": [x, perturbed],
        "smoothing": [x, perturbed],
        **{verifiable: [x] for verifiable in VERIFIABLE},
    }[name]
    assert [training for _, training in recorder.calls] == [True] * len(
        expected
    )
    for (seen, _), wanted in zip(recorder.calls, expected, strict=True):
        assert seen is wanted
    assert recorder.terms


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_attacks_run_in_inference_mode(name, model):
    recorder = Recorder(model)
    objectives.create(name).perturb(recorder, X, Y)
    assert not any(training for _, training in recorder.calls)


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


def test_madry_starts_at_random_points_of_the_ball(model):
    still = objectives.Madry(num_steps=0, random_start=False, epsilon=0.1)
    moved = objectives.Madry(num_steps=0, epsilon=0.1)
    np.testing.assert_array_equal(still.perturb(model, X, Y), X)
    perturbed = moved.perturb(model, X, Y)
    assert np.all(np.abs(perturbed - X) <= 0.1 + 1e-6)
    assert np.mean(perturbed != X) > 0.9


def test_an_objective_may_override_only_the_loss(model):
    class OnlyLoss(objectives.Objective):
        def loss(self, model, x, y, perturbed, training=True):
            return 2 * tf.reduce_mean(cross_entropy(model(perturbed), y))

    natural = objectives.Natural()(model, X, Y)
    np.testing.assert_allclose(OnlyLoss()(model, X, Y), 2 * natural, rtol=1e-6)


def test_an_objective_may_override_only_the_terms(model):
    class OnlyTerms(objectives.Objective):
        def loss_terms(self, model, x, y, perturbed, training=True):
            return {"one": tf.constant(1.0), "two": tf.constant(2.0)}

    recorder = Recorder(model)
    assert OnlyTerms()(recorder, X, Y) == 3.0
    assert set(recorder.terms) == {"one", "two"}


def test_an_objective_may_override_only_the_attack(model):
    @keras.saving.register_keras_serializable(package="base_test")
    class OnlyAttack(objectives.Objective):
        def __init__(self, radius=0.1):
            self.radius = radius

        def perturb(self, model, x, y):  # Takes no seed.
            return fgsm(model, x, y, epsilon=self.radius)

    objective = OnlyAttack(radius=0.2)
    np.testing.assert_allclose(
        objective(model, X, Y, seed=3),
        objectives.FGSM(epsilon=0.2)(model, X, Y),
        rtol=1e-6,
    )
    assert OnlyAttack.from_config(objective.get_config()).radius == 0.2


def test_settings_of_the_parent_are_part_of_the_config():
    class Louder(objectives.TRADES):
        def __init__(self, *, volume, **settings):
            super().__init__(**settings)
            self.volume = volume

    config = Louder(volume=11, beta=2.0).get_config()
    assert config["volume"] == 11 and config["beta"] == 2.0
    assert Louder.from_config(config).get_config() == config


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize(
    "setting, value, message",
    [
        ("epsilon", -1.0, "`epsilon` must be a number >= 0"),
        ("step_size", -1.0, "`step_size` must be a number >= 0"),
        ("threat_model", "l1", "`threat_model` must be one of 'linf', 'l2'"),
    ],
)
def test_wrong_settings_are_refused_at_once(name, setting, value, message):
    with pytest.raises(InputError, match=message):
        objectives.create(name, **{setting: value})


def test_wrong_beta_num_steps_and_flags_are_refused_at_once():
    with pytest.raises(InputError, match="`beta` must be a number >= 0"):
        objectives.TRADES(beta=-1.0)
    with pytest.raises(InputError, match="`beta` must be a number >= 0"):
        objectives.MART(beta="six")
    with pytest.raises(InputError, match="`num_steps` must be an integer"):
        objectives.Madry(num_steps=2.5)
    with pytest.raises(InputError, match="`random_start` must be True or"):
        objectives.Madry(random_start="no")


def test_unknown_names_show_the_close_match():
    with pytest.raises(InputError, match="Did you mean 'trades'"):
        objectives.create("trade")
    with pytest.raises(InputError, match="Did you mean 'epsilon'"):
        objectives.create("trades", epsilonn=0.1)
    with pytest.raises(InputError, match="It has none"):
        objectives.create("natural", epsilon=0.1)


def test_epoch_and_seed_reach_those_that_ask_for_them(model):
    class Asking(objectives.Objective):
        def loss_terms(
            self, model, x, y, perturbed, training=True, epoch=None, seed=None
        ):
            return {"epoch": tf.constant(epoch), "seed": tf.reduce_sum(seed)}

    class AskingInLoss(objectives.Objective):
        def loss(self, model, x, y, perturbed, training=True, epoch=None):
            return tf.constant(epoch)

    recorder = Recorder(model)
    seed = tf.constant([3, 4])
    objectives.call_loss(Asking(), recorder, X, Y, X, epoch=2, seed=seed)
    assert recorder.terms["epoch"] == 2
    # A stream of its own, apart from the attack's.
    assert recorder.terms["seed"] != 7
    assert AskingInLoss()(model, X, Y, epoch=2.5) == 2.5
    # Others are left in peace.
    assert np.isfinite(objectives.Natural()(model, X, Y, seed=1, epoch=2.0))


def test_settings_are_keyword_only():
    with pytest.raises(TypeError):
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

    @tf.function
    def run():
        return strategy.run(
            lambda x, y: objective(mirrored, x, y, seed=4), args=batch
        )

    losses = strategy.experimental_local_results(run())
    np.testing.assert_allclose(
        np.mean(losses), objective(model, X, Y, seed=4), rtol=1e-5
    )
