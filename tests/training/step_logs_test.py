"""Means over an epoch of what steps report."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.objectives import Loss
from hydra_tf.training.batch import Batch
from hydra_tf.training.step_logs import StepLogs

LOGITS = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def batch(labels):
    return Batch((np.zeros((len(labels), 2), np.float32), np.array(labels)))


def update(logs, labels, terms=(), figures=()):
    loss = Loss(tf.constant(0.0), dict(terms), dict(figures))
    logits = {"natural": LOGITS[: len(labels)]}
    return logs.update(batch(labels), tf.constant(2.0), loss, logits)


def test_terms_and_accuracies_are_means_over_images():
    logs = StepLogs(["ce"], [], is_attacked=True)
    assert list(logs.means) == [
        "loss",
        "ce",
        "natural_accuracy",
        "robust_accuracy",
    ]
    update(logs, [0, 1, 0], {"ce": 1.0, "unknown": 5.0})
    values = update(logs, [1], {"ce": 3.0})
    assert {name: float(value) for name, value in values.items()} == {
        "loss": 2.0,
        "ce": 1.5,
        "natural_accuracy": 0.75,
    }
    assert logs.never_updated() == ["robust_accuracy"]


def test_figures_are_last_values_or_weighted_means():
    logs = StepLogs([], ["epsilon", "certified"], is_attacked=False)
    update(logs, [0, 1, 0], (), {"epsilon": 0.1, "certified": (1.0, 0.5)})
    values = update(logs, [1], (), {"epsilon": 0.2, "certified": (0.0, 1.0)})
    assert float(values["epsilon"]) == pytest.approx(0.2)
    # Of 1.5 + 1 images that it speaks for.
    assert float(values["certified"]) == pytest.approx(0.6)
