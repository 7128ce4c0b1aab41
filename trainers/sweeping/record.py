"""What a sweep keeps of its cells: `sweep.json` and `sweep.tsv`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from hydra_tf import files
from hydra_tf.errors import InputError
from trainers.run import environment
from trainers.run.folder import RunFolder
from trainers.sweeping import grid
from trainers.sweeping import locks
from trainers.sweeping import results
from trainers.sweeping.grid import Cell
from trainers.sweeping.pretraining import FOLDER

WAITING, RUNNING, STOPPED, FAILED, FINISHED = (
    "waiting",
    "running",
    "stopped",
    "failed",
    "finished",
)
# Flags that may change while a sweep is under way.
_FREE = ("cache", "data_dir", "progress")
_SHAPE = {
    "cells": [
        {
            "name": str,
            "values": {str: str},
            "flags": {str: str},
            "state": str,
            "error": (str, None),
            "seconds": (float, None),
        }
    ]
}


class SweepFolder:
    """The folder of a sweep, which several processes may share.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = files.as_path(path)
        self.json = self.path / "sweep.json"
        self.table = self.path / "sweep.tsv"

    def cell(self, cell: Cell) -> RunFolder:
        """Returns the folder of a cell's run."""
        return RunFolder(self.path / cell.name)

    def lock(self, name: str) -> pathlib.Path:
        """Returns the file of a lock."""
        return self.path / ".locks" / name

    def check(self, cells: Sequence[Cell], *, overwrite: bool = False) -> None:
        """Checks that the folder can be taken; writes nothing.

        Args:
            cells: The cells.
            overwrite: Whether what an earlier sweep left will be removed.

        Raises:
            InputError: If it holds something else, a sweep with other cells
                or flags, or cannot be written.
        """
        flag = f"--output_dir={self.path}"
        if files.exists(self.path) and not self.path.is_dir():
            raise InputError(f"{flag} is a file; name a folder")
        files.check_writable(self.path, "output_dir")
        if not self.json.is_file():
            with files.naming(self.path, "read"):
                visible = self.path.is_dir() and any(
                    not entry.name.startswith(".")
                    for entry in self.path.iterdir()
                )
            if visible:
                raise InputError(
                    f"{flag} holds files that are no sweep; name a new or an "
                    "empty folder"
                )
        if not overwrite:
            self._check_same(cells)

    def begin(self, cells: Sequence[Cell], *, overwrite: bool = False) -> None:
        """Takes the folder for a sweep that `check` has approved of.

        Args:
            cells: The cells.
            overwrite: Whether to remove what an earlier sweep left.

        Raises:
            InputError: As `check`, or if a cell that is to be removed is being
                run.
        """
        with locks.held(self.lock("sweep"), lambda: None):
            if overwrite:
                self._clear()
            self.check(cells)
            known = self._entries()
            entries = [
                {
                    "state": WAITING,
                    "error": None,
                    "seconds": None,
                    **known.get(cell.name, {}),
                    "name": cell.name,
                    "values": cell.values,
                    "flags": cell.flags,
                }
                for cell in cells
            ]
            self._write(entries)

    def states(self) -> dict[str, str]:
        """Returns the state of each cell that is recorded, by name."""
        return {name: each["state"] for name, each in self._entries().items()}

    def is_finished(self, cell: Cell) -> bool:
        """Whether a cell needs no process any more."""
        folder = self.cell(cell)
        return (
            self.states().get(cell.name) == FINISHED
            and bool(results.of_run(folder))
            and files.recover_directory(folder.saved_model)
        )

    def update(self, cell: Cell, **changes: Any) -> None:
        """Changes what is recorded of a cell, and writes the table anew.

        Args:
            cell: The cell.
            **changes: The values by name.
        """
        with locks.held(self.lock("sweep"), lambda: None):
            entries = self._entries()
            entries[cell.name] |= changes
            self._write(list(entries.values()))

    def rows(self) -> list[results.Row]:
        """Returns what is known of each cell, in the order of the grid."""
        return [
            results.Row(
                name=name,
                values=entry["values"],
                state=entry["state"],
                figures=results.of_run(RunFolder(self.path / name))
                if entry["state"] == FINISHED
                else {},
            )
            for name, entry in self._entries().items()
        ]

    def _entries(self) -> dict[str, dict[str, Any]]:
        content = files.read_json(
            self.json, _SHAPE, "delete it; cells that are finished stay so"
        )
        return {
            each["name"]: each for each in (content or {"cells": []})["cells"]
        }

    def _write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        files.write_json(
            self.json, {"command": environment.command(), "cells": entries}
        )
        files.write_text(self.table, results.as_tsv(self.rows()))

    def _check_same(self, cells: Sequence[Cell]) -> None:
        """Compares the cells with those that the sweep was begun with."""
        by_name = {cell.name: cell for cell in cells}
        for name, entry in self._entries().items():
            held = f"--output_dir={self.path} holds a sweep"
            advice = "name another folder, or pass --overwrite to start again"
            if name not in by_name:
                raise InputError(
                    f"{held} with a cell {name} that --grid no longer has: "
                    f"cells may be added, not taken out; {advice}"
                )
            new = by_name[name].flags
            for flag, old, now in _differences(entry["flags"], new):
                raise InputError(
                    f"{held} whose cell {name} has --{flag}={old}, not "
                    f"--{flag}={now}; {advice}"
                )

    def _clear(self) -> None:
        for name in self._entries():
            with locks.held(self.lock(name)) as lock:
                if lock is None:
                    raise InputError(
                        f"--overwrite would remove {self.path / name}, which "
                        "another process is running; stop it, or name another "
                        "--output_dir"
                    )
                self._remove(self.path / name)
        self._remove(self.path / FOLDER)
        for file in (self.json, self.table):
            with files.naming(file, "removed"):
                file.unlink(missing_ok=True)

    def _remove(self, folder: pathlib.Path) -> None:
        with files.naming(folder, "removed"):
            files.remove(folder)


def _differences(
    old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yields flags whose values differ; what is not given has its default."""
    for name in sorted({*old, *new} - {*_FREE}):
        usual = grid.default(name) or ""
        before, now = old.get(name, usual), new.get(name, usual)
        if before != now:
            yield name, before, now
