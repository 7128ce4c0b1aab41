"""Which rows of each batch a worker has, and whose turn a batch is."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of several workers that share every batch.

    Its rows lie together, and those of all workers one after the other are the
    batch. They differ by one where the batch does not divide.

    Args:
        index: Integer from 0, which of them.
        count: Integer >= 1, their number.
    """

    index: int = 0
    count: int = 1

    def limits(self, rows: Any) -> tuple[Any, Any]:
        """Returns the first row in a batch, and the one after the last.

        Args:
            rows: Rows of the batch, an integer or a tensor of them.
        """
        least = tf.minimum if tf.is_tensor(rows) else min
        share, rest = rows // self.count, rows % self.count
        first, stop = (
            each * share + least(rest * 0 + each, rest)
            for each in (self.index, self.index + 1)
        )
        return first, stop

    def of_batches(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the rows of each batch; all are made.

        Args:
            batches: A dataset of batches, of any structure.
        """
        if self.count == 1:
            return batches

        def part(*batch: Any) -> Any:
            rows = tf.shape(tf.nest.flatten(batch)[0])[0]
            first, stop = self.limits(rows)
            batch = tf.nest.map_structure(lambda each: each[first:stop], batch)
            return batch if len(batch) > 1 else batch[0]

        return batches.map(
            part, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


@dataclasses.dataclass(frozen=True)
class Turn:
    """One of several servers that make the batches in turn.

    Batches are counted over all epochs together.

    Args:
        index: Integer from 0, which of them.
        count: Integer >= 1, their number.
        first_step: Integer >= 0, the batch to begin with.
    """

    index: int = 0
    count: int = 1
    first_step: int = 0

    def takes(self, step: Any) -> Any:
        """Whether a batch is this server's.

        Args:
            step: Number of the batch, an integer scalar.
        """
        return step % self.count == self.index

    def of_batches(
        self, batches: tf.data.Dataset, before: Any, each: int = 1
    ) -> tf.data.Dataset:
        """Returns the batches of this server.

        Args:
            batches: A dataset of the batches of an epoch, or of what they are
                made of.
            before: Batches of the epochs before, an int64 scalar.
            each: Elements of the dataset that make a batch.
        """
        skipped = tf.maximum(
            self.first_step - tf.cast(before, tf.int64),
            tf.constant(0, tf.int64),
        )
        batches = batches.skip(skipped * each)
        if self.count == 1:
            return batches
        first = before + skipped
        return (
            batches.enumerate()
            .filter(lambda number, _: self.takes(first + number // each))
            .map(lambda _, element: element)
        )


def as_shard(shard: tuple[int, int] | None) -> Shard:
    """Returns a worker's part by its number and that of all.

    Args:
        shard: `(index, count)`, or `None` for a single worker.

    Raises:
        InputError: If they are none.
    """
    if shard is None:
        return Shard()
    if not (
        isinstance(shard, tuple | list)
        and len(shard) == 2
        and all(
            isinstance(each, numbers.Integral) and not isinstance(each, bool)
            for each in shard
        )
        and 0 <= shard[0] < shard[1]
    ):
        raise InputError(
            "`shard` must be the number of a worker, from 0, and that of all "
            f"workers, such as (0, 2). Received: shard={shard!r}"
        )
    return Shard(int(shard[0]), int(shard[1]))
