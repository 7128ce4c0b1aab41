"""A split of a dataset before it becomes a pipeline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import numpy as np
import tensorflow as tf

from hydra_tf.data.pipeline import Pipeline
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DatasetInfo

# Bytes that a split's decoded images may take.
_MEMORY = 4 << 30


@dataclasses.dataclass(frozen=True)
class StoredSplit:
    """A split as it is stored, each example accessible by its row.

    Attributes:
        images: Pixels of all images, uint8 in 0..255 or float32 in [0, 1]; or
            an object array of bytes, one per example, which `decode` takes.
        labels: int32 array.
        class_names: One name per class.
        decode: Graph function from an element of `images` to uint8 pixels.
        unreadable: Function of an element of `images` that cannot be decoded,
            and of TensorFlow's error; it returns the error for the user.
        stays_in_files: Whether `images` are paths of files, which are read
            whenever an image is decoded: `decode` takes what they hold, `None`
            being the middle as ImageNet's is taken.
        is_jpeg: Of those, whether all are colour images, in JPEG but for a few.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    decode: Callable[[tf.Tensor], tf.Tensor] | None = None
    unreadable: Callable[[Any, BaseException], InputError] | None = None
    stays_in_files: bool = False
    is_jpeg: bool = False


@dataclasses.dataclass(frozen=True)
class Shard:
    """Examples that lie together in a file of records.

    Attributes:
        path: The file.
        skip: Number of records before them.
        count: Number of examples.
    """

    path: str
    skip: int
    count: int


@dataclasses.dataclass(frozen=True)
class SplitFiles:
    """A split that stays in its files of records.

    Attributes:
        shards: The files in their order, none of them empty.
        class_names: One name per class.
        parse: Graph function from a record to its encoded image and label.
        decode: Graph function from an encoded image to uint8 pixels; `None`
            for the middle as ImageNet's is taken.
        is_jpeg: Whether all are colour images in JPEG, parts of which can be
            decoded.
    """

    shards: tuple[Shard, ...]
    class_names: tuple[str, ...]
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    decode: Callable[[tf.Tensor], tf.Tensor] | None = None
    is_jpeg: bool = True


class Source(Protocol):
    """Where the splits of a dataset come from.

    Attributes:
        info: What is known of it.
    """

    @property
    def info(self) -> DatasetInfo:
        """What is known of the dataset."""

    def read(self, split: str) -> StoredSplit | SplitFiles | Pipeline:
        """Returns a split, by the library's name or one of its own.

        Raises:
            InputError: If there is no such split or it cannot be read.
        """


def fits_memory(num_examples: int, image_shape: Sequence[int]) -> bool:
    """Whether so many images may be held in memory, a byte for each value."""
    return num_examples * math.prod(image_shape) <= _MEMORY
