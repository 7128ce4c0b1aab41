"""Operations on the last axis, for layers that work along other ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation


def without_batch(axes: int | Sequence[int], rank: int) -> list[int]:
    """Returns axes as Keras counts them, counted without the batch.

    That of the batch itself is -1.

    Args:
        axes: One or more.
        rank: Number of axes of a row.
    """
    axes = [axes] if isinstance(axes, int) else axes
    return sorted(axis % (rank + 1) - 1 for axis in axes)


def on_last_axis(
    operation: Operation | Sequence[Operation],
    axes: Sequence[int],
    shape: tuple[int, ...],
) -> list[Operation]:
    """Returns operations that work along axes as if these were the last one.

    Args:
        operation: What works along the last axis, and keeps shapes.
        axes: Axes of a row, without the batch, increasing.
        shape: Shape of a row.
    """
    operations = (
        list(operation) if isinstance(operation, Sequence) else [operation]
    )
    if list(axes) == [len(shape) - 1]:
        return operations
    others = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*others, *axes]
    moved = [shape[axis] for axis in order]
    merged = [*moved[: len(others)], math.prod(moved[len(others) :])]

    def there(x: tf.Tensor) -> tf.Tensor:
        moved_axes = [0, *(axis + 1 for axis in order)]
        return tf.reshape(tf.transpose(x, moved_axes), [-1, *merged])

    def back(x: tf.Tensor) -> tf.Tensor:
        moved_axes = [0, *(axis + 1 for axis in np.argsort(order))]
        return tf.transpose(tf.reshape(x, [-1, *moved]), moved_axes)

    return [
        Linear(there, transpose=lambda rows, _: back(rows), diagonal=True),
        *operations,
        Linear(back, transpose=lambda rows, _: there(rows), diagonal=True),
    ]
