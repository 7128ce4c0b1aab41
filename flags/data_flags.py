"""Flags of the data set."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.datasets import BATCH_SIZE
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import FRACTION
from hydra_tf.registry.settings import Choice

if TYPE_CHECKING:
    from hydra_tf.data import Pipeline

_DATASET = define(
    Choice(
        name="dataset",
        default="cifar10",
        choices=DATASETS.names,
        help="Data set: "
        + ", ".join(f"{entry.name} ({entry.help})" for entry in DATASETS)
        + ". What is not in --data_dir is downloaded, but for imagenet2012.",
    )
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder in which TensorFlow Datasets looks for prepared data sets, and "
    "writes those it downloads. By default ~/tensorflow_datasets.",
)
_FRACTION = define(FRACTION)
_BATCH_SIZE = define(BATCH_SIZE)
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

    def train(self, seed: int, drop_remainder: bool) -> Pipeline:
        """Returns the training images; arguments as of `hydra_tf.data.load`."""
        from hydra_tf import data

        return data.load(
            self.dataset,
            "train",
            batch_size=self.batch_size,
            data_dir=self.data_dir,
            augment=None if self.augment else False,
            fraction=self.fraction,
            seed=seed,
            cache=self.cache,
            drop_remainder=drop_remainder,
        )

    def record(self) -> dict[str, Any]:
        """Returns what decides a phase's result, by flag name."""
        # Not how the images are read.
        return {
            name: getattr(self, name)
            for name in ("dataset", "fraction", "batch_size", "augment")
        }


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
