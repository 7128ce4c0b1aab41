"""The datasets: what is fixed about each, before any of it is read.

To add one that TensorFlow Datasets knows, write its row here;
`hydra_tf.data.register` adds one from outside the library. Without a row there
are folders of pictures, the other datasets of TFDS, and functions.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
from typing import Any

from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Fraction
from hydra_tf.registry.settings import OpenChoice
from hydra_tf.registry.settings import Setting
from hydra_tf.registry.settings import Text
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry
from hydra_tf.registry.table import import_object
from hydra_tf.registry.table import is_own

# What names begin with that are no names of the table.
FOLDER = "folder:"
TFDS = "tfds:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo(Entry):
    """What is known of a dataset; a row of `DATASETS` that TFDS reads.

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
        mean: Mean of each channel, of images in [0, 1], where it is known.
        deviation: Likewise the standard deviation.
        class_names: One name per class, where they are known before reading.
        content: A digest of what it consists of, where that may change under
            the same name.
    """

    target: Any = None
    image_shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    augmentation_class: Any = None
    test_split: str = "test"
    streamed: bool = False
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None
    content: str | None = None

    @property
    def augmentation(self) -> Any:
        """The augmentation of training images, or `None`."""
        found = self.augmentation_class
        if isinstance(found, str):
            found = import_object(found)
        return None if found is None else found()


FRACTION = Fraction(
    name="fraction",
    default=1.0,
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

DATA_SERVICE = Text(
    name="data_service",
    default=None,
    help="Address of a dispatcher of tf.data.service whose worker reads, "
    "decodes and augments the training images in place of this host, "
    "grpc://host:port; or several separated by commas, which do so in turn. "
    "The batches are the same.",
)
CUTMIX = Fraction(
    name="cutmix",
    default=0.0,
    help="Probability with which a training image gets a rectangle of another "
    "one of its batch (CutMix), in [0, 1]; its label is that of the other with "
    "the rectangle's share of the area as probability. After --augment.",
)

EXTRA_FRACTION = Fraction(
    name="extra_fraction",
    default=0.5,
    exclude_lower=True,
    exclude_upper=True,
    help="Share of every batch that is of --extra_data, in (0, 1), rounded to "
    "whole images; half in HYDRA. An epoch goes once through the others.",
)

# HYDRA's crop with 4 pixels of padding and mirror image, for CIFAR and SVHN
# alike; the grey images go through unchanged (a mirrored digit is no digit).
_CROP_FLIP = "hydra_tf.data.augmentation:CropFlip"

# A row that is no `DatasetInfo` is a function of the user's own.
DATASETS: Registry[Entry] = Registry(
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
            mean=(0.4914, 0.4822, 0.4465),
            deviation=(0.2470, 0.2435, 0.2616),
        ),
        DatasetInfo(
            name="cifar100",
            help="the same in 100 classes",
            image_shape=(32, 32, 3),
            num_classes=100,
            num_train=50000,
            num_test=10000,
            augmentation_class=_CROP_FLIP,
            mean=(0.5071, 0.4865, 0.4409),
            deviation=(0.2673, 0.2564, 0.2762),
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
            mean=(0.485, 0.456, 0.406),
            deviation=(0.229, 0.224, 0.225),
        ),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetName(OpenChoice):
    """The name of a dataset: one of the table, or one of the user's own."""

    def hint(self, value: Any) -> str:
        text = str(value)
        is_path = "/" in text or text in ("..", "~") or os.path.isdir(text)
        if is_path and not is_own(value):
            return f". Did you mean {FOLDER}{value}?"
        return super().hint(value)


DATASET = DatasetName(
    name="dataset",
    default="cifar10",
    choices=DATASETS.names,
    # Also what was registered since.
    others=lambda value: is_own(value) or value in DATASETS,
    or_else="folder:PATH, tfds:NAME or package.module:function",
    help="Data set: "
    + ", ".join(f"{entry.name} ({entry.help})" for entry in DATASETS)
    + "; or folder:PATH, pictures in a folder for each class, perhaps within "
    "train/ and test/ or val/ (those of ImageNet, n01440764 and so on, are "
    "taken as those of imagenet2012 are); or tfds:NAME, "
    "tfds:NAME/CONFIG:VERSION, any of TensorFlow Datasets; or "
    "package.module:function, which returns training and test images. What is "
    "not in --data_dir is downloaded, but for imagenet2012.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSize(Setting):
    """The side of square images, or height and width."""

    def parse(self, text: str) -> Any:
        # Flagfiles have pairs with a comma.
        sides = text.lower().replace("x", ",").split(",")
        if not all(side.isascii() and side.isdigit() for side in sides):
            return text
        values = tuple(int(side) for side in sides)
        return values[0] if len(values) == 1 else values

    @property
    def range(self) -> str:
        return (
            "a whole number of pixels from 1 to 4096, such as 64, or height "
            "and width (48x64 on the command line, (48, 64) in Python)"
        )

    def accepts(self, value: Any) -> bool:
        sides = value if isinstance(value, tuple | list) else (value, value)
        return len(sides) == 2 and all(
            isinstance(side, numbers.Integral)
            and not isinstance(side, bool)
            and 1 <= int(side) <= 4096
            for side in sides
        )

    def check(self, value: Any) -> tuple[int, int] | None:
        """Returns height and width, or `None` where none is given."""
        if super().check(value) is None:
            return None
        height, width = (
            value if isinstance(value, tuple | list) else (value, value)
        )
        return int(height), int(width)


IMAGE_SIZE = ImageSize(
    name="image_size",
    help="Size that images are brought to, in pixels: 64, or 48x64 for height "
    "and width. The largest part in the middle of that shape is taken, and "
    "resized. By default the data set's own; required for pictures in a folder "
    "and for data sets whose images differ in size.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageChannels(Setting):
    """Grey, colour, or colour and opacity."""

    def parse(self, text: str) -> Any:
        return int(text) if text.isascii() and text.isdigit() else text

    @property
    def range(self) -> str:
        return "1 (grey), 3 (colour) or 4 (colour and opacity)"

    def accepts(self, value: Any) -> bool:
        whole = isinstance(value, numbers.Integral)
        return whole and not isinstance(value, bool) and value in (1, 3, 4)


IMAGE_CHANNELS = ImageChannels(
    name="image_channels",
    help="Channels that images are brought to: 1 (grey), 3 (colour) or 4 "
    "(colour and opacity). By default the data set's own, 3 for pictures in a "
    "folder.",
)
TEST_FRACTION = Fraction(
    name="test_fraction",
    default=0.2,
    upper=0.5,
    exclude_lower=True,
    help="Share of the images that is held out for testing where the data set "
    "has no test split: of each class alike, the same for every seed.",
)
