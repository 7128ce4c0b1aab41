"""Random changes to training images, as pure functions of explicit numbers.

An augmentation works in two steps: `draw` makes the random numbers of all the
examples of an epoch from a seed, `apply` transforms a batch with its rows of
these numbers. What happens to an example then depends on the seed, the epoch
and the example alone, not on its place in a batch or on what ran before.
"""

from __future__ import annotations

import abc

import tensorflow as tf

from hydra_tf.errors import InputError


class Augmentation(abc.ABC):
    """Base of the augmentations; subclass it to bring one of your own."""

    @abc.abstractmethod
    def draw(self, num_examples: int, seed: tf.Tensor) -> tf.Tensor:
        """Returns the random numbers of `num_examples` examples.

        Args:
            num_examples: Number of rows to draw.
            seed: Integer tensor of shape `(2,)`, for `tf.random.stateless_*`.

        Returns:
            Tensor of shape `(num_examples, ...)`, one row per example.
        """

    @abc.abstractmethod
    def apply(self, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Returns the transformed batch; shape and dtype stay as they are.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`,
                uint8 in 0..255 or float32 in [0, 1].
            numbers: The rows of `draw` that belong to these images.
        """


class CropFlip(Augmentation):
    """A random crop of the zero-padded image, then perhaps a mirror image.

    Args:
        padding: Integer >= 0, rows and columns of zeros put around the image
            before a window of the original size is cut out. Defaults to `4`.
        flip: Whether each image is mirrored left to right with probability
            one half. Defaults to `True`.

    Reference:

    - [He et al., 2016](https://arxiv.org/abs/1512.03385), section 4.2
    """

    def __init__(self, padding: int = 4, flip: bool = True) -> None:
        if padding < 0:
            raise InputError(
                "`padding` must be an integer >= 0, the border of zeros in "
                f"pixels. Received: padding={padding}"
            )
        self.padding = padding
        self.flip = flip

    def draw(self, num_examples: int, seed: tf.Tensor) -> tf.Tensor:
        """Returns int32 rows `(top, left, mirrored)`."""
        # Exclusive upper ends: 2 * padding + 1 positions, mirrored or not.
        ends = [2 * self.padding + 1, 2 * self.padding + 1, 1 + int(self.flip)]
        columns = [
            tf.random.stateless_uniform(
                (num_examples,),
                seed=tf.random.fold_in(seed, column),
                minval=0,
                maxval=end,
                dtype=tf.int32,
            )
            for column, end in enumerate(ends)
        ]
        return tf.stack(columns, axis=1)

    def apply(self, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        return crop_flip(images, numbers, padding=self.padding)


def crop_flip(
    images: tf.Tensor, numbers: tf.Tensor, *, padding: int
) -> tf.Tensor:
    """Cuts a window out of each zero-padded image and mirrors some of them.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        numbers: Integer tensor of shape `(batch_size, 3)`. The first two
            columns are the top and left corner of the window in the padded
            image, in `[0, 2 * padding]`; where the third is 1 the window is
            mirrored left to right.
        padding: Integer >= 0, rows and columns of zeros on each side.

    Returns:
        Tensor with the shape and dtype of `images`.
    """
    # `keras.layers.RandomCrop` and `tf.image.stateless_random_crop` cut the
    # same window out of all images of a batch.
    height, width = images.shape[1], images.shape[2]
    border = [padding, padding]
    padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
    top, left, mirrored = tf.unstack(numbers[:, :, tf.newaxis], axis=1)
    rows = top + tf.range(height)
    columns = tf.range(width)
    columns = left + tf.where(mirrored > 0, width - 1 - columns, columns)
    window = tf.gather(padded, rows, batch_dims=1, axis=1)
    return tf.ensure_shape(
        tf.gather(window, columns, batch_dims=1, axis=2), images.shape
    )
