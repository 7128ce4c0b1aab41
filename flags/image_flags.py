"""Flags of the images: which data set, from where, of which size."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.datasets import DATASET
from hydra_tf.registry.datasets import IMAGE_CHANNELS
from hydra_tf.registry.datasets import IMAGE_SIZE
from hydra_tf.registry.datasets import TEST_FRACTION

if TYPE_CHECKING:
    from hydra_tf.data import DatasetInfo
    from hydra_tf.data import Pipeline

# The families' modules own the flags that they define through this one.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Which images; the fields are flags, and arguments of `data.load`."""

    dataset: str
    data_dir: str | None
    image_size: int | tuple[int, int] | None
    image_channels: int | None
    test_fraction: float

    @functools.cached_property
    def info(self) -> DatasetInfo:
        """What is known of the data set before its images are read."""
        from hydra_tf import data

        return data.info(self.dataset, **self._arguments())

    def load(self, split: str, **settings: Any) -> Pipeline:
        """Returns a split; `settings` are those of `hydra_tf.data.load`."""
        from hydra_tf import data

        return data.load(self.dataset, split, **self._arguments(), **settings)

    def record(self) -> dict[str, Any]:
        """Returns what decides which images there are, by flag name."""
        record: dict[str, Any] = {"dataset": self.dataset}
        for setting in (IMAGE_SIZE, IMAGE_CHANNELS, TEST_FRACTION):
            value = setting.check(getattr(self, setting.name))
            if value != setting.default:
                record[setting.name] = value
        if self.info.content is not None:
            record["content"] = self.info.content
        return record

    def _arguments(self) -> dict[str, Any]:
        names = ("data_dir", "image_size", "image_channels", "test_fraction")
        return {name: getattr(self, name) for name in names}


def define_images(
    flag_values: flags.FlagValues = flags.FLAGS,
) -> Callable[[], dict[str, Any]]:
    """Defines the flags; returns what reads them, by field name."""
    holders = {
        setting.name: define(setting, flag_values=flag_values)
        for setting in (DATASET, IMAGE_SIZE, IMAGE_CHANNELS, TEST_FRACTION)
    }
    holders["data_dir"] = flags.DEFINE_string(
        "data_dir",
        None,
        "Folder, which must exist, in which TensorFlow Datasets looks for "
        "prepared data sets, and writes those it downloads. By default "
        "~/tensorflow_datasets.",
        flag_values=flag_values,
    )
    return lambda: {name: holder.value for name, holder in holders.items()}
