"""What a phase is given to train on becomes epochs of batches."""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training.train_data import as_train_data
from hydra_tf.training.train_data import digest_of

IMAGES = np.linspace(0, 1, 300, dtype="float32").reshape(300, 1, 1, 1)
LABELS = np.arange(300) % 2


def test_arrays_are_shuffled_into_batches_of_128():
    data = as_train_data((IMAGES, LABELS), seed=1)
    assert data.steps_per_epoch == 3
    (first, _), *_ = data.dataset(num_epochs=1)
    assert len(first) == 128
    assert not np.array_equal(first, IMAGES[:128])


def test_fewer_arrays_make_one_batch():
    data = as_train_data((IMAGES[:9], LABELS[:9]), seed=1)
    assert data.steps_per_epoch == 1
    ((batch, _),) = data.dataset()
    assert len(batch) == 9


def test_dataset_is_repeated_epoch_by_epoch():
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(100)
    data = as_train_data(batches, seed=0)
    assert data.steps_per_epoch == 3
    assert len(list(data.dataset(first_epoch=4, num_epochs=2))) == 6


def test_batches_of_a_dataset_of_unknown_length_are_counted():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    batches = pairs.filter(lambda _, label: label == 0).batch(100)
    data = as_train_data(batches, seed=0)
    with pytest.warns(UserWarning, match="`train` does not say how many"):
        assert data.steps_per_epoch == 2
    assert data.steps_per_epoch == 2
    assert len(list(data.dataset(num_epochs=2))) == 4
    none = pairs.filter(lambda _, label: label > 1).batch(100)
    data = as_train_data(none, seed=0)
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match="at least one batch"),
    ):
        data.steps_per_epoch  # noqa: B018


def test_pipeline_is_taken_as_it_is():
    pipeline = ht.data.from_arrays(IMAGES, LABELS, batch_size=100)
    assert as_train_data(pipeline, seed=0) is pipeline


@pytest.mark.parametrize(
    "train, words",
    [
        ("digits", "must be a hydra_tf.data.Pipeline.*Received: str"),
        ((IMAGES, LABELS, LABELS), "pair of arrays"),
        (
            tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(),
            "`train` must be a dataset with an end",
        ),
        (
            tf.data.Dataset.from_tensors((IMAGES, LABELS)).take(0),
            "`train` must hold at least one batch",
        ),
    ],
)
def test_anything_else_is_refused(train, words):
    with pytest.raises(InputError, match=words):
        as_train_data(train, seed=0)


CHANGED = np.where(
    np.arange(300)[:, None, None, None] == 299, 1 - IMAGES, IMAGES
)
TURNED = (LABELS + (np.arange(300) == 299)) % 2


def in_memory(images=IMAGES, labels=LABELS):
    return ht.data.from_arrays(images, labels, batch_size=50)


def with_extra(images=IMAGES, labels=LABELS):
    return ht.data.with_extra(in_memory(), (images, labels))


def in_batches(images=IMAGES, labels=LABELS, shuffled=1):
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    return pairs.shuffle(shuffled).batch(300 // shuffled)


@pytest.mark.parametrize("make", [in_memory, with_extra, in_batches])
def test_digest_tells_other_images_and_labels_apart(make):
    digests = [
        digest_of(as_train_data(each, seed=0))
        for each in (make(), make(), make(CHANGED), make(labels=TURNED))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_digest_of_batches_that_are_drawn_anew_is_that_of_their_form():
    one, two = (
        as_train_data(in_batches(images, shuffled=300), seed=0)
        for images in (IMAGES, CHANGED)
    )
    assert digest_of(one) == digest_of(two)
