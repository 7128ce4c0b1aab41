"""Accuracies of networks for which they are known."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.errors import ContradictionError
from hydra_tf.evaluation import BoundProver
from hydra_tf.evaluation import evaluate

SETTINGS = ht.evaluation.EvaluationSettings(
    epsilon=0.1, step_size=0.1, num_steps=3, num_restarts=2, batch_size=3
)
# Two pixels; the class is 1 where the first is larger. The last is wrong.
IMAGES = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.45, 0.55], [0.7, 0.1]],
    np.float32,
)[:, np.newaxis, :, np.newaxis]
LABELS = np.array([1, 1, 0, 0, 0], np.int32)


def linear(x):
    first, second = x[:, 0, 0, 0], x[:, 0, 1, 0]
    return tf.stack([second - first, first - second], axis=1)


def linear_model():
    """The same network in Keras."""
    model = keras.Sequential(
        [
            keras.layers.Input((1, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    model.set_weights([np.array([[-1.0, 1.0], [1.0, -1.0]])])
    return model


def random_start(model, x, y, *, epsilon, num_restarts, seed):
    """An attack of one's own: any point of the ball."""
    del model, y, num_restarts
    noise = tf.random.stateless_uniform(x.shape, seed, -epsilon, epsilon)
    return tf.clip_by_value(x + noise, 0, 1)


def too_far(model, x, y, *, epsilon):
    """An attack that leaves its ball."""
    del model, y
    return tf.clip_by_value(x + 2 * epsilon, 0, 1)


@pytest.mark.parametrize(
    "name",
    [
        "pgd",
        "pgd_margin",
        "fgsm",
        "fab",
        "cleverhans_mim",
        "cleverhans_pgd",
    ],
)
def test_linear_network_has_the_accuracies_on_paper(name):
    # An attack moves the difference by at most 2 epsilon = 0.2: those with a
    # difference of 0.1 fall, those of 0.8 and 0.6 do not.
    result = evaluate(linear, IMAGES, LABELS, SETTINGS, attacks=[name])
    assert result.natural_accuracy == 4 / 5
    assert result.robust_accuracy == {name: 2 / 5}
    assert result.num_examples == 5
    assert result.attacks[name]["epsilon"] == 0.1
    assert result.correct.tolist() == [True, True, True, True, False]
    assert result.withstood[name].tolist() == [True, False, True, False, False]


def test_l2_attack_has_the_accuracy_on_paper():
    # By 0.1 in L2 norm the difference moves by 0.14.
    result = evaluate(
        linear,
        IMAGES,
        LABELS,
        SETTINGS,
        threat_model="l2",
        step_size=0.05,
    )
    assert result.robust_accuracy == {"pgd": 2 / 5}


def test_radius_zero_leaves_the_natural_accuracy():
    result = evaluate(linear, IMAGES, LABELS, SETTINGS, epsilon=0, step_size=0)
    assert result.robust_accuracy["pgd"] == result.natural_accuracy == 4 / 5


