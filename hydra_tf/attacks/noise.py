"""Random starting points that do not depend on the number of replicas.

A seed makes noise stateless: row i of a seed's noise is the same on every
device, whatever the other rows, and under `tf.distribute` each replica takes
its rows of the noise of the global batch, however that is divided. Without a
seed the noise is fresh at every call and comes from TensorFlow's global
generator, which `keras.utils.set_random_seed` seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.global_batch import part_of
from hydra_tf.ops.loops import map_in_order

Seed: TypeAlias = "int | tf.Tensor | None"

# One algorithm on every device, so that a seed means the same numbers. A step
# of its counter yields four of them.
_ALGORITHM = "philox"
_NUMBERS_PER_STEP = 4


def as_seed(seed: Seed) -> tf.Tensor | None:
    """Returns a stateless seed, an int32 tensor of shape `(2,)`, or None.

    Args:
        seed: None, a non-negative integer below 2**62, an integer scalar
            tensor, or an integer tensor of shape `(2,)`.

    Raises:
        InputError: If `seed` is none of these.
    """
    if seed is None:
        return None
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        if not 0 <= seed < 2**62:
            raise InputError(
                "`seed` must be an integer from 0 to 2**62 - 1. "
                f"Received: seed={seed}"
            )
        return tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32)
    tensor = tf.convert_to_tensor(seed)
    if tensor.dtype.is_integer and tensor.shape == ():
        return tf.stack([tf.cast(tensor, tf.int32), 0])
    if tensor.dtype.is_integer and tensor.shape.is_compatible_with([2]):
        return tf.cast(tensor, tf.int32)
    raise InputError(
        "`seed` must be None, an integer, or an int32 tensor of shape (2,). "
        f"Received: seed={seed!r}"
    )


def fold_seed(seed: tf.Tensor | None, number: int | tf.Tensor):
    """Returns a seed for the `number`-th independent stream of `seed`."""
    if seed is None:
        return None
    return tf.random.experimental.stateless_fold_in(
        seed, number, alg=_ALGORITHM
    )


def uniform_like(
    x: tf.Tensor, seed: tf.Tensor | None, indices: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns float32 noise of the shape of `x`, uniform in [-1, 1).

    Args:
        x: Tensor of shape `(rows, ...)`.
        seed: Stateless seed, or `None` for fresh noise.
        indices: Integers of shape `(rows,)`, by default 0, 1 and so on. With
            a seed, a row's noise depends on the seed and its index alone.
    """
    if seed is None:
        noise = tf.random.uniform(tf.shape(x), -1.0, 1.0)
    else:
        uniform = tf.raw_ops.StatelessRandomUniformV2
        noise = 2.0 * _rows(uniform, x, seed, indices) - 1.0
    return tf.ensure_shape(noise, x.shape)


def normal_like(
    x: tf.Tensor, seed: tf.Tensor | None, indices: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns float32 noise of the shape of `x`, standard normal.

    Args:
        x: See `uniform_like`, as all arguments.
        seed: Stateless seed.
        indices: Indices of the rows.
    """
    if seed is None:
        noise = tf.random.normal(tf.shape(x))
    else:
        normal = tf.raw_ops.StatelessRandomNormalV2
        noise = _rows(normal, x, seed, indices)
    return tf.ensure_shape(noise, x.shape)


def l2_ball_like(
    x: tf.Tensor, seed: tf.Tensor | None, indices: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns float32 noise, each row uniform in the unit L2 ball.

    Args:
        x: See `uniform_like`, as all arguments.
        seed: Stateless seed.
        indices: Indices of the rows.
    """
    direction = tf.math.l2_normalize(
        normal_like(x, fold_seed(seed, 0), indices), axis=image_axes(x)
    )
    # The share of the ball's volume within radius r is r**dimensions.
    volume = uniform_like(
        tf.reshape(x, [tf.shape(x)[0], -1])[:, :1], fold_seed(seed, 1), indices
    )
    volume = tf.reshape((volume + 1.0) / 2.0, [-1] + [1] * (len(x.shape) - 1))
    dimensions = tf.cast(tf.size(x[0]), tf.float32)
    return direction * volume ** (1.0 / dimensions)


def image_axes(x: tf.Tensor) -> list[int]:
    """Returns all axes of `x` but the first."""
    return list(range(1, len(x.shape)))


def _rows(
    operation: Callable[..., tf.Tensor],
    x: tf.Tensor,
    seed: tf.Tensor,
    indices: tf.Tensor | None,
) -> tf.Tensor:
    """Returns noise of the shape of `x`, each row from its place in a stream.

    Philox turns a key and a counter into random numbers: the rows are had
    without those before them. Without `indices`, each replica takes its rows
    of the global batch; see `hydra_tf.ops.global_batch`.

    Args:
        operation: One of TensorFlow's that take a key and a counter.
        x: Tensor of shape `(rows, ...)`.
        seed: Stateless seed.
        indices: Indices of the rows, or `None`.
    """
    key = tf.reshape(tf.bitcast(seed, tf.uint64), [1])
    rows, size = tf.shape(x)[0], tf.reduce_prod(tf.shape(x)[1:])
    steps = -(-size // _NUMBERS_PER_STEP)

    def draw(first, shape):
        step = tf.cast(first, tf.int64) * tf.cast(steps, tf.int64)
        return operation(
            shape=shape,
            key=key,
            counter=tf.cast(tf.stack([step, 0]), tf.uint64),
            alg=tf.random.Algorithm.PHILOX.value,
        )

    padded = steps * _NUMBERS_PER_STEP
    # TensorFlow stacks no rows at all only if it knows how long they would be.
    known = x.shape[1:].num_elements()
    length = [known and -(-known // _NUMBERS_PER_STEP) * _NUMBERS_PER_STEP]
    if indices is None:
        noise = draw(part_of(rows).first, [rows, padded])
    else:
        (noise,) = map_in_order(
            lambda index: (tf.ensure_shape(draw(index, [padded]), length),),
            tf.convert_to_tensor(indices),
            [tf.float32],
        )
    return tf.reshape(noise[:, :size], tf.shape(x))
