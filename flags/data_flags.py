"""Flags of the data set."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags.from_settings import define
from flags.image_flags import ImageSettings
from flags.image_flags import define_images
from hydra_tf.registry.datasets import BATCH_SIZE
from hydra_tf.registry.datasets import CUTMIX
from hydra_tf.registry.datasets import DATA_SERVICE
from hydra_tf.registry.datasets import EXTRA_FRACTION
from hydra_tf.registry.datasets import FRACTION

if TYPE_CHECKING:
    from hydra_tf.data import Pipeline

_IMAGES = define_images()
_FRACTION = define(FRACTION)
_BATCH_SIZE = define(BATCH_SIZE)
_AUGMENT = flags.DEFINE_bool(
    "augment",
    True,
    "Whether training images are augmented as the data set's recipe says "
    "(CIFAR, SVHN: random crops and flips; ImageNet: random resized crops "
    "and flips; pipelines of one's own functions: theirs; others: none).",
)
_CUTMIX = define(CUTMIX)
_EXTRA_DATA = flags.DEFINE_string(
    "extra_data",
    None,
    "Pseudo-labelled images that every batch has a share of: an .npz file with "
    "the arrays images and labels, as trainers.pseudo_label writes "
    "it; or the training images of a data set, named as for --dataset.",
)
_EXTRA_FRACTION = define(EXTRA_FRACTION)
_CACHE = flags.DEFINE_bool(
    "cache",
    True,
    "Whether decoded images stay in memory between epochs. Those of "
    "imagenet2012 never do, nor those that would take more than 4 GiB.",
)
_DATA_SERVICE = define(DATA_SERVICE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings(ImageSettings):
    """Which images, and how many at a time; the fields are flags."""

    fraction: float
    batch_size: int
    augment: bool
    cutmix: float
    extra_data: str | None
    extra_fraction: float
    cache: bool
    data_service: str | None

    def train(self, seed: int, drop_remainder: bool) -> Pipeline:
        """Returns the training images; arguments as of `hydra_tf.data.load`."""
        images = self.load(
            "train",
            batch_size=self.batch_size,
            augment=None if self.augment else False,
            cutmix=self.cutmix,
            fraction=self.fraction,
            seed=seed,
            cache=self.cache,
            data_service=self.data_service,
            drop_remainder=drop_remainder,
        )
        if not self.extra_data:
            return images
        from hydra_tf import data

        return data.with_extra(
            images,
            self.extra_data,
            self.extra_fraction,
            data_dir=self.data_dir,
        )

    @property
    def labelled_batch_size(self) -> int:
        """Images of a batch that are of `--dataset`."""
        if not self.extra_data:
            return self.batch_size
        from hydra_tf.data import extra

        count = extra.extra_count(self.batch_size, self.extra_fraction)
        return self.batch_size - count

    def record(self) -> dict[str, Any]:
        """Returns what decides a phase's result, by flag name."""
        # Not how the images are read.
        record = super().record() | {
            name: getattr(self, name)
            for name in ("fraction", "batch_size", "augment", "cutmix")
        }
        record["extra_fraction"] = 0.0
        if self.extra_data:
            from hydra_tf.data import extra

            record["extra_fraction"] = self.extra_fraction
            record["extra_data"] = self.extra_data
            if extra.is_file(self.extra_data):
                record["extra_data"] = extra.content_of(self.extra_data)
        return record


def data_from_flags() -> DataSettings:
    """Returns the settings that the parsed flags stand for."""
    return DataSettings(
        **_IMAGES(),
        fraction=_FRACTION.value,
        batch_size=_BATCH_SIZE.value,
        augment=_AUGMENT.value,
        cutmix=_CUTMIX.value,
        extra_data=_EXTRA_DATA.value,
        extra_fraction=_EXTRA_FRACTION.value,
        cache=_CACHE.value,
        data_service=_DATA_SERVICE.value,
    )
