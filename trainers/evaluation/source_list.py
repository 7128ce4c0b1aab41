"""The networks that `--source` names: one or several, and what to call them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

from flags import paths
from hydra_tf import files
from hydra_tf.errors import InputError


def split(given: Iterable[str]) -> list[str]:
    """Returns the single sources of values of `--source`, each once.

    Args:
        given: The value of each `--source`.

    Raises:
        InputError: If there is none.
    """
    found: dict[str, str] = {}
    for value in given:
        for each in paths.split(value):
            found.setdefault(str(files.absolute(each)), each)
    if not found:
        raise InputError(
            "--source is required: the folder of a run, a .keras file or the "
            "folder of a SavedModel; several separated by commas"
        )
    return list(found.values())


def names(sources: Sequence[str]) -> list[str]:
    """Returns what to call each source: the end of its path that is its own.

    Args:
        sources: Paths that differ.

    Example:

    >>> names(["runs/a/saved_model", "runs/b/saved_model", "runs/c"])
    ['a/saved_model', 'b/saved_model', 'c']
    """
    absolute = [files.absolute(each) for each in sources]
    return [
        next(
            end
            for end in _ends(path)
            if all(
                end not in _ends(other) for other in absolute if other != path
            )
        )
        for path in absolute
    ]


def _ends(path: pathlib.Path) -> list[str]:
    """Returns the last component of a path, the last two and so on."""
    parts = path.parts
    return [
        str(pathlib.PurePath(*parts[-count:]))
        for count in range(1, len(parts) + 1)
    ]
