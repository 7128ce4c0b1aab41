"""Batches of a split that is too large for memory: each epoch reads the files.

Memory holds a block of encoded images, of which an epoch's order is made, and
the batches under way. Everything random is a function of the seed, the epoch
and the example's place in the files, as for a split in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data import crops
from hydra_tf.data import selection
from hydra_tf.data.pipeline import AUGMENTATION_STREAM
from hydra_tf.data.pipeline import ORDER_STREAM
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.stored import Shard
from hydra_tf.data.tfds_source import unreadable
from hydra_tf.errors import InputError

# An epoch reads so many files in turn, so many examples of each at a time.
_FILES_AT_ONCE = 16
_EXAMPLES_IN_TURN = 16
# Examples that are shuffled together; of ImageNet's some 450 MB.
_BLOCK_SIZE = 4096
_READ_BYTES = 8 << 20
_DECODE_BATCH = 64


class StreamedPipeline(Pipeline):
    """A split of a dataset that is read from its files, epoch after epoch.

    To shuffle, an epoch takes the files in an order of its own, reads several
    in turn, and shuffles block after block of what it reads. Images are
    decoded to `image_shape`: a `RandomResizedCrop` takes its part of the stored
    image; without one it is the middle, to which another augmentation applies.

    Args:
        shards: The files.
        parse: Graph function from a record to its encoded image and label.
        decode: Graph function from an encoded image to uint8 pixels of
            `image_shape`, instead of the middle of a JPEG.
        is_jpeg: Whether all are colour images in JPEG. Otherwise a
            `RandomResizedCrop` applies to decoded images as other
            augmentations do.
        block_size: Examples that are shuffled together. Up to three blocks are
            in memory at a time.
        **settings: Passed to `Pipeline`.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        *,
        decode: Callable[[tf.Tensor], tf.Tensor] | None = None,
        is_jpeg: bool = True,
        block_size: int = _BLOCK_SIZE,
        **settings: Any,
    ) -> None:
        super().__init__(
            num_examples=sum(shard.count for shard in shards), **settings
        )
        self._shards = tuple(shards)
        self._parse = parse
        self._decode_whole = decode
        self._is_jpeg = is_jpeg
        self._block_size = block_size

    def _take(self, rows: np.ndarray) -> None:
        ends: np.ndarray = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = [
            slice(int(run[0]), int(run[-1]) + 1)
            for run in np.split(rows, ends)
            if len(run)
        ]
        self._shards = take_runs(self._shards, runs)

    def _batches(self, epochs: tf.data.Dataset) -> tf.data.Dataset:
        return epochs.flat_map(self._epoch)

    def _epoch(self, epoch: tf.Tensor) -> tf.data.Dataset:
        seed = self._seed_of(epoch)
        records = self._records(
            tf.random.fold_in(seed, ORDER_STREAM) if self.shuffle else None
        )
        augmentation = self.augmentation
        numbers = None
        if augmentation is not None:
            # For all examples in stored order: independent of the shuffle.
            numbers = augmentation.draw(
                self.num_examples, tf.random.fold_in(seed, AUGMENTATION_STREAM)
            )
        batches = _parallel_map(
            records, lambda row, record: self._decode(row, record, numbers)
        ).batch(self.batch_size, drop_remainder=self._drop_remainder)
        if augmentation is None or self._crop is not None:
            return batches.map(lambda rows, images, labels: (images, labels))
        return _parallel_map(
            batches,
            lambda rows, images, labels: (
                augmentation.apply(images, tf.gather(numbers, rows)),
                labels,
            ),
        )

    @property
    def _crop(self) -> crops.RandomResizedCrop | None:
        """The augmentation, if it is one that takes images of any size."""
        crop = self.augmentation
        if isinstance(crop, crops.RandomResizedCrop) and self._is_jpeg:
            return crop
        return None

    def _decode_fixed(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns what an image is without augmentation."""
        height, width, _ = self.image_shape
        if self._decode_whole is None:
            return crops.decode_middle(encoded, height, width)
        # Division, not a product with 1/255: 255 becomes exactly 1.
        return tf.cast(self._decode_whole(encoded), tf.float32) / 255.0

    def _records(self, order_seed: tf.Tensor | None) -> tf.data.Dataset:
        """Returns the row and the record of each example.

        Args:
            order_seed: Seed of the order. None is the stored order.
        """
        counts = np.array([shard.count for shard in self._shards], np.int64)
        files = (
            tf.constant([shard.path for shard in self._shards]),
            tf.constant([shard.skip for shard in self._shards], tf.int64),
            tf.constant(counts),
            tf.constant(np.cumsum(counts) - counts),
        )
        if order_seed is None:
            return tf.data.Dataset.from_tensor_slices(files).flat_map(_read)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self._shards)), tf.random.fold_in(order_seed, 0)
        )
        files = tuple(tf.gather(column, order) for column in files)
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            _read,
            cycle_length=min(_FILES_AT_ONCE, len(self._shards)),
            block_length=_EXAMPLES_IN_TURN,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

        def shuffle(
            block: tf.Tensor, content: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            rows, encoded = content
            # Not `Dataset.shuffle`: its order depends on the global seed too.
            order = tf.random.experimental.stateless_shuffle(
                tf.range(tf.size(rows)),
                tf.random.fold_in(order_seed, 1 + block),
            )
            return tf.gather(rows, order), tf.gather(encoded, order)

        blocks = records.batch(self._block_size).enumerate().map(shuffle)
        if self._prefetch:
            blocks = blocks.prefetch(1)
        return blocks.unbatch()

    def _decode(
        self, row: tf.Tensor, record: tf.Tensor, numbers: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label = self._parse(record)
        height, width, _ = self.image_shape
        if self._crop is None or numbers is None:
            image = self._decode_fixed(encoded)
        else:
            image = self._crop.decode(encoded, numbers[row], height, width)
        image = tf.ensure_shape(image, self.image_shape)
        return row, image, tf.cast(label, tf.int32)

    def _first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        def decode(
            row: tf.Tensor, record: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, label = self._parse(record)
            return self._decode_fixed(encoded), label

        dataset = _parallel_map(self._records(None).take(count), decode)
        images: np.ndarray = np.empty((count, *self.image_shape), np.float32)
        labels: np.ndarray = np.empty(count, np.int32)
        done = 0
        try:
            for batch in dataset.batch(_DECODE_BATCH).as_numpy_iterator():
                end = done + len(batch[1])
                images[done:end], labels[done:end] = batch
                done = end
        except tf.errors.OpError as error:
            folder = os.path.dirname(self._shards[0].path)
            raise unreadable(self.name, folder, error) from error
        if done < count:
            raise InputError(
                f"`data_dir` holds {done} of the {count} first examples of "
                f"{self.name!r}: prepare it again"
            )
        return images, labels


def select(
    shards: Sequence[Shard], fraction: float, seed: int
) -> tuple[Shard, ...]:
    """Returns the files of a fraction of the examples, which lies together.

    Args:
        shards: The files of the split.
        fraction: Float in (0, 1], see `selection.select_run`.
        seed: Integer >= 0.
    """
    num_examples = sum(shard.count for shard in shards)
    return take_runs(shards, selection.select_run(num_examples, fraction, seed))


def take_runs(
    shards: Sequence[Shard], runs: Sequence[slice]
) -> tuple[Shard, ...]:
    """Returns the files of some examples.

    Args:
        shards: The files of the split.
        runs: Ranges of rows.
    """
    chosen = []
    for run in runs:
        first = 0  # Row of the shard's first example.
        for shard in shards:
            start = max(run.start, first)
            stop = min(run.stop, first + shard.count)
            if start < stop:
                skip = shard.skip + start - first
                chosen.append(Shard(shard.path, skip, stop - start))
            first += shard.count
    return tuple(chosen)


def _read(
    path: tf.Tensor, skip: tf.Tensor, count: tf.Tensor, first: tf.Tensor
) -> tf.data.Dataset:
    """Returns rows and records of a file, whose first row is `first`."""
    records = tf.data.TFRecordDataset(path, buffer_size=_READ_BYTES)
    return records.skip(skip).take(count).enumerate(first)


def _parallel_map(
    dataset: tf.data.Dataset, function: Callable[..., Any]
) -> tf.data.Dataset:
    return dataset.map(
        function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
