"""Tests of what makes a figure of robustness doubtful."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import suspicions
from tests.attacks.networks import IMAGES
from tests.attacks.networks import LABELS
from tests.attacks.networks import curved
from tests.attacks.networks import linear


def noisy(x):
    return linear(x) + tf.random.normal((5,))


@pytest.mark.parametrize(
    ("model", "version", "words"),
    [
        (linear, "standard", []),
        (noisy, "rand", []),
        (lambda x: tf.nn.softmax(linear(x)), "standard", ["probabilities"]),
        (lambda x: tf.round(linear(x)), "standard", ["zero for 100.0 %"]),
        (lambda x: linear(x) / 0.0, "standard", ["nan or infinite"]),
        (noisy, "standard", ["version='rand'"]),
        (curved, "rand", ["version='standard'"]),
    ],
)
def test_odd_networks_are_told_from_others(model, version, words):
    found = suspicions.of_network(model, IMAGES, LABELS, version)
    if not words:
        assert found == []
    for word in words:
        assert any(word in sentence for sentence in found), found


def test_saturated_softmax_is_counted():
    # Of those that the network is right about, none has a gradient.
    y = np.argmax(linear(IMAGES), axis=1)
    (found,) = suspicions.of_network(lambda x: 1e4 * linear(x), IMAGES, y)
    assert "gradient of the cross-entropy is zero" in found


def test_square_beyond_gradients_is_suspicious():
    broken_by = np.array(["", "apgd-ce", "square"]).repeat([898, 100, 2])
    assert suspicions.of_square(broken_by) == []
    broken_by[:48] = "square"
    (found,) = suspicions.of_square(broken_by)
    assert "5.0 %" in found and "obfuscated" in found
