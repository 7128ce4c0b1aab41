"""Flags of the data set."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing

_DATASET = flags.DEFINE_string(
    "dataset",
    "cifar10",
    "Name of the data set: digits, mnist, fashion_mnist, cifar10, cifar100, "
    "svhn_cropped or imagenet2012. The last is not downloaded: --data_dir must "
    "hold it, as TensorFlow Datasets prepares it.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder in which TensorFlow Datasets looks for prepared data sets, and "
    "writes those it downloads. By default ~/tensorflow_datasets.",
)
_FRACTION = parsing.DEFINE_number(
    "fraction",
    1.0,
    "Fraction of the training images used, in (0, 1]. The test split is "
    "always whole; see --eval_examples.",
    lower=0,
    upper=1,
    exclude_lower=True,
    hint="the fraction of the training images used",
)
_BATCH_SIZE = parsing.DEFINE_count(
    "batch_size",
    128,
    "Images per step, over all devices together.",
    lower=1,
)
_AUGMENT = flags.DEFINE_bool(
    "augment",
    True,
    "Whether training images are augmented as the data set's recipe says "
    "(CIFAR, SVHN: random crops and flips; ImageNet: random resized crops "
    "and flips; others: none).",
)
_CACHE = flags.DEFINE_bool(
    "cache",
    True,
    "Whether decoded images stay in memory between epochs. Those of "
    "imagenet2012 never do.",
)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which images, and how many at a time; the fields are flags."""

    dataset: str
    data_dir: str | None
    fraction: float
    batch_size: int
    augment: bool
    cache: bool


def data_from_flags() -> DataSettings:
    """Returns the settings that the parsed flags stand for."""
    return DataSettings(
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        fraction=_FRACTION.value,
        batch_size=_BATCH_SIZE.value,
        augment=_AUGMENT.value,
        cache=_CACHE.value,
    )
