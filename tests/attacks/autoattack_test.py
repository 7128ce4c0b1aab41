"""Tests of AutoAttack."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import evaluation
from hydra_tf.attacks import autoattack
from hydra_tf.attacks import ensemble
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import ATTACKS
from tests import golden
from tests.attacks.networks import IMAGES
from tests.attacks.networks import LABELS
from tests.attacks.networks import curved
from tests.attacks.networks import linear
from tests.tiny_net import autoattack_net


@pytest.fixture
def short(monkeypatch):
    """Version standard with few steps, of APGD alone."""
    parts = (
        ensemble.Part("apgd-ce", "apgd", {"loss": "ce", "num_steps": 5}),
        ensemble.Part(
            "apgd-t",
            "apgd",
            {"loss": "dlr_targeted", "num_steps": 5},
            targeted=True,
        ),
    )
    monkeypatch.setitem(ensemble.VERSIONS, "standard", parts)


def same(one, other):
    for name in ("images", "robust", "broken_by", "correct"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", ["AA1", "AA2"])
def test_agrees_with_the_reference(name, norm):
    arrays = golden.load("autoattack")
    found = autoattack(
        autoattack_net(arrays, name),
        arrays["images"],
        arrays["labels"],
        epsilon=float(arrays[f"eps_{norm}"]),
        threat_model=norm.lower(),
    )
    key = f"{name}/{norm}"
    for robust in arrays[f"{key}/robust_standard"]:
        assert abs(found.robust_accuracy - robust.mean()) <= 0.01
        assert np.mean(found.robust == robust) >= 0.97
    alone = arrays[f"{key}/accuracy_individual"].mean(axis=0)
    # The first attack is alone with all images.
    assert abs(found.accuracy_after["apgd-ce"] - alone[0]) <= 0.015
    np.testing.assert_array_equal(
        found.correct, arrays[f"{name}/clean_correct"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_targeted_attack_alone_agrees_with_the_reference(norm):
    arrays = golden.load("autoattack")
    measured = evaluation.evaluate(
        autoattack_net(arrays, "AA1"),
        arrays["images"],
        arrays["labels"],
        attacks=["apgd_t"],
        num_steps=100,
        num_restarts=1,
        epsilon=float(arrays[f"eps_{norm}"]),
        threat_model=norm.lower(),
    )
    expected = arrays[f"AA1/{norm}/accuracy_individual"][:, 1].mean()
    assert abs(measured.robust_accuracy["apgd_t"] - expected) <= 0.015


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_result_says_what_happened_to_each_image(short, threat_model):
    y = LABELS.copy()
    y[2] = (y[2] + 1) % 5  # The network is wrong on it.
    epsilon = {"linf": 0.015, "l2": 0.06}[threat_model]
    found = autoattack(
        curved, IMAGES, y, epsilon=epsilon, threat_model=threat_model
    )
    right = np.argmax(curved(found.images), axis=1) == y
    np.testing.assert_array_equal(found.robust, right)
    assert not found.correct[2] and found.correct.sum() == 6
    broken = found.broken_by != ""
    assert 0 < broken.sum() < 6
    np.testing.assert_array_equal(broken, found.correct & ~found.robust)
    np.testing.assert_array_equal(found.images[~broken], IMAGES[~broken])
    change = np.reshape(found.images - IMAGES, (7, -1))
    order = np.inf if threat_model == "linf" else 2
    assert np.linalg.norm(change, order, axis=1).max() <= epsilon + 1e-6
    assert found.images.min() >= 0 and found.images.max() <= 1
    assert found.natural_accuracy == pytest.approx(6 / 7)
    after = found.accuracy_after
    assert list(after) == ["apgd-ce", "apgd-t"]
    assert found.robust_accuracy == after["apgd-t"] <= after["apgd-ce"]
    assert found.warnings == ()
    what = f"7 images, {threat_model.capitalize()} {epsilon}"
    assert str(found).startswith(f"{what}  accuracy\n")
    assert "after apgd-t" in str(found)
    assert repr(found).startswith(f"AutoAttackResult({what}, natural 85.7 %,")


def test_radius_zero_breaks_nothing(short):
    found = autoattack(curved, IMAGES, LABELS, epsilon=0)
    assert found.robust.all()
    np.testing.assert_array_equal(found.images, IMAGES)


@pytest.mark.slow
def test_batches_do_not_change_the_result(short):
    one = autoattack(curved, IMAGES, LABELS, epsilon=0.015, batch_size=7)
    other = autoattack(curved, IMAGES, LABELS, epsilon=0.015, batch_size=2)
    np.testing.assert_array_equal(one.broken_by, other.broken_by)
    np.testing.assert_allclose(one.images, other.images, atol=1e-6)


@pytest.mark.slow
def test_stopped_attack_is_resumed_with_the_same_result(
    short, tmp_path, monkeypatch
):
    arguments = {"epsilon": 0.015, "batch_size": 2, "seed": 1}
    expected = autoattack(curved, IMAGES, LABELS, **arguments)
    assert 0 < expected.robust.sum() < 7
    state = tmp_path / "run" / "state.npz"
    attack = ensemble.Ensemble.attack
    calls = []

    def interrupted(self, *args):
        calls.append(args[0])
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return attack(self, *args)

    monkeypatch.setattr(ensemble.Ensemble, "attack", interrupted)
    for _ in range(40):
        try:
            found = autoattack(curved, IMAGES, LABELS, state=state, **arguments)
            break
        except KeyboardInterrupt:
            assert state.exists()
    else:
        pytest.fail("it does not get on")
    assert len(calls) > 4
    same(found, expected)
    assert not state.exists()
    assert not list(state.parent.iterdir())


def test_random_network_is_resumed(tmp_path, monkeypatch):
    state = tmp_path / "state.npz"
    rows = []

    def attack_in_vain(self, number, x, y, indices):
        rows.extend(indices)
        if len(rows) == 2:
            raise KeyboardInterrupt
        return x, np.zeros(len(x), bool)

    def noisy(x):
        return curved(x) + tf.random.normal((tf.shape(x)[0], 5))

    monkeypatch.setattr(ensemble.Ensemble, "attack", attack_in_vain)
    keras.utils.set_random_seed(0)
    arguments = {"epsilon": 0.02, "version": "rand", "batch_size": 1}
    with pytest.raises(KeyboardInterrupt):
        autoattack(noisy, IMAGES, LABELS, state=state, **arguments)
    found = autoattack(noisy, IMAGES, LABELS, state=state, **arguments)
    # Those that are right are those that were when it began.
    assert 0 < found.correct.sum() < 7
    assert set(rows) == set(np.flatnonzero(found.correct))
    np.testing.assert_array_equal(found.robust, found.correct)


def test_state_of_another_attack_is_refused(short, tmp_path, monkeypatch):
    state = tmp_path / "state.npz"

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ensemble.Ensemble, "attack", stop)
        with pytest.raises(KeyboardInterrupt):
            autoattack(curved, IMAGES, LABELS, epsilon=0.03, state=state)
    with pytest.raises(InputError, match="epsilon 0.03 instead of 0.04"):
        autoattack(curved, IMAGES, LABELS, epsilon=0.04, state=state)
    with pytest.raises(InputError, match="other settings: network"):
        autoattack(
            lambda x: -curved(x), IMAGES, LABELS, epsilon=0.03, state=state
        )
    state.write_bytes(state.read_bytes()[:-40])
    with pytest.raises(InputError, match="is no AutoAttack to resume"):
        autoattack(curved, IMAGES, LABELS, epsilon=0.03, state=state)


def test_warnings_are_in_the_result_and_on_the_screen(short, capsys):
    found = autoattack(
        lambda x: tf.nn.softmax(curved(x)),
        IMAGES,
        LABELS,
        epsilon=0.03,
        progress="auto",
    )
    (warning,) = found.warnings
    assert "probabilities" in warning
    assert f"warning: {warning}" in capsys.readouterr().out
    assert warning in str(found)


def test_square_that_is_stronger_is_told(short, monkeypatch):
    # What the gradients of rounded logits do not show, PGD's random starts
    # stand for here: an attack without gradients, under the name of Square.
    def corner(model, x, y, *, epsilon, threat_model, clip, seed, indices):
        del y, threat_model, seed, indices
        step = tf.sign(tf.random.stateless_normal(tf.shape(x), (0, 1)))
        return tf.clip_by_value(x + epsilon * step, *clip)

    ATTACKS.register("corner", help="a corner of the ball")(corner)
    try:
        monkeypatch.setitem(
            ensemble.VERSIONS,
            "standard",
            (
                ensemble.Part("apgd-ce", "apgd", {"num_steps": 2}),
                ensemble.Part("square", "corner"),
            ),
        )
        found = autoattack(
            lambda x: tf.round(4 * linear(x)),
            IMAGES,
            np.argmax(tf.round(4 * linear(IMAGES)), axis=1),
            epsilon=0.5,
        )
    finally:
        del ATTACKS._entries["corner"]
    assert "square" in found.broken_by
    assert "obfuscated" in found.warnings[-1]


def test_evaluation_runs_it_as_any_attack(short, tmp_path):
    found = autoattack(curved, IMAGES, LABELS, epsilon=0.015)
    assert 0 < found.robust.sum() < 7
    measured = evaluation.evaluate(
        curved,
        IMAGES,
        LABELS,
        attacks=["autoattack"],
        epsilon=0.015,
        batch_size=3,
        state=tmp_path / "state.json",
    )
    np.testing.assert_array_equal(
        measured.withstood["autoattack"], found.robust
    )
    assert measured.attacks["autoattack"]["version"] == "standard"


def test_two_classes_have_one_target(monkeypatch):
    def two(x):
        return linear(x)[:, :2]

    y = np.argmax(two(IMAGES), axis=1)
    parts = [
        each for each in ensemble.VERSIONS["standard"] if each.attack == "apgd"
    ]
    monkeypatch.setitem(ensemble.VERSIONS, "standard", tuple(parts))
    found = autoattack(two, IMAGES, y, epsilon=0.05)
    # A linear network of two classes: what falls is known.
    kernel = linear(np.eye(16, dtype=np.float32).reshape(16, 4, 4, 1)).numpy()
    slope = (kernel[:, 0] - kernel[:, 1]) * np.where(y == 0, 1, -1)[:, None]
    flat = IMAGES.reshape(7, -1)
    worst = np.clip(flat - 0.05 * np.sign(slope), 0, 1)
    np.testing.assert_array_equal(
        found.robust, np.sum(worst * slope, axis=1) > 0
    )


@pytest.mark.slow
def test_single_image_and_labels_in_a_column(short):
    # Images whose index is that of the set: the first.
    whole = autoattack(curved, IMAGES, LABELS[:, None], epsilon=0.015)
    one = autoattack(curved, IMAGES[:1], LABELS[:1, None], epsilon=0.015)
    np.testing.assert_array_equal(one.broken_by, whole.broken_by[:1])
    np.testing.assert_allclose(one.images, whole.images[:1], atol=1e-6)


@pytest.mark.slow
def test_network_of_lower_precision(short):
    keras.utils.set_random_seed(0)
    network = small_network(dtype="mixed_bfloat16")
    assert network(IMAGES).dtype == tf.bfloat16
    y = np.argmax(network(IMAGES), axis=1)
    found = autoattack(network, IMAGES, y, epsilon=0.3)
    assert found.images.dtype == np.float32
    assert np.any(~found.robust)
    assert np.max(np.abs(found.images - IMAGES)) <= 0.3 + 1e-6
    np.testing.assert_array_equal(
        np.argmax(network(found.images), axis=1) == y, found.robust
    )


@pytest.mark.slow
def test_strategy_does_not_change_the_result(short):
    keras.utils.set_random_seed(0)
    plain = small_network()
    devices = [each.name for each in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices[:2])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        mirrored = small_network()
    mirrored.set_weights(plain.get_weights())
    y = np.argmax(plain(IMAGES), axis=1)
    expected = autoattack(plain, IMAGES, y, epsilon=0.05)
    assert 0 < expected.robust.sum() < 7
    same(autoattack(mirrored, IMAGES, y, epsilon=0.05), expected)
    with strategy.scope():
        same(autoattack(mirrored, IMAGES, y, epsilon=0.05), expected)


def small_network(**options):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", **options),
            keras.layers.Dense(3, **options),
        ]
    )


def test_called_in_a_graph_it_says_so():
    attack = tf.function(
        lambda: autoattack(linear, IMAGES, LABELS, epsilon=0.1),
        autograph=False,
    )
    with pytest.raises(InputError, match="outside of `tf.function`"):
        attack()
