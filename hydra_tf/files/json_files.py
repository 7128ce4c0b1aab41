"""JSON files that are written whole, and checked when they are read."""

from __future__ import annotations

import errno
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import json_shape
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.files.failures import naming
from hydra_tf.files.paths import located
from hydra_tf.files.replacing import write_text


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


def read_json(
    path: str | os.PathLike, shape: Any = object, advice: str = "delete it"
) -> Any:
    """Returns the content of a JSON file, `None` if there is no such file.

    Args:
        path: The file.
        shape: What it must hold; see `hydra_tf.json_shape`.
        advice: What the user may do about a file that does not fit.

    Raises:
        InputError: If it cannot be read, or holds something else.

    Example:
    ```python
    epochs = read_json("history.json", [{"epoch": int, str: float}])
    ```
    """
    try:
        with naming(path, "read"):
            text = located(path).read_text(encoding="utf-8")
        value = json.loads(
            text, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except FileError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read as JSON: {error}; {advice}"
        ) from error
    found = json_shape.mismatch(value, shape)
    if found is not None:
        raise InputError(f"{path} cannot be used: {found}; {advice}")
    return value


def as_json(value: object) -> Any:
    """Returns a value in the types of JSON, as it comes back from a file.

    Args:
        value: As for `write_json`, which raises the same errors.
    """
    return _plain(value, "")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r} twice")
    return content


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
