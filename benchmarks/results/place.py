"""Where images come from, and where networks are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from benchmarks.results.rows import Cell


@dataclasses.dataclass(frozen=True)
class Place:
    """Folders.

    Attributes:
        work: Folder for pretrained networks and cells that were stopped.
        data_dir: Folder of tensorflow-datasets, or None for its own.
    """

    work: str
    data_dir: str | None = None

    def pretrained(self, cell: Cell) -> pathlib.Path:
        """Returns the file of the network that a cell begins with.

        The code that wrote it is not part of its name: delete the folder when
        pretraining changes.
        """
        names = [cell.network, cell.objective, cell.purpose]
        names += [str(cell.phases[0]), str(cell.seed)]
        if cell.radius is not None:
            names.append(f"radius{cell.radius:g}")
        folder = pathlib.Path(self.work) / cell.study / "pretrained"
        return folder / f"{'-'.join(names)}.keras"

    def unfinished(self, cell: Cell) -> pathlib.Path:
        """Returns the folder of a cell while it is trained."""
        digest = hashlib.sha256(repr(cell).encode()).hexdigest()[:16]
        return pathlib.Path(self.work) / cell.study / "cells" / digest
