"""Which source a dataset's name stands for."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from typing import Any
from typing import TypeVar

from hydra_tf import files
from hydra_tf.data import pictures
from hydra_tf.data import tfds_source
from hydra_tf.data.folders import FolderSource
from hydra_tf.data.functions import FunctionSource
from hydra_tf.data.stored import Source
from hydra_tf.data.stored import SplitFiles
from hydra_tf.data.stored import StoredSplit
from hydra_tf.data.stored import fits_memory
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.ops.counts import kept_count
from hydra_tf.registry import own_code
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import FOLDER
from hydra_tf.registry.datasets import IMAGE_CHANNELS
from hydra_tf.registry.datasets import IMAGE_SIZE
from hydra_tf.registry.datasets import TEST_FRACTION
from hydra_tf.registry.datasets import TFDS
from hydra_tf.registry.datasets import DatasetInfo
from hydra_tf.registry.table import is_own

# What the test split may be called in TFDS, the first that is there.
_TEST_SPLITS = ("test", "validation", "val", "valid")


def find(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: Any = None,
    image_channels: int | None = None,
    test_fraction: float = 0.2,
    download: bool = True,
) -> Source:
    """Returns the source of a dataset; arguments as of `load`.

    Raises:
        InputError: If there is no such dataset, or an argument cannot be used.
    """
    size = IMAGE_SIZE.check(image_size)
    IMAGE_CHANNELS.check(image_channels)
    TEST_FRACTION.check(test_fraction)
    if data_dir is not None:
        _check_data_dir(data_dir)
    if not isinstance(name, str):
        raise InputError(
            "`name` must be the name of a dataset, a text. Received: "
            f"{type(name).__name__}"
        )
    if name.startswith(FOLDER):
        return FolderSource(name, size, image_channels, test_fraction)
    if name.startswith(TFDS):
        return TfdsSource(
            name, data_dir, download, size, image_channels, test_fraction
        )
    if name not in DATASETS and not is_own(name):
        hint = close_matches(name, DATASETS.names)
        if name and files.is_dir(files.as_path(name)):
            hint = f"Did you mean 'folder:{name}'?"
        raise InputError(
            "`name` must be a known dataset, folder:PATH, tfds:NAME or "
            f"package.module:function. {hint} Received: name={name!r}"
        )
    row = DATASETS.entry(name)
    if isinstance(row, DatasetInfo):
        return KnownSource(row, data_dir, download, size, image_channels)
    function = row.load()
    return own_code.call(FunctionSource, name, function, size, image_channels)


class KnownSource:
    """A dataset of the table, read by TFDS.

    Args:
        row: Its row.
        data_dir: Folder of TFDS datasets, if not TFDS's own default.
        download: Whether it may be fetched.
        image_size: Height and width, if not its own.
        image_channels: Channels, if not its own.
    """

    def __init__(
        self,
        row: DatasetInfo,
        data_dir: str | os.PathLike[str] | None,
        download: bool,
        image_size: tuple[int, int] | None,
        image_channels: int | None,
    ) -> None:
        self._row = row
        self._where: dict[str, Any] = {
            "data_dir": data_dir,
            "download": download,
        }
        *size, channels = row.image_shape
        height, width = image_size or size
        shape = (height, width, image_channels or channels)
        if row.streamed and shape[2] != channels:
            raise InputError(
                f"`image_channels` must be {channels} for {row.name}. "
                f"Received: image_channels={image_channels}"
            )
        self.info = dataclasses.replace(row, image_shape=shape)

    def read(self, split: str) -> StoredSplit | SplitFiles:
        """Returns a split, a part of one or a sum of such."""
        name, shape = self._row.name, self.info.image_shape
        # The library's name of it may stand in a part, or a sum, of splits.
        split = re.sub(r"\btest\b", self._row.test_split, split)
        as_stored = shape == self._row.image_shape
        if self._row.streamed:
            files = tfds_source.find_files(name, split, **self._where)
            return files if as_stored else _brought_to(files, shape)
        stored = tfds_source.read_split(name, split, **self._where)
        return stored if as_stored else _brought_to(stored, shape)


class TfdsSource:
    """A dataset of TFDS that is not in the table.

    Args:
        name: `"tfds:NAME"`, `"tfds:NAME/CONFIG:VERSION"`.
        data_dir: Folder of TFDS datasets, if not TFDS's own default.
        download: Whether it may be fetched.
        image_size: Height and width, if not its own.
        image_channels: Channels, if not its own.
        test_fraction: Share that is held out where there is no test split.

    Raises:
        InputError: If there is no such dataset, or its images differ in size
            and no size is given.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike[str] | None,
        download: bool,
        image_size: tuple[int, int] | None,
        image_channels: int | None,
        test_fraction: float,
    ) -> None:
        self._name = name
        self._where: dict[str, Any] = {
            "data_dir": data_dir,
            "download": download,
        }
        builder = tfds_source.open_builder(name, data_dir, download)
        image_key, label_key = tfds_source.keys_of(builder)
        image, label = (
            builder.info.features[key] for key in (image_key, label_key)
        )
        height, width, channels = image.shape
        if image_size is None and None in (height, width):
            raise InputError(
                f"`image_size` is required for {name}, whose images differ in "
                "size, such as 64 or 48x64: what they are brought to"
            )
        height, width = image_size or (height, width)
        shape = (height, width, image_channels or channels)
        self._is_jpeg = image.encoding_format == "jpeg" and shape[2] == 3
        splits = builder.info.splits
        if "train" not in splits:
            raise InputError(
                f"`name` must be a dataset with a split 'train'. {name} has: "
                f"{', '.join(splits)}"
            )
        num_train = splits["train"].num_examples
        self._splits = {"train": "train"}
        given = next((each for each in _TEST_SPLITS if each in splits), None)
        if given is not None:
            self._splits["test"] = given
            num_test = splits[given].num_examples
        else:
            # TFDS shuffles what it stores.
            num_test = min(kept_count(test_fraction, num_train), num_train - 1)
            num_train -= num_test
            self._splits = {
                "train": f"train[:{num_train}]",
                "test": f"train[{num_train}:]",
            }
        if min(num_train, num_test) < 1:
            raise InputError(
                f"`name` must be a dataset with images to train and to test "
                f"on. {name} has {num_train} and {num_test}"
            )
        self._holds_out = given is None
        stored_bytes = max(
            splits[each].num_bytes or 0 for each in ("train", given or "train")
        )
        self.info = DatasetInfo(
            name=name,
            image_shape=shape,
            num_classes=label.num_classes,
            num_train=num_train,
            num_test=num_test,
            streamed=not fits_memory(num_train, shape)
            or not fits_memory(stored_bytes, ()),
            class_names=tuple(label.names),
            content=f"{builder.info.full_name}, {num_train} + {num_test}",
        )

    def read(self, split: str) -> StoredSplit | SplitFiles:
        """Returns a split or, unless the test split is held out, a part."""
        if split in self._splits:
            split = self._splits[split]
        elif self._holds_out:
            raise InputError(
                f"`split` must be 'train' or 'test' of {self._name}, whose "
                "test split is held out; for a part of one use `fraction`. "
                f"Received: {split!r}"
            )
        shape = self.info.image_shape
        if not self.info.streamed:
            stored = tfds_source.read_split(self._name, split, **self._where)
            return _brought_to(stored, shape)
        files = tfds_source.find_files(self._name, split, **self._where)
        return dataclasses.replace(
            _brought_to(files, shape), is_jpeg=self._is_jpeg
        )


S = TypeVar("S", StoredSplit, SplitFiles)


def _brought_to(split: S, shape: tuple[int, int, int]) -> S:
    """Returns a split whose images are brought to a shape as they are read."""
    return dataclasses.replace(
        split, decode=functools.partial(pictures.decode, image_shape=shape)
    )


def _check_data_dir(data_dir: str | os.PathLike[str]) -> None:
    path = files.as_path(data_dir)
    if os.fspath(data_dir) and not files.is_dir(path):
        raise InputError(
            "`data_dir` must be a folder that exists; make it with "
            f"`mkdir -p {path}` if it is right. Received: data_dir={data_dir}"
        )
