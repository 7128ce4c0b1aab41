"""Calling a function on one item after the other within a graph."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf


def map_in_order(
    function: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    items: tf.Tensor,
    dtypes: Sequence[tf.DType],
) -> list[tf.Tensor]:
    """Returns what a function makes of each item, stacked; one at a time.

    After an error while `tf.map_fn` is traced, no distribution strategy can be
    entered in the process any more (TensorFlow 2.21). This leaves TensorFlow
    as it was.

    Args:
        function: From an item to tensors, of the same shapes for every item.
        items: Tensor; the items are along its first axis.
        dtypes: Of the tensors.

    Returns:
        The tensors, with a first axis for the items.
    """
    count = tf.shape(items)[0]
    arrays = tuple(tf.TensorArray(dtype, size=count) for dtype in dtypes)

    def step(index, *arrays):
        tensors = function(items[index])
        return index + 1, *(
            array.write(index, tensor)
            for array, tensor in zip(arrays, tensors, strict=True)
        )

    _, *arrays = tf.while_loop(
        lambda index, *_: index < count,
        step,
        (tf.constant(0), *arrays),
        parallel_iterations=1,
    )
    return [array.stack() for array in arrays]
