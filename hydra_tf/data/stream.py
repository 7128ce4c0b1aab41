"""Batches of a split that is too large for memory: each epoch reads the files.

Memory holds a block of encoded images, of which an epoch's order is made, and
the batches under way. Everything random is a function of the seed, the epoch
and the example's place in the files, as for a split in memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data import selection
from hydra_tf.data.decoded import DecodedPipeline
from hydra_tf.data.pipeline import ORDER_STREAM
from hydra_tf.data.sharding import Shard as Worker
from hydra_tf.data.sharding import Turn
from hydra_tf.data.stored import Shard
from hydra_tf.data.tfds_source import unreadable
from hydra_tf.errors import InputError

# An epoch reads so many files in turn, so many examples of each at a time.
_FILES_AT_ONCE = 16
_EXAMPLES_IN_TURN = 16
# Examples that are shuffled together; of ImageNet's some 450 MB.
_BLOCK_SIZE = 4096
_READ_BYTES = 8 << 20


class StreamedPipeline(DecodedPipeline):
    """A split of a dataset that is read from its files, epoch after epoch.

    To shuffle, an epoch takes the files in an order of its own and divides them
    into groups, at most 16. Each group fills an equal part of every batch: its
    files are read one after the other, and block after block of what is read
    is shuffled. So workers that share the batches read files of their own, and
    the batches are the same for any number of them.

    Args:
        shards: The files.
        parse: Graph function from a record to its encoded image and label.
        decode: As for `DecodedPipeline`.
        is_jpeg: Likewise.
        block_size: Examples that are shuffled together, over all groups. Up to
            three blocks are in memory at a time.
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
            num_examples=sum(shard.count for shard in shards),
            decode=decode,
            is_jpeg=is_jpeg,
            **settings,
        )
        self._shards = tuple(shards)
        self._parse = parse
        self._block_size = block_size

    def _stored(self) -> Iterable[bytes | memoryview]:
        for shard in self._shards:
            # Not their folder, which each worker may have elsewhere.
            name = os.path.basename(shard.path)
            yield f"{name} {shard.skip} {shard.count}".encode()

    def _take(self, rows: np.ndarray) -> None:
        ends: np.ndarray = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = [
            slice(int(run[0]), int(run[-1]) + 1)
            for run in np.split(rows, ends)
            if len(run)
        ]
        self._shards = take_runs(self._shards, runs)

    @property
    def _num_groups(self) -> int:
        """Groups of files, each of which fills an equal part of a batch.

        They do not depend on how many workers share the batches.
        """
        return math.gcd(self.batch_size, _FILES_AT_ONCE)

    def _rows_of(self, rows: int, shard: Worker) -> int:
        if not self.shuffle:
            return super()._rows_of(rows, shard)
        groups = self._num_groups
        share, rest = rows // groups, rows % groups
        first, stop = shard.limits(groups)
        return sum(share + (group < rest) for group in range(first, stop))

    def _batches(
        self, epochs: tf.data.Dataset, shard: Worker, turn: Turn
    ) -> tf.data.Dataset:
        groups = self._num_groups
        if self.shuffle and groups % shard.count:
            raise InputError(
                f"`shard`={(shard.index, shard.count)}: {shard.count} workers "
                f"cannot share the files of {self.name!r} at batches of "
                f"{self.batch_size}: their number must divide {groups}"
            )
        return super()._batches(epochs, shard, turn)

    def _records(self, seed: tf.Tensor, shard: Worker) -> tf.data.Dataset:
        files = self._files()
        if not self.shuffle:
            records = tf.data.Dataset.from_tensor_slices(files).flat_map(_read)
            return self._rows_in_turn(records, shard)
        groups = self._num_groups
        order_seed = tf.random.fold_in(seed, ORDER_STREAM)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self._shards)), tf.random.fold_in(order_seed, 0)
        )
        files = tuple(tf.gather(column, order) for column in files)
        # Each group has its rows of every batch, the last one included.
        batches, rest = divmod(self.num_examples, self.batch_size)
        if self._drop_remainder:
            rest = 0
        share = self.batch_size // groups
        sizes = [
            batches * share + rest // groups + (group < rest % groups)
            for group in range(groups)
        ]
        ends = tf.constant(np.cumsum(sizes), tf.int64)

        def read(group: tf.Tensor) -> tf.data.Dataset:
            stop = ends[group]
            start = stop - tf.constant(sizes, tf.int64)[group]
            return self._group(
                _between(files, start, stop),
                tf.random.fold_in(order_seed, 1 + group),
            )

        first, stop = shard.limits(groups)
        return tf.data.Dataset.range(first, stop).interleave(
            read,
            cycle_length=stop - first,
            block_length=share,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def _group(
        self, files: tuple[tf.Tensor, ...], seed: tf.Tensor
    ) -> tf.data.Dataset:
        """Returns the records of some files, block after block shuffled."""
        groups = self._num_groups
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            _read,
            cycle_length=_FILES_AT_ONCE // groups,
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
                tf.range(tf.size(rows)), tf.random.fold_in(seed, block)
            )
            return tf.gather(rows, order), tf.gather(encoded, order)

        blocks = records.batch(max(self._block_size // groups, 1))
        blocks = blocks.enumerate().map(shuffle)
        if self._prefetch:
            blocks = blocks.prefetch(1)
        return blocks.unbatch()

    def _files(self) -> tuple[tf.Tensor, ...]:
        """Returns path, records to skip, count and first row of each file."""
        counts = np.array([shard.count for shard in self._shards], np.int64)
        return (
            tf.constant([shard.path for shard in self._shards]),
            tf.constant([shard.skip for shard in self._shards], tf.int64),
            tf.constant(counts),
            tf.constant(np.cumsum(counts) - counts),
        )

    def _content(
        self, row: tf.Tensor, record: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._parse(record)

    def _first_records(self, count: int) -> tf.data.Dataset:
        files = tf.data.Dataset.from_tensor_slices(self._files())
        return files.flat_map(_read).take(count)

    def _unreadable(self, done: int, error: BaseException) -> InputError:
        folder = os.path.dirname(self._shards[0].path)
        return unreadable(self.name, folder, error)

    def _too_few(self, done: int, count: int) -> InputError:
        return InputError(
            f"`data_dir` holds {done} of the {count} first examples of "
            f"{self.name!r}: prepare it again"
        )


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


def _between(
    files: tuple[tf.Tensor, ...], start: tf.Tensor, stop: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Returns what lies between two positions in files, one after the other."""
    paths, skips, counts, rows = files
    ends = tf.cumsum(counts)
    begins = ends - counts
    first, last = tf.maximum(start, begins), tf.minimum(stop, ends)
    offsets = first - begins
    parts = (paths, skips + offsets, last - first, rows + offsets)
    return tuple(tf.boolean_mask(each, first < last) for each in parts)
