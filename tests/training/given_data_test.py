"""What fit and evaluate are given is looked at before training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training.given_data import as_labelled
from hydra_tf.training.given_data import check_data

X = np.zeros((3, 4), np.float32)
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


def test_soft_labels_are_distributions_over_the_classes():
    soft = np.array([[0.2, 0.8, 0], [1, 0, 0], [0, 0, 1]])
    for y in (soft, np.eye(3)[Y], np.eye(3, dtype=int)[Y]):
        check(X, y)
        check(batches(X, y))
    mart = ht.objectives.MART(num_steps=1)
    check_data(NETWORK, mart, X, np.eye(3)[Y])
    for objective, y, words in (
        (mart, soft, "one class per image for MART.* such as TRADES.*0.2"),
        (ht.objectives.TRADES(), soft[:, :2], r"\(batch, 3\)"),
        (ht.objectives.TRADES(), 2 * soft, "sum to 1. Received: the row"),
        (ht.objectives.TRADES(), soft - 0.1, ">= 0 that sum to 1"),
        (ht.objectives.TRADES(), soft[:2], "2 labels, 3 images"),
    ):
        with pytest.raises(InputError, match=words):
            check_data(NETWORK, objective, X, y)


def test_dataset_of_dictionaries_has_labels_beside_images():
    data = tf.data.Dataset.from_tensor_slices({"image": X, "label": Y, "id": Y})
    pairs = as_labelled(data.batch(2))
    (inputs, labels), *_ = pairs
    assert set(inputs) == {"image", "id"}
    assert labels.numpy().tolist() == Y[:2].tolist()
    assert int(pairs.cardinality()) == 2
    with pytest.raises(InputError, match="as 'label'. Received: 'image'"):
        as_labelled(data.map(lambda each: {"image": each["image"]}))
    of_each = as_labelled(each for each in data.batch(2))
    assert [labels.numpy().tolist() for _, labels in of_each] == [[0, 2], [1]]
    of_pairs = batches(X, Y)
    assert as_labelled(of_pairs) is of_pairs


def test_pixels_of_0_to_255_want_their_range():
    pixels = np.full((3, 4), 200, np.uint8)
    check(pixels, Y, clip=(0, 255))
    check(pixels.astype(np.float32), Y, clip=(0, 255))
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Dense(3),
        ]
    )
    for images in (pixels, pixels.astype(np.float32)):
        with pytest.raises(InputError, match=r"clip=\(0, 255\) and epsilon=8"):
            check_data(network, ht.objectives.TRADES(), images, Y)


def test_hidden_softmax_is_found_by_its_outputs():
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.Lambda(lambda x: tf.nn.softmax(x)),
        ]
    )
    with pytest.raises(InputError, match="returns probabilities"):
        check_data(network, ht.objectives.Natural(), X, Y)
