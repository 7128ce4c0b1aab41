"""Files and folders that appear under their name only when complete.

Everything is written beside its target and renamed, so that a reader, or a
run that resumes after being killed, sees the old version or the new one and
never a part of either. A path has one writer at a time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf.errors import InputError


def as_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns a path as a user gave it, `~` replaced by the home folder.

    Every path that users give the library passes through here.

    Args:
        path: A file or folder.

    Raises:
        InputError: If it is no path.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"`{os.fspath(path)}`: there is no such home folder"
        ) from error
    except TypeError as error:
        raise InputError(
            f"a path must be a text or a pathlib.Path. Received: {path!r}"
        ) from error


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a path whose file becomes `path` when the block ends well.

    A file that is already there stays until the new one is complete, and
    stays for good if the block raises. Missing folders are made.

    Args:
        path: The file to create or replace.

    Yields:
        The file to write, a hidden sibling of `path` with its suffix.

    Example:
    ```python
    with replacing_file("run/network.keras") as partial:
        model.save(partial)
    ```
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keras, NumPy and matplotlib look at the suffix.
    partial = path.with_name(
        f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}"
    )
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> pathlib.Path:
    """Writes a UTF-8 text file atomically; missing folders are made.

    Args:
        path: The file to create or replace.
        text: Its whole content.

    Returns:
        The path of the file.
    """
    with replacing_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return pathlib.Path(path)


def write_json(path: str | os.PathLike, value: object) -> pathlib.Path:
    """Writes a JSON file atomically: two spaces of indent, keys in order.

    NumPy scalars and arrays, tuples and paths are written as the numbers,
    lists and strings that they stand for.

    Args:
        path: The file to create or replace.
        value: Nested mappings, sequences, strings, numbers, booleans, `None`.

    Returns:
        The path of the file.

    Raises:
        ValueError: If a number is not finite; the message says where it is.
        TypeError: If a value has no JSON form; the message says where it is.
    """
    text = json.dumps(
        as_json(value), indent=2, ensure_ascii=False, allow_nan=False
    )
    return write_text(path, text + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Returns the content of a JSON file, `None` if there is no such file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def as_json(value: object) -> Any:
    """Returns a value in the types of JSON, as it comes back from a file.

    Args:
        value: As for `write_json`, which raises the same errors.
    """
    return _plain(value, "")


@contextlib.contextmanager
def replacing_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives an empty folder that becomes `path` when the block ends well.

    A folder that is already there stays complete and in place until the new
    one is, and stays for good if the block raises. What an earlier process
    left behind when it was killed is cleared away or, if it was killed
    between the two renames, put back.

    Args:
        path: The folder to create or replace, with all it holds.

    Yields:
        The folder to fill, a hidden sibling of `path`.

    Raises:
        NotADirectoryError: If `path` is an existing file.

    Example:
    ```python
    with replacing_directory("run/saved_model") as folder:
        tf.saved_model.save(module, str(folder))
    ```
    """
    path = pathlib.Path(os.path.abspath(path))
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file, not a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    previous = path.with_name(f".{path.name}.previous")
    recover_directory(path)
    _remove(partial)
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        _remove(partial)
        raise
    # A folder that is not empty cannot be renamed over, hence two renames.
    if path.exists():
        os.rename(path, previous)
    os.rename(partial, path)
    _remove(previous)


def recover_directory(path: str | os.PathLike) -> bool:
    """Puts back a folder whose replacement was killed between its renames.

    `replacing_directory` does this first; a reader that resumes a run calls
    it before it looks for the folder.

    Args:
        path: The folder as it was given to `replacing_directory`.

    Returns:
        Whether `path` is a folder now.
    """
    path = pathlib.Path(os.path.abspath(path))
    previous = path.with_name(f".{path.name}.previous")
    if previous.is_dir():
        if path.exists():
            _remove(previous)
        else:
            os.rename(previous, path)
    return path.is_dir()


def directory_size(path: str | os.PathLike) -> int:
    """Returns the bytes in all files below a folder."""
    return sum(
        file.stat().st_size
        for file in pathlib.Path(path).rglob("*")
        if file.is_file()
    )


def _remove(path: pathlib.Path) -> None:
    """Removes a folder and its content if it is there."""
    if path.exists():
        shutil.rmtree(path)


def _plain(value: object, where: str) -> object:
    """Returns `value` in the types of JSON, checked for finite numbers."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain(item, f"{where}.{key}" if where else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _plain(item, f"{where}[{index}]")
            for index, item in enumerate(value)
        ]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), where)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no {value!r}: found at `{where}`")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"JSON has no {type(value).__name__}: found at `{where}`")
