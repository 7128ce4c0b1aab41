"""Workers share every batch, wherever its images are."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.data import stream
from hydra_tf.data.sharding import Shard
from hydra_tf.data.sharding import Turn
from hydra_tf.errors import InputError
from hydra_tf.training.train_data import as_train_data
from tests.data import drawn

IMAGES = np.arange(23, dtype=np.float32).reshape(23, 1, 1, 1) / 23


@pytest.mark.parametrize("rows", [0, 1, 7, 8])
def test_limits_meet_and_differ_by_one(rows):
    limits = [Shard(index, 3).limits(rows) for index in range(3)]
    assert limits[0][0] == 0 and limits[-1][1] == rows
    for (_, stop), (first, _) in zip(limits, limits[1:], strict=False):
        assert stop == first
    sizes = [stop - first for first, stop in limits]
    assert max(sizes) - min(sizes) <= 1
    tensors = Shard(1, 3).limits(tf.constant(rows))
    assert tuple(map(int, tensors)) == limits[1]


def test_turns_take_each_batch_once():
    batches = tf.data.Dataset.range(7)
    parts = [
        [int(each) for each in Turn(index, 2, 4).of_batches(batches, 3)]
        for index in range(2)
    ]
    # The first of them, number 3, is done.
    assert parts == [[1, 3, 5], [2, 4, 6]]


def memory(**changes):
    settings = {"batch_size": 8, "seed": 3} | changes
    return data.from_arrays(IMAGES, np.arange(23), **settings)


def cut(**changes):
    return memory(cutmix=1.0, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ImageNet's layout: pictures of 23 to train."""
    path = tmp_path_factory.mktemp("imagenet")
    for number in range(26):
        part = "train" if number < 23 else "val"
        name = f"n{number % 3:08d}"
        pixels = drawn.picture(drawn.CLASSES[number % 3], number)
        drawn.save(path / part / name / f"{number}.JPEG", pixels, format="jpeg")
    return path


@pytest.fixture
def pictures(folder):
    return lambda **changes: data.load(
        f"folder:{folder}", "train",
        **({"batch_size": 8, "image_size": 8, "seed": 3} | changes),
    )  # fmt: skip


@pytest.fixture
def records(tmp_path):
    """Two files of TFRecords; what a record holds is its image and label."""
    shards = []
    for path, rows in (("a", range(9)), ("b", range(9, 23))):
        with tf.io.TFRecordWriter(str(tmp_path / path)) as writer:
            for row in rows:
                writer.write(str(row).encode())
        shards.append(stream.Shard(str(tmp_path / path), 0, len(rows)))

    def pixels(encoded):
        value = tf.strings.to_number(encoded, tf.int32)
        return tf.cast(tf.reshape(value, (1, 1, 1)), tf.uint8)

    def make(**changes):
        settings = {
            "batch_size": 8, "seed": 3, "shuffle": True,
            "drop_remainder": False,
        } | changes  # fmt: skip
        return stream.StreamedPipeline(
            shards,
            lambda record: (record, tf.strings.to_number(record, tf.int32)),
            decode=pixels,
            is_jpeg=False,
            block_size=16,
            class_names=[str(row) for row in range(23)],
            image_shape=(1, 1, 1),
            augmentation=None,
            prefetch=True,
            name="records",
            split="train",
            **settings,
        )

    return make


def batches_of(pipe, *epochs, **shard):
    return [
        tuple(part.numpy() for part in batch)
        for batch in pipe.dataset(*epochs, **shard)
    ]


@pytest.mark.parametrize(
    "kind",
    [
        "memory",
        "cut",
        pytest.param("pictures", marks=pytest.mark.slow),
        pytest.param("records", marks=pytest.mark.slow),
    ],
)
def test_epochs_go_on_where_they_were_left(kind, request):
    pipe = make(kind, request)()
    whole = batches_of(pipe, 1, 2)
    rest = batches_of(pipe, 1, 2, first_step=2)
    assert len(rest) == len(whole) - 2 == 4
    for one, other in zip(whole[2:], rest, strict=True):
        for part, own in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, own)
    with pytest.raises(InputError, match="`first_step` must be from 0 to 2"):
        pipe.dataset(first_step=3)


