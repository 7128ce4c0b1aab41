"""Images held out of training: disjoint, stratified, as they are stored."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.errors import InputError
from tests.data import fake_imagenet

LABELS = np.repeat([0, 1, 2], [50, 30, 20])
# Every image is one of its kind.
IMAGES = np.linspace(0, 1, 100, dtype="float32").reshape(100, 1, 1, 1)


def pipeline(**settings):
    settings = {"batch_size": 8, "seed": 3} | settings
    return data.from_arrays(IMAGES, LABELS, **settings)


def seen(pipe, epoch=0):
    batches = pipe.dataset(epoch)
    return np.concatenate([images.numpy().ravel() for images, _ in batches])


def test_parts_are_disjoint_and_keep_the_classes_shares():
    train, validation = data.split_validation(pipeline(), 0.2)
    assert (len(train), len(validation)) == (80, 20)
    both = np.concatenate([seen(train), seen(validation)])
    np.testing.assert_array_equal(np.sort(both), IMAGES.ravel())
    assert np.bincount(validation.arrays()[1]).tolist() == [10, 6, 4]
    assert np.bincount(train.arrays()[1]).tolist() == [40, 24, 16]


def test_selection_follows_from_the_seed():
    def held_out(**settings):
        return seen(data.split_validation(pipeline(), 0.2, **settings)[1])

    np.testing.assert_array_equal(held_out(), held_out(seed=3))
    assert not np.array_equal(held_out(), held_out(seed=4))


class Inverted(data.Augmentation):
    def draw(self, num_examples, seed):
        return tf.zeros((num_examples, 1))

    def apply(self, images, numbers):
        return 1 - images


def test_only_what_trains_is_shuffled_and_augmented():
    whole = pipeline(augment=Inverted(), drop_remainder=True, batch_size=64)
    train, validation = data.split_validation(whole, 0.25)
    assert (train.steps_per_epoch, validation.steps_per_epoch) == (1, 1)
    assert not np.array_equal(seen(train, 0), seen(train, 1))
    stored = validation.arrays()[0].ravel()
    for epoch in (0, 1):
        np.testing.assert_array_equal(seen(validation, epoch), stored)
    assert np.all(np.diff(stored) > 0)
    inverted = np.round(100 * (1 - seen(train)))
    assert np.isin(inverted, np.round(100 * train.arrays()[0])).all()
    # The whole is as it was.
    assert whole.shuffle and whole.augmentation and len(whole) == 100


def test_files_are_split_without_reading_all_labels(tmp_path):
    fake_imagenet.write(tmp_path)
    whole = data.load(
        fake_imagenet.NAME, "train", batch_size=5, data_dir=tmp_path, seed=1
    )
    train, validation = data.split_validation(whole, 0.3)
    assert (len(whole), len(train), len(validation)) == (23, 16, 7)
    assert validation.augmentation is None and not validation.shuffle
    stored = whole.arrays()[1].tolist()
    trained = [int(label) for _, batch in train for label in batch]
    validated = [int(label) for _, batch in validation for label in batch]
    assert len(set(stored)) == 23  # A class for every image.
    assert sorted(trained + validated) == sorted(stored)
    assert validated == [label for label in stored if label in validated]


@pytest.mark.parametrize(
    "train, fraction, words",
    [
        (pipeline(), 1.0, r"`validation_fraction` must be .*\[0, 1\)"),
        (pipeline(), 0.0, "`validation_fraction` must be above 0"),
        (pipeline(), 0.999, "leaves 0 to train on"),
        (pipeline(drop_remainder=True), 0.95, "leaves 5 to train on"),
        ((IMAGES, LABELS), 0.1, "`train` must be a .*Received: tuple"),
    ],
)
def test_mistakes_are_named(train, fraction, words):
    with pytest.raises(InputError, match=words):
        data.split_validation(train, fraction)
