"""Measurements on few images."""

import numpy as np
import pytest

from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation.probe import Probe
from tests.attacks.networks import IMAGES
from tests.attacks.networks import WEIGHTS
from tests.attacks.networks import linear

SETTINGS = EvaluationSettings(epsilon=0.1, num_steps=20, batch_size=3)


@pytest.fixture(scope="module")
def probe():
    labels = np.argmax(linear(IMAGES), axis=1).astype(np.int32)
    labels[0] = (labels[0] + 1) % 5
    return Probe(linear, IMAGES, labels, SETTINGS)


def test_answers_are_logits_and_the_size_of_gradients(probe):
    answers = probe.answers()
    np.testing.assert_allclose(answers.logits, linear(IMAGES), atol=1e-5)
    other = probe.answers(batch_size=5)
    np.testing.assert_allclose(answers.of_loss, other.of_loss, atol=1e-5)
    best = np.argsort(answers.logits, axis=1)[:, -2:]
    slopes = np.abs(WEIGHTS[:, best[:, 1]] - WEIGHTS[:, best[:, 0]])
    np.testing.assert_allclose(
        answers.of_margin[1:], slopes.max(axis=0)[1:], rtol=1e-5
    )
    assert probe.correct.tolist() == [False] + [True] * 6


def test_attacks_come_to_what_is_known_of_a_linear_network(probe):
    assert not np.any(probe.pgd(epsilon=probe.largest_epsilon))
    np.testing.assert_array_equal(probe.pgd(epsilon=0.0), probe.correct)
    left = probe.pgd(num_restarts=3).sum()
    assert left <= probe.single_step().sum() <= probe.noise(5).sum()
    assert left <= probe.square(20).sum() <= probe.correct.sum()
    assert left < probe.correct.sum()
