"""Batches of pictures in files of their own, each read when it is its turn."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data.decoded import DecodedPipeline
from hydra_tf.data.pipeline import ORDER_STREAM
from hydra_tf.data.sharding import Shard
from hydra_tf.errors import InputError


class PicturePipeline(DecodedPipeline):
    """A split of pictures that are too many to be held in memory.

    Each epoch is shuffled as a whole, since any file can be read at any time:
    the batches are those of the same pictures in memory. Memory holds the paths
    and the batches under way.

    Args:
        paths: Object array of the files' names, as bytes.
        labels: int32 array of their classes.
        unreadable: Function of a path and of TensorFlow's error; it returns
            the error for the user.
        **settings: Passed to `DecodedPipeline`.
    """

    def __init__(
        self,
        paths: np.ndarray,
        labels: np.ndarray,
        *,
        unreadable: Callable[[Any, BaseException], InputError],
        **settings: Any,
    ) -> None:
        super().__init__(num_examples=len(labels), **settings)
        self._paths = paths
        self._labels = labels
        self._error_of = unreadable

    def known_labels(self) -> np.ndarray:
        return self._labels

    def _stored(self) -> Iterable[bytes | memoryview]:
        # Not their folder, which each worker may have elsewhere.
        return map(os.path.basename, self._paths)

    def _take(self, rows: np.ndarray) -> None:
        self._paths, self._labels = self._paths[rows], self._labels[rows]

    def _records(self, seed: tf.Tensor, shard: Shard) -> tf.data.Dataset:
        rows = tf.range(self.num_examples)
        if self.shuffle:
            rows = tf.random.experimental.stateless_shuffle(
                rows, seed=tf.random.fold_in(seed, ORDER_STREAM)
            )
        return self._rows_in_turn(self._named(rows), shard)

    def _named(self, rows: tf.Tensor) -> tf.data.Dataset:
        """Returns the rows with their paths."""
        paths = tf.constant(self._paths)
        parts = (rows, tf.gather(paths, rows))
        return tf.data.Dataset.from_tensor_slices(parts)

    def _content(
        self, row: tf.Tensor, record: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.read_file(record), tf.constant(self._labels)[row]

    def _first_records(self, count: int) -> tf.data.Dataset:
        return self._named(tf.range(count))

    def _unreadable(self, done: int, error: BaseException) -> InputError:
        # One of the batch that failed, or of those that were made ahead.
        for path in self._paths[done:]:
            try:
                self._decode_fixed(tf.io.read_file(path))
            except tf.errors.OpError as own_error:
                return self._error_of(path, own_error)
        return self._error_of(self._paths[done], error)
