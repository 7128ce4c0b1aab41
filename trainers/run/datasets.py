"""The test images of `--dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flags.image_flags import ImageSettings
from hydra_tf.progress import say

# Test images that are taken by default where all would fill the memory.
_FEW = 1000


class Examples(NamedTuple):
    """Images of the test split.

    Attributes:
        images: Float32 array of shape `(n, height, width, channels)`.
        labels: Their classes, integers of shape `(n,)`.
        class_names: What these are called.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]


def test_arrays(
    images: ImageSettings, num_examples: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of the test split and their classes.

    The arguments are those of `test_images`.
    """
    return test_images(images, num_examples)[:2]


def test_images(images: ImageSettings, num_examples: int | None) -> Examples:
    """Returns the first images of the test split, and what they show.

    Args:
        images: The data set.
        num_examples: Number of images. By default all, or 1000 of a data set
            that is too large for memory, which is said.
    """
    info = images.info
    if num_examples is None and info.streamed and info.num_test > _FEW:
        num_examples = _FEW
        say(
            f"{info.name}: taking the first {_FEW} of {info.num_test} test "
            "images"
        )
    test = images.load("test", batch_size=1)
    return Examples(*test.arrays(num_examples), test.class_names)
