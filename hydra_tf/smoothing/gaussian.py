"""Gaussian noise by row number, the same wherever a batch begins.

Philox turns a key and a counter into random numbers: any part of a stream can
be generated without the parts before it. The noise of draw `d` of image `i` is
row `i * draws + d`; a batch is a run of rows, generated at once wherever it
begins and however long it is.
"""

from __future__ import annotations

import math

import tensorflow as tf

from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import fold_seed
from hydra_tf.errors import InputError

# One step of Philox's counter yields four numbers.
_NUMBERS_PER_STEP = 4

# Rows are padded to whole vector registers: the vectorised logarithm or cosine
# may differ in the last bit from the scalar one, which would compute what is
# left over at the end of a batch.
_ALIGNMENT = 16


class GaussianStream:
    """Normal noise by row number.

    Box and Muller's method on two streams of uniform numbers. Written out in
    operations that are vectorised, it takes half the time of TensorFlow's
    generator of normal numbers, which follows the same method.

    Args:
        seed: Integer >= 0.
        shape: Shape of one row, that of an image.
        sigma: Float > 0, standard deviation.
    """

    def __init__(self, seed: Seed, shape: tuple[int, ...], sigma: float = 1.0):
        stateless_seed = as_seed(seed)
        if stateless_seed is None:
            raise InputError("`seed` must be an integer. Received: seed=None")
        self._streams = [
            tf.raw_ops.StatelessRandomGetKeyCounter(
                seed=fold_seed(stateless_seed, number)
            )
            for number in (0, 1)
        ]
        self._shape = shape
        self._size = math.prod(shape)
        pairs = -(-self._size // 2)
        self._pairs = -(-pairs // _ALIGNMENT) * _ALIGNMENT
        self._sigma = sigma

    def rows(self, start: tf.Tensor, count: int) -> tf.Tensor:
        """Returns float32 noise of the rows `start` to `start + count - 1`.

        Args:
            start: Int64 scalar >= 0.
            count: Number of rows.
        """
        # Uniform numbers are below 1 and may be 0, where there is no logarithm.
        one, other = (self._uniform(i, start, count) for i in (0, 1))
        radius = tf.sqrt(-2 * self._sigma**2 * tf.math.log(1.0 - one))
        angle = 2 * math.pi * other
        noise = tf.concat(
            [radius * tf.cos(angle), radius * tf.sin(angle)], axis=1
        )
        if 2 * self._pairs != self._size:
            noise = noise[:, : self._size]
        return tf.reshape(noise, [count, *self._shape])

    def _uniform(self, stream: int, start: tf.Tensor, count: int) -> tf.Tensor:
        """Returns numbers of the rows of one stream, uniform in [0, 1)."""
        key, counter = self._streams[stream]
        step = start * (self._pairs // _NUMBERS_PER_STEP)
        return tf.raw_ops.StatelessRandomUniformV2(
            shape=[count, self._pairs],
            key=key,
            # The high half tells streams apart; the low half counts.
            counter=tf.stack([tf.cast(step, tf.uint64), counter[1]]),
            alg=tf.random.Algorithm.PHILOX.value,
        )
