"""What is attacked, as attacks compute with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import losses
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.errors import InputError
from hydra_tf.layers import MaskedDense

LOGITS = tf.constant([[1.0, 3.0, 2.0], [5.0, 0.0, 4.0]])


def network(x):
    """Returns logits of three classes."""
    del x
    return LOGITS


def test_labels_default_to_the_predictions_and_limits_to_none():
    given = attacked(network, np.zeros((2, 4), np.float16), None, clip=None)
    np.testing.assert_array_equal(given.labels, [1, 0])
    np.testing.assert_array_equal(given.right, [True, True])
    np.testing.assert_array_equal(given.indices, [0, 1])
    np.testing.assert_array_equal(given.clip, [-np.inf, np.inf])
    assert given.finished(given.images).dtype == tf.float16


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64, np.bool_])
def test_labels_may_be_integers_of_any_size(dtype):
    labels = np.array([[1], [0]], dtype)
    if dtype == np.bool_:
        with pytest.raises(InputError, match="as integers"):
            attacked(network, np.zeros((2, 4), np.float32), labels)
        return
    given = attacked(network, np.zeros((2, 4), np.float32), labels)
    np.testing.assert_array_equal(given.right, [True, True])
    np.testing.assert_array_equal(losses.margin(LOGITS, given.labels), [1, 1])
    assert np.all(np.isfinite(losses.cross_entropy(LOGITS, given.labels)))


def test_labels_beyond_the_logits_are_named_whatever_the_network():
    with pytest.raises(InputError, match="from 0 to 2, as the network has 3"):
        attacked(network, np.zeros((2, 4), np.float32), np.array([0, 3]))


def test_attacks_called_eagerly_run_in_a_graph():
    model = keras.Sequential([keras.Input((4,)), MaskedDense(2)])
    ran = []

    def attack():
        ran.append(tf.executing_eagerly())
        return model(tf.ones([1, 4]))

    assert isinstance(run_in_graph(model, attack), tf.Tensor)
    tf.function(lambda: run_in_graph(model, attack))()
    assert ran == [False, False]
