"""A sweep from its first cell to its last, from wherever it was stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from flags import run_flags
from flags import sweep_flags
from hydra_tf import interrupts
from hydra_tf import text
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.sweeping import grid
from trainers.sweeping import locks
from trainers.sweeping import plan
from trainers.sweeping import process
from trainers.sweeping import record
from trainers.sweeping import results
from trainers.sweeping.grid import Cell
from trainers.sweeping.pretraining import Pretrainings
from trainers.sweeping.record import SweepFolder
from trainers.terminal import startup


def run() -> None:
    """Runs the cells as the flags say, and shows what came of them.

    Raises:
        SystemExit: If a cell failed.
    """
    wanted = sweep_flags.sweep_from_flags()
    run_settings = run_flags.run_from_flags()
    cells = grid.cells(wanted.axes)
    folder = SweepFolder(run_settings.output_dir)
    if wanted.lists:
        _list(cells, folder)
        return
    selected = _selected(cells, wanted.cell)
    overwrite = run_settings.overwrite
    if overwrite and wanted.cell is not None:
        raise InputError(
            "--overwrite starts the whole sweep again, other jobs' cells "
            f"included; give it without --cell={wanted.cell}"
        )
    folder.check(cells, overwrite=overwrite)
    todo = [
        cell for cell in selected if overwrite or not folder.is_finished(cell)
    ]
    plans = plan.plans(
        cells,
        folder.path,
        [cell.number for cell in todo],
        overwrite=overwrite,
    )
    folder.begin(cells, overwrite=overwrite)
    say(f"{len(cells)} cells: {'  '.join(map(str, wanted.axes))}")
    if len(todo) < len(selected):
        say(f"{len(selected) - len(todo)} finished before")
    failed = _Course(folder, [plans[cell.number] for cell in todo]).run()
    _show(folder)
    if failed:
        _show_failed(failed, len(selected))
        sys.exit(1)


def _selected(cells: Sequence[Cell], number: int | None) -> Sequence[Cell]:
    """Returns the cells that are to run."""
    if number is None:
        return cells
    if number >= len(cells):
        raise InputError(
            f"--cell={number} is out of range: the grid has {len(cells)} "
            f"cells, numbered from 0 to {len(cells) - 1}; --list_cells names "
            "them"
        )
    return [cells[number]]


def _list(cells: Sequence[Cell], folder: SweepFolder) -> None:
    states = folder.states()
    width = max(len(cell.name) for cell in cells)
    for cell in cells:
        state = states.get(cell.name, record.WAITING)
        if state == record.RUNNING:
            with locks.held(folder.lock(cell.name)) as lock:
                # Killed, if nobody holds it.
                state = state if lock is None else record.STOPPED
        say(f"{cell.number:4}  {cell.name:{width}}  {state}")


class _Course:
    """The cells one after the other.

    Args:
        folder: The sweep's folder.
        plans: The cells that are left to run.
    """

    def __init__(self, folder: SweepFolder, plans: Sequence[plan.Plan]):
        self._folder = folder
        self._plans = plans
        self._pretrainings = Pretrainings(folder.path)

    def run(self) -> dict[str, str]:
        """Runs them.

        Returns:
            Of each cell that failed, by name, why it did, in a line.

        Raises:
            Interrupted: If this process is asked to stop.
        """
        failed: dict[str, str] = {}
        start = time.monotonic()
        for index, each in enumerate(self._plans):
            left = len(self._plans) - index
            pace = (time.monotonic() - start) / index if index else None
            wait = f", {text.duration(pace * left)} left" if pace else ""
            say(f"\n[{index + 1}/{len(self._plans)}] {each.cell}{wait}")
            try:
                failure = self._run_cell(each)
            except interrupts.Interrupted as stop:
                self._folder.update(each.cell, state=record.STOPPED)
                stop.where = (
                    f"{left} of {len(self._plans)} cells remain; run the same "
                    "command to resume"
                )
                raise
            if failure is not None:
                failed[each.cell.name] = failure
                say(f"{each.cell} failed: {failure}")
        return failed

    def _run_cell(self, each: plan.Plan) -> str | None:
        """Runs a cell; returns in a line why it failed, if it did."""
        cell = each.cell
        with locks.held(self._folder.lock(cell.name)) as lock:
            if lock is None:
                say("another process is running it")
                return None
            if self._folder.is_finished(cell):
                say("another process has finished it")
                return None
            self._folder.update(cell, state=record.RUNNING, error=None)
            start = time.monotonic()
            try:
                failure = self._pretrainings.provide(each, [lock])
                if failure is None:
                    path = self._folder.cell(cell).path
                    words = [*cell.words, f"--output_dir={path}"]
                    failure = process.run("pipeline", words, [lock])
            except InputError as error:
                failure = str(error)
            self._folder.update(
                cell,
                state=record.FAILED if failure else record.FINISHED,
                error=failure,
                seconds=round(time.monotonic() - start, 1),
            )
        return failure


def _show(folder: SweepFolder) -> None:
    rows = folder.rows()
    measured = sum(bool(row.figures) for row in rows)
    if measured:
        say(
            f"\nMeans over seeds and their standard deviations, "
            f"{measured} of {len(rows)} cells:\n\n{results.means(rows)}"
        )
    say(f"\nAll figures:  {folder.table}")
    say(f"Cells:        {folder.json}")
    say(f"On one page:  {startup.program('report')} --runs={folder.path}")


def _show_failed(failed: dict[str, str], number: int) -> None:
    lines = [
        f"{len(failed)} of {number} cells failed; the same command tries them "
        "again:",
        *[f"  {name}: {failure}" for name, failure in failed.items()],
    ]
    sys.stderr.write("\n".join(lines) + "\n")
