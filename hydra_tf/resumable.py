"""Results that survive being stopped: a table that grows line by line."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError

_MARK = "# "
_CHECKSUM = "checksum"


class ResumableTable:
    """A tab-separated file that grows line by line under fixed settings.

    The first line holds the settings as JSON, behind `# `; the second names
    the columns; each other line is one row, flushed when it is appended, and
    ends in a checksum of all lines so far. A last line that was cut off is
    dropped when the table is read; one that was changed, or does not follow
    the one before it, is an error. Whoever finds the file under other settings
    gets an error instead of a mixture.

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
        # Of all lines so far.
        self._checksum = ""

    def read(self) -> list[dict[str, Any]]:
        """Returns the rows that are there, without one that was cut off.

        Raises:
            InputError: If the file is not such a table, it was changed, or its
                settings are others.
        """
        self._ready = False
        with files.naming(self.path, "read"):
            if not self.path.exists():
                files.check_writable(self.path.parent, "table")
                return []
            data = self.path.read_bytes()
        complete = data[: data.rfind(b"\n") + 1]
        text = complete.decode("utf-8", errors="replace")
        first, header, *lines = [*text.split("\n"), "", ""]
        del lines[-2:]
        self._check_settings(first)
        if header != self._header:
            raise InputError(
                f"{self.path} has other columns: give another path, or delete "
                "it"
            )
        self._checksum = checksum(header, checksum(first))
        # The last line ends the text.
        lines = lines[:-1]
        rows = [self._row(line, number) for number, line in enumerate(lines, 3)]
        if len(complete) < len(data):
            with files.naming(self.path):
                if files.is_remote(self.path):
                    files.write_text(self.path, text)
                else:
                    os.truncate(self.path, len(complete))
        self._ready = True
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row, a value for each column.

        Raises:
            FileError: If it cannot be written.
        """
        if not self._ready:
            first = _MARK + json.dumps(self._settings, sort_keys=True)
            files.write_text(self.path, f"{first}\n{self._header}\n")
            self._checksum = checksum(self._header, checksum(first))
            self._ready = True
        # `repr` of a float reads back as the same float.
        cells = "\t".join(
            value if isinstance(value, str) else repr(value)
            for value in (row[name] for name in self._columns)
        )
        self._checksum = checksum(cells, self._checksum)
        files.append_text(self.path, f"{cells}\t{self._checksum}\n")

    @property
    def _header(self) -> str:
        return "\t".join([*self._columns, _CHECKSUM])

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
        text, _, found = line.rpartition("\t")
        self._checksum = checksum(text, self._checksum)
        if found != self._checksum:
            raise InputError(
                f"{self.path}, line {number}, was changed after it was "
                f"written, or a line before it was: {line!r}; delete the file "
                "to compute all lines again"
            )
        cells = text.split("\t")
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


def checksum(text: str, before: str = "") -> str:
    """Returns a checksum of a text that follows others.

    Args:
        text: The text.
        before: The checksum of what is before it.
    """
    return f"{zlib.crc32(text.encode(), int(before or '0', 16)):08x}"


def digest(array: np.ndarray) -> str:
    """Returns a short fingerprint of an array's shape and values."""
    fingerprint = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    fingerprint.update(np.ascontiguousarray(array).data)
    return fingerprint.hexdigest()[:16]
