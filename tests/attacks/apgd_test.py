"""Tests of Auto-PGD."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf.attacks import apgd
from hydra_tf.attacks import cleverhans_attack
from hydra_tf.attacks import cross_entropy
from hydra_tf.attacks import losses
from hydra_tf.attacks import pgd
from hydra_tf.attacks.apgd import windows
from hydra_tf.errors import InputError
from tests import golden
from tests.attacks.networks import IMAGES
from tests.attacks.networks import curved
from tests.attacks.networks import linear
from tests.tiny_net import autoattack_net

NORMS = {"Linf": "linf", "L2": "l2"}


LABELS = np.argmax(linear(IMAGES), axis=1)


@pytest.fixture(scope="module")
def arrays():
    return golden.load("autoattack")


@pytest.fixture(scope="module", params=["AA1", "AA2"])
def case(request, arrays):
    return request.param, autoattack_net(arrays, request.param)


def compiled(model, x, y, **arguments):
    return tf.function(lambda: apgd(model, x, y, **arguments))()


@pytest.mark.parametrize("num_steps", [20, 100])
def test_windows_match_golden(arrays, num_steps):
    checks = arrays[f"unit/apgd_checkpoints_{num_steps}"]
    assert np.cumsum(windows(num_steps))[: len(checks)].tolist() == list(checks)
    assert sum(windows(num_steps)) == num_steps


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr_targeted"])
def test_attack_from_the_image_matches_golden(case, arrays, norm, loss):
    name, model = case
    rows = arrays[f"{name}/fixed/image_index"]
    x, y = arrays["images"][rows], tf.constant(arrays["labels"][rows])
    x_adv = compiled(
        model,
        x,
        y,
        epsilon=float(arrays[f"eps_{norm}"]),
        threat_model=NORMS[norm],
        loss=loss,
        num_steps=20,
        num_targets=1,
        random_start=False,
    )
    logits = model(x_adv)
    right = np.argmax(logits, axis=1) == y
    key = f"{name}/fixed/{norm}/apgd_{loss.replace('_', '-')}"
    np.testing.assert_array_equal(right, arrays[f"{key}/robust"])
    best = {
        "ce": lambda: losses.cross_entropy(logits, y),
        "dlr": lambda: losses.dlr_loss(logits, y),
        "dlr_targeted": lambda: losses.dlr_targeted_loss(
            logits, y, losses.ranked_other(model(x), y, 0)
        ),
    }[loss]()
    difference = (best - arrays[f"{key}/loss_best"])[right]
    # In Linf, trajectories of the cross-entropy are the same. In L2 the
    # reference projects before it clips; of a ratio's first check it reads
    # the start of an empty history.
    exact = (norm, loss) == ("Linf", "ce")
    assert np.min(difference) > (-1e-6 if exact else -2e-3)
    assert np.median(np.abs(difference)) < (1e-6 if exact else 5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_at_least_as_strong_as_pgd(case, arrays, norm):
    name, model = case
    # The first 64 that the network gets right.
    rows = np.flatnonzero(arrays[f"{name}/clean_correct"])[:64]
    x, y = arrays["images"][rows], arrays["labels"][rows]
    epsilon = float(arrays[f"eps_{norm}"])
    common = {
        "epsilon": epsilon,
        "threat_model": NORMS[norm],
        "num_steps": 100,
        "seed": 0,
    }

    def withstand(x_adv):
        return np.sum(np.argmax(model(x_adv), axis=1) == y)

    by_pgd = tf.function(
        lambda: pgd(model, x, y, step_size=epsilon / 4, **common)
    )()
    by_apgd = withstand(compiled(model, x, y, **common))
    assert by_apgd <= withstand(by_pgd) + 1
    for num_steps in (20, 100):
        keras.utils.set_random_seed(0)
        common |= {"num_steps": num_steps}
        by_cleverhans = cleverhans_attack(
            "pgd",
            model,
            x,
            y,
            step_size=epsilon / 4,
            **{key: common[key] for key in common if key != "seed"},
        )
        ours = withstand(compiled(model, x, y, **common))
        # One image may fall to the draw of a random start alone.
        assert ours <= withstand(by_cleverhans) + 1
    assert 0 < by_apgd < 64


@functools.cache
def short_attack(threat_model, loss):
    """Returns the attack as a function of radius and seed, traced once."""
    # Those of the cross-entropy saturate.
    model = (lambda x: 1e6 * linear(x)) if loss == "ce" else curved
    return tf.function(
        lambda epsilon, seed: apgd(
            model,
            IMAGES,
            LABELS,
            epsilon=epsilon,
            threat_model=threat_model,
            loss=loss,
            num_steps=7,
            seed=seed,
        ),
        input_signature=[tf.TensorSpec(()), tf.TensorSpec((), tf.int32)],
    )


@settings(max_examples=40, deadline=None)
@given(
    epsilon=st.sampled_from([0.0, 1e-4, 8 / 255, 0.3, 1.0]),
    threat_model=st.sampled_from(["linf", "l2"]),
    loss=st.sampled_from(["ce", "dlr", "dlr_targeted"]),
    seed=st.integers(0, 2**31 - 1),
)
def test_images_stay_in_ball(epsilon, threat_model, loss, seed):
    x_adv = short_attack(threat_model, loss)(epsilon, seed).numpy()
    assert x_adv.dtype == np.float32
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    order = np.inf if threat_model == "linf" else 2
    flat = (x_adv.astype(np.float64) - IMAGES).reshape(len(IMAGES), -1)
    assert np.linalg.norm(flat, order, axis=1).max() <= epsilon + 1e-6
    if epsilon == 0:
        np.testing.assert_array_equal(x_adv, IMAGES)


@pytest.mark.parametrize(
    ("classes", "loss"),
    [(5, "ce"), (2, "dlr"), (5, "dlr"), (2, "dlr_targeted")],
)
def test_constant_network_is_survived(classes, loss):
    def constant(x):
        return 0.0 * tf.reshape(x, (-1, 16))[:, :classes] + 1.0

    x_adv = compiled(
        constant, IMAGES, 0 * LABELS, epsilon=0.1, loss=loss, num_steps=5
    )
    assert np.all(np.isfinite(x_adv))
    assert np.max(np.abs(x_adv - IMAGES)) < 0.1 + 1e-6


def test_infinite_logits_leave_images_finite():
    def overflowing(x):
        return linear(x) * np.float32(3e38) * 3e38

    x_adv = compiled(overflowing, IMAGES, LABELS, epsilon=0.1, num_steps=3)
    assert np.all(np.isfinite(x_adv))


def test_result_of_an_image_depends_on_seed_and_index_alone():
    arguments = {"epsilon": 0.01, "num_steps": 9, "num_restarts": 2}
    attack = tf.function(
        lambda x, y, indices, seed: apgd(
            curved, x, y, loss="dlr", indices=indices, seed=seed, **arguments
        ),
        input_signature=[
            tf.TensorSpec((None, 4, 4, 1)),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.int32),
        ],
    )
    rows = np.arange(7)
    whole = attack(IMAGES, LABELS, rows, 5).numpy()
    part = attack(IMAGES[[2, 5]], LABELS[[2, 5]], rows[[2, 5]], 5)
    np.testing.assert_allclose(part, whole[[2, 5]], atol=1e-6)
    assert not np.allclose(attack(IMAGES, LABELS, rows, 6), whole)


@pytest.mark.slow
def test_restarts_and_targets_only_help():
    y = np.argmax(curved(IMAGES), axis=1)

    def loss_after(**arguments):
        x_adv = compiled(
            curved, IMAGES, y, epsilon=0.01, num_steps=5, seed=0, **arguments
        )
        wrong = np.argmax(curved(x_adv), axis=1) != y
        return wrong, cross_entropy(curved(x_adv), y).numpy()

    once, several = loss_after(), loss_after(num_restarts=4)
    assert np.all(several[0] >= once[0])
    same = several[0] == once[0]
    assert np.all(several[1][same] >= once[1][same] - 1e-6)
    of_rank = tf.function(
        lambda rank: apgd(
            curved,
            IMAGES,
            y,
            epsilon=0.01,
            num_steps=5,
            seed=0,
            loss="dlr_targeted",
            target=rank,
        )
    )
    targets = [
        np.argmax(curved(of_rank(tf.constant(rank))), axis=1) != y
        for rank in range(4)
    ]
    together = loss_after(loss="dlr_targeted")[0]
    # Each target is tried as it is alone; nine are not there.
    np.testing.assert_array_equal(together, np.any(targets, axis=0))


def test_shapes_may_be_unknown_and_labels_left_out():
    attack = tf.function(
        lambda x: apgd(linear, x, None, epsilon=0.1, num_steps=4, seed=0),
        input_signature=[tf.TensorSpec((None, 4, 4, 1))],
    )
    expected = apgd(linear, IMAGES, LABELS, epsilon=0.1, num_steps=4, seed=0)
    np.testing.assert_allclose(attack(IMAGES), expected, atol=1e-6)
    assert attack(IMAGES[:2]).shape == (2, 4, 4, 1)


def test_random_network_is_attacked_by_mean_gradients():
    calls = []

    def noisy(x):
        calls.append(x)
        return linear(x + tf.random.normal(tf.shape(x), stddev=0.05))

    x_adv = compiled(
        noisy, IMAGES, LABELS, epsilon=0.3, num_steps=10, num_samples=8
    )
    assert np.mean(np.argmax(linear(x_adv), axis=1) == LABELS) < 0.5
    assert len(calls) < 10  # A rolled loop.


def test_graph_does_not_grow_with_the_steps():
    def size(num_steps):
        traced = tf.function(
            lambda x: apgd(linear, x, LABELS, epsilon=0.1, num_steps=num_steps)
        ).get_concrete_function(tf.TensorSpec((7, 4, 4, 1)))
        return len(traced.graph.as_graph_def().SerializeToString())

    assert size(100) < 1.05 * size(10)


def test_masked_network_is_attacked_as_its_export():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    masked = ht.start_pruning(model, density=0.5)
    arguments = {"epsilon": 0.1, "num_steps": 5, "seed": 0}
    np.testing.assert_allclose(
        compiled(masked, IMAGES, LABELS, **arguments),
        compiled(ht.strip_masks(masked), IMAGES, LABELS, **arguments),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "kl"}, "`loss` must be one of 'ce', 'dlr', 'dlr_targeted'"),
        ({"num_steps": -1}, "`num_steps` must be a whole number >= 0"),
        ({"num_restarts": 0}, "`num_restarts` must be a whole number >= 1"),
        ({"num_targets": 0}, "`num_targets` must be a whole number >= 1"),
        ({"num_samples": 0}, "`num_samples` must be a whole number >= 1"),
        ({"epsilon": 8}, "8/255"),
        ({"threat_model": "l1"}, "`threat_model` must be one of"),
        ({"step_size": 0.1}, "no argument `step_size`"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        apgd(linear, IMAGES, LABELS, **{"epsilon": 0.1} | arguments)