def assert_shared(pipe, count):
    whole = batches_of(pipe, 1, 2)
    parts = [
        batches_of(pipe, 1, 2, shard=(index, count)) for index in range(count)
    ]
    assert len(whole) == 2 * pipe.steps_per_epoch
    for batch, *shares in zip(whole, *parts, strict=True):
        for part, *each in zip(batch, *shares, strict=True):
            np.testing.assert_array_equal(part, np.concatenate(each))
    return whole


def make(kind, request):
    if kind in ("memory", "cut"):
        return {"memory": memory, "cut": cut}[kind]
    return request.getfixturevalue(kind)


@pytest.mark.parametrize(
    ("kind", "changes", "count"),
    [
        ("memory", {}, 2),
        ("memory", {"batch_size": 7}, 3),
        ("cut", {}, 2),
        pytest.param("pictures", {}, 2, marks=pytest.mark.slow),
        ("pictures", {"batch_size": 11}, 2),
        pytest.param(
            "pictures",
            {"drop_remainder": True, "augment": False},
            4,
            marks=pytest.mark.slow,
        ),
        pytest.param("records", {}, 2, marks=pytest.mark.slow),
        *(
            pytest.param("records", *each, marks=pytest.mark.slow)
            for each in (
                ({"batch_size": 4}, 4),
                ({"drop_remainder": True}, 4),
                ({"shuffle": False}, 3),
            )
        ),
    ],
)
def test_workers_rows_are_those_of_one_process(kind, changes, count, request):
    pipe = make(kind, request)(**changes)
    whole = assert_shared(pipe, count)
    labels = np.concatenate([labels for _, labels in whole])
    assert len(labels) == 2 * sum(
        len(labels) for _, labels in whole[: pipe.steps_per_epoch]
    )
    if kind == "records":
        once = labels[: len(labels) // 2]
        assert len(set(once)) == len(once) >= 16


def test_workers_read_files_of_their_own(folder, pictures, tmp_path):
    """What another worker reads may be missing."""
    pipe = pictures(augment=False)
    own = pipe.dataset(shard=(0, 2))
    expected = [tuple(part.numpy() for part in batch) for batch in own]
    broken = pictures(augment=False)
    kept = {label.tobytes() for images, _ in expected for label in images}
    broken._paths = broken._paths.copy()
    images, _ = pipe.arrays()
    for row, image in enumerate(images):
        if image.tobytes() not in kept:
            broken._paths[row] = b"/nowhere"
    assert b"/nowhere" in broken._paths
    for batch, found in zip(
        expected, broken.dataset(shard=(0, 2)), strict=True
    ):
        np.testing.assert_array_equal(batch[0], found[0])


def test_batches_of_ones_own_are_shared_too():
    batches = tf.data.Dataset.from_tensor_slices(
        {"image": IMAGES, "label": np.arange(23)}
    ).batch(8)
    train = as_train_data(batches, seed=0)
    parts = [train.dataset(shard=(index, 2)) for index in range(2)]
    for (_, labels), *shares in zip(train.dataset(), *parts, strict=True):
        each = np.concatenate([labels for _, labels in shares])
        np.testing.assert_array_equal(labels, each)


@pytest.mark.parametrize("shard", [(2, 2), (0,), 1, (0.5, 2), (-1, 2)])
def test_no_shards_are_one_line(shard):
    with pytest.raises(InputError, match=r"`shard` must be .*\(0, 2\)"):
        memory().dataset(shard=shard)


def test_more_workers_than_groups_of_files_are_one_line(records):
    with pytest.raises(InputError, match="number must divide 8"):
        records().dataset(shard=(0, 3))
