"""The augmentations against a slow version, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.data import augmentation
from hydra_tf.errors import InputError


def _slow_crop_flip(images, numbers, padding):
    height, width = images.shape[1:3]
    results = []
    for image, (top, left, mirrored) in zip(images, numbers, strict=True):
        padded = np.zeros(
            (height + 2 * padding, width + 2 * padding, image.shape[-1]),
            image.dtype,
        )
        padded[padding : padding + height, padding : padding + width] = image
        window = padded[top : top + height, left : left + width]
        results.append(window[:, ::-1] if mirrored else window)
    return np.stack(results)


def _images(num_images, dtype):
    generator = np.random.RandomState(0)
    shape = (num_images, 5, 7, 3)
    if dtype == np.uint8:
        return generator.randint(1, 256, shape).astype(np.uint8)
    return generator.uniform(0.1, 1.0, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_crop_flip_equals_slow_version_for_every_window(padding, dtype):
    places = range(2 * padding + 1)
    numbers = np.array(
        [
            (top, left, flip)
            for top in places
            for left in places
            for flip in (0, 1)
        ]
    )
    images = _images(len(numbers), dtype)
    result = augmentation.crop_flip(
        tf.constant(images), tf.constant(numbers, tf.int32), padding=padding
    )
    assert result.dtype == images.dtype
    np.testing.assert_array_equal(
        result, _slow_crop_flip(images, numbers, padding)
    )


def test_central_window_leaves_the_image_alone():
    images = _images(4, np.uint8)
    result = augmentation.crop_flip(
        tf.constant(images), tf.constant([[4, 4, 0]] * 4), padding=4
    )
    np.testing.assert_array_equal(result, images)


def test_crop_flip_keeps_the_static_shape_in_a_graph():
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 8, 8, 1), tf.uint8),
            tf.TensorSpec((None, 3), tf.int32),
        ]
    )
    def apply(images, numbers):
        result = augmentation.crop_flip(images, numbers, padding=4)
        assert result.shape.as_list() == [None, 8, 8, 1]
        return result

    assert apply(
        tf.zeros((2, 8, 8, 1), tf.uint8), [[0, 0, 0], [8, 8, 1]]
    ).shape == (
        2,
        8,
        8,
        1,
    )


def test_draw_reaches_every_window_and_both_directions_alike():
    seed = tf.constant([7, 0], tf.int64)
    numbers = augmentation.CropFlip(padding=4).draw(9000, seed).numpy()
    assert numbers.shape == (9000, 3)
    for column, places in ((0, 9), (1, 9), (2, 2)):
        counts = np.bincount(numbers[:, column], minlength=places)
        assert len(counts) == places
        # Five standard deviations of a binomial count.
        expected = 9000 / places
        spread = 5 * np.sqrt(expected * (1 - 1 / places))
        assert np.all(np.abs(counts - expected) < spread)


def test_draw_depends_on_the_seed_only():
    crop_flip = augmentation.CropFlip()
    first = crop_flip.draw(50, tf.constant([1, 2], tf.int64))
    tf.random.set_seed(5)
    again = crop_flip.draw(50, tf.constant([1, 2], tf.int64))
    other = crop_flip.draw(50, tf.constant([1, 3], tf.int64))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_without_flip_no_image_is_mirrored():
    numbers = augmentation.CropFlip(flip=False).draw(
        200, tf.constant([1, 2], tf.int64)
    )
    assert not np.any(numbers[:, 2])


def test_negative_padding_is_an_error():
    with pytest.raises(InputError, match="`padding` must be"):
        augmentation.CropFlip(padding=-1)
