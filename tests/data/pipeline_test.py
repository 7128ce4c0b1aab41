"""Batches: their range and order, resuming, fractions, arrays, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf import data
from hydra_tf.data import pipeline
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


@settings(max_examples=15, deadline=None)
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


@settings(max_examples=15, deadline=None)
@given(
    num_examples=st.integers(1, 30),
    batch_size=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_each_example_comes_once_per_epoch(num_examples, batch_size, seed):
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
        _numbers(pipe.dataset(epoch).take(1))[0][0] for epoch in range(25)
    ]
    assert min(firsts) < 50
    assert max(firsts) >= 150


def test_evaluation_keeps_the_stored_order():
    pipe = _numbered(7, batch_size=3, training=False)
    expected = [[0, 1, 2], [3, 4, 5], [6]]
    assert _numbers(pipe.dataset(num_epochs=2)) == expected * 2


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


@pytest.mark.parametrize("fraction", [0.01, 0.07, 0.25, 0.5, 0.99])
def test_fraction_takes_the_exact_count_of_every_class(fraction):
    labels = np.repeat([0, 1, 2, 3], [100, 50, 40, 10])
    rows = pipeline.select_fraction(labels, fraction, seed=1)
    # 200 * fraction is an integer for all of these.
    assert len(rows) == round(200 * fraction)
    assert len(set(rows)) == len(rows)
    shares = np.bincount(labels[rows], minlength=4)
    assert np.all(np.abs(shares - fraction * np.bincount(labels)) <= 1)


def test_fraction_is_rounded_up_as_in_decimal_arithmetic():
    def count(fraction, total):
        labels = np.zeros(total, int)
        return len(pipeline.select_fraction(labels, fraction, seed=0))

    assert count(0.07, 100) == 7  # 0.07 * 100 is 7.000000000000001.
    assert count(0.071, 100) == 8
    assert count(1e-9, 100) == 1


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 100),
)
def test_smaller_fraction_is_part_of_a_larger_one(labels, fractions, seed):
    labels = np.array(labels)
    few, many = (
        set(pipeline.select_fraction(labels, fraction, seed))
        for fraction in sorted(fractions)
    )
    assert few <= many


def test_fraction_depends_on_the_seed_only():
    labels = np.arange(100) % 10
    first = pipeline.select_fraction(labels, 0.3, seed=1)
    np.random.seed(9)
    again = pipeline.select_fraction(labels, 0.3, seed=1)
    other = pipeline.select_fraction(labels, 0.3, seed=2)
    np.testing.assert_array_equal(first, again)
    assert list(first) != list(other)


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


def test_float_images_arrive_as_they_are():
    images = np.random.RandomState(0).uniform(size=(5, 3, 3, 1))
    pipe = data.from_arrays(images, [0, 1, 0, 1, 0], batch_size=5)
    assert pipe.num_classes == 2
    assert pipe.class_names == ("0", "1")
    np.testing.assert_array_equal(pipe.arrays()[0], images.astype(np.float32))


_IMAGES = np.full((4, 3, 3, 1), 0.5)
_LABELS = np.array([0, 1, 2, 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": _IMAGES * 3}, r"`images` must lie in \[0, 1\].*to 1.5"),
        ({"images": -_IMAGES}, r"`images` must lie in \[0, 1\]"),
        ({"images": _IMAGES * np.nan}, r"`images` must lie in \[0, 1\].*nan"),
        ({"images": _IMAGES.astype(int)}, "`images` must be floats"),
        ({"images": _IMAGES[0]}, "`images` must have the shape"),
        ({"images": _IMAGES[:0]}, "`images` must have the shape"),
        ({"images": _IMAGES[:3]}, r"`labels` must hold one .* \(3,\)"),
        ({"labels": np.eye(4)}, "`labels` must hold one integer per image"),
        ({"labels": _LABELS * 1.0}, "`labels` must be integers"),
        ({"labels": _LABELS - 1}, r"`labels` must be in \[0, num_classes\)"),
        ({"num_classes": 2}, "labels from 0 to 2, num_classes=2"),
        ({"class_names": ["a", "b", "c"], "num_classes": 4}, "`class_names`"),
        ({"batch_size": 0}, "`batch_size` must be >= 1.*batch_size=0"),
        ({"fraction": 0.0}, r"`fraction` must be in \(0, 1\].*fraction=0.0"),
        ({"fraction": 1.5}, r"`fraction` must be in \(0, 1\]"),
        ({"fraction": float("nan")}, r"`fraction` must be in \(0, 1\]"),
        ({"seed": -1}, "`seed` must be in"),
        ({"augment": True}, "`augment` cannot be True"),
        (
            {"drop_remainder": True, "batch_size": 5},
            "`batch_size` must be at most 4",
        ),
    ],
)
def test_unusable_arguments_get_one_line_that_names_them(change, words):
    arguments = {
        "images": _IMAGES,
        "labels": _LABELS,
        "batch_size": 2,
        **change,
    }
    with pytest.raises(InputError, match=words) as caught:
        data.from_arrays(**arguments)
    assert "\n" not in str(caught.value)


def test_unusable_epochs_are_an_error():
    pipe = _numbered(4, batch_size=2)
    with pytest.raises(InputError, match="`first_epoch` must be >= 0"):
        pipe.dataset(-1)
    with pytest.raises(InputError, match="`num_epochs` >= 1"):
        pipe.dataset(0, 0)
    with pytest.raises(InputError, match="`num_examples` must be >= 1"):
        pipe.arrays(0)


def test_unknown_dataset_is_an_error_before_anything_is_read():
    with pytest.raises(InputError, match="Did you mean 'digits'"):
        data.load("digit", "train", batch_size=8)
