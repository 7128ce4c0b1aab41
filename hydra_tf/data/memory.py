"""Batches of a split that is held in memory."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data.pipeline import AUGMENTATION_STREAM
from hydra_tf.data.pipeline import ORDER_STREAM
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.sharding import Shard
from hydra_tf.data.sharding import Turn


class MemoryPipeline(Pipeline):
    """A split of a dataset that is held in memory.

    Args:
        images: Array or tensor of all images, uint8 in 0..255 or float32 in
            [0, 1], of shape `(num_examples, height, width, channels)`; or of
            encoded images, of shape `(num_examples,)`, together with `decode`.
        labels: int32 array of shape `(num_examples,)`.
        decode: Function from one encoded image to its uint8 pixels.
        **settings: Passed to `Pipeline`.
    """

    def __init__(
        self,
        images: np.ndarray | tf.Tensor,
        labels: np.ndarray,
        *,
        decode: Callable[[tf.Tensor], tf.Tensor] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(num_examples=len(labels), **settings)
        with tf.device("CPU:0"):  # A split has no business on a GPU.
            self._images = tf.convert_to_tensor(images)
            self._labels = tf.convert_to_tensor(labels, tf.int32)
        self._decode = decode

    def known_labels(self) -> np.ndarray:
        return self._labels.numpy()

    def _stored(self) -> Iterable[bytes | memoryview]:
        images = self._images.numpy()
        # Encoded ones are Python objects.
        return images if images.dtype == object else [images.data]

    def _take(self, rows: np.ndarray) -> None:
        with tf.device("CPU:0"):
            self._images = tf.gather(self._images, rows)
            self._labels = tf.gather(self._labels, rows)

    def _batches(
        self, epochs: tf.data.Dataset, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        rows = epochs.flat_map(lambda epoch: self._index_batches(epoch, turn))
        return self._assembled(shard.of_batches(rows))

    def _chosen(
        self,
        epochs: tf.data.Dataset,
        choose: Callable[[tf.data.Dataset], tf.data.Dataset],
    ) -> tf.data.Dataset:
        # No image is touched for a batch that is left out.
        rows = epochs.flat_map(lambda epoch: self._index_batches(epoch, Turn()))
        return self._assembled(choose(rows))

    def _assembled(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        return rows.map(
            self._assemble,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows = tf.range(count)
        return (
            _to_unit_range(self._pixels(rows)).numpy(),
            tf.gather(self._labels, rows).numpy(),
        )

    def _index_batches(self, epoch: tf.Tensor, turn: Turn) -> tf.data.Dataset:
        """Returns which examples, with which random numbers, form the batches.

        The numbers are drawn for all examples in stored order; so they do not
        depend on where the shuffle puts an example.
        """
        seed = self._seed_of(epoch)
        rows = tf.range(self.num_examples)
        if self.shuffle:
            rows = tf.random.experimental.stateless_shuffle(
                rows, seed=tf.random.fold_in(seed, ORDER_STREAM)
            )
        parts: tuple[tf.Tensor, ...] = (rows,)
        if self.augmentation is not None:
            numbers = self.augmentation.draw(
                self.num_examples,
                tf.random.fold_in(seed, AUGMENTATION_STREAM),
            )
            parts += (tf.gather(numbers, rows),)
        batches = tf.data.Dataset.from_tensor_slices(parts).batch(
            self.batch_size, drop_remainder=self._drop_remainder
        )
        return turn.of_batches(batches, epoch * self.steps_per_epoch)

    def _assemble(
        self, rows: tf.Tensor, numbers: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images = self._pixels(rows)
        if self.augmentation is not None:
            images = self.augmentation.apply(images, numbers)
        return _to_unit_range(images), tf.gather(self._labels, rows)

    def _pixels(self, rows: tf.Tensor) -> tf.Tensor:
        images = tf.gather(self._images, rows)
        if self._decode is not None:
            images = tf.map_fn(
                self._decode,
                images,
                fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
            )
        return images


def _to_unit_range(images: tf.Tensor) -> tf.Tensor:
    if images.dtype != tf.uint8:
        return images
    # Division, not a product with 1/255: 255 becomes exactly 1.
    return tf.cast(images, tf.float32) / 255.0
