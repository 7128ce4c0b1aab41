"""The test images of `--dataset`."""

from __future__ import annotations

import numpy as np

from flags.image_flags import ImageSettings
from hydra_tf.progress import say

# Test images that are taken by default where all would fill the memory.
_FEW = 1000


def test_arrays(
    images: ImageSettings, num_examples: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of the test split and their classes.

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
    return images.load("test", batch_size=1).arrays(num_examples)
