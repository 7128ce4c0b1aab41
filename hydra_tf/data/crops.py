"""Bringing images of any size to one size: a random part, or the middle."""

from __future__ import annotations

import functools
import math

import tensorflow as tf

from hydra_tf.data.augmentation import Augmentation
from hydra_tf.errors import InputError

# Draws of a part's size and shape, of which the first that fits counts.
_ATTEMPTS = 10
# The middle of an image is cut out where its shorter side has this length.
_SHORTER_SIDE = 256
# At which the decoder of JPEG makes an image smaller, for less than it costs to
# decode all of it.
_RATIOS = (1, 2, 4, 8)
# Columns at the edge of a part of a JPEG that lack their neighbours' colour.
_EDGE = 2
_CHANNELS = 3
# Of TensorFlow's enumeration of generators.
_PHILOX = 1


class RandomResizedCrop(Augmentation):
    """A random part of the image, resized, then perhaps its mirror image.

    The part's share of the area and the logarithm of its aspect ratio (width to
    height) are uniform, and of ten draws the first that fits into the image
    counts. Should none fit, it is the largest part in the middle whose aspect
    ratio is in the range.

    The part is resized by linear interpolation between the nearest four pixels,
    without antialiasing: what is made smaller is sharper than the middles that
    are evaluated, as in most recipes for ImageNet. A JPEG whose part is at
    least 2, 4 or 8 times as large as the result is decoded at a half, a quarter
    or an eighth of its size, in which every pixel counts; the part is then
    rounded down to whole pixels of that size. Of other formats, parts are
    resized with antialiasing.

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
            return _resize(_cut(image, window), height, width, mirrored)

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
        is_jpeg, pixels, size = _open(encoded)
        window, mirrored = self.window(size[0], size[1], seed)

        def of_jpeg(ratio: int) -> tf.Tensor:
            return _decode_jpeg(encoded, window // ratio, ratio)

        def of_others() -> tf.Tensor:
            part = tf.image.resize(
                _cut(pixels, window), (height, width), antialias=True
            )
            return tf.cast(tf.round(part), tf.uint8)

        larger = tf.reduce_min(window[2:] // (height, width)) >= _RATIOS[1:]
        number = 1 + tf.reduce_sum(tf.cast(larger, tf.int32))
        part = tf.switch_case(
            tf.where(is_jpeg, number, 0),
            [
                of_others,
                *(functools.partial(of_jpeg, each) for each in _RATIOS),
            ],
        )
        part = tf.ensure_shape(part, (None, None, _CHANNELS))
        # Here, not for a batch: what was just written is in the cache.
        return _resize(part, height, width, mirrored) / 255.0

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
        # uniform, not the area. `tf.random.stateless_uniform` is a dozen
        # operations, most of which make a key of the seed: here it is one.
        uniform = tf.raw_ops.StatelessRandomUniformV2(
            shape=(2 * _ATTEMPTS + 3,),
            key=tf.bitcast(tf.reshape(seed, (1, 2)), tf.uint64),
            counter=tf.zeros((2,), tf.uint64),
            alg=_PHILOX,
        )
        share, ratio, drawn, coin = tf.split(
            uniform, (_ATTEMPTS, _ATTEMPTS, 2, 1)
        )
        # Heights and widths together: few operations, as there are many images.
        size = tf.cast(tf.stack([height, width]), tf.float32)
        least, greatest = self.aspect_ratio

        share = self.area[0] + share * (self.area[1] - self.area[0])
        ratio = least * (greatest / least) ** ratio
        area = share * tf.reduce_prod(size)
        parts = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio], 1)))
        fits = tf.reduce_all((parts >= 1) & (parts <= size), axis=1)
        found = tf.reduce_any(fits)

        # No conditions, which cost more than what they would spare.
        spare = tf.minimum(size, tf.round(size[::-1] * [1 / least, greatest]))
        part = parts[tf.argmax(tf.cast(fits, tf.int32))]
        part = tf.where(found, part, tf.maximum(spare, 1.0))
        room = size - part
        place = tf.floor(tf.where(found, drawn * (room + 1), room / 2))
        # The product may be rounded up to `room + 1`.
        place = tf.minimum(place, room)
        mirrored = coin[0] < 0.5 if self.flip else tf.constant(False)
        return tf.cast(tf.concat([place, part], axis=0), tf.int32), mirrored


def decode_middle(encoded: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the middle of an encoded image whose shorter side is made 256.

    The longer side keeps the proportion, rounded down; the middle is rounded to
    the top and to the left. Resizing is linear, with a wider filter where that
    makes the image smaller (antialiasing).

    Args:
        encoded: The bytes of a JPEG, PNG, BMP or GIF image.
        height: Height of the result, at most 256.
        width: Width of the result, at most 256.

    Returns:
        float32 tensor of shape `(height, width, 3)` in [0, 1].
    """
    is_jpeg, pixels, shape = _open(encoded)
    size = shape * _SHORTER_SIDE // tf.reduce_min(shape)
    scale = tf.cast(size / shape, tf.float32)
    corner = tf.cast((size - (height, width)) // 2, tf.float32)
    # No more is decoded than what the filter sees, and no more of the resized
    # image made than the middle.
    around = tf.maximum(1.0, 1.0 / scale) + _EDGE
    first = tf.floor(corner / scale - around)
    stop = tf.math.ceil((corner + (height, width)) / scale + around)
    first = tf.maximum(tf.cast(first, tf.int32), 0)
    stop = tf.minimum(tf.cast(stop, tf.int32), shape)
    window = tf.concat([first, stop - first], axis=0)
    part = tf.cond(
        is_jpeg,
        lambda: _decode_jpeg(encoded, window),
        lambda: _cut(pixels, window),
    )
    part = tf.ensure_shape(part, (None, None, _CHANNELS))
    place = tf.cast(first, tf.float32) * scale - corner
    middle = _resized(part, scale, place, (height, width))
    # The weights of a resized pixel, none negative, add up to 1 but for
    # rounding.
    return tf.minimum(middle, 255.0) / 255.0


def _open(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns whether it is a JPEG, pixels if it is none, height and width."""

    def of_others() -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_image(
            encoded, channels=_CHANNELS, expand_animations=False
        )
        return pixels, tf.shape(pixels)[:2]

    def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        none = tf.zeros((0, 0, _CHANNELS), tf.uint8)
        return none, tf.image.extract_jpeg_shape(encoded)[:2]

    is_jpeg = tf.io.is_jpeg(encoded)
    pixels, size = tf.cond(is_jpeg, of_jpeg, of_others)
    pixels = tf.ensure_shape(pixels, (None, None, _CHANNELS))
    return is_jpeg, pixels, tf.ensure_shape(size, (2,))


def _decode_jpeg(
    encoded: tf.Tensor, window: tf.Tensor, ratio: int = 1
) -> tf.Tensor:
    """Returns a part of a JPEG that is decoded at a fraction of its size.

    Args:
        encoded: The bytes.
        window: Top, left, height and width, in pixels of that size.
        ratio: 1, 2, 4 or 8: by how much it is smaller.
    """
    return tf.raw_ops.DecodeAndCropJpeg(
        contents=encoded, crop_window=window, channels=_CHANNELS, ratio=ratio
    )


def _cut(pixels: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    top, left, rows, columns = tf.unstack(window)
    return pixels[top : top + rows, left : left + columns]


def _resize(
    image: tf.Tensor, height: int, width: int, mirrored: tf.Tensor
) -> tf.Tensor:
    """Returns an image resized linearly and perhaps mirrored, as float32.

    The result lies between the least and the greatest value of the image.
    """
    # Before it is resized: of bytes, a quarter of the memory.
    image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    resized = tf.raw_ops.ResizeBilinear(
        images=image[tf.newaxis], size=(height, width), half_pixel_centers=True
    )
    return resized[0]


def _resized(
    image: tf.Tensor,
    scale: tf.Tensor,
    translation: tf.Tensor,
    size: tuple[int, int],
) -> tf.Tensor:
    """Returns a window of an image that is resized with antialiasing.

    Args:
        image: Pixels, of any number type.
        scale: New size divided by the old, height and width.
        translation: Where the image begins in the window, height and width.
        size: Height and width of the window.
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
    return tf.ensure_shape(image, (*size, channels))
