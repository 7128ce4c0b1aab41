"""The datasets that the library knows by name, and what is fixed about them."""

from __future__ import annotations

import dataclasses

from hydra_tf.data.augmentation import Augmentation
from hydra_tf.data.augmentation import CropFlip
from hydra_tf.data.crops import RandomResizedCrop
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known about a dataset before any of it is read.

    Attributes:
        name: Its name, in this library and in TensorFlow Datasets.
        image_shape: `(height, width, channels)` of the images in a batch.
        num_classes: Number of classes; labels are `0 .. num_classes - 1`.
        num_train: Number of examples in the split `"train"`.
        num_test: Number of examples in the split `"test"`.
        augmentation: What training images go through unless the caller says
            otherwise, or None.
        test_split: What TensorFlow Datasets calls the split `"test"`.
        streamed: Whether it is too large for memory, so that each epoch reads
            the files again. Its images are of any size in the files.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    augmentation: Augmentation | None = None
    test_split: str = "test"
    streamed: bool = False


# HYDRA's crop with 4 pixels of padding and mirror image, for CIFAR and SVHN
# alike; the grey images go through unchanged (a mirrored digit is no digit).
# ImageNet's own test split has no labels: all report the validation split.
_DATASETS = {
    info.name: info
    for info in (
        DatasetInfo("digits", (8, 8, 1), 10, 1437, 360),
        DatasetInfo("mnist", (28, 28, 1), 10, 60000, 10000),
        DatasetInfo("fashion_mnist", (28, 28, 1), 10, 60000, 10000),
        DatasetInfo("cifar10", (32, 32, 3), 10, 50000, 10000, CropFlip()),
        DatasetInfo("cifar100", (32, 32, 3), 100, 50000, 10000, CropFlip()),
        DatasetInfo("svhn_cropped", (32, 32, 3), 10, 73257, 26032, CropFlip()),
        DatasetInfo(
            "imagenet2012",
            (224, 224, 3),
            1000,
            1281167,
            50000,
            RandomResizedCrop(),
            test_split="validation",
            streamed=True,
        ),
    )
}


def names() -> tuple[str, ...]:
    """Returns the names that `load` accepts."""
    return tuple(_DATASETS)


def info(name: str) -> DatasetInfo:
    """Returns what is known about the dataset called `name`.

    Args:
        name: One of `names()`.

    Raises:
        InputError: If there is no such dataset.

    Example:

    >>> info("cifar10").image_shape
    (32, 32, 3)
    """
    if name not in _DATASETS:
        raise InputError(
            "`name` must be a known dataset. "
            f"{close_matches(name, _DATASETS)} Received: name={name!r}"
        )
    return _DATASETS[name]
