"""Datasets: known ones, folders, those of TFDS, functions and arrays."""

from typing import TYPE_CHECKING

from hydra_tf import later
from hydra_tf.data.augmentation import Augmentation
from hydra_tf.data.augmentation import CropFlip
from hydra_tf.data.augmentation import crop_flip
from hydra_tf.data.by_name import info
from hydra_tf.data.by_name import names
from hydra_tf.data.by_name import register
from hydra_tf.data.crops import RandomResizedCrop
from hydra_tf.data.cutmix import cutmix
from hydra_tf.data.loading import from_arrays
from hydra_tf.data.loading import load
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.validation import split_validation
from hydra_tf.registry.datasets import DatasetInfo

if TYPE_CHECKING:
    from hydra_tf.data.extra import with_extra

__all__ = [
    "Augmentation",
    "CropFlip",
    "DatasetInfo",
    "Pipeline",
    "RandomResizedCrop",
    "crop_flip",
    "cutmix",
    "from_arrays",
    "info",
    "load",
    "names",
    "register",
    "split_validation",
    "with_extra",
]

__getattr__ = later.importer(__name__, "extra:with_extra")
__dir__ = later.listing(__name__, __all__)
