"""The datasets: what is fixed about each, before any of it is read.

To add one that TensorFlow Datasets knows, write its row here;
`hydra_tf.data.register` adds one from outside the library.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry
from hydra_tf.registry.table import import_object


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo(Entry):
    """A row of `DATASETS`.

    Attributes:
        name: Its name, in this library and in TensorFlow Datasets.
        target: Class of its TFDS builder, or where that is; `None` if TFDS
            knows it by the name. One with a class needs no download.
        image_shape: `(height, width, channels)` of the images in a batch.
        num_classes: Number of classes; labels are `0 .. num_classes - 1`.
        num_train: Number of examples in the split `"train"`.
        num_test: Number of examples in the split `"test"`.
        augmentation_class: Class of what training images go through unless the
            caller says otherwise, or where that is; `None` for nothing.
        test_split: What TensorFlow Datasets calls the split `"test"`.
        streamed: Whether it is too large for memory, so that each epoch reads
            the files again. Its images are of any size in the files.
    """

    target: Any = None
    image_shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    augmentation_class: Any = None
    test_split: str = "test"
    streamed: bool = False

    @property
    def augmentation(self) -> Any:
        """The augmentation of training images, or `None`."""
        found = self.augmentation_class
        if isinstance(found, str):
            found = import_object(found)
        return None if found is None else found()


FRACTION = Number(
    name="fraction",
    default=1.0,
    lower=0,
    upper=1,
    exclude_lower=True,
    help="Fraction of the training images used, in (0, 1]. The test split is "
    "always whole; see --eval_examples.",
)
BATCH_SIZE = Count(
    name="batch_size",
    default=128,
    lower=1,
    help="Images per step of training, over all devices together.",
)

# HYDRA's crop with 4 pixels of padding and mirror image, for CIFAR and SVHN
# alike; the grey images go through unchanged (a mirrored digit is no digit).
_CROP_FLIP = "hydra_tf.data.augmentation:CropFlip"

DATASETS: Registry[DatasetInfo] = Registry(
    "dataset",
    (
        DatasetInfo(
            name="digits",
            help="scikit-learn's handwritten digits; needs no download",
            target="hydra_tf.data.digits:Digits",
            image_shape=(8, 8, 1),
            num_classes=10,
            num_train=1437,
            num_test=360,
        ),
        DatasetInfo(
            name="mnist",
            help="handwritten digits",
            image_shape=(28, 28, 1),
            num_classes=10,
            num_train=60000,
            num_test=10000,
        ),
        DatasetInfo(
            name="fashion_mnist",
            help="grey images of clothes",
            image_shape=(28, 28, 1),
            num_classes=10,
            num_train=60000,
            num_test=10000,
        ),
        DatasetInfo(
            name="cifar10",
            help="colour images of animals and vehicles, 10 classes",
            image_shape=(32, 32, 3),
            num_classes=10,
            num_train=50000,
            num_test=10000,
            augmentation_class=_CROP_FLIP,
        ),
        DatasetInfo(
            name="cifar100",
            help="the same in 100 classes",
            image_shape=(32, 32, 3),
            num_classes=100,
            num_train=50000,
            num_test=10000,
            augmentation_class=_CROP_FLIP,
        ),
        DatasetInfo(
            name="svhn_cropped",
            help="digits of house numbers",
            image_shape=(32, 32, 3),
            num_classes=10,
            num_train=73257,
            num_test=26032,
            augmentation_class=_CROP_FLIP,
        ),
        # Its own test split has no labels: all report the validation split.
        DatasetInfo(
            name="imagenet2012",
            help="ImageNet's 1,000 classes, read from its files; has to be "
            "downloaded by hand",
            image_shape=(224, 224, 3),
            num_classes=1000,
            num_train=1281167,
            num_test=50000,
            augmentation_class="hydra_tf.data.crops:RandomResizedCrop",
            test_split="validation",
            streamed=True,
        ),
    ),
    DatasetInfo,
)
