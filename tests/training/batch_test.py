"""The images and labels of a training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.errors import InputError
from hydra_tf.training.batch import Batch
from hydra_tf.training.batch import labels_named
from hydra_tf.training.network_inputs import NetworkInputs

X = np.zeros((3, 4), np.float32)
Y = np.array([0, 2, 1])
NETWORK = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
INPUTS = NetworkInputs(NETWORK)


def test_single_replica_has_the_whole_batch():
    batch = Batch((X, np.array([[0], [1], [2]])))
    assert batch.y.numpy().tolist() == [0, 1, 2]
    assert (int(batch.rows), batch.share) == (3, 1.0)


def test_batch_without_labels_is_refused():
    with pytest.raises(InputError, match="needs labels: pass `y`"):
        Batch((X,))
    with pytest.raises(InputError, match="as 'label'. Received: 'a', 'b'"):
        Batch({"a": X, "b": X})


def test_dictionary_holds_labels_and_weights():
    batch = Batch({"image": X, "label": Y, "sample_weight": [1, 2, 3]}, INPUTS)
    np.testing.assert_array_equal(batch.x, X)
    assert batch.y.numpy().tolist() == Y.tolist()
    assert batch.weights.numpy().tolist() == [1, 2, 3]
    only_labels = Batch(({"image": X, "id": Y}, Y), INPUTS)
    np.testing.assert_array_equal(only_labels.x, X)
    assert only_labels.weights is None


def test_whole_pixels_are_floats_in_the_step():
    assert Batch((X.astype(np.uint8), Y)).x.dtype == tf.float32


def test_soft_labels_are_for_objectives_that_take_them():
    soft = np.array([[0.2, 0.8, 0], [1, 0, 0], [0, 0, 1]])
    batch = Batch((X, soft), soft_labels=True)
    np.testing.assert_allclose(batch.y, soft)
    assert batch.classes.numpy().tolist() == [1, 0, 2]
    one_hot = Batch((X, np.eye(3, dtype=int)[Y]))
    assert one_hot.y.numpy().tolist() == Y.tolist()
    np.testing.assert_array_equal(one_hot.labels, np.eye(3)[Y])
    with pytest.raises(InputError, match="one class per image"):
        with labels_named():
            Batch((X, soft))


def test_label_of_a_later_batch_is_named():
    logits = tf.zeros((1, 3))
    with pytest.raises(InputError, match="classes from 0 to 2.*Received: 7"):
        with labels_named():
            cross_entropy(logits, tf.constant([7]))
    with pytest.raises(tf.errors.InvalidArgumentError), labels_named():
        tf.reshape(logits, [2])
