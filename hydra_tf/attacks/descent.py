"""How an attack moves along its gradients: optimisers and step sizes.

The optimisers are Keras' own rules, on tensors: points are no variables, so
that a rolled loop can move as many of them as a batch holds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

# Adam and Adamax: decay of the mean gradient, of its size, and what is added
# to that.
_MEAN_DECAY = 0.9
_SIZE_DECAY = 0.999
_STABILISER = 1e-8

# Share of the first step size that is left at last.
_LAST_SHARE = 0.01
# On a plateau of more than this many steps the step size is halved.
_PATIENCE = 2
_FACTOR = 0.5

Moments = tuple[tf.Tensor, ...]


def no_moments(optimizer: str, x: tf.Tensor) -> Moments:
    """Returns what an optimiser knows of gradients before the first step.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"adamax"`.
        x: The points that it will move.
    """
    if optimizer == "sgd":
        return ()
    return tf.zeros_like(x), tf.zeros_like(x)


def descend(
    optimizer: str, gradient: tf.Tensor, moments: Moments, step: tf.Tensor
) -> tuple[tf.Tensor, Moments]:
    """Returns by what to lower points for a step size of 1, and the moments.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"adamax"`.
        gradient: At the points.
        moments: What is known of the gradients before.
        step: Integer scalar, steps done.
    """
    if optimizer == "sgd":
        return gradient, ()
    done = tf.cast(step + 1, tf.float32)
    mean, size = moments
    mean = _MEAN_DECAY * mean + (1.0 - _MEAN_DECAY) * gradient
    if optimizer == "adam":
        squares = tf.square(gradient)
        size = _SIZE_DECAY * size + (1.0 - _SIZE_DECAY) * squares
        length = tf.sqrt(size / (1.0 - _SIZE_DECAY**done))
    else:
        size = tf.maximum(_SIZE_DECAY * size, tf.abs(gradient))
        length = size
    unbiased = mean / (1.0 - _MEAN_DECAY**done)
    return unbiased / (length + _STABILISER), (mean, size)


def annealed(
    first: float, step: tf.Tensor, num_steps: tf.Tensor, last_share: float
) -> tf.Tensor:
    """Returns what is left in a step of a value that falls along a cosine.

    Args:
        first: The value in step 0.
        step: Integer scalar, steps done.
        num_steps: Integer scalar, the number of all.
        last_share: Share of it that would be left after the last.
    """
    done = tf.cast(step, tf.float32) / tf.cast(num_steps, tf.float32)
    share = (1.0 + tf.cos(math.pi * done)) / 2.0
    return first * (last_share + (1.0 - last_share) * share)


class StepSizes(NamedTuple):
    """The step size of each image, as a schedule left it.

    Attributes:
        size: Float32, shape `(batch,)`.
        waited: Int32, steps since something improved.
    """

    size: tf.Tensor
    waited: tf.Tensor

    @classmethod
    def start(cls, first: float, labels: tf.Tensor) -> StepSizes:
        """Returns the first step size, for as many images as labels."""
        shape = tf.shape(labels)
        size = tf.fill(shape, tf.cast(first, tf.float32))
        return cls(size, tf.zeros(shape, tf.int32))

    def after(
        self,
        schedule: str,
        first: float,
        step: tf.Tensor,
        num_steps: tf.Tensor,
        improved: tf.Tensor,
    ) -> StepSizes:
        """Returns the step sizes to take next.

        Args:
            schedule: `"cosine"`, from the first to a hundredth of it;
                `"plateau"`, halved where nothing improved in three steps, down
                to the same; or `"constant"`.
            first: Step size of step 0.
            step: Integer scalar, steps done.
            num_steps: Integer scalar, the number of all.
            improved: Bool, shape `(batch,)`: whether the last step helped.
        """
        if schedule == "constant":
            return self
        if schedule == "cosine":
            size = annealed(first, step, num_steps, _LAST_SHARE)
            return self._replace(size=tf.fill(tf.shape(self.size), size))
        waited = tf.where(improved, 0, self.waited + 1)
        expired = waited > _PATIENCE
        least = tf.cast(_LAST_SHARE * first, tf.float32)
        smaller = tf.maximum(_FACTOR * self.size, least)
        return StepSizes(
            tf.where(expired, smaller, self.size), tf.where(expired, 0, waited)
        )
