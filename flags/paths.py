"""Paths in the value of a flag, separated by commas."""

from __future__ import annotations

from hydra_tf import files


def split(value: str) -> list[str]:
    """Returns the paths in a value.

    Commas separate them, but not within a path that exists.

    Args:
        value: The value of a flag.
    """
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
    return files.exists(files.as_path(path.strip()))
