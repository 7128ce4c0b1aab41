"""Picture files of any size and kind, brought to one shape."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hydra_tf.data import pictures
from tests.data import drawn
from tests.data import fake_imagenet


def decoded(path, shape):
    return pictures.decode(tf.io.read_file(str(path)), shape).numpy()


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_picture_of_the_wanted_size_is_unchanged(suffix, tmp_path):
    pixels = drawn.picture("cross", 0)
    drawn.save(tmp_path / f"a.{suffix}", pixels)
    got = decoded(tmp_path / f"a.{suffix}", pixels.shape)
    np.testing.assert_array_equal(got, pixels)


def test_middle_of_the_wanted_proportions_is_resized():
    pixels = np.random.RandomState(0).randint(0, 256, (30, 50, 3), np.uint8)
    got = pictures.fit(tf.constant(pixels), (10, 10, 3)).numpy()
    # 30 of the 50 columns, 10 left out on each side.
    expected = fake_imagenet.resized(pixels[:, 10:40], 10, 10)
    np.testing.assert_allclose(got, expected, atol=0.51)
    # Wanted wider than it is: rows are left out.
    got = pictures.fit(tf.constant(pixels), (8, 40, 3)).numpy()
    expected = fake_imagenet.resized(pixels[10:20], 8, 40)
    np.testing.assert_allclose(got, expected, atol=0.51)


def test_one_pixel_becomes_a_picture():
    got = pictures.fit(tf.constant([[[7]]], tf.uint8), (4, 6, 3)).numpy()
    np.testing.assert_array_equal(got, np.full((4, 6, 3), 7))


@pytest.mark.parametrize(
    "mode, value, colour, opacity",
    [
        ("L", 90, (90, 90, 90), 255),
        ("LA", (90, 10), (90, 90, 90), 10),
        ("RGB", (10, 20, 30), (10, 20, 30), 255),
        ("RGBA", (10, 20, 30, 40), (10, 20, 30), 40),
        ("P", 3, (10, 20, 30), 255),
        ("I;16", 90 * 257, (90, 90, 90), 255),
    ],
)
def test_channels_are_converted(mode, value, colour, opacity, tmp_path):
    picture = Image.new(mode, (5, 4), value)
    if mode == "P":
        picture.putpalette([0] * 9 + [10, 20, 30])
    picture.save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    assert tuple(decoded(path, (4, 5, 3))[1, 2]) == colour
    assert tuple(decoded(path, (4, 5, 4))[1, 2]) == (*colour, opacity)
    grey = np.dot(colour, (0.299, 0.587, 0.114))
    np.testing.assert_allclose(decoded(path, (4, 5, 1)), grey, atol=1)


def test_first_picture_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (4, 4), (value,) * 3) for value in (200, 10)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(
        decoded(tmp_path / "a.gif", (4, 4, 1)), np.full((4, 4, 1), 200)
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_whole_files_are_told_from_truncated_ones(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    drawn.save(path, drawn.picture("bar", 1))
    assert pictures.fault_of(bytes(path)) is None
    whole = path.read_bytes()
    if suffix != "bmp":
        path.write_bytes(whole + b"camera's notes" * 9)
        assert pictures.fault_of(bytes(path)) is None
    path.write_bytes(whole[:-30])
    assert pictures.fault_of(bytes(path)) == "is truncated or damaged"
    path.write_bytes(b"no picture at all")
    assert "no JPEG, PNG, BMP or GIF" in pictures.fault_of(bytes(path))


def test_palettes_are_read_or_refused(tmp_path):
    picture = Image.fromarray(drawn.picture("bar", 1)).quantize(16)
    picture.save(tmp_path / "a.bmp")
    assert "make it a PNG" in pictures.fault_of(bytes(tmp_path / "a.bmp"))
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.bmp")
    assert pictures.fault_of(bytes(tmp_path / "grey.bmp")) is None
    assert decoded(tmp_path / "grey.bmp", (4, 4, 3)).max() == 9


def test_first_fault_is_found(tmp_path):
    drawn.folder(tmp_path)
    paths = sorted(bytes(path) for path in tmp_path.rglob("*.*"))
    assert pictures.find_fault(paths) is None
    with open(paths[3], "wb"):
        pass
    path, _ = pictures.find_fault(paths)
    assert path == paths[3]
