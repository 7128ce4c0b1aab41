"""Batches of images that are decoded one by one, epoch after epoch."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data import crops
from hydra_tf.data.pipeline import AUGMENTATION_STREAM
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.sharding import Shard
from hydra_tf.data.sharding import Turn
from hydra_tf.errors import InputError

_DECODE_BATCH = 64


class DecodedPipeline(Pipeline):
    """Base of the splits that stay encoded, in files.

    Images are decoded to `image_shape`: a `RandomResizedCrop` takes its part of
    the stored image; without one it is the middle, to which another
    augmentation applies.

    Args:
        decode: Graph function from an encoded image to uint8 pixels of
            `image_shape`, instead of the middle of a JPEG.
        is_jpeg: Whether all are colour images, in JPEG but for a few. Otherwise
            a `RandomResizedCrop` applies to decoded images as other
            augmentations do.
        **settings: Passed to `Pipeline`.
    """

    def __init__(
        self,
        *,
        decode: Callable[[tf.Tensor], tf.Tensor] | None,
        is_jpeg: bool,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._decode_whole = decode
        self._is_jpeg = is_jpeg

    @abc.abstractmethod
    def _records(self, seed: tf.Tensor, shard: Shard) -> tf.data.Dataset:
        """Returns row and record of a worker's examples, in an epoch's order.

        Args:
            seed: That of the epoch.
            shard: The worker.
        """

    @abc.abstractmethod
    def _content(
        self, row: tf.Tensor, record: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the encoded image and the label of a record."""

    @abc.abstractmethod
    def _first_records(self, count: int) -> tf.data.Dataset:
        """Returns row and record of the first examples in stored order."""

    @abc.abstractmethod
    def _unreadable(self, done: int, error: BaseException) -> InputError:
        """Returns the error of an example that cannot be decoded.

        Args:
            done: Examples before it, in stored order.
            error: What TensorFlow says.
        """

    def _too_few(self, done: int, count: int) -> InputError:
        """Returns the error of files that hold fewer examples than they did."""
        return InputError(
            f"{self.name!r} holds {done} of its {count} first examples"
        )

    def _rows_of(self, rows: int, shard: Shard) -> int:
        """Returns how many rows of a batch are a worker's.

        Args:
            rows: Rows of the batch.
            shard: The worker.
        """
        first, stop = shard.limits(rows)
        return stop - first

    def _rows_in_turn(
        self, records: tf.data.Dataset, shard: Shard
    ) -> tf.data.Dataset:
        """Returns a worker's rows of each batch, in the order of the records.

        Args:
            records: Those of the epoch.
            shard: The worker.
        """
        steps = self.steps_per_epoch
        if self._drop_remainder:
            records = records.take(steps * self.batch_size)
        if shard.count == 1:
            return records

        def is_own(position: tf.Tensor, _: Any) -> tf.Tensor:
            before = position - position % self.batch_size
            rows = tf.minimum(
                tf.constant(self.batch_size, tf.int64),
                self.num_examples - before,
            )
            first, stop = shard.limits(rows)
            return (first <= position - before) & (position - before < stop)

        own = records.enumerate().filter(is_own)
        return own.map(lambda _, record: record)

    def _batches(
        self, epochs: tf.data.Dataset, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        return epochs.flat_map(lambda epoch: self._epoch(epoch, shard, turn))

    def _epoch(
        self, epoch: tf.Tensor, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        seed = self._seed_of(epoch)
        augmentation = self.augmentation
        numbers = None
        if augmentation is not None:
            # For all examples in stored order: independent of the shuffle.
            numbers = augmentation.draw(
                self.num_examples, tf.random.fold_in(seed, AUGMENTATION_STREAM)
            )
        share = self._rows_of(self.batch_size, shard)
        records = turn.of_batches(
            self._records(seed, shard), epoch * self.steps_per_epoch, share
        )
        examples = parallel_map(
            records, lambda row, record: self._decode(row, record, numbers)
        )
        batches = examples.batch(share, drop_remainder=self._drop_remainder)
        rest = self.num_examples % self.batch_size
        if rest and not (self._drop_remainder or self._rows_of(rest, shard)):
            # Of an epoch's last batch there is nothing here.
            batches = batches.concatenate(_empty(batches.element_spec))
        if augmentation is None or self._crop is not None:
            return batches.map(lambda rows, images, labels: (images, labels))
        return parallel_map(
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

    def _decode(
        self, row: tf.Tensor, record: tf.Tensor, numbers: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label = self._content(row, record)
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
            encoded, label = self._content(row, record)
            return self._decode_fixed(encoded), label

        dataset = parallel_map(self._first_records(count), decode)
        images: np.ndarray = np.empty((count, *self.image_shape), np.float32)
        labels: np.ndarray = np.empty(count, np.int32)
        done = 0
        try:
            for batch in dataset.batch(_DECODE_BATCH).as_numpy_iterator():
                end = done + len(batch[1])
                images[done:end], labels[done:end] = batch
                done = end
        except tf.errors.OpError as error:
            raise self._unreadable(done, error) from error
        if done < count:
            raise self._too_few(done, count)
        return images, labels


def parallel_map(
    dataset: tf.data.Dataset, function: Callable[..., Any]
) -> tf.data.Dataset:
    """Returns a dataset mapped on all cores, in its order.

    Args:
        dataset: The dataset.
        function: Graph function of its elements.
    """
    return dataset.map(
        function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def _empty(spec: Any) -> tf.data.Dataset:
    """Returns a dataset of one batch without examples.

    Args:
        spec: What elements of the dataset look like.
    """
    return tf.data.Dataset.from_tensors(
        tf.nest.map_structure(
            lambda each: tf.zeros((0, *each.shape[1:]), each.dtype), spec
        )
    )
