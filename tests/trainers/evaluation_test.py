"""Accuracies of networks for which they are known."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.attack_flags import EvaluationSettings
from flags.certification_flags import CertificationSettings
from hydra_tf.errors import ContradictionError
from trainers import certification
from trainers import evaluation

SETTINGS = EvaluationSettings(
    attacks=("pgd",),
    epsilon=0.1,
    step_size=0.1,
    num_steps=3,
    num_restarts=2,
    threat_model="linf",
    num_examples=None,
    batch_size=3,
    seed=0,
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


@pytest.mark.parametrize(
    "name",
    ["pgd", "pgd_margin", "fgsm", "cleverhans_fgm", "cleverhans_pgd"],
)
def test_linear_network_has_the_accuracies_on_paper(name):
    # An attack moves the difference by at most 2 epsilon = 0.2: those with a
    # difference of 0.1 fall, those of 0.8 and 0.6 do not.
    result = evaluation.evaluate(
        linear, IMAGES, LABELS, dataclasses.replace(SETTINGS, attacks=(name,))
    )
    assert result.natural_accuracy == 4 / 5
    assert result.robust_accuracy == {name: 2 / 5}
    assert result.num_examples == 5
    assert result.attacks[name]["epsilon"] == 0.1


def test_radius_zero_leaves_the_natural_accuracy():
    settings = dataclasses.replace(SETTINGS, epsilon=0.0, step_size=0.0)
    result = evaluation.evaluate(linear, IMAGES, LABELS, settings)
    assert result.robust_accuracy["pgd"] == result.natural_accuracy == 4 / 5


def test_same_seed_gives_the_same_figures():
    # One short step from a random start: the figure depends on the start.
    settings = dataclasses.replace(SETTINGS, num_steps=1, step_size=0.01)
    rng = np.random.default_rng(0)
    images = rng.uniform(0.3, 0.7, (200, 1, 2, 1)).astype(np.float32)
    labels = np.asarray(tf.argmax(linear(images), axis=1), np.int32)

    def robust(**changes):
        return evaluation.evaluate(
            linear, images, labels, dataclasses.replace(settings, **changes)
        ).robust_accuracy["pgd"]

    assert robust() == robust()
    assert len({robust(seed=seed) for seed in range(4)}) > 1
    # More restarts can only find more.
    assert robust(num_restarts=8) < robust(num_restarts=1)


def test_settings_are_recorded_per_attack():
    recorded = evaluation.describe("pgd_margin", SETTINGS)
    assert recorded == {
        "epsilon": 0.1,
        "threat_model": "linf",
        "seed": 0,
        "loss": "margin",
        "num_restarts": 2,
        "random_start": True,
        "num_steps": 3,
        "step_size": 0.1,
    }
    assert "num_steps" not in evaluation.describe("fgsm", SETTINGS)
    cleverhans = evaluation.describe("cleverhans_spsa", SETTINGS)
    assert cleverhans["library"] == "cleverhans"
    assert "step_size" not in cleverhans


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


def proving(*methods, **changes):
    chosen = CertificationSettings(
        methods, epsilon=0.1, sigma=0.25, radii=(0.0, 0.3), num_samples=100
    )
    return dataclasses.replace(SETTINGS, certification=chosen, **changes)


@pytest.mark.parametrize(
    "method", ["ibp", "crown_ibp", "crown", "symbolic", "best"]
)
def test_bounds_of_a_linear_network_are_exact(method):
    result = evaluation.evaluate(
        linear_model(), IMAGES, LABELS, proving(method)
    )
    # What withstands the best attack is proved.
    assert result.certified_accuracy == {method: 2 / 5}
    assert result.robust_accuracy == {"pgd": 2 / 5}
    assert result.certification == {
        method: {"epsilon": 0.1, "threat_model": "linf", "dtype": "float32"}
    }
    assert f"certified 40.0 % by {method}" in evaluation.summary(result)


def test_smoothing_of_a_linear_network_has_the_radius_on_paper():
    # Smoothing does not move the border; the images lie 0.8, 0.1, 0.6 and 0.1
    # over the root of 2 from it. 100 votes prove 0.37 at most.
    result = evaluation.evaluate(
        linear_model(), IMAGES, LABELS, proving("smoothing", attacks=())
    )
    assert result.certified_accuracy["smoothing@0.3"] == 2 / 5
    assert 2 / 5 <= result.certified_accuracy["smoothing@0"] <= 4 / 5
    described = result.certification["smoothing@0.3"]
    assert described["radius"] == 0.3
    assert described["threat_model"] == "l2"


def test_nothing_is_recorded_of_proofs_where_none_were_asked_for():
    result = evaluation.evaluate(linear, IMAGES, LABELS, SETTINGS)
    assert result.certified_record() == {}
    assert "certified" not in evaluation.summary(result)


def test_attack_on_a_proved_image_is_a_defect():
    proved = np.array([True, True, False])
    certification.check_against_attack(
        "ibp", proved, "pgd", np.array([True, True, True]), 0.1
    )
    with pytest.raises(
        ContradictionError,
        match="ibp certifies 1 of 3 .* within 0.1 that pgd turns.* number 1:",
    ):
        certification.check_against_attack(
            "ibp", proved, "pgd", np.array([True, False, True]), 0.1
        )


def test_wrong_bounds_stop_the_evaluation(monkeypatch):
    monkeypatch.setattr(
        certification.BoundProver,
        "__call__",
        lambda self, images, labels, *rest: np.ones(len(labels), bool),
    )
    with pytest.raises(ContradictionError, match="2 of 5|4 of 5"):
        evaluation.evaluate(linear_model(), IMAGES, LABELS, proving("ibp"))


def test_batches_shrink_where_memory_is_short():
    prover = certification.BoundProver(linear_model(), "ibp", batch_size=4)
    compute, sizes = prover._certified, []

    def short_of_memory(x, y, epsilon):
        sizes.append(len(y))
        if len(y) > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return compute(x, y, epsilon)

    prover._certified = short_of_memory
    proved = prover(IMAGES, LABELS, 0.1)
    assert proved.tolist() == [True, False, True, False, False]
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
