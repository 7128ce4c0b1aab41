"""The networks that `--source` names: one or several, and what to call them."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

from hydra_tf import files
from hydra_tf.errors import InputError


def split(given: Iterable[str]) -> list[str]:
    """Returns the single sources of values of `--source`, each once.

    Commas separate them, but not within a path that exists.

    Args:
        given: The value of each `--source`.

    Raises:
        InputError: If there is none.
    """
    found: dict[str, str] = {}
    for value in given:
        for each in _parts(value):
            found.setdefault(str(_absolute(each)), each)
    if not found:
        raise InputError(
            "--source is required: the folder of a run, a .keras file or the "
            "folder of a SavedModel; several separated by commas"
        )
    return list(found.values())


def _parts(value: str) -> list[str]:
    """Returns the paths in a value, of every one as much as exists."""
    words, found = value.split(","), []
    while words:
        count = next(
            (
                count
                for count in range(len(words), 1, -1)
                if _exists(",".join(words[:count]))
            ),
            1,
        )
        found.append(",".join(words[:count]).strip())
        words = words[count:]
    return [each for each in found if each]


def _exists(path: str) -> bool:
    return os.path.exists(files.as_path(path.strip()))


def names(sources: Sequence[str]) -> list[str]:
    """Returns what to call each source: the end of its path that is its own.

    Args:
        sources: Paths that differ.

    Example:

    >>> names(["runs/a/saved_model", "runs/b/saved_model", "runs/c"])
    ['a/saved_model', 'b/saved_model', 'c']
    """
    paths = [_absolute(each) for each in sources]
    return [
        next(
            end
            for end in _ends(path)
            if all(end not in _ends(other) for other in paths if other != path)
        )
        for path in paths
    ]


def _absolute(source: str) -> pathlib.Path:
    return pathlib.Path(os.path.abspath(files.as_path(source)))


def _ends(path: pathlib.Path) -> list[str]:
    """Returns the last component of a path, the last two and so on."""
    parts = path.parts
    return [
        str(pathlib.PurePath(*parts[-count:]))
        for count in range(1, len(parts) + 1)
    ]
