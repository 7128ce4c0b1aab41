"""Picture files of any size and kind as pixels of one shape.

An image is brought to a shape in three steps: its channels are converted (grey
becomes colour by repetition, colour grey by luma; opacity is dropped, or 255
where it is asked for and missing), then the largest part in its middle that has
the wanted proportions is cut out, and that part is resized linearly, with a
wider filter where it becomes smaller (antialiasing).
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Sequence

import tensorflow as tf

from hydra_tf import files

# By what their names end with; what a file really is, its content says.
READABLE = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
OTHER_PICTURES = (
    *(".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".svg"),
    *(".ppm", ".pgm", ".pbm", ".tga", ".ico", ".raw", ".dng", ".npy"),
)

# Pillow's names.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF")
# How files of a format end.
_ENDS = {
    "JPEG": b"\xff\xd9",
    "MPO": b"\xff\xd9",  # What some cameras make of JPEG.
    "PNG": b"\x00\x00\x00\x00IEND\xaeB`\x82",
    "GIF": b"\x3b",
}
_CHECKED_AT_ONCE = 16


def fit(pixels: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns an image brought to a shape, as above.

    Args:
        pixels: uint8 tensor of shape `(height, width, channels)`, with 1 to 4
            channels: grey, grey and opacity, colour, colour and opacity.
        image_shape: Height, width and channels (1, 3 or 4) of the result.

    Returns:
        uint8 tensor of shape `image_shape`.
    """
    height, width, channels = image_shape
    pixels = _convert(pixels, channels)
    size = tf.cast(tf.shape(pixels)[:2], tf.float32)
    # Of the proportions height : width, as large as fits.
    scale = tf.minimum(size[0] / height, size[1] / width)
    part = tf.cast(tf.round([scale * height, scale * width]), tf.int32)
    part = tf.clip_by_value(part, 1, tf.shape(pixels)[:2])
    top, left = tf.unstack((tf.shape(pixels)[:2] - part) // 2)
    middle = pixels[top : top + part[0], left : left + part[1]]
    resized = tf.image.resize(middle, (height, width), antialias=True)
    rounded = tf.clip_by_value(tf.round(resized), 0, 255)
    return tf.ensure_shape(tf.cast(rounded, tf.uint8), tuple(image_shape))


def decode(encoded: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns an encoded JPEG, PNG, BMP or GIF image brought to a shape.

    Of an animation it is the first picture. Rotation that a camera notes in the
    file is not applied.

    Args:
        encoded: The bytes.
        image_shape: Height, width and channels of the result.
    """
    pixels = tf.io.decode_image(encoded, expand_animations=False)
    return fit(tf.ensure_shape(pixels, (None, None, None)), image_shape)


def find_fault(paths: Sequence[bytes]) -> tuple[bytes, str] | None:
    """Returns the first file that is no complete picture, and why.

    The first and the last bytes are looked at; whatever looks odd is decoded.
    """
    with concurrent.futures.ThreadPoolExecutor(_CHECKED_AT_ONCE) as pool:
        faults = pool.map(fault_of, paths)
        for path, fault in zip(paths, faults, strict=True):
            if fault is not None:
                pool.shutdown(cancel_futures=True)
                return path, fault
    return None


def fault_of(path: bytes) -> str | None:
    """Returns why a file is no complete picture, `None` if it seems to be."""
    from PIL import Image

    try:
        with Image.open(os.fsdecode(path), formats=_FORMATS) as picture:
            kind = picture.format or ""
            if kind == "BMP" and picture.mode == "P":
                # TensorFlow takes the numbers of colours for shades of grey.
                return (
                    "is a BMP with a palette, which cannot be read: make it a "
                    "PNG"
                )
            with open(path, "rb") as file:
                file.seek(-min(os.path.getsize(path), 64), os.SEEK_END)
                if kind in _ENDS and _ENDS[kind] in file.read():
                    return None
            try:
                picture.load()
            except (OSError, ValueError, SyntaxError):
                return "is truncated or damaged"
    except OSError as error:
        reason = error.strerror or "no JPEG, PNG, BMP or GIF"
        return f"cannot be read ({reason})"
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def size_of(path: bytes) -> tuple[int, int] | None:
    """Returns height and width of a picture, `None` if it cannot be read."""
    from PIL import Image

    try:
        with (
            files.located(os.fsdecode(path)).open("rb") as file,
            Image.open(file, formats=_FORMATS) as picture,
        ):
            return picture.height, picture.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _convert(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns an image of 1 to 4 channels with 1, 3 or 4 of them."""
    found = tf.shape(pixels)[2]
    is_grey = found < 3
    if channels == 1:
        return tf.cond(
            is_grey,
            lambda: pixels[..., :1],
            lambda: tf.image.rgb_to_grayscale(_colour(pixels)),
        )
    colour = tf.cond(
        is_grey,
        lambda: tf.repeat(pixels[..., :1], 3, axis=2),
        lambda: _colour(pixels),
    )
    if channels == 3:
        return colour
    opacity = tf.cond(
        found % 2 == 0,
        lambda: pixels[..., -1:],
        lambda: tf.fill(tf.shape(pixels[..., :1]), tf.constant(255, tf.uint8)),
    )
    return tf.concat([colour, opacity], axis=2)


def _colour(pixels: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(pixels[..., :3], (None, None, 3))
