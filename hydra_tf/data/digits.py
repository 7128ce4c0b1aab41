"""scikit-learn's handwritten digits as a TensorFlow Datasets builder.

Importing this module registers the dataset, so that `tfds.load("digits")` works
as well. It imports tensorflow_datasets; nothing else in the library imports it
at its top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

# Of the examples sorted by class, this one in so many is for testing.
_TEST_STRIDE = 5
# Darkness counts 0..16 of scikit-learn's images.
_MAX_COUNT = 16


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns scikit-learn's digits as `(images, labels)`, in its order.

    The package holds the images as counts of dark pixels in blocks of 4x4, so
    integers from 0 to 16. They are spread over 0..255 by `255 * count / 16`,
    rounded to the nearest integer (a half, which only the count 8 meets, goes
    up), and are told apart as before.

    Returns:
        uint8 images of shape `(1797, 8, 8, 1)` and int64 labels `(1797,)`.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    counts = bunch.images.astype(np.int64)[..., np.newaxis]
    images = (2 * 255 * counts + _MAX_COUNT) // (2 * _MAX_COUNT)
    return images.astype(np.uint8), bunch.target.astype(np.int64)


def rows_for_testing(labels: np.ndarray) -> np.ndarray:
    """Returns which examples make up the test split, as a boolean array.

    The examples are sorted by class, and within a class left in their order;
    the first of every five is for testing. That gives 360 of 1,797 examples,
    each class has its share up to one example, and no random numbers are
    involved.
    """
    chosen: np.ndarray = np.zeros(len(labels), bool)
    chosen[np.argsort(labels, kind="stable")[::_TEST_STRIDE]] = True
    return chosen


class Digits(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits from scikit-learn: 8x8 grey images, 10 classes."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    # Nothing is downloaded, so there is no list of checksums to look for.
    url_infos = None

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "The 1,797 handwritten digits that scikit-learn ships: 8x8 "
                "pixels, grey levels 0..16 spread over 0..255. Every fifth "
                "example of the list sorted by class is in the test split "
                "(1,437 for training, 360 for testing)."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(8, 8, 1), dtype=np.uint8, encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=(
                "https://archive.ics.uci.edu/dataset/80/"
                "optical+recognition+of+handwritten+digits"
            ),
            citation="""\
@misc{alpaydin1998digits,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  publisher = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49},
}""",
            # In the file, the examples keep scikit-learn's order.
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # The images come with scikit-learn.
        images, labels = read_digits()
        for_testing = rows_for_testing(labels)
        return {
            "train": self._generate_examples(images, labels, ~for_testing),
            "test": self._generate_examples(images, labels, for_testing),
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in np.flatnonzero(rows):
            yield int(row), {"image": images[row], "label": int(labels[row])}
