"""What users hand to the attacks, checked."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks.checks import check_number
from hydra_tf.attacks.checks import checked_images
from hydra_tf.errors import InputError


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (-0.1, {}, "`beta` must be a number >= 0. Received: beta=-0.1"),
        (0.0, {"strict": True}, "`beta` must be a number > 0"),
        (float("nan"), {}, "a number >= 0"),
        (float("inf"), {}, "a number >= 0"),
        (True, {}, "a number >= 0"),
        ("1", {}, "a number >= 0"),
        (1.5, {"integer": True}, "an integer >= 0"),
    ],
)
def test_numbers_out_of_range_are_named(value, limits, message):
    with pytest.raises(InputError, match=message):
        check_number("beta", value, minimum=0, **limits)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(2), tf.constant(-1.0)])
def test_numbers_in_range_and_tensors_pass(value):
    check_number("beta", value, minimum=0)


def test_images_become_float_tensors():
    images = checked_images(np.zeros((2, 3), np.float64))
    assert images.dtype == tf.float64
    for wrong in (np.zeros((2, 3), np.uint8), np.zeros(3, np.float32)):
        with pytest.raises(InputError, match="`x` must h"):
            checked_images(wrong)
