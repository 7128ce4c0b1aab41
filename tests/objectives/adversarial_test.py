"""Settings of the objectives that attack by several gradient steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import objectives
from hydra_tf.schedules import LinearRamp

X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2], np.int32)


def linear(x):
    """Logits whose gradients have no zero."""
    return x[:, :3] - 2 * x[:, 2:]


def test_step_size_follows_epsilon_unless_given():
    assert objectives.TRADES().step_size == 2 / 255
    assert objectives.Madry(epsilon=0.4).step_size == 0.1
    l2 = objectives.TRADES(epsilon=0.5, num_steps=10, threat_model="l2")
    assert l2.step_size == 0.1
    assert objectives.MART(step_size=0.3).step_size == 0.3


@pytest.mark.parametrize("name", ["madry", "trades", "mart"])
def test_steps_grow_over_the_epochs(name):
    objective = objectives.create(name, epsilon=0.4, num_steps=5)
    ramped = objective.with_steps_ramp(8.0)
    steps = [int(ramped.steps_at(tf.constant(e))) for e in (0.0, 4.0, 8.0, 9.0)]
    assert steps == [1, 3, 5, 5]
    assert ramped.steps_at() == 5 and ramped.full_from_epoch == 8.0
    # What an epoch attacks with is what as many steps do.
    for epoch, count in ((0.0, 1), (4.0, 3), (None, 5)):
        fixed = objectives.create(name, epsilon=0.4, num_steps=count)
        np.testing.assert_array_equal(
            ramped.perturb(linear, X, Y, seed=1, epoch=epoch),
            fixed.perturb(linear, X, Y, seed=1),
        )


def test_a_schedule_of_steps_is_saved():
    ramped = objectives.MART(num_steps=3).with_steps_ramp(2.0)
    serialized = keras.saving.serialize_keras_object(ramped)
    again = keras.saving.deserialize_keras_object(serialized)
    assert again.num_steps == LinearRamp(0.0, 2.0, first=1.0, last=3.0)
    assert again.step_size == ramped.step_size
