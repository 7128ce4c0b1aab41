"""Tests for hydra_tf.data.extra."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf import files
from hydra_tf.data import extra
from hydra_tf.errors import InputError

# Pixels say which image it is, labelled ones are below 100.
LABELLED = np.arange(10)
EXTRA = 100 + np.arange(7)


def arrays(numbers):
    images = np.broadcast_to(
        numbers.reshape(-1, 1, 1, 1).astype(np.uint8), (len(numbers), 4, 4, 1)
    )
    return images, numbers % 3


def mixed(batch_size=6, extra_fraction=0.5, **settings):
    train = data.from_arrays(
        *arrays(LABELLED),
        batch_size=batch_size,
        num_classes=3,
        **{"seed": 4, **settings},
    )
    return data.with_extra(train, arrays(EXTRA), extra_fraction)


def batches(pipeline, *epochs):
    found = []
    for images, labels in pipeline.dataset(*epochs):
        numbers = np.round(images[:, 0, 0, 0] * 255).astype(int)
        np.testing.assert_array_equal(labels, numbers % 3)
        found.append(numbers.tolist())
    return found


def test_every_batch_has_its_share_and_an_epoch_all_labelled_images():
    pipeline = mixed()
    epoch = batches(pipeline)
    assert pipeline.steps_per_epoch == len(epoch) == 4
    assert [sum(n < 100 for n in each) for each in epoch] == [3, 3, 3, 1]
    assert [sum(n >= 100 for n in each) for each in epoch] == [3, 3, 3, 1]
    assert sorted(n for each in epoch for n in each if n < 100) == [*LABELLED]
    # They take turns, so that two replicas have both.
    assert all(n < 100 for n in epoch[0][::2])
    assert all(n >= 100 for n in epoch[0][1::2])


def test_share_is_rounded_to_whole_images():
    for batch in batches(mixed(5, 0.9, drop_remainder=True)):
        assert sum(n >= 100 for n in batch) == 4
        assert len(batch) == 5


def test_extra_images_go_on_where_the_epoch_before_left_off():
    epochs = batches(mixed(drop_remainder=True), 0, 4)
    numbers = [[n for n in batch if n >= 100] for batch in epochs]
    assert len(numbers) == 12
    # Two whole batches of the seven images make a pass.
    for one, other in zip(numbers[::2], numbers[1::2], strict=True):
        assert len({*one, *other}) == 6
    assert len({tuple(one) for one in numbers}) > 6


def test_batches_follow_from_the_seed_and_start_at_any_epoch():
    whole = batches(mixed(), 0, 4)
    assert batches(mixed(), 2, 2) == whole[8:]
    assert whole[:4] != whole[4:8]


def test_workers_have_their_rows_of_the_same_batches():
    pipeline = mixed()
    parts = [
        [images for images, _ in pipeline.dataset(1, shard=(index, 2))]
        for index in range(2)
    ]
    for (images, _), *others in zip(pipeline.dataset(1), *parts, strict=True):
        np.testing.assert_array_equal(images, np.concatenate(others))


def test_validation_holds_out_labelled_images():
    train, validation = data.split_validation(mixed(), 0.4)
    held = {n for batch in batches(validation) for n in batch}
    assert len(held) == len(validation) == 4 and max(held) < 100
    seen = {n for batch in batches(train, 0, 3) for n in batch}
    assert seen & {*LABELLED} == {*LABELLED} - held
    assert seen & {*EXTRA} == {*EXTRA}
    assert len(train.arrays()[1]) == len(train) == 6


def test_file_is_read_wherever_it_is(tmp_path):
    train = data.from_arrays(*arrays(LABELLED), batch_size=6, num_classes=3)
    found = []
    for keys, path in (
        (("images", "labels"), tmp_path / "extra.npz"),
        (("image", "label"), "ram://extra_test/extra.npz"),
    ):
        with files.replacing_file(path) as partial:
            np.savez(partial, **dict(zip(keys, arrays(EXTRA), strict=True)))
        found.append(batches(data.with_extra(train, path)))
        assert len(extra.content_of(path)) == 8
    assert found[0] == found[1] == batches(mixed(6, 0.5, seed=0))


def test_dataset_is_brought_to_the_size_of_the_labelled_images(tmp_path):
    train = data.from_arrays(*arrays(LABELLED), batch_size=4, num_classes=10)
    for name in map(str, range(10)):
        folder = tmp_path / "pictures" / "train" / name
        folder.mkdir(parents=True)
        (tmp_path / "pictures" / "test" / name).mkdir(parents=True)
        for split in ("train", "test"):
            picture = tf.io.encode_png(tf.fill((20, 20, 1), np.uint8(255)))
            tf.io.write_file(
                f"{tmp_path}/pictures/{split}/{name}/1.png", picture
            )
    pipeline = data.with_extra(train, f"folder:{tmp_path}/pictures", 0.25)
    images, _ = next(iter(pipeline))
    assert images.shape == (4, 4, 4, 1)
    assert sum(bool(np.all(image == 1)) for image in images.numpy()) == 1


def test_no_share_of_a_batch_is_refused():
    with pytest.raises(InputError, match="a batch needs extra and labelled"):
        mixed(2, 0.9)
