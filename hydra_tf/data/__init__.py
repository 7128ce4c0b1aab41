"""Datasets: named ones through TFDS, one's own as arrays, both as batches."""

from hydra_tf.data.augmentation import Augmentation as Augmentation
from hydra_tf.data.augmentation import CropFlip as CropFlip
from hydra_tf.data.augmentation import crop_flip as crop_flip
from hydra_tf.data.crops import RandomResizedCrop as RandomResizedCrop
from hydra_tf.data.loading import from_arrays as from_arrays
from hydra_tf.data.loading import load as load
from hydra_tf.data.pipeline import Pipeline as Pipeline
from hydra_tf.data.registry import DatasetInfo as DatasetInfo
from hydra_tf.data.registry import info as info
from hydra_tf.data.registry import names as names
