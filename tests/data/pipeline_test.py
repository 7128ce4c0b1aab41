"""Batches: their range and order, exact resuming, replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf import data
from hydra_tf.errors import InputError


def _numbered(num_examples, **settings):
    """Returns a pipeline of images that are all equal to `number / 255`."""
    numbers = np.arange(num_examples, dtype=np.uint8)
    images = np.broadcast_to(
        numbers[:, None, None, None], (num_examples, 4, 4, 2)
    )
    return data.from_arrays(images, numbers % 3, num_classes=3, **settings)


def _numbers(batches):
    return [
        np.round(images.numpy()[:, 2, 2, 0] * 255).astype(int).tolist()
        for images, _ in batches
    ]


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    batch_size=st.integers(1, 13),
    first_epoch=st.integers(0, 4),
    drop_remainder=st.booleans(),
)
def test_resumed_epochs_equal_those_of_an_uninterrupted_run(
    seed, batch_size, first_epoch, drop_remainder
):
    def make():
        return _numbered(
            11,
            batch_size=min(batch_size, 11),
            seed=seed,
            augment=data.CropFlip(padding=2),
            drop_remainder=drop_remainder,
        )

    pipe = make()
    whole = list(pipe.dataset(num_epochs=5))
    rest = list(make().dataset(first_epoch, 5 - first_epoch))
    assert len(whole) == 5 * pipe.steps_per_epoch
    expected = whole[first_epoch * pipe.steps_per_epoch :]
    for one, other in zip(expected, rest, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@settings(max_examples=8, deadline=None)
@given(
    num_examples=st.integers(1, 30),
    batch_size=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_each_example_comes_once_per_epoch(num_examples, batch_size, seed):
    batch_size = min(batch_size, num_examples)
    pipe = _numbered(num_examples, batch_size=batch_size, seed=seed)
    batches = list(pipe.dataset(first_epoch=3))
    assert len(batches) == pipe.steps_per_epoch
    numbers = sum(_numbers(batches), [])
    assert sorted(numbers) == list(range(num_examples))
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels, np.array(numbers) % 3)


def test_order_changes_with_epoch_and_seed():
    def order(seed, epoch):
        pipe = _numbered(40, batch_size=40, seed=seed)
        return tuple(_numbers(pipe.dataset(epoch))[0])

    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_shuffle_reaches_over_the_whole_split():
    pipe = _numbered(200, batch_size=1, seed=1)
    firsts = [
        _numbers(pipe.dataset(epoch).take(1))[0][0] for epoch in range(12)
    ]
    assert min(firsts) < 50
    assert max(firsts) >= 150


def test_evaluation_keeps_the_stored_order():
    pipe = _numbered(7, batch_size=3, training=False)
    expected = [[0, 1, 2], [3, 4, 5], [6]]
    assert _numbers(pipe.dataset(num_epochs=2)) == expected * 2


def test_iterating_goes_through_the_first_epoch():
    pipe = _numbered(7, batch_size=3, seed=2)
    assert _numbers(pipe) == _numbers(pipe.dataset())


def test_augmentation_of_an_example_does_not_depend_on_its_batch():
    """Epoch, seed and example decide, so any batch size gives the same."""
    generator = np.random.RandomState(0)
    images = generator.randint(1, 256, (12, 6, 6, 1)).astype(np.uint8)

    def augmented(batch_size):
        pipe = data.from_arrays(
            images,
            np.arange(12),
            batch_size=batch_size,
            seed=4,
            augment=data.CropFlip(padding=2),
        )
        return {
            int(label): image.tobytes()
            for batch, labels in pipe.dataset(first_epoch=1)
            for image, label in zip(batch.numpy(), labels, strict=True)
        }

    first = augmented(12)
    assert first == augmented(5)
    plain = images.astype(np.float32) / 255
    assert any(first[row] != plain[row].tobytes() for row in range(12))


def test_batches_have_the_promised_types_and_range():
    images, labels = next(iter(_numbered(256, batch_size=256).dataset()))
    assert images.dtype == tf.float32
    assert labels.dtype == tf.int32
    assert images.shape == (256, 4, 4, 2)
    assert labels.shape == (256,)
    assert images.numpy().min() == 0.0
    assert images.numpy().max() == 1.0


def test_dataset_knows_its_length_and_static_shape():
    pipe = _numbered(10, batch_size=4)
    dataset = pipe.dataset(2, 3)
    assert int(dataset.cardinality()) == 9
    assert dataset.element_spec[0].shape.as_list() == [None, 4, 4, 2]
    dropping = _numbered(10, batch_size=4, drop_remainder=True)
    assert dropping.steps_per_epoch == 2
    assert dropping.dataset().element_spec[0].shape.as_list() == [4, 4, 4, 2]


def test_same_batches_with_and_without_prefetch():
    one = _numbered(9, batch_size=4, prefetch=True)
    other = _numbered(9, batch_size=4, prefetch=False)
    assert _numbers(one.dataset(1, 2)) == _numbers(other.dataset(1, 2))


def test_resumed_fit_ends_with_the_same_weights():
    pipe = _numbered(20, batch_size=8, seed=3, augment=data.CropFlip(padding=1))

    def make():
        model = keras.Sequential(
            [
                keras.layers.Input(pipe.image_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(pipe.num_classes, kernel_initializer="ones"),
            ]
        )
        model.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    def fit(model, first_epoch, last_epoch):
        model.fit(
            pipe.dataset(first_epoch, last_epoch - first_epoch),
            steps_per_epoch=pipe.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=last_epoch,
            shuffle=False,
            verbose=0,
        )

    whole, halves = make(), make()
    fit(whole, 0, 4)
    fit(halves, 0, 2)
    fit(halves, 2, 4)
    for one, other in zip(
        whole.get_weights(), halves.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_replicas_share_each_batch_and_see_each_example_once():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    pipe = _numbered(10, batch_size=4, seed=2)
    local = strategy.experimental_local_results
    shares = [
        _numbers(zip(local(images), local(labels), strict=True))
        for images, labels in strategy.experimental_distribute_dataset(
            pipe.dataset()
        )
    ]
    assert [[len(part) for part in batch] for batch in shares] == [
        [2, 2],
        [2, 2],
        [1, 1],
    ]
    assert [sum(batch, []) for batch in shares] == _numbers(pipe.dataset())


def test_arrays_returns_the_first_examples_unchanged():
    pipe = _numbered(9, batch_size=4, seed=1, augment=data.CropFlip())
    images, labels = pipe.arrays(5)
    assert images.dtype == np.float32
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(
        images[:, 0, 0, 0] * 255, np.arange(5, dtype=np.float32)
    )
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1])
    assert len(pipe.arrays()[0]) == len(pipe) == 9


def test_unusable_epochs_are_an_error():
    pipe = _numbered(4, batch_size=2)
    with pytest.raises(InputError, match="`first_epoch` must be >= 0"):
        pipe.dataset(-1)
    with pytest.raises(InputError, match="`num_epochs` >= 1"):
        pipe.dataset(0, 0)
    with pytest.raises(InputError, match="`num_examples` must be >= 1"):
        pipe.arrays(0)
