"""What a user's images and labels must be."""

import numpy as np
import pytest

from hydra_tf.data import checks
from hydra_tf.errors import InputError

IMAGES = np.zeros((2, 4, 4, 1), np.float32)
LABELS = np.array([0, 1])


def test_uint8_stays_and_floats_become_float32():
    assert checks.check_pixels(IMAGES.astype("uint8")).dtype == np.uint8
    assert checks.check_pixels(IMAGES.astype("float64")).dtype == np.float32


@pytest.mark.parametrize(
    ("check", "arguments", "words"),
    [
        ("settings", (0, 1.0, 0), "`batch_size` must be a whole number >= 1"),
        ("settings", (1, 0.0, 0), r"`fraction` must be a number in \(0, 1\]"),
        ("settings", (1, 1.0, 2**31), "At most 2147483647 is possible"),
        ("batches", (3, 2, False, True), "at most 2"),
        ("batches", (3, 2, True, False), "at most 2"),
        ("shapes", (IMAGES[0], LABELS), "`images` must have the shape"),
        ("shapes", (IMAGES, LABELS[:1]), "one integer per image"),
        ("pixels", (IMAGES.astype("int32"),), "dtype int32"),
        ("pixels", (IMAGES + 2,), "divide pixels of 0..255 by 255"),
        ("pixels", (IMAGES * np.nan,), "32 of 32 values are nan"),
        ("labels", (LABELS / 2, 2), "dtype=float64"),
        ("labels", (LABELS, 1), "to 0, as `num_classes` is 1. Received: 1"),
        ("labels", (-LABELS, None), "of at least 0. Received: -1"),
    ],
)
def test_what_cannot_be_used_is_named(check, arguments, words):
    with pytest.raises(InputError, match=words):
        getattr(checks, f"check_{check}")(*arguments)
