"""Accuracies of networks for which they are known."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from flags.attack_flags import EvaluationSettings
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
