"""ImageNet, read from a prepared data set of its name and features."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf import data
from hydra_tf.data import stream
from hydra_tf.data import tfds_source
from hydra_tf.data.tfds_source import Shard
from hydra_tf.errors import InputError
from tests.data import fake_imagenet

NAME = fake_imagenet.NAME


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    fake_imagenet.write(folder)
    return folder


def _load(data_dir, split="train", **changes):
    return data.load(
        NAME, split, **{"batch_size": 5, "data_dir": data_dir, **changes}
    )


def _stored(data_dir, split):
    """Returns the examples as TFDS itself reads them, in stored order."""
    import tensorflow_datasets as tfds

    dataset = tfds.load(
        NAME,
        split=split,
        data_dir=data_dir,
        as_supervised=True,
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    return [(image, int(label)) for image, label in tfds.as_numpy(dataset)]


def _labels(batches):
    return [label for _, labels in batches for label in labels.numpy().tolist()]


def _assert_equal(one, other):
    for (images, labels), (images_2, labels_2) in zip(one, other, strict=True):
        np.testing.assert_array_equal(labels, labels_2)
        np.testing.assert_array_equal(images, images_2)


def test_training_batches_have_the_promised_types_and_range(data_dir):
    pipe = _load(data_dir)
    assert pipe.num_examples == len(pipe) == 23
    assert pipe.steps_per_epoch == 5
    assert pipe.image_shape == (224, 224, 3)
    assert pipe.num_classes == len(pipe.class_names) == 1000
    assert isinstance(pipe.augmentation, data.RandomResizedCrop)
    dataset = pipe.dataset(2, 3)
    assert int(dataset.cardinality()) == 15
    images, labels = dataset.element_spec
    assert pipe.digest() == _load(data_dir).digest()
    assert images == tf.TensorSpec((None, 224, 224, 3), tf.float32)
    assert labels == tf.TensorSpec((None,), tf.int32)
    batches = list(pipe)
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 3]
    values = np.concatenate([images for images, _ in batches])
    assert 0 <= values.min() < 0.05
    assert 0.95 < values.max() <= 1


def test_each_example_comes_once_per_epoch_in_an_order_of_its_own(data_dir):
    expected = sorted(label for _, label in _stored(data_dir, "train"))
    orders = {
        tuple(_labels(_load(data_dir, seed=seed, augment=False).dataset(epoch)))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    for order in orders:
        assert sorted(order) == expected


def test_small_blocks_are_shuffled_each_in_its_own_way(data_dir):
    files = tfds_source.find_files(NAME, "train", data_dir=data_dir)
    pipe = stream.StreamedPipeline(
        files.shards,
        files.parse,
        block_size=8,
        class_names=files.class_names,
        image_shape=(32, 32, 3),
        batch_size=23,
        shuffle=True,
        augmentation=None,
        seed=1,
        drop_remainder=False,
        prefetch=True,
        name=NAME,
        split="train",
    )
    stored = [label for _, label in _stored(data_dir, "train")]
    orders = [
        [stored.index(int(label)) for label in labels]
        for _, labels in pipe.dataset(num_epochs=6)
    ]
    for order in orders:
        assert sorted(order) == list(range(23))
        # A block holds whole turns of 16 of a file at most: the first 8 are
        # neighbours in a file, but not in order.
        first = sorted(order[:8])
        assert first == list(range(first[0], first[0] + 8))
        assert order[:8] != first
    # Either file may come first.
    assert len({min(order[:8]) for order in orders}) == 2
    within = {tuple(np.argsort(order[:8])) for order in orders}
    assert len(within) == 6


def test_resumed_epochs_equal_those_of_an_uninterrupted_run(data_dir):
    whole = list(_load(data_dir, seed=3).dataset(num_epochs=3))
    # Neither the global seed nor what ran before may matter.
    tf.random.set_seed(77)
    rest = _load(data_dir, seed=3, prefetch=False).dataset(2)
    _assert_equal(whole[10:], rest)


@pytest.mark.slow
def test_augmentation_changes_with_the_epoch_and_not_with_the_batch(data_dir):
    def augmented(batch_size, epoch):
        pipe = _load(data_dir, seed=4, batch_size=batch_size)
        return {
            int(label): image.tobytes()
            for images, labels in pipe.dataset(epoch)
            for image, label in zip(images.numpy(), labels, strict=True)
        }

    first = augmented(23, 1)
    assert first == augmented(6, 1)
    later = augmented(6, 2)
    assert all(first[label] != later[label] for label in first)


def test_training_image_is_the_part_that_its_numbers_choose(data_dir):
    """Follows one example from the files to the batch."""
    pipe = _load(data_dir, seed=4)
    seed = tf.random.fold_in(
        tf.constant([4, 0], tf.int64), tf.constant(1, tf.int64)
    )
    numbers = pipe.augmentation.draw(23, tf.random.fold_in(seed, 1))
    row = 17
    pixels, label = _stored(data_dir, "train")[row]
    window, mirrored = pipe.augmentation.window(*pixels.shape[:2], numbers[row])
    top, left, rows, columns = window.numpy()
    part = pixels[top : top + rows, left : left + columns]
    expected = fake_imagenet.resized(part, 224, 224) / 255
    if mirrored:
        expected = expected[:, ::-1]
    images, labels = zip(*pipe.dataset(1).unbatch(), strict=True)
    (got,) = (
        image
        for image, each in zip(images, labels, strict=True)
        if int(each) == label
    )
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_test_images_are_the_middles_of_the_validation_split(data_dir):
    pipe = _load(data_dir, "test")
    assert (pipe.split, pipe.shuffle, len(pipe)) == ("test", False, 7)
    stored = _stored(data_dir, "validation")
    images, labels = pipe.arrays()
    assert images.dtype == np.float32
    assert labels.dtype == np.int32
    assert labels.tolist() == [label for _, label in stored]
    assert sorted(labels.tolist()) == sorted(fake_imagenet.labels(7, 2))
    for image, (pixels, _) in zip(images, stored, strict=True):
        np.testing.assert_allclose(
            image, fake_imagenet.middle(pixels), atol=2e-5
        )
    first_images, first_labels = pipe.arrays(3)
    np.testing.assert_array_equal(first_images, images[:3])
    np.testing.assert_array_equal(first_labels, labels[:3])
    np.testing.assert_array_equal(
        np.concatenate([batch for batch, _ in pipe]), images
    )


def test_arrays_of_training_images_are_not_augmented(data_dir):
    images, labels = _load(data_dir).arrays(2)
    for image, label, (pixels, stored_label) in zip(
        images, labels, _stored(data_dir, "train"), strict=False
    ):
        assert label == stored_label
        np.testing.assert_allclose(
            image, fake_imagenet.middle(pixels), atol=2e-5
        )


def test_another_augmentation_applies_to_the_middle(data_dir):
    crop = data.CropFlip(padding=0)
    flipped = _load(data_dir, "test", augment=crop, seed=2)
    plain, _ = flipped.arrays()
    got = np.concatenate([images for images, _ in flipped])
    mirrored = [
        np.array_equal(image, original[:, ::-1])
        for image, original in zip(got, plain, strict=True)
    ]
    kept = [
        np.array_equal(image, original)
        for image, original in zip(got, plain, strict=True)
    ]
    assert np.all(np.logical_xor(mirrored, kept))
    assert any(mirrored)
    assert any(kept)


@pytest.mark.slow
def test_fractions_are_nested_and_follow_from_the_seed(data_dir):
    def chosen(fraction, seed):
        pipe = _load(data_dir, augment=False, fraction=fraction, seed=seed)
        labels = _labels(pipe)
        assert len(labels) == len(set(labels)) == len(pipe)
        return frozenset(labels)

    small, large = chosen(0.2, 3), chosen(0.5, 3)
    assert (len(small), len(large)) == (5, 12)  # Rounded up.
    assert small < large
    assert small == chosen(0.2, 3)
    assert small != chosen(0.2, 2)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 50),
)
def test_selected_files_hold_the_fraction_and_nothing_twice(
    counts, fraction, seed
):
    shards = [Shard(str(n), n, count) for n, count in enumerate(counts)]
    every = {
        (shard.path, shard.skip + row)
        for shard in shards
        for row in range(shard.count)
    }
    chosen = [
        (shard.path, shard.skip + row)
        for shard in stream.select(shards, fraction, seed)
        for row in range(shard.count)
    ]
    assert set(chosen) <= every
    assert len(set(chosen)) == len(chosen)
    assert 0 <= len(chosen) - fraction * len(every) < 1 + 1e-9
    assert chosen == sorted(chosen)


def test_remainder_may_be_dropped(data_dir):
    pipe = _load(data_dir, batch_size=10, drop_remainder=True)
    assert pipe.steps_per_epoch == 2
    batches = list(pipe.dataset(0, 2))
    assert [len(labels) for _, labels in batches] == [10] * 4
    assert pipe.dataset().element_spec[0].shape == (10, 224, 224, 3)
    with pytest.raises(InputError, match="at most 23, the number of examples"):
        _load(data_dir, batch_size=24, drop_remainder=True)


def test_parts_of_splits(data_dir):
    assert (
        _labels(_load(data_dir, "test[2:4]"))
        == _labels(_load(data_dir, "test"))[2:4]
    )
    part = _load(data_dir, "train[:50%]")
    assert len(part) == 12
    assert part.shuffle
    with pytest.raises(InputError, match="`split` must be a split of imagenet"):
        _load(data_dir, "tset")


def test_nothing_is_read_before_it_is_needed(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*/*/*.tfrecord*"):
        path.write_bytes(b"")
    pipe = _load(tmp_path / "copy")
    assert pipe.steps_per_epoch == 5
    with pytest.raises(tf.errors.OpError):
        next(iter(pipe))
    with pytest.raises(InputError, match="holds 0 of the 23 first examples"):
        pipe.arrays()


def test_truncated_file_is_an_error(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "copy")
    path = min((tmp_path / "copy").glob("*/*/*validation.tfrecord*"))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"cannot be read \(.*again") as caught:
        _load(tmp_path / "copy", "test").arrays()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(f"data_dir={tmp_path / 'copy'}")


def test_absent_data_set_is_one_line_that_says_what_to_do(tmp_path):
    with pytest.raises(InputError) as caught:
        _load(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"expected the folder {tmp_path}/imagenet2012/5.1.0" in message
    assert f"tfds build imagenet2012 --data_dir={tmp_path}" in message
    assert "--manual_dir=" in message
    assert "downloaded by hand" in message
    assert "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar" in message
    assert "image-net.org" in message
    assert message.endswith(f"Received: data_dir={tmp_path}")
    assert not list(tmp_path.iterdir())


def _with_info(data_dir, folder, **changes):
    """Returns a copy of the data set whose record says something else."""
    shutil.copytree(data_dir, folder)
    (path,) = folder.glob("*/*/dataset_info.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_other_files_than_tfrecords_are_an_error(data_dir, tmp_path):
    folder = _with_info(data_dir, tmp_path / "copy", fileFormat="array_record")
    with pytest.raises(
        InputError, match="--file_format=tfrecord.*array_record"
    ):
        _load(folder)


def test_images_of_files_are_mixed_alike_after_a_resume(data_dir):
    pipe = _load(data_dir, seed=3, image_size=16, augment=False, cutmix=1.0)
    whole = list(pipe.dataset(num_epochs=2))
    _assert_equal(whole[5:], pipe.dataset(1))
    # Each example has a class of its own, which mixing may take.
    assert len(set(_labels(whole[:5]))) < 23
