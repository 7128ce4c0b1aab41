"""What an evaluation has done so far, in a file from which it is resumed."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.resumable import check_same_settings
from hydra_tf.resumable import checksum

# Seconds between two writes of the file.
_INTERVAL = 1.0
_SHAPE = {
    "settings": dict,
    "seconds": float,
    "parts": {str: dict},
    "checksum": str,
}


class State:
    """Parts of an evaluation, each a dictionary of what is done of it.

    As a context manager it writes the file if the block is left by an
    exception, and removes it if the block ends well.

    Args:
        path: The file, or `None` for none.
        settings: What all parts depend on, as JSON can hold it.

    Raises:
        InputError: If the file is no such state, it was changed, its settings
            are others, or it could not be written.
    """

    def __init__(
        self, path: str | os.PathLike | None, settings: Mapping[str, Any]
    ):
        self._path = None if path is None else files.as_path(path)
        self._settings = files.as_json(settings)
        self._parts: dict[str, dict[str, Any]] = {}
        self._seconds = 0.0
        self._start = self._written = time.monotonic()
        if self._path is not None:
            files.check_writable(self._path.parent, "state")
            files.clear_partial(self._path.parent, glob.escape(self._path.stem))
            self._read(self._path)

    def __enter__(self) -> State:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            # What ended the block matters more than what is kept of it.
            with contextlib.suppress(FileError):
                self._write()
        elif self._path is not None:
            self._path.unlink(missing_ok=True)

    @property
    def seconds(self) -> float:
        """The time that it took so far, before it was resumed too."""
        return self._seconds + time.monotonic() - self._start

    def part(self, name: str, **initial: Any) -> dict[str, Any]:
        """Returns a part, to be updated in place.

        Args:
            name: Its name.
            **initial: What it holds as long as nothing is done: finite
                numbers, lists of numbers or texts, Boolean arrays. Another
                array comes back as a list.
        """
        return self._parts.setdefault(name, initial)

    def save(self) -> None:
        """Writes the file, if it is time."""
        if time.monotonic() - self._written >= _INTERVAL:
            self._write()

    def _read(self, path: pathlib.Path) -> None:
        content = files.read_json(
            path,
            _SHAPE,
            "it is no evaluation to resume: give another path, or delete it",
        )
        if content is None:
            return
        if content.pop("checksum") != _checksum(content):
            raise InputError(
                f"{path} was changed after it was written: delete it, to "
                "measure again"
            )
        check_same_settings(path, content["settings"], self._settings)
        self._seconds = float(content["seconds"])
        self._parts = {
            name: {key: _decoded(value) for key, value in part.items()}
            for name, part in content["parts"].items()
        }

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._path is None:
            return
        content = {
            "settings": self._settings,
            "seconds": self.seconds,
            "parts": {
                name: {key: _encoded(value) for key, value in part.items()}
                for name, part in self._parts.items()
            },
        }
        content = files.as_json(content)
        files.write_json(
            self._path, {**content, "checksum": _checksum(content)}
        )


def _checksum(content: Mapping[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True))


def _encoded(value: Any) -> Any:
    """Returns Boolean arrays as text such as `"0110"`."""
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return "".join("01"[int(each)] for each in value)
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, str):
        return np.array([each == "1" for each in value], bool)
    return value
