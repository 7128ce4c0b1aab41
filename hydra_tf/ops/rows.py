"""Computing on some of the rows of tensors."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf.ops.global_batch import part_of


def update_rows(
    chosen: tf.Tensor,
    function: Callable[..., Sequence[tf.Tensor]],
    state: Sequence[tf.Tensor],
    constants: Sequence[tf.Tensor] = (),
) -> list[tf.Tensor]:
    """Returns tensors of which the chosen rows are replaced.

    Args:
        chosen: Bool tensor of shape `(rows,)`.
        function: From the chosen rows of `constants`, then those of `state`, to
            what replaces the latter.
        state: Tensors of shape `(rows, ...)`.
        constants: Further tensors of shape `(rows, ...)`.
    """
    rows = tf.where(chosen)
    taken = [tf.gather_nd(each, rows) for each in (*constants, *state)]
    return [
        tf.ensure_shape(tf.tensor_scatter_nd_update(old, rows, new), old.shape)
        for old, new in zip(state, function(*taken), strict=True)
    ]


def row_indices(x: tf.Tensor, indices: tf.Tensor | None) -> tf.Tensor:
    """Returns int64 indices of the rows, by default in the global batch.

    Args:
        x: Tensor of shape `(rows, ...)`.
        indices: Integers of shape `(rows,)`, or `None`.
    """
    if indices is None:
        rows = tf.shape(x)[0]
        indices = part_of(rows).first + tf.range(rows)
    return tf.cast(indices, tf.int64)


def per_row(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns values of shape `(rows,)`, to be broadcast over those of `x`."""
    return tf.reshape(values, [-1] + [1] * (len(x.shape) - 1))


def weighted_mean(
    values: tf.Tensor, sample_weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the mean over the rows of their values times their weights.

    The rule of Keras' losses: divided by the number of rows, whatever the sum
    of the weights.

    Args:
        values: Float tensor of shape `(rows,)`.
        sample_weight: Float tensor of shape `(rows,)`; `None` for ones.
    """
    if sample_weight is not None:
        values *= tf.cast(sample_weight, values.dtype)
    return tf.reduce_mean(values)


def choose(condition: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Returns `one` where a condition holds, elsewhere `other`.

    On CPUs it takes a twentieth of the time of `tf.where`, which broadcasts.

    Args:
        condition: Bool tensor of the shape of `one`, or of shape `(rows,)`.
        one: Tensor of shape `(rows, ...)`.
        other: The same.
    """
    return tf.raw_ops.Select(condition=condition, x=one, y=other)
