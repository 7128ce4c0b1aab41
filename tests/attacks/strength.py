"""What tests of attacks share: networks, balls, figures of the reference."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tests import golden
from tests.reference_nets import NAMES
from tests.reference_nets import reference_net

__all__ = ["NAMES"]

# Of the sum of squares of some hundred pixels in float32, and of x + delta.
ROUNDING = 1e-6

NORMS = {"linf": "Linf", "l2": "L2"}
# Attack of the reference, in the order of its results.
_ATTACKS = ("apgd", "apgd_t", "fab", "square")

# 1.5 points.
_TOLERANCE = 0.015

DEGENERATE = {
    "constant": lambda x: tf.ones([tf.shape(x)[0], 4]),
    "saturated": lambda x: 1e30 * _pixels(x)[:, :4] + [1e33, 0, 0, 0],
    "two classes": lambda x: _pixels(x)[:, :2] + [0.1, 0],
}


def _pixels(x):
    return tf.reshape(x, [-1, 192])


@dataclasses.dataclass
class Case:
    network: keras.Model
    images: np.ndarray
    labels: np.ndarray
    right: np.ndarray

    def robust(self, x_adv, rows=slice(None)):
        """Whether the network gets perturbed images of rows right."""
        classes = np.argmax(self.network(x_adv), axis=1)
        return classes == self.labels[rows]


def case(name: str) -> Case:
    """Returns a network of autoattack.npz with its images."""
    arrays = golden.load("autoattack")
    return Case(
        reference_net(arrays, name),
        arrays["images"],
        arrays["labels"],
        arrays[f"{name}/clean_correct"].astype(bool),
    )


def images(shape: tuple[int, ...]) -> np.ndarray:
    """Returns images of which some pixels are 0 or 1."""
    noise = np.random.default_rng(0).uniform(-0.2, 1.2, shape)
    return np.clip(noise, 0, 1).astype(np.float32)


def linear_network(shape: tuple[int, ...], num_classes: int = 3):
    """Returns a network of one layer."""
    size = (int(np.prod(shape)), num_classes)
    kernel = np.random.default_rng(1).normal(size=size).astype(np.float32)
    return lambda x: tf.reshape(x, [-1, size[0]]) @ kernel


def distances(x_adv, x, threat_model: str) -> np.ndarray:
    """Returns how far each image was moved."""
    delta = np.reshape(np.asarray(x_adv, np.float32) - x, (len(x), -1))
    order = {"linf": np.inf, "l2": 2}[threat_model]
    return np.linalg.norm(delta, order, axis=1)


def assert_within(x_adv, x, epsilon: float, threat_model: str) -> None:
    """Asserts that float32 images are in the ball and in [0, 1]."""
    x_adv = np.asarray(x_adv)
    assert x_adv.dtype == np.float32 and x_adv.shape == x.shape
    assert np.all((x_adv >= 0) & (x_adv <= 1))
    assert np.all(distances(x_adv, x, threat_model) <= epsilon + ROUNDING)


def check_stays_within(attack, shape, threat_model) -> None:
    """Asserts that results lie in balls of all sizes, also of none."""
    x = images(shape)
    network = linear_network(shape[1:])
    run = tf.function(
        lambda epsilon: attack(
            network, x, None, epsilon=epsilon, threat_model=threat_model, seed=0
        )
    )
    for epsilon in (0.0, 0.05, 1.0):
        x_adv = run(tf.constant(epsilon))
        assert_within(x_adv, x, epsilon, threat_model)


def check_against_reference(attack_name, attack, name, threat_model) -> None:
    """Asserts robust accuracy close to that of the reference's seeds."""
    arrays = golden.load("autoattack")
    norm = NORMS[threat_model]
    given = case(name)
    epsilon = float(arrays[f"eps_{norm}"])
    x_adv = attack(
        given.network,
        given.images,
        given.labels,
        epsilon=epsilon,
        threat_model=threat_model,
        seed=0,
    )
    assert_within(x_adv, given.images, epsilon, threat_model)
    number = _ATTACKS.index(attack_name)
    expected = arrays[f"{name}/{norm}/accuracy_individual"][:, number]
    accuracy = np.mean(given.robust(x_adv))
    assert abs(accuracy - np.mean(expected)) <= _TOLERANCE
