"""Which rows of the global batch a replica has.

What is drawn for an image, such as the noise of an attack, follows from its
row in the global batch: it is the same however replicas divide the batch.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Part:
    """The rows of a replica.

    Attributes:
        first: Integer scalar, the first of them in the global batch.
        rows: Integer scalar, their number; 0 of a replica without images.
        total: Integer scalar, number of rows of the global batch.
    """

    first: int | tf.Tensor
    rows: int | tf.Tensor
    total: int | tf.Tensor


# Each replica runs in a thread of its own, and so has its own value.
_CURRENT: contextvars.ContextVar[Part | None] = contextvars.ContextVar(
    "part_of_the_global_batch", default=None
)


def divided(rows: tf.Tensor) -> Part:
    """Returns the part of this replica, having asked the others for theirs.

    Args:
        rows: Integer scalar, number of its rows.
    """
    replica = tf.distribute.get_replica_context()
    counts = replica.all_gather(tf.reshape(rows, [1]), axis=0)
    before = tf.cumsum(counts, exclusive=True)
    return Part(
        before[replica.replica_id_in_sync_group], rows, tf.reduce_sum(counts)
    )


@contextlib.contextmanager
def taken(part: Part) -> Iterator[None]:
    """Lets `part_of` return a part, which it cannot always ask for itself.

    Replicas cannot talk to each other within a loop or a condition.
    """
    token = _CURRENT.set(part)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def part_of(rows: int | tf.Tensor) -> Part:
    """Returns the part of this replica.

    Outside of `taken` all replicas must have equally many rows, as they do
    when the global batch divides by their number.

    Args:
        rows: Integer scalar, number of its rows.
    """
    known = _CURRENT.get()
    if known is not None:
        return known
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return Part(0, rows, rows)
    position = tf.cast(replica.replica_id_in_sync_group, tf.int32)
    return Part(position * rows, rows, replica.num_replicas_in_sync * rows)
