"""Bringing images of any size to one size: a random part, or the middle."""

from __future__ import annotations

import math

import tensorflow as tf

from hydra_tf.data.augmentation import Augmentation
from hydra_tf.errors import InputError

# Draws of a part's size and shape, of which the first that fits counts.
_ATTEMPTS = 10
# The middle of an image is cut out where its shorter side has this length.
_SHORTER_SIDE = 256


class RandomResizedCrop(Augmentation):
    """A random part of the image, resized, then perhaps its mirror image.

    The part's share of the area and the logarithm of its aspect ratio (width to
    height) are uniform, and of ten draws the first that fits into the image
    counts. Should none fit, it is the largest part in the middle whose aspect
    ratio is in the range. It is resized by linear interpolation, with a wider
    filter where that makes it smaller (antialiasing).

    Args:
        area: Smallest and largest share of the image's area, in (0, 1].
            Defaults to `(0.08, 1.0)`.
        aspect_ratio: Least and greatest width divided by height. Defaults to
            `(3/4, 4/3)`.
        flip: Whether each image is mirrored left to right with probability
            one half. Defaults to `True`.

    Reference:

    - [Szegedy et al., 2015](https://arxiv.org/abs/1409.4842), section 6
    """

    def __init__(
        self,
        area: tuple[float, float] = (0.08, 1.0),
        aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1:
            raise InputError(
                "`area` must be two shares of the image in (0, 1], the smaller "
                f"one first. Received: area={area}"
            )
        if not 0 < aspect_ratio[0] <= aspect_ratio[1] < math.inf:
            raise InputError(
                "`aspect_ratio` must be two numbers > 0, width divided by "
                "height, the smaller one first. "
                f"Received: aspect_ratio={aspect_ratio}"
            )
        self.area = tuple(area)
        self.aspect_ratio = tuple(aspect_ratio)
        self.flip = flip

    def draw(self, num_examples: int, seed: tf.Tensor) -> tf.Tensor:
        """Returns int32 rows of two numbers: a seed for each example."""
        return tf.random.stateless_uniform(
            (num_examples, 2), seed, minval=None, maxval=None, dtype=tf.int32
        )

    def apply(self, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1], images.shape[2]

        def crop(each: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            image, seed = each
            window, mirrored = self.window(height, width, seed)
            top, left, rows, columns = tf.unstack(window)
            part = image[top : top + rows, left : left + columns]
            return _resize(part, height, width, mirrored)

        cropped = tf.map_fn(
            crop,
            (images, numbers),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
        )
        if images.dtype == tf.uint8:
            return tf.cast(tf.round(cropped), tf.uint8)
        return tf.clip_by_value(cropped, 0.0, 1.0)

    def decode(
        self, encoded: tf.Tensor, seed: tf.Tensor, height: int, width: int
    ) -> tf.Tensor:
        """Returns the part of an encoded image, of which no more is decoded.

        Args:
            encoded: The bytes of a JPEG image; of a PNG, BMP or GIF, such as
                the few that ImageNet has, all is decoded.
            seed: Integer tensor of shape `(2,)`, a row of `draw`.
            height: Height of the result.
            width: Width of the result.

        Returns:
            float32 tensor of shape `(height, width, 3)` in [0, 1].
        """

        def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
            shape = tf.image.extract_jpeg_shape(encoded)
            window, mirrored = self.window(shape[0], shape[1], seed)
            part = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
            return part, mirrored

        def of_others() -> tuple[tf.Tensor, tf.Tensor]:
            pixels = tf.io.decode_image(
                encoded, channels=3, expand_animations=False
            )
            pixels = tf.ensure_shape(pixels, (None, None, 3))
            shape = tf.shape(pixels)
            window, mirrored = self.window(shape[0], shape[1], seed)
            top, left, rows, columns = tf.unstack(window)
            part = pixels[top : top + rows, left : left + columns]
            return part, mirrored

        part, mirrored = tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_others)
        # Of bytes, and before the part is resized: a quarter of the memory.
        part = tf.ensure_shape(part, (None, None, 3))
        return _to_unit_range(_resize(part, height, width, mirrored))

    def window(
        self, height: int | tf.Tensor, width: int | tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns which part of an image is taken, and whether mirrored.

        Args:
            height: Height of the image.
            width: Width of the image.
            seed: Integer tensor of shape `(2,)`.

        Returns:
            int32 tensor `(top, left, height, width)` and a boolean scalar.
        """
        # `tf.image.stateless_sample_distorted_bounding_box` has the height
        # uniform, not the area.
        uniform = tf.random.stateless_uniform((2 * _ATTEMPTS + 3,), seed)
        # Heights and widths together: few operations, as there are many images.
        size = tf.stack([tf.cast(height, tf.int32), tf.cast(width, tf.int32)])
        real = tf.cast(size, tf.float32)
        least, greatest = self.aspect_ratio

        share = uniform[:_ATTEMPTS]
        share = self.area[0] + share * (self.area[1] - self.area[0])
        ratio = uniform[_ATTEMPTS : 2 * _ATTEMPTS]
        ratio = least * (greatest / least) ** ratio
        area = share * tf.reduce_prod(real)
        parts = tf.stack([area / ratio, area * ratio], axis=1)
        parts = tf.cast(tf.round(tf.sqrt(parts)), tf.int32)
        fits = tf.reduce_all((parts >= 1) & (parts <= size), axis=1)
        found = tf.reduce_any(fits)

        # No conditions, which cost more than what they would spare.
        spare = tf.round(real[::-1] * [1 / least, greatest])
        spare = tf.maximum(tf.minimum(size, tf.cast(spare, tf.int32)), 1)
        part = parts[tf.argmax(tf.cast(fits, tf.int32))]
        part = tf.where(found, part, spare)
        drawn = uniform[2 * _ATTEMPTS : 2 * _ATTEMPTS + 2]
        room = size - part
        place = tf.cast(drawn * tf.cast(room + 1, tf.float32), tf.int32)
        # The product may be rounded up to `room + 1`.
        place = tf.where(found, tf.minimum(place, room), room // 2)
        mirrored = uniform[-1] < 0.5 if self.flip else tf.constant(False)
        return tf.concat([place, part], axis=0), mirrored


def decode_middle(encoded: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the middle of an encoded image whose shorter side is made 256.

    The longer side keeps the proportion, rounded down; the middle is rounded to
    the top and to the left. Resizing is that of `RandomResizedCrop`.

    Args:
        encoded: The bytes of a JPEG image.
        height: Height of the result, at most 256.
        width: Width of the result, at most 256.

    Returns:
        float32 tensor of shape `(height, width, 3)` in [0, 1].
    """
    pixels = tf.image.decode_jpeg(encoded, channels=3)
    shape = tf.shape(pixels)[:2]
    size = shape * _SHORTER_SIDE // tf.reduce_min(shape)
    # No more than the middle of what is resized.
    corner = (size - (height, width)) // 2
    middle = _resized(pixels, size / shape, -corner, (height, width))
    return _to_unit_range(middle)


def _resize(
    image: tf.Tensor, height: int, width: int, mirrored: tf.Tensor
) -> tf.Tensor:
    """Returns an image as `tf.image.resize` resizes it with `antialias`."""
    size = tf.constant((height, width))
    scale = size / tf.shape(image)[:2]
    none = tf.zeros_like(size)
    return _resized(image, scale, none, (height, width), mirrored)


def _resized(
    image: tf.Tensor,
    scale: tf.Tensor,
    translation: tf.Tensor,
    size: tuple[int, int],
    mirrored: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns a window of a resized image, as float32 of the same range.

    Args:
        image: Pixels, of any number type.
        scale: New size divided by the old, height and width.
        translation: Position of the window in the resized image, negative.
        size: Height and width of the window.
        mirrored: Whether its columns change sides, `None` for no.
    """
    scale = tf.cast(scale, tf.float32)
    translation = tf.cast(translation, tf.float32)
    channels = image.shape[2]
    for axis in range(2):
        # Rows first, then columns in the place of rows: TensorFlow is twice as
        # fast where a pixel has many channels, and the result is the same.
        shape = tf.shape(image)
        rows, columns = shape[0], shape[1]
        image = tf.raw_ops.ScaleAndTranslate(
            images=tf.reshape(image, (1, rows, 1, columns * channels)),
            size=(size[axis], 1),
            scale=tf.stack([scale[axis], 1.0]),
            translation=tf.stack([translation[axis], 0.0]),
            kernel_type="triangle",
            antialias=True,
        )
        image = tf.reshape(image, (size[axis], columns, channels))
        image = tf.transpose(image, (1, 0, 2))
        if mirrored is not None and not axis:
            # Whole columns at a time, which is fast as long as they are rows.
            order = tf.range(columns)
            order = tf.where(mirrored, columns - 1 - order, order)
            image = tf.gather(image, order)
    return tf.ensure_shape(image, (*size, channels))


def _to_unit_range(pixels: tf.Tensor) -> tf.Tensor:
    # The weights of a resized pixel add up to 1 but for rounding.
    return tf.clip_by_value(pixels / 255.0, 0.0, 1.0)
