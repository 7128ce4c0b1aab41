"""What an evaluation finds out with each kind of attack."""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import files
from hydra_tf import interrupts
from hydra_tf.attacks import ensemble
from hydra_tf.evaluation import evaluate
from hydra_tf.registry.attacks import ATTACKS
from tests.attacks.networks import IMAGES
from tests.attacks.networks import LABELS
from tests.attacks.networks import curved
from tests.attacks.networks import linear

BATCHES = {"batch_size": 3}


@pytest.fixture
def attack():
    """Registers an attack of one's own under the name "own"."""

    def register(function, **fields):
        ATTACKS.register("own", help="a test's", **fields)(function)

    yield register
    ATTACKS._entries.pop("own", None)


def corner(model, x, y, *, epsilon, threat_model, clip, seed, indices):
    """A corner of the ball, which needs no gradient."""
    del model, y, threat_model, seed, indices
    step = tf.sign(tf.random.stateless_normal(tf.shape(x), (0, 1)))
    return tf.clip_by_value(x + epsilon * step, *clip)


@pytest.fixture
def short(monkeypatch, attack):
    """AutoAttack of few steps, in which corners stand for Square."""
    attack(corner)
    parts = (
        ensemble.Part("apgd-ce", "apgd", {"loss": "ce", "num_steps": 2}),
        ensemble.Part("square", "own"),
    )
    monkeypatch.setitem(ensemble.VERSIONS, "standard", parts)


def probabilities(x):
    return tf.nn.softmax(curved(x))


@pytest.mark.parametrize(
    ("network", "epsilon"), [(probabilities, 0.015), (curved, 0.015)]
)
def test_autoattack_tells_as_much_as_it_does_alone(network, epsilon, short):
    alone = ht.attacks.autoattack(network, IMAGES, LABELS, epsilon=epsilon)
    found = evaluate(
        network, IMAGES, LABELS, attacks=["autoattack"], epsilon=epsilon
    )
    assert 0 < alone.robust.sum() < len(LABELS)
    np.testing.assert_array_equal(found.withstood["autoattack"], alone.robust)
    np.testing.assert_array_equal(
        found.broken_by["autoattack"], alone.broken_by
    )
    assert found.warnings.get("autoattack", ()) == alone.warnings
    assert ("probabilities" in str(found)) == (network is probabilities)


def test_square_beyond_gradients_is_told(short, capsys):
    def rounded(x):
        return tf.round(4 * linear(x))

    labels = np.argmax(rounded(IMAGES), axis=1)
    found = evaluate(
        rounded, IMAGES, labels, attacks=["autoattack"], epsilon=0.5,
        progress="auto",
    )  # fmt: skip
    assert "square" in found.broken_by["autoattack"]
    first, last = found.to_dict()["warnings"]["autoattack"]
    assert "gradient of the cross-entropy is zero for 100.0 %" in first
    assert "obfuscated" in last
    shown = capsys.readouterr().out
    assert f"warning: autoattack: {first}\n" in shown
    assert f"warning: autoattack: {last}\n" in shown


def test_smallest_perturbations_are_looked_for_without_limit():
    labels = np.argmax(linear(IMAGES), axis=1)
    labels[2] = (labels[2] + 1) % 5
    found = evaluate(
        linear, IMAGES, labels, attacks=["fmn"], epsilon=0.1, num_steps=30,
        **BATCHES,
    )  # fmt: skip
    distances = found.distances["fmn"]
    assert distances[2] == 0
    x_adv = ht.attacks.fmn(linear, IMAGES, labels, num_steps=30)
    expected = np.abs(x_adv - IMAGES).max(axis=(1, 2, 3))
    expected[(np.argmax(linear(x_adv), axis=1) == labels)] = np.inf
    np.testing.assert_allclose(distances, expected, atol=1e-6)
    # Some are farther than the radius of the evaluation.
    withstood = found.withstood["fmn"]
    np.testing.assert_array_equal(withstood, distances > 0.1)
    assert 0 < withstood.sum() < 6
    curve = found.to_dict()["curves"]["fmn"]
    assert curve["robust_accuracy"][0] == 6 / 7
    assert curve["robust_accuracy"][10] == found.robust_accuracy["fmn"]
    assert curve["robust_accuracy"] == sorted(curve["robust_accuracy"])[::-1]
    assert curve["median_distance"] == np.median(distances)


