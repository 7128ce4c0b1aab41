"""CutMix: rectangles of other images, and their labels by share of area."""

from __future__ import annotations

import tensorflow as tf


def cutmix(
    images: tf.Tensor,
    labels: tf.Tensor,
    seed: tf.Tensor,
    *,
    probability: float = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes into images a rectangle of the image before them in the batch.

    Of the first image that is the last; a shuffled batch makes it any other.
    The share of the area to paste is uniform, the rectangle has the image's
    proportions, its centre is anywhere, and what is outside of the image is cut
    off. The label of a mixed image is that of the other one with the pasted
    share as probability. So labels stay classes, as every objective takes them,
    and the expected cross-entropy is that of the labels' mixture.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        labels: Integer tensor of shape `(batch_size,)`.
        seed: Integer tensor of shape `(2,)`, for `tf.random.stateless_*`.
        probability: Float in [0, 1], with which each image is mixed.

    Returns:
        Images and labels of the same shapes and types.

    References:

    - [Yun et al., 2019](https://arxiv.org/abs/1905.04899)
    - [Rebuffi et al., 2021](https://arxiv.org/abs/2111.05328), in adversarial
      training
    """
    numbers = tf.random.stateless_uniform((5, tf.shape(images)[0]), seed)
    mixed, pasted, top, left, drawn = tf.unstack(numbers)
    side = tf.sqrt(pasted)
    rows = _interval(top, side, images.shape[1])
    columns = _interval(left, side, images.shape[2])
    box = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
    box &= (mixed < probability)[:, tf.newaxis, tf.newaxis]
    share = tf.reduce_mean(tf.cast(box, tf.float32), axis=(1, 2))
    return (
        tf.where(box[..., tf.newaxis], tf.roll(images, 1, axis=0), images),
        tf.where(drawn < share, tf.roll(labels, 1, axis=0), labels),
    )


def _interval(centre: tf.Tensor, length: tf.Tensor, size: int) -> tf.Tensor:
    """Returns which pixels along a side have their middle in an interval.

    Args:
        centre: Middle of each interval, as a share of the side.
        length: Length of each, likewise.
        size: Number of pixels.

    Returns:
        Boolean tensor of shape `(batch_size, size)`.
    """
    middles = (tf.range(size, dtype=tf.float32) + 0.5) / size
    distance = tf.abs(middles - centre[:, tf.newaxis])
    return distance < length[:, tf.newaxis] / 2
