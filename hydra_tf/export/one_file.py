"""Exports that are one file: where it goes, and what is known of it."""

from __future__ import annotations

import dataclasses
import gzip
import numbers
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """What an export wrote.

    Attributes:
        path: The file.
        bytes: Its size.
        compressed_bytes: Its size after gzip; this is where pruning shows.
    """

    path: str
    bytes: int
    compressed_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes by name."""
        return dataclasses.asdict(self)


def info_of(path: pathlib.Path, content: bytes) -> FileInfo:
    """Returns what is known of a file.

    Args:
        path: The file.
        content: What it holds.
    """
    return FileInfo(str(path), len(content), len(gzip.compress(content)))


def check_shape(images: np.ndarray, wanted: Sequence[Any]) -> None:
    """Checks that a file's network takes images.

    Args:
        images: Array of shape `(images, ...)`.
        wanted: Sizes of one image; what is no number >= 0 is free.

    Raises:
        InputError: If they have another shape.
    """
    free = [not isinstance(n, numbers.Integral) or n < 0 for n in wanted]
    given = images.shape[1:]
    if len(given) != len(wanted) or not all(
        is_free or size == n
        for is_free, size, n in zip(free, given, wanted, strict=True)
    ):
        sizes = ", ".join(map(str, wanted))
        raise InputError(
            f"`images` must have shape (images, {sizes}). "
            f"Received: shape={images.shape}"
        )


def checked_path(path: str | os.PathLike, suffix: str) -> pathlib.Path:
    """Returns the path of a file that can be written.

    Args:
        path: What the caller was given.
        suffix: What it has to end in.

    Raises:
        InputError: If it ends otherwise.
        FileError: If it cannot be written.
    """
    path = files.as_path(path)
    if path.suffix != suffix:
        raise InputError(
            f"`path` must end in {suffix}. Received: path={str(path)!r}"
        )
    files.check_writable(path.parent, "path")
    return path
