"""Networks of five classes, in a line, and their images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_RNG = np.random.default_rng(0)
WEIGHTS = _RNG.normal(size=(16, 5)).astype(np.float32)
IMAGES = _RNG.random((7, 4, 4, 1), np.float32)
# Corners of the range are in every batch.
IMAGES[0], IMAGES[1] = 0.0, 1.0


def linear(x: tf.Tensor) -> tf.Tensor:
    """Returns logits that a gradient tells all of."""
    return tf.reshape(x, (-1, 16)) @ WEIGHTS


def curved(x: tf.Tensor) -> tf.Tensor:
    """Returns logits that rise and fall."""
    return tf.sin(3.0 * linear(x))


LABELS = np.argmax(curved(IMAGES), axis=1)
