"""Results that survive being stopped: a table that grows line by line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError

_MARK = "# "


class ResumableTable:
    """A tab-separated file that grows line by line under fixed settings.

    The first line holds the settings as JSON, behind `# `; the second names
    the columns; each other line is one row, flushed when it is appended. A last
    line that was cut off is dropped when the table is read. Whoever finds the
    file under other settings gets an error instead of a mixture.

    Args:
        path: The file. It is made by the first `append`.
        columns: Python types of the columns by name, `int`, `float` or `str`.
        settings: What all rows depend on, as JSON can hold it.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        columns: Mapping[str, Callable[[str], Any]],
        settings: Mapping[str, Any],
    ):
        self.path = files.as_path(path)
        self._columns = dict(columns)
        self._settings = dict(settings)
        self._ready = False

    def read(self) -> list[dict[str, Any]]:
        """Returns the rows that are there, without one that was cut off.

        Raises:
            InputError: If the file is not such a table, or its settings are
                others.
        """
        self._ready = False
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        complete = data[: data.rfind(b"\n") + 1]
        first, header, *lines = [
            *complete.decode("utf-8", errors="replace").splitlines(),
            "",
            "",
        ]
        del lines[-2:]
        self._check_settings(first)
        if header != "\t".join(self._columns):
            raise InputError(
                f"{self.path} has other columns: give another path, or delete "
                "it"
            )
        rows = [self._row(line, number) for number, line in enumerate(lines, 3)]
        if len(complete) < len(data):
            os.truncate(self.path, len(complete))
        self._ready = True
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row, a value for each column."""
        if not self._ready:
            settings = json.dumps(self._settings, sort_keys=True)
            header = "\t".join(self._columns)
            files.write_text(self.path, f"{_MARK}{settings}\n{header}\n")
            self._ready = True
        # `repr` of a float reads back as the same float.
        cells = [
            value if isinstance(value, str) else repr(value)
            for value in (row[name] for name in self._columns)
        ]
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write("\t".join(cells) + "\n")

    def _check_settings(self, line: str) -> None:
        try:
            if not line.startswith(_MARK):
                raise ValueError("no mark")
            found = json.loads(line.removeprefix(_MARK))
            found.keys()
        except (AttributeError, ValueError):
            raise InputError(
                f"{self.path} is there, but is no table to resume: give "
                "another path, or delete it"
            ) from None
        check_same_settings(self.path, found, self._settings)

    def _row(self, line: str, number: int) -> dict[str, Any]:
        cells = line.split("\t")
        try:
            return {
                name: parse(cell)
                for (name, parse), cell in zip(
                    self._columns.items(), cells, strict=True
                )
            }
        except ValueError:
            raise InputError(
                f"{self.path}, line {number}, cannot be read: {line!r}"
            ) from None


def check_same_settings(
    path: str | os.PathLike, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Checks that what a file holds can be resumed.

    Args:
        path: The file.
        found: Settings that it was written with.
        wanted: Settings of now, as JSON can hold them.

    Raises:
        InputError: If they differ; the message says in what.
    """
    differences = [
        f"{name} {found.get(name)!r} instead of {wanted.get(name)!r}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise InputError(
            f"{path} was written with other settings: "
            f"{', '.join(differences)}. Give those, another path, or delete it"
        )


def digest(array: np.ndarray) -> str:
    """Returns a short fingerprint of an array's shape and values."""
    fingerprint = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    fingerprint.update(np.ascontiguousarray(array).data)
    return fingerprint.hexdigest()[:16]
