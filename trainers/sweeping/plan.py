"""What a sweep is about to do, checked before any of it is done."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from hydra_tf import files
from hydra_tf.registry.training import EXECUTION
from trainers.sweeping import grid
from trainers.sweeping.grid import Cell
from trainers.training import pipeline
from trainers.training import settings

if TYPE_CHECKING:
    from hydra_tf.evaluation import EvaluationSettings
    from trainers.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Plan:
    """A cell that can be run.

    Attributes:
        cell: The cell.
        pretraining: Name of the pretraining that it shares with all cells that
            pretrain alike; `None` if it does not pretrain.
        evaluation: How its networks are measured.
    """

    cell: Cell
    pretraining: str | None
    evaluation: EvaluationSettings


def plans(
    cells: Sequence[Cell],
    folder: pathlib.Path,
    selected: Collection[int],
    *,
    overwrite: bool = False,
) -> list[Plan]:
    """Returns the plans of cells, each as its own process would begin it.

    Networks are made once for cells that differ in their seeds alone, and
    images read once for those that train on the same.

    Args:
        cells: The cells; the flags of all are checked.
        folder: The sweep's folder.
        selected: Numbers of the cells that are to run, whose networks and
            images are checked, too.
        overwrite: Whether what is in the folder will be removed.

    Raises:
        InputError: If a cell cannot be run; the message names it. Nothing was
            written.
    """
    runs = {}
    found = []
    for cell in cells:
        with grid.blaming(cell):
            output = [f"--output_dir={folder / cell.name}"]
            grid.parse([*cell.words, *output, *["--overwrite"] * overwrite])
            parsed = settings.from_flags()
            run = pipeline.planned(parsed)
            _check(run, network=False)
            found.append(Plan(cell, _pretraining(cell, run), parsed.evaluation))
        if cell.number in selected:
            runs[cell] = run
    _check_networks(runs)
    return found


def _check_networks(runs: Mapping[Cell, Experiment]) -> None:
    """Makes networks and reads images, as often as they differ."""
    for cell, run in _different(runs, _kind):
        with grid.blaming(cell):
            _check(run, network=True)
        run.forget_network()
        keras.utils.clear_session(free_memory=False)
    for cell, run in _different(runs, _images):
        with grid.blaming(cell):
            run.check_images()


def _check(run: Experiment, *, network: bool) -> None:
    epochs = pipeline.epochs(run)
    run.check(epochs, pipeline.compared(run.settings), network=network)


def _different(
    runs: Mapping[Cell, Experiment],
    identity: Callable[[Cell, Experiment], object],
) -> list[tuple[Cell, Experiment]]:
    """Returns the first of those runs that have the same identity."""
    first: dict[object, tuple[Cell, Experiment]] = {}
    for cell, run in runs.items():
        first.setdefault(identity(cell, run), (cell, run))
    return [*first.values()]


def _kind(cell: Cell, run: Experiment) -> object:
    return frozenset({**cell.flags, "seed": ""}.items())


def _images(cell: Cell, run: Experiment) -> object:
    parsed = run.settings
    return repr((parsed.data, parsed.validation, parsed.num_examples))


def _pretraining(cell: Cell, run: Experiment) -> str | None:
    """Returns a name for the pretraining that a run begins with.

    Runs have the same if they would end it with the same weights.
    """
    epochs = pipeline.epochs(run)["pretrain"]
    if run.source_path or not epochs:
        return None
    record = run.started("pretrain", epochs).record()
    # What a phase leaves out of its record changes results by rounding.
    further = [getattr(run.settings.execution, each.name) for each in EXECUTION]
    # Of a sweep that varies the place of its data.
    further.append(cell.values.get("data_dir"))
    identity = files.as_json([record, further])
    parts = [
        str(run.settings.model.model),
        record["objective"],
        f"seed={run.settings.seed}",
        grid.digest(json.dumps(identity, sort_keys=True)),
    ]
    return "+".join(map(grid.safe, parts))
