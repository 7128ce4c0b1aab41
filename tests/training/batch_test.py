"""The images and labels of a training step."""

import keras
import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.training.batch import Batch
from hydra_tf.training.batch import check_labels

X = np.zeros((3, 4), np.float32)


def test_single_replica_has_the_whole_batch():
    batch = Batch((X, np.array([[0], [1], [2]])))
    assert batch.y.numpy().tolist() == [0, 1, 2]
    assert (int(batch.rows), batch.share) == (3, 1.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((X,), "needs labels"),
        ((X, np.zeros(3), np.ones(3)), "`sample_weight` and `class_weight`"),
    ],
)
def test_batch_without_labels_or_with_weights_is_refused(data, words):
    with pytest.raises(InputError, match=words):
        Batch(data)


def test_label_that_is_no_class_is_named():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    check_labels(network, np.array([0, 2]))
    with pytest.raises(InputError, match="classes from 0 to 2.*Received: 3"):
        check_labels(network, np.array([0, 3]))