def test_nearest_of_several_starts_counts(attack):
    def somewhere(model, x, y, *, epsilon, num_restarts, seed, **others):
        del model, y, others
        assert epsilon is None and num_restarts == 1
        delta = tf.random.stateless_uniform((len(x), 1, 1, 1), seed)
        return tf.clip_by_value(x - 0.5 * delta * x, 0, 1)

    attack(
        somewhere,
        minimum_norm=True,
        settings=ATTACKS.entry("pgd").settings,
    )

    def far(num_restarts):
        return evaluate(
            lambda x: tf.stack(
                [0 * x[:, 0, 0, 0], IMAGES[2, 0, 0, 0] - x[:, 0, 0, 0]], 1
            ),
            IMAGES[2:3],
            [0],
            attacks=["own"],
            num_restarts=num_restarts,
        ).distances["own"][0]

    assert far(1) >= far(5) > far(30) > 0


def test_own_attack_must_stay_in_the_image_range(attack):
    attack(lambda model, x, y, *, epsilon: x + 1.5, minimum_norm=True)
    with pytest.raises(ht.InputError, match="'own' must stay .*by inf"):
        evaluate(curved, IMAGES, LABELS, attacks=["own"])


def test_stopped_anywhere_the_result_is_the_same(short, tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    checks = []

    def measured(stop_at=None, **changes):
        begun = len(checks)

        def check():
            if len(checks) - begun == stop_at:
                raise interrupts.Interrupted(2)
            checks.append(1)

        monkeypatch.setattr(interrupts, "check", check)
        return evaluate(
            probabilities, IMAGES, LABELS, attacks=["autoattack", "fmn"],
            epsilon=0.015, num_steps=5, **BATCHES, **changes,
        )  # fmt: skip

    whole = measured()
    expected = len(checks)
    # In AutoAttack, and before the last batch of FMN.
    for stop_at in (2, expected - 3):
        with pytest.raises(interrupts.Interrupted):
            measured(stop_at, state=path)
    resumed = measured(state=path)
    # Nothing was done twice.
    assert len(checks) == 2 * expected
    assert resumed.examples() == whole.examples()
    one, other = resumed.to_dict(), whole.to_dict()
    del one["evaluation_seconds"], other["evaluation_seconds"]
    assert one == other
    assert one["warnings"]


@pytest.mark.parametrize(
    ("network", "count", "label", "natural"),
    [
        (lambda x: linear(x) * np.nan, 7, 0, None),
        (lambda x: 0 * linear(x) + [0, 1, 0, 0, 0], 1, 1, 1.0),
        (lambda x: 0 * linear(x) + [0, 1, 0, 0, 0], 7, 0, 0.0),
    ],
    ids=["nan", "one image", "none correct"],
)
def test_degenerate_networks(short, network, count, label, natural):
    found = evaluate(
        network, IMAGES[:count], [label] * count, num_steps=2, num_restarts=1,
        attacks=["pgd", "fmn", "autoattack"],
    )  # fmt: skip
    record = files.as_json(found.to_dict())
    assert len(found.examples()[1]) == count
    if natural is None:
        warnings = found.warnings["autoattack"]
        assert "logits of 100.0 % of the images are nan" in warnings[0]
        return
    # Nothing moves a constant.
    assert set(record["balanced_accuracy"].values()) == {natural}
    assert set(found.robust_accuracy.values()) == {natural}
    assert set(found.distances["fmn"]) == {np.inf if natural else 0.0}
    assert (record["curves"]["fmn"]["median_distance"] is None) == natural
