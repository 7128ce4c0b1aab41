"""What users hand to the attacks, checked."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks.checks import checked_images
from hydra_tf.errors import InputError


def test_images_become_float_tensors():
    images = checked_images(np.zeros((2, 3), np.float64))
    assert images.dtype == tf.float64
    for wrong in (np.zeros((2, 3), np.uint8), np.zeros(3, np.float32)):
        with pytest.raises(InputError, match="`x` must h"):
            checked_images(wrong)
