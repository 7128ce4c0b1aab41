"""What is said of a file or folder."""

from __future__ import annotations

import dataclasses
import gzip
import math
import pathlib
from collections.abc import Iterable

import numpy as np

from hydra_tf import files
from hydra_tf import text


@dataclasses.dataclass
class Description:
    """Facts by name, then tables.

    Attributes:
        facts: What is known, in the order that it is shown.
        parts: Tables and other text below them.
    """

    facts: dict[str, str]
    parts: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        width = max(len(name) for name in self.facts) + 2
        lines = [
            f"{f'{name}:':<{width}} {value}"
            for name, value in self.facts.items()
            if value
        ]
        return "\n\n".join(["\n".join(lines), *filter(None, self.parts)])


def sizes(path: pathlib.Path) -> str:
    """Returns the size of a file or folder, as it is and after gzip."""
    if path.is_dir():
        return text.size(files.directory_size(path))
    content = path.read_bytes()
    compressed = len(gzip.compress(content, mtime=0))
    return f"{text.size(len(content))}, {text.size(compressed)} after gzip"


def kernels_table(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Returns a table of what is not zero in weights of two axes or more.

    Args:
        arrays: Names and values.
    """
    rows, all_weights, all_kept = [], 0, 0
    for name, array in arrays:
        if array.ndim < 2:
            continue
        kept, weights = int(np.count_nonzero(array)), math.prod(array.shape)
        all_weights, all_kept = all_weights + weights, all_kept + kept
        rows.append(
            [
                name,
                " x ".join(map(str, array.shape)),
                str(array.dtype),
                text.number(kept),
                text.percent(kept / weights),
            ]
        )
    if not rows:
        return ""
    rows.append(
        [
            "all",
            text.number(all_weights),
            "",
            text.number(all_kept),
            text.percent(all_kept / all_weights),
        ]
    )
    return text.table(["weights", "shape", "type", "not zero", "density"], rows)
