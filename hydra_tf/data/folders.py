"""A folder of pictures as a dataset: a folder for each class.

```
PATH/cats/1.jpg ...                    the test split is held out
PATH/train/cats/1.jpg ... PATH/val/cats/9.jpg ...         both are given
```

Classes are numbered in the alphabetical order of their folders. Pictures of
deeper folders count, hidden files and files that are no pictures don't. In each
split the pictures have a fixed order in which every class is spread evenly, so
that the first of them are a fair sample.

Pictures that would not fit into memory are read when it is their turn. So are
those of ImageNet, whose classes are called n01440764 and the like: they are
brought to size and augmented as the data set `imagenet2012` is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf.data import pictures
from hydra_tf.data import selection
from hydra_tf.data.stored import StoredSplit
from hydra_tf.data.stored import fits_memory
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import FOLDER
from hydra_tf.registry.datasets import DatasetInfo

# What a folder of test pictures may be called, the first that is there.
_TEST_FOLDERS = ("test", "val", "validation", "valid")
_CHANNELS = 3
# ImageNet's row of the table, and what its classes are called.
_IMAGENET = "imagenet2012"
_WORDNET = re.compile(r"n\d{8}")
# Pictures of a large folder that are looked at before they are needed.
_LOOKED_AT = 1000


@dataclasses.dataclass(frozen=True)
class _Split:
    """Paths and classes of pictures, in the order of the split."""

    paths: np.ndarray
    labels: np.ndarray

    def rows(self, rows: np.ndarray) -> _Split:
        return _Split(self.paths[rows], self.labels[rows])


class FolderSource:
    """The pictures in a folder.

    Args:
        name: `"folder:PATH"`.
        image_size: Height and width that pictures are brought to.
        image_channels: 1, 3 or 4. `None` is 3.
        test_fraction: Share that is held out where there is no test folder.

    Raises:
        InputError: If the folder or the size cannot be used.
    """

    def __init__(
        self,
        name: str,
        image_size: tuple[int, int] | None,
        image_channels: int | None,
        test_fraction: float,
    ) -> None:
        self._name = name
        self._digest = hashlib.sha256()
        root = name.removeprefix(FOLDER)
        self._root = str(files.as_path(root)) if root else ""
        self._test_fraction = test_fraction
        self._class_names: tuple[str, ...] = ()
        self._splits = self._find_splits()
        self._is_imagenet = all(map(_WORDNET.fullmatch, self._class_names))
        known = DATASETS.entry(_IMAGENET)
        if image_size is None and self._is_imagenet:
            image_size = known.image_shape[:2]  # type: ignore[attr-defined]
        if image_size is None:
            raise InputError(
                "`image_size` is required for pictures in a folder, such as "
                f"64 or 48x64: what they are brought to.{self._example()}"
            )
        self._image_shape = (*image_size, image_channels or _CHANNELS)
        # Of colour images, parts are decoded.
        self._is_imagenet &= self._image_shape[2] == _CHANNELS
        self._as_imagenet: Any = known if self._is_imagenet else None

    @functools.cached_property
    def info(self) -> DatasetInfo:
        """What is known of the pictures."""
        num_train = len(self._splits["train"].labels)
        return DatasetInfo(
            name=self._name,
            image_shape=self._image_shape,
            num_classes=len(self._class_names),
            num_train=num_train,
            num_test=len(self._splits["test"].labels),
            streamed=self._is_imagenet
            or not fits_memory(num_train, self._image_shape),
            augmentation_class=self._as_imagenet
            and self._as_imagenet.augmentation_class,
            mean=self._as_imagenet and self._as_imagenet.mean,
            deviation=self._as_imagenet and self._as_imagenet.deviation,
            class_names=self._class_names,
            content=self._digest.hexdigest()[:16],
        )

    def read(self, split: str) -> StoredSplit:
        """Returns the paths of a split's pictures, and how they are decoded.

        Raises:
            InputError: If there is no such split, or a file is no complete
                picture.
        """
        if split not in self._splits:
            raise InputError(
                f"`split` must be a split of {self._name!r}; for a part of "
                "one use `fraction`. "
                f"{close_matches(split, self._splits)} Received: {split!r}"
            )
        chosen = self._splits[split]
        streamed = self.info.streamed
        # A look at a million files would take longer than an epoch's start may,
        # and those that are remote are not read twice.
        some = chosen.paths[: _LOOKED_AT if streamed else None]
        fault = None
        if not files.is_remote(self._root):
            fault = pictures.find_fault(some.tolist())
        if fault is not None:
            raise self._unreadable(*fault)
        decode = functools.partial(
            pictures.decode, image_shape=self._image_shape
        )
        if not streamed:
            return self._stored(
                chosen, lambda path: decode(tf.io.read_file(path))
            )
        as_stored = (
            self._is_imagenet
            and self._image_shape == self._as_imagenet.image_shape
        )
        return dataclasses.replace(
            self._stored(chosen, None if as_stored else decode),
            stays_in_files=True,
            is_jpeg=self._image_shape[2] == _CHANNELS,
        )

    def _stored(
        self, chosen: _Split, decode: Callable[[tf.Tensor], tf.Tensor] | None
    ) -> StoredSplit:
        return StoredSplit(
            images=chosen.paths,
            labels=chosen.labels,
            class_names=self._class_names,
            decode=decode,
            unreadable=lambda path, error: self._unreadable(
                path, "is truncated or damaged"
            ),
        )

    def _unreadable(self, path: bytes, fault: str) -> InputError:
        return InputError(
            f"`name` has a picture that {fault}: {os.fsdecode(path)}; mend or "
            f"remove it. Received: {self._name!r}"
        )

    def _error(self, problem: str) -> InputError:
        return InputError(
            "`name` must be a folder that holds a folder of pictures for each "
            f"class, or train/ and val/ that do: {problem}. "
            f"Received: {self._name!r}"
        )

    def _example(self) -> str:
        path = self._splits["train"].paths.tolist()[0]
        size = pictures.size_of(path)
        if size is None:
            return ""
        return f" {os.fsdecode(path)} has {size[0]}x{size[1]} (height x width)"

    def _find_splits(self) -> dict[str, _Split]:
        """Finds classes and pictures of all splits."""
        root = self._root
        if not (root and files.is_dir(root)):
            kind = (
                "is a file" if root and files.exists(root) else "does not exist"
            )
            raise self._error(f"{root or 'the path'} {kind}")
        folders = {
            name: os.path.join(root, name)
            for name in ("train", *_TEST_FOLDERS)
            if files.is_dir(os.path.join(root, name))
        }
        names = self._folders_in(root)
        if "train" not in folders:
            if names and set(names) <= folders.keys():
                raise self._error(f"{root} has {', '.join(names)} but no train")
            folders = {"train": root}
        self._class_names = self._classes_in(folders["train"])
        splits = {
            name: self._read_split(name, path) for name, path in folders.items()
        }
        train = splits["train"]
        counts = np.bincount(train.labels, minlength=len(self._class_names))
        if not counts.all():
            empty = self._class_names[int(np.argmin(counts))]
            raise self._error(
                f"{os.path.join(folders['train'], empty)} holds no pictures "
                f"({', '.join(pictures.READABLE)})"
            )
        given = next((name for name in _TEST_FOLDERS if name in splits), None)
        if given is not None:
            splits["test"] = splits[given]
            if not len(splits["test"].labels):
                raise self._error(f"{folders[given]} holds no pictures")
            return splits
        rows, test_rows = selection.hold_out(train.labels, self._test_fraction)
        if not len(test_rows):
            raise InputError(
                "`test_fraction` leaves no pictures for testing, of the "
                f"{len(train.labels)} in {root}. Received: "
                f"test_fraction={self._test_fraction}"
            )
        return {"train": train.rows(rows), "test": train.rows(test_rows)}

    def _classes_in(self, folder: str) -> tuple[str, ...]:
        names = tuple(self._folders_in(folder))
        loose = next(
            (path for path, _ in self._pictures_in(folder, deep=False)), None
        )
        if loose is not None:
            raise self._error(
                f"{loose} lies beside the folders of the classes, not in one"
            )
        if len(names) < 2:
            found = f"only {names[0]!r}" if names else "no folders"
            raise self._error(
                f"{folder} holds {found}, and two classes are the least"
            )
        return names

    def _read_split(self, name: str, folder: str) -> _Split:
        """Returns the pictures in the folders of the classes."""
        unknown = set(self._folders_in(folder)) - set(self._class_names)
        if unknown:
            raise self._error(
                f"{folder} has the class {min(unknown)!r}, which train lacks"
            )
        paths: list[bytes] = []
        labels: list[int] = []
        for label, class_name in enumerate(self._class_names):
            class_folder = os.path.join(folder, class_name)
            if not files.is_dir(class_folder):
                continue
            for path, size in self._pictures_in(class_folder):
                inside = os.path.relpath(path, folder)
                self._digest.update(os.fsencode(f"{name}/{inside}\0{size}\n"))
                paths.append(os.fsencode(path))
                labels.append(label)
        of_classes = np.array(labels, np.int32)
        order = selection.spread_order(of_classes, seed=0)
        return _Split(np.array(paths, object)[order], of_classes[order])

    def _folders_in(self, folder: str) -> list[str]:
        """Returns the names of the folders in a folder, none that is hidden."""
        try:
            return sorted(
                entry.name
                for entry in _entries(folder)
                if entry.is_dir() and not _is_hidden(entry.name)
            )
        except OSError as error:
            raise self._error(f"{folder}: {error.strerror}") from error

    def _pictures_in(
        self, folder: str, deep: bool = True, above: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, int]]:
        """Yields paths and sizes of the pictures in a folder, by name."""
        try:
            entries = sorted(_entries(folder), key=lambda each: each.name)
        except OSError as error:
            raise self._error(f"{folder}: {error.strerror}") from error
        real = os.path.realpath(folder)
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if entry.is_dir():
                # A link may lead to where it is from.
                if deep and real not in above:
                    yield from self._pictures_in(
                        os.fspath(entry), above=(*above, real)
                    )
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in pictures.OTHER_PICTURES:
                raise self._error(
                    f"{os.fspath(entry)} must be a JPEG, PNG, BMP or GIF to "
                    "be read"
                )
            if suffix in pictures.READABLE:
                try:
                    size = entry.stat().st_size
                except OSError as error:
                    raise self._error(
                        f"{os.fspath(entry)}: {error.strerror}"
                    ) from error
                if not size:
                    raise self._error(f"{os.fspath(entry)} is empty")
                yield os.fspath(entry), size


def _entries(folder: str) -> Iterable[Any]:
    """Returns what is in a folder: each with its name, kind and path."""
    path = files.located(folder)
    return path.iterdir() if files.is_remote(path) else os.scandir(folder)


def _is_hidden(name: str) -> bool:
    # What macOS adds to archives.
    return name.startswith(".") or name == "__MACOSX"
