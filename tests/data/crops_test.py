"""Random parts of images and their middles, against slow arithmetic."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf import data
from hydra_tf.data import crops
from hydra_tf.errors import InputError
from tests.data import fake_imagenet


def _image(height, width, channels=3):
    coarse = np.random.RandomState(height).uniform(0, 255, (1, 5, 7, channels))
    pixels = tf.image.resize(coarse.astype(np.float32), (height, width))[0]
    return np.round(pixels.numpy()).astype(np.uint8)


def _jpeg(image):
    """Returns the bytes of an image, and the pixels that they stand for.

    Colour is kept for each pixel: where it is shared by neighbours, the decoder
    of a part does not know those beyond its edge.
    """
    encoded = tf.io.encode_jpeg(image, quality=95, chroma_downsampling=False)
    return encoded, tf.io.decode_jpeg(encoded, channels=3).numpy()


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(40, 900),
    width=st.integers(40, 900),
    seed=st.integers(0, 1000),
)
def test_window_lies_in_the_image_and_has_an_allowed_shape(height, width, seed):
    window, _ = data.RandomResizedCrop().window(height, width, [seed, 1])
    top, left, rows, columns = window.numpy()
    assert 0 <= top <= height - rows
    assert 0 <= left <= width - columns
    # Sides are rounded to integers.
    assert columns + 0.5 >= 3 / 4 * (rows - 0.5)
    assert columns - 0.5 <= 4 / 3 * (rows + 0.5)


def _windows(crop, size, count=1000):
    @tf.function
    def draw():
        return tf.map_fn(
            lambda seed: crop.window(size, size, seed),
            crop.draw(count, tf.constant([5, 6])),
            fn_output_signature=(tf.int32, tf.bool),
        )

    windows, mirrored = draw()
    return windows.numpy(), mirrored.numpy()


def test_area_place_and_mirror_image_are_uniform():
    # Of squares all fit, so none is drawn again.
    crop = data.RandomResizedCrop(aspect_ratio=(1.0, 1.0))
    windows, mirrored = _windows(crop, size=1000)
    top, left, rows, columns = windows.T
    np.testing.assert_array_equal(rows, columns)
    share = (rows / 1000) ** 2
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(
        np.quantile(share, levels), 0.08 + 0.92 * np.array(levels), atol=0.05
    )
    # Of a part as large as the image, there is no place to speak of.
    smaller = rows < 950
    places = np.stack([top, left])[:, smaller] / (1000 - rows[smaller])
    for place in places:
        np.testing.assert_allclose(
            np.quantile(place, levels), levels, atol=0.05
        )
    assert abs(np.corrcoef(places)[0, 1]) < 0.1
    assert 0.45 < mirrored.mean() < 0.55


def test_wide_and_tall_parts_are_equally_frequent():
    windows, _ = _windows(data.RandomResizedCrop(area=(0.2, 0.4)), size=1000)
    logarithms = np.log(windows[:, 3] / windows[:, 2])
    levels = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(
        np.quantile(logarithms, levels),
        np.log(4 / 3) * (2 * levels - 1),
        atol=0.03,
    )


@pytest.mark.parametrize(
    "height, width, expected",
    [
        (90, 400, (0, 140, 90, 120)),  # 4:3, in the middle.
        (401, 90, (140, 0, 120, 90)),
    ],
)
def test_middle_is_taken_where_no_draw_fits(height, width, expected):
    window, _ = data.RandomResizedCrop(area=(1.0, 1.0)).window(
        height, width, [0, 0]
    )
    assert tuple(window.numpy()) == expected


def _nearest_four(pixels, window, mirrored, ratio=1):
    top, left, rows, columns = window // ratio
    part = pixels[top : top + rows, left : left + columns]
    if mirrored:
        part = part[:, ::-1]
    return fake_imagenet.resized(part, 64, 48, antialias=False) / 255


def test_decoded_part_is_the_window_interpolated_and_perhaps_mirrored():
    crop = data.RandomResizedCrop()
    both, ratios = set(), set()
    for seed in range(24):
        size = [(120, 97), (301, 400), (901, 700)][seed % 3]
        encoded, _ = _jpeg(_image(*size))
        window, mirrored = crop.window(*size, [seed, 0])
        window = window.numpy()
        times = min(window[2] // 64, window[3] // 48)
        ratio = max(each for each in (1, 2, 4, 8) if each <= max(times, 1))
        pixels = tf.io.decode_jpeg(encoded, channels=3, ratio=ratio).numpy()
        expected = _nearest_four(pixels, window, mirrored, ratio)
        both.add(bool(mirrored))
        ratios.add(ratio)
        got = crop.decode(encoded, tf.constant([seed, 0]), 64, 48)
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, expected, atol=2e-5)
    assert both == {True, False}
    assert ratios == {1, 2, 4, 8}


def test_every_pixel_counts_in_a_part_that_becomes_much_smaller():
    noise = np.random.RandomState(0).normal(128, 30, (512, 512, 3))
    encoded, pixels = _jpeg(np.clip(noise, 0, 255).astype(np.uint8))
    crop = data.RandomResizedCrop(area=(1.0, 1.0), aspect_ratio=(1.0, 1.0))
    got = crop.decode(encoded, tf.constant([0, 0]), 128, 128).numpy()
    # The mean of 4 x 4 pixels; the nearest four alone would leave a half.
    assert 0.2 < got.std() / (pixels / 255).std() < 0.3


def test_parts_of_other_formats_are_resized_with_antialiasing():
    pixels = _image(301, 400)
    encoded = tf.io.encode_png(pixels)
    crop = data.RandomResizedCrop()
    for seed in range(4):
        window, mirrored = crop.window(301, 400, [seed, 0])
        top, left, rows, columns = window.numpy()
        part = pixels[top : top + rows, left : left + columns]
        expected = fake_imagenet.resized(part, 64, 48) / 255
        if mirrored:
            expected = expected[:, ::-1]
        got = crop.decode(encoded, tf.constant([seed, 0]), 64, 48)
        np.testing.assert_allclose(got, expected, atol=0.51 / 255)


@pytest.mark.parametrize(
    "size",
    [(300, 400), (420, 257), (256, 256), (256, 520), (100, 130), (97, 41)],
)
def test_middle_equals_slow_arithmetic(size):
    encoded, pixels = _jpeg(_image(*size))
    got = crops.decode_middle(encoded, 224, 224)
    assert got.shape == (224, 224, 3)
    np.testing.assert_allclose(got, fake_imagenet.middle(pixels), atol=2e-5)


@pytest.mark.parametrize("size", [(387, 469), (420, 257), (1100, 700)])
def test_middle_is_that_of_the_whole_where_colour_is_shared(size):
    noise = np.random.RandomState(0).uniform(0, 255, (*size, 3))
    encoded = tf.io.encode_jpeg(noise.astype(np.uint8), quality=95)
    pixels = tf.io.decode_jpeg(encoded).numpy()
    got = crops.decode_middle(encoded, 224, 224)
    np.testing.assert_allclose(got, fake_imagenet.middle(pixels), atol=2e-4)


def test_middle_of_another_format_equals_slow_arithmetic():
    pixels = _image(300, 400)
    got = crops.decode_middle(tf.io.encode_png(pixels), 224, 224)
    np.testing.assert_allclose(got, fake_imagenet.middle(pixels), atol=2e-5)


def test_part_differs_at_its_edge_at_most_where_colour_is_shared():
    encoded = tf.io.encode_jpeg(_image(301, 400), quality=95)
    pixels = tf.io.decode_jpeg(encoded).numpy()
    crop = data.RandomResizedCrop(flip=False)
    top, left, rows, columns = crop.window(301, 400, [3, 0])[0].numpy()
    part = pixels[top : top + rows, left : left + columns] / 255
    got = crop.decode(encoded, tf.constant([3, 0]), int(rows), int(columns))
    np.testing.assert_allclose(got[:, 2:-2], part[:, 2:-2], atol=1e-6)
    np.testing.assert_allclose(got, part, atol=0.1)


def test_middle_of_an_image_of_the_right_size_is_not_changed():
    encoded, pixels = _jpeg(_image(256, 300))
    got = crops.decode_middle(encoded, 224, 224)
    np.testing.assert_allclose(got * 255, pixels[16:240, 38:262], atol=1e-3)


def test_grey_images_become_coloured_ones():
    encoded, _ = _jpeg(_image(130, 120, channels=1))
    seed = tf.constant([1, 1])
    for image in (
        crops.decode_middle(encoded, 96, 96),
        data.RandomResizedCrop().decode(encoded, seed, 96, 96),
    ):
        assert image.shape == (96, 96, 3)
        np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_white_stays_within_the_range():
    encoded, _ = _jpeg(np.full((333, 517, 3), 255, np.uint8))
    assert crops.decode_middle(encoded, 224, 224).numpy().max() == 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_of_one_size_are_cropped_alike(dtype):
    images = np.stack([_image(20, 30), _image(20, 30)[::-1]])
    scale = 1 if dtype == np.uint8 else 255
    crop = data.RandomResizedCrop(area=(0.2, 0.5))
    numbers = crop.draw(2, tf.constant([3, 4]))
    given_images = tf.constant((images / scale).astype(dtype))
    got = crop.apply(given_images, numbers)
    assert got.dtype == given_images.dtype
    for image, seed, result in zip(images, numbers, got.numpy(), strict=True):
        window, mirrored = crop.window(20, 30, seed)
        top, left, rows, columns = window.numpy()
        part = image[top : top + rows, left : left + columns]
        expected = fake_imagenet.resized(part, 20, 30)
        if mirrored:
            expected = expected[:, ::-1]
        np.testing.assert_allclose(
            result * float(scale), expected, atol=0.51 if scale == 1 else 1e-2
        )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"area": (0.0, 1.0)}, r"`area` must be two shares.*\(0.0, 1.0\)"),
        ({"area": (0.5, 0.2)}, "`area` must be two shares"),
        ({"aspect_ratio": (2.0, 1.0)}, "`aspect_ratio` must be two numbers"),
        ({"aspect_ratio": (0.0, 1.0)}, "`aspect_ratio` must be two numbers"),
    ],
)
def test_ranges_that_are_none_are_an_error(change, words):
    with pytest.raises(InputError, match=words):
        data.RandomResizedCrop(**change)
