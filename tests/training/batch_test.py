"""The images and labels of a training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.errors import InputError
from hydra_tf.training.batch import Batch
from hydra_tf.training.batch import check_data
from hydra_tf.training.batch import labels_named

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


NETWORK = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
Y = np.array([0, 2, 1])


def check(x, y=None, **objective):
    check_data(NETWORK, ht.objectives.Natural(**objective), x, y)


def batches(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(2)


def test_images_and_labels_that_fit_pass():
    for y in (Y, Y[:, np.newaxis], Y.astype(np.float32), tf.constant(Y)):
        check(X, y)
        check(batches(X, y))
    check(X - 1, Y, clip=(-1, 1))
    check(X + 9, Y, clip=None)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, np.array([0, 3, 1]), "classes from 0 to 2, .* Received: 3"),
        (X, np.array([0, 0.5, 1]), "whole numbers. Received: 0.5"),
        (X, Y[:2], "2 labels, 3 images"),
        (X - 1, Y, r"must lie in \[0, 1\]: .* `clip`"),
        (X.astype(np.uint8), Y, "float images.* by 255.*dtype=uint8"),
        (X * np.nan, Y, "12 of 12 values are nan|8 of 8 values are nan"),
        (X[:, :3], Y, r"\(batch, 4\)"),
    ],
)
def test_arrays_and_first_batches_are_looked_at(x, y, words):
    with pytest.raises(InputError, match=words):
        check(x, y)
    if len(x) == len(y):
        with pytest.raises(InputError, match="of x`.*(" + words + ")"):
            check(batches(x, y))


def test_dataset_without_a_batch_is_named():
    with pytest.raises(InputError, match="one batch or more"):
        check(batches(X, Y).take(0))


def test_label_of_a_later_batch_is_named():
    logits = tf.zeros((1, 3))
    with pytest.raises(InputError, match="classes from 0 to 2.*Received: 7"):
        with labels_named():
            cross_entropy(logits, tf.constant([7]))
    with pytest.raises(tf.errors.InvalidArgumentError), labels_named():
        tf.reshape(logits, [2])
