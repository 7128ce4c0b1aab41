"""What is attacked, as attacks compute with it."""

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import margin
from hydra_tf.attacks.attacked import misclassified
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.layers import MaskedDense

LOGITS = tf.constant([[1.0, 3.0, 2.0], [5.0, 0.0, 4.0]])


def test_margins_and_mistakes():
    labels = tf.constant([2, 0])
    np.testing.assert_array_equal(margin(LOGITS, labels), [-1.0, 1.0])
    np.testing.assert_array_equal(misclassified(LOGITS, labels), [True, False])


def test_labels_default_to_the_predictions_and_limits_to_none():
    given = attacked(
        lambda x: LOGITS, np.zeros((2, 4), np.float16), None, clip=None
    )
    np.testing.assert_array_equal(given.labels, [1, 0])
    np.testing.assert_array_equal(given.right, [True, True])
    np.testing.assert_array_equal(given.indices, [0, 1])
    np.testing.assert_array_equal(given.clip, [-np.inf, np.inf])
    assert given.finished(given.images).dtype == tf.float16


def test_attacks_called_eagerly_run_in_a_graph():
    model = keras.Sequential([keras.Input((4,)), MaskedDense(2)])
    ran = []

    def attack():
        ran.append(tf.executing_eagerly())
        return model(tf.ones([1, 4]))

    assert isinstance(run_in_graph(model, attack), tf.Tensor)
    tf.function(lambda: run_in_graph(model, attack))()
    assert ran == [False, False]
