"""What an attack is told of the step."""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.training.attacking import attacked
from hydra_tf.training.batch import Batch

X = np.full((2, 3), 0.5, np.float32)
BATCH = Batch((X, np.array([0, 1])))


class Plain(ht.objectives.Objective):
    def perturb(self, model, x, y, seed=None):
        return x + 1


class Following(ht.objectives.Objective):
    def perturb(self, model, x, y, seed=None, epoch=None):
        return x + (10 if epoch is None else epoch)


@pytest.mark.parametrize(
    ("attack", "epoch", "added"),
    [
        (Plain(), 2.0, 1),
        (Following(), 2.0, 2),
        (Following(), None, 10),
        (lambda model, x, y: x + 3, None, 3),
    ],
)
def test_attacks_are_told_the_epoch_they_ask_for(attack, epoch, added):
    if epoch is not None:
        epoch = tf.constant(epoch)
    found = attacked(attack, lambda x: x, BATCH, tf.constant([0, 0]), epoch)
    np.testing.assert_allclose(found, X + added)
