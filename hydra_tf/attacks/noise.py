"""Random starting points that do not depend on the number of replicas.

A seed makes noise stateless: the same seed and shape give the same numbers on
every device, and under `tf.distribute` each replica takes its rows of the noise
of the global batch. Without a seed the noise is fresh at every call and comes
from TensorFlow's global generator, which `keras.utils.set_random_seed` seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError

Seed: TypeAlias = "int | tf.Tensor | None"

# One algorithm on every device, so that a seed means the same numbers.
_ALGORITHM = "philox"


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


def uniform_like(x: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    """Returns float32 noise of the shape of `x`, uniform in [-1, 1)."""

    def draw(shape):
        if seed is None:
            return tf.random.uniform(shape, -1.0, 1.0)
        return tf.random.stateless_uniform(
            shape, seed, -1.0, 1.0, alg=_ALGORITHM
        )

    return _draw_rows(draw, tf.shape(x), seed, x.shape)


def normal_like(x: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    """Returns float32 noise of the shape of `x`, standard normal."""

    def draw(shape):
        if seed is None:
            return tf.random.normal(shape)
        return tf.random.stateless_normal(shape, seed, alg=_ALGORITHM)

    return _draw_rows(draw, tf.shape(x), seed, x.shape)


def l2_ball_like(x: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    """Returns float32 noise, each row uniform in the unit L2 ball."""
    direction = tf.math.l2_normalize(
        normal_like(x, fold_seed(seed, 0)), axis=image_axes(x)
    )
    # The share of the ball's volume within radius r is r**dimensions.
    volume = uniform_like(
        tf.reshape(x, [tf.shape(x)[0], -1])[:, :1], fold_seed(seed, 1)
    )
    volume = tf.reshape((volume + 1.0) / 2.0, [-1] + [1] * (len(x.shape) - 1))
    dimensions = tf.cast(tf.size(x[0]), tf.float32)
    return direction * volume ** (1.0 / dimensions)


def image_axes(x: tf.Tensor) -> list[int]:
    """Returns all axes of `x` but the first."""
    return list(range(1, len(x.shape)))


def _draw_rows(
    draw: Callable[[tf.Tensor], tf.Tensor],
    shape: tf.Tensor,
    seed: tf.Tensor | None,
    static_shape: tf.TensorShape,
) -> tf.Tensor:
    """Returns this replica's rows of the noise of the global batch.

    All replicas must have equally many rows, as they do when the global batch
    divides by the number of replicas.
    """
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if seed is None or replicas == 1:
        noise = draw(shape)
    else:
        rows = shape[0]
        everyone = draw(tf.concat([[rows * replicas], shape[1:]], axis=0))
        first = tf.cast(context.replica_id_in_sync_group, tf.int32) * rows
        noise = everyone[first : first + rows]
    return tf.ensure_shape(noise, static_shape)