@pytest.fixture(scope="module")
def narrow():
    """Images near the border, that fall or not by their random start."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.3, 0.7, (200, 1, 2, 1)).astype(np.float32)
    return images, np.asarray(tf.argmax(linear(images), axis=1), np.int32)


ONE_SHORT_STEP = {"num_steps": 1, "step_size": 0.01, "batch_size": 64}


def test_same_seed_gives_the_same_figures(narrow):
    def robust(**changes):
        return evaluate(
            linear, *narrow, SETTINGS, **{**ONE_SHORT_STEP, **changes}
        ).robust_accuracy["pgd"]

    assert robust() == robust(batch_size=7) != robust(seed=1)
    # More restarts can only find more.
    assert robust(num_restarts=8) < robust() < robust(num_restarts=1)


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_attacking_survivors_is_attacking_all(narrow, threat_model):
    images, labels = narrow
    settings = {
        "epsilon": 0.1,
        "threat_model": threat_model,
        "num_restarts": 5,
        "seed": 3,
    }
    result = evaluate(linear, *narrow, **settings, **ONE_SHORT_STEP)
    x_adv = ht.attacks.pgd(
        linear, images, labels, num_steps=1, step_size=0.01, **settings
    )
    right = np.argmax(linear(x_adv), axis=1) == labels
    np.testing.assert_array_equal(result.withstood["pgd"], right)
    assert 0.3 < np.mean(right) < 0.9


def test_own_attack_is_restarted_and_recorded(narrow):
    name = f"{__name__}:random_start"

    def measured(num_restarts):
        return evaluate(
            linear, *narrow, attacks=[name], epsilon=0.1,
            num_restarts=num_restarts,
        )  # fmt: skip

    few, many = measured(1), measured(20)
    assert many.robust_accuracy[name] < few.robust_accuracy[name] < 1
    assert many.attacks[name] == {
        "epsilon": 0.1,
        "threat_model": "linf",
        "seed": 0,
        "num_restarts": 20,
    }


def test_attack_that_leaves_its_ball_is_refused():
    with pytest.raises(
        ht.InputError, match="too_far' must stay within Linf 0.1 .*by 0.2"
    ):
        evaluate(
            linear, IMAGES, LABELS, SETTINGS, attacks=[f"{__name__}:too_far"]
        )


@pytest.mark.parametrize(
    "method", ["ibp", "crown_ibp", "crown", "symbolic", "best"]
)
def test_bounds_on_a_linear_network_are_exact(method):
    result = evaluate(linear_model(), IMAGES, LABELS, SETTINGS, bounds=[method])
    # What withstands the best attack is proved.
    assert result.certified_accuracy == {method: 2 / 5}
    assert result.robust_accuracy == {"pgd": 2 / 5}
    np.testing.assert_array_equal(
        result.certified[method], result.withstood["pgd"]
    )
    assert result.certification == {
        method: {"epsilon": 0.1, "threat_model": "linf", "dtype": "float32"}
    }


def test_smoothing_of_a_linear_network_has_the_radius_on_paper():
    # Smoothing does not move the border; the images lie 0.8, 0.1, 0.6 and 0.1
    # over the root of 2 from it. 100 votes prove 0.37 at most.
    smoothing = ht.evaluation.SmoothingSettings(
        sigma=0.25, radii=(0.0, 0.3), num_samples=100
    )
    result = evaluate(linear, IMAGES, LABELS, attacks=[], smoothing=smoothing)
    assert result.certified_accuracy["smoothing@0.3"] == 2 / 5
    assert 2 / 5 <= result.certified_accuracy["smoothing@0"] <= 4 / 5
    described = result.certification["smoothing@0.3"]
    assert described["radius"] == 0.3
    assert described["threat_model"] == "l2"


def test_masked_network_is_measured_as_it_would_be_exported():
    masked = ht.to_masked(linear_model(), density=0.5)
    ht.init_scores(masked)
    ht.set_phase(masked, "finetune")
    result = evaluate(masked, IMAGES, LABELS, SETTINGS, bounds=["ibp"])
    plain = evaluate(
        ht.strip_masks(masked), IMAGES, LABELS, SETTINGS, bounds=["ibp"]
    )
    for one, other in ((result.withstood, plain.withstood),
                       (result.certified, plain.certified)):  # fmt: skip
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    trained = ht.RobustModel(masked, ht.objectives.Natural())
    wrapped = evaluate(trained, IMAGES, LABELS, SETTINGS, bounds=["ibp"])
    assert wrapped.certified_accuracy == plain.certified_accuracy


def test_stopped_evaluation_is_resumed_to_the_same_result(
    narrow, tmp_path, monkeypatch
):
    path = tmp_path / "state.json"
    images, labels = (each[:40] for each in narrow)
    network = linear_model()
    checks: list[int] = []

    def measured(stop_at=None, **changes):
        """Evaluates, but stops at a batch, if it comes so far."""
        begun = len(checks)

        def check():
            if len(checks) - begun == stop_at:
                raise interrupts.Interrupted(2)
            checks.append(1)

        monkeypatch.setattr(interrupts, "check", check)
        return evaluate(
            network, images, labels,
            attacks=[f"{__name__}:random_start", "pgd"],
            bounds=["ibp"],
            smoothing=ht.evaluation.SmoothingSettings(num_samples=20, n0=5),
            epsilon=0.1, num_restarts=3, num_steps=1, step_size=0.01,
            batch_size=8, **changes,
        )  # fmt: skip

    whole = measured()
    expected = len(checks)
    # In either attack, in bounds or smoothing, by the batches of each.
    for stop_at in (2, 3, 11, 15, 20):
        with pytest.raises(interrupts.Interrupted):
            measured(stop_at, state=path)
        assert path.exists()
    resumed = measured(state=path)
    assert not path.exists()
    # Nothing was done twice.
    assert len(checks) == 2 * expected
    assert resumed.to_dict().keys() == whole.to_dict().keys()
    for answers in ("withstood", "certified"):
        one, other = getattr(resumed, answers), getattr(whole, answers)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert 0 < resumed.robust_accuracy["pgd"] < 1


def test_state_of_another_evaluation_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "state.json"

    def stop():
        raise interrupts.Interrupted(2)

    settings = {"state": path, "epsilon": 0.1, "num_steps": 1}
    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "check", stop)
        with pytest.raises(interrupts.Interrupted):
            evaluate(linear_model(), IMAGES, LABELS, **settings)
    other = linear_model()
    other.set_weights([2 * weight for weight in other.get_weights()])
    for model, labels, changes, message in (
        (
            linear_model(),
            LABELS,
            {"epsilon": 0.2},
            "0.1 instead of 0.2",
        ),
        (other, LABELS, {}, "network"),
        (linear_model(), 1 - LABELS, {}, "labels"),
    ):
        with pytest.raises(ht.InputError, match=message) as error:
            evaluate(model, IMAGES, labels, **{**settings, **changes})
        assert "\n" not in str(error.value)
    evaluate(linear_model(), IMAGES, LABELS, **settings)
    path.write_text("{}")
    with pytest.raises(ht.InputError, match="is no evaluation to resume"):
        evaluate(linear_model(), IMAGES, LABELS, **settings)


def test_progress_is_shown_where_it_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    evaluate(linear, IMAGES, LABELS, SETTINGS, progress="auto")
    assert "  pgd  30 %  robust at most" in capsys.readouterr().out


def test_wrong_bounds_stop_the_evaluation(monkeypatch):
    monkeypatch.setattr(
        BoundProver,
        "each",
        lambda self, images, labels, epsilon: [np.ones(len(labels), bool)],
    )
    with pytest.raises(ContradictionError, match="ibp certifies 2 of 5 .* pgd"):
        evaluate(linear_model(), IMAGES, LABELS, SETTINGS, bounds=["ibp"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ["pdg"]}, "Did you mean 'pgd'"),
        ({"attack": ["pgd"]}, "no setting `attack`. Did you mean 'attacks'"),
        ({"attacks": ["cleverhans_cw_l2"]}, "needs `threat_model`=l2"),
        ({"bounds": ["ipb"]}, "`bounds` must be a list of names out of 'ibp'"),
        ({"bounds": ["ibp"]}, "bounds need the graph of a network"),
        (
            {"bounds": ["ibp"], "threat_model": "l2"},
            "`bounds`=ibp needs `threat_model`=linf",
        ),
        ({"epsilon": -1}, "`epsilon` must be a number >= 0"),
        ({"num_restarts": 0}, "`num_restarts` must be a whole number >= 1"),
        ({"images": 255 * IMAGES}, "`images` must lie in"),
        ({"labels": LABELS[:4]}, "4 labels, 5 images"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"images": IMAGES, "labels": LABELS, **changes}
    with pytest.raises(ht.InputError, match=message):
        evaluate(linear, **arguments)
