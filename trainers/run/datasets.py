"""The test images of `--dataset`."""

from __future__ import annotations

import numpy as np

from hydra_tf import data
from hydra_tf.progress import say

# Test images that are taken by default where all would fill the memory.
_FEW = 1000


def test_arrays(
    name: str, data_dir: str | None, num_examples: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of the test split and their classes.

    Args:
        name: Name of the data set.
        data_dir: Folder of prepared data sets, if not the usual one.
        num_examples: Number of images. By default all, or 1000 of a data set
            that is too large for memory, which is said.
    """
    known = data.info(name)
    if num_examples is None and known.streamed:
        num_examples = _FEW
        say(f"{name}: taking the first {_FEW} of {known.num_test} test images")
    return data.load(name, "test", batch_size=1, data_dir=data_dir).arrays(
        num_examples
    )
