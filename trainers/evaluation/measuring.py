"""Measuring networks into a run's folder, from wherever it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hydra_tf import evaluation
from hydra_tf import files
from hydra_tf.resumable import digest
from trainers.run.folder import RunFolder

_MEASURED = {"figures": dict, "header": [str], "rows": [[str]]}
_CHECKED = {"record": dict, "text": str}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is reported of one of several networks.

    Attributes:
        figures: As `hydra_tf.evaluation.Evaluation.to_dict` has them.
        header: Names of the columns of `rows`.
        rows: Cells of a table with a row for every image.
    """

    figures: dict[str, Any]
    header: list[str]
    rows: list[list[str]]

    @classmethod
    def of(cls, result: evaluation.Evaluation) -> Measured:
        """Returns what is reported of an evaluation."""
        header, rows = result.examples()
        return cls(
            files.as_json(result.to_dict()),
            list(header),
            [[_cell(each) for each in row] for row in rows],
        )


@dataclasses.dataclass(frozen=True)
class Task:
    """What decides the figures of a network.

    Attributes:
        images: Test images.
        labels: Their classes.
        settings: Attacks and proofs.
        checkpoint: Digest of the network's file.
    """

    images: np.ndarray
    labels: np.ndarray
    settings: evaluation.EvaluationSettings
    checkpoint: str

    @property
    def name(self) -> str:
        """What tells it from others in the name of a file."""
        identity = json.dumps(
            [
                dataclasses.asdict(self.settings),
                self.checkpoint,
                digest(self.images),
            ]
        )
        return hashlib.sha256(identity.encode()).hexdigest()[:16]


def measure(
    network: Callable[..., Any],
    task: Task,
    *,
    folder: RunFolder,
    phase: str,
    progress: str,
) -> evaluation.Evaluation:
    """Measures a network; see `hydra_tf.evaluation.evaluate`.

    What is done is kept in the folder, apart for other settings and other
    networks, so that these may change in between. `forget` removes what is
    left of settings that were given up.

    Args:
        network: The network, masked or not.
        task: Images and settings.
        folder: Folder of the run.
        phase: What is measured, such as `"prune"`.
        progress: Value of `--progress`.
    """
    return evaluation.evaluate(
        network,
        task.images,
        task.labels,
        task.settings,
        state=folder.path / _state(phase, task.name),
        progress=progress,
    )


def measure_once(
    network: Callable[..., Any],
    task: Task,
    *,
    folder: RunFolder,
    phase: str,
    progress: str,
) -> Measured:
    """Measures a network, unless the folder has its figures.

    They are kept there until `forget` is called: when all networks are done.
    The arguments are those of `measure`.
    """
    path = folder.path / _state(phase, f"{task.name}-done")
    kept = files.read_json(path, _MEASURED)
    if kept is not None:
        return Measured(**kept)
    measured = Measured.of(
        measure(network, task, folder=folder, phase=phase, progress=progress)
    )
    files.write_json(path, dataclasses.asdict(measured))
    return measured


def check_once(
    network: Callable[..., Any],
    task: Task,
    *,
    folder: RunFolder,
    phase: str,
    progress: str,
) -> dict[str, Any]:
    """Makes the checks of `hydra_tf.evaluation.sanity`, as `measure_once` does.

    Returns:
        `record`, as `metrics.json` holds it, and `text`, for the screen.
    """
    path = folder.path / _state(phase, f"{task.name}-sanity")
    kept = files.read_json(path, _CHECKED)
    if kept is not None:
        return kept
    found = evaluation.sanity(
        network, task.images, task.labels, task.settings, progress=progress
    )
    checked = {"record": files.as_json(found.to_dict()), "text": str(found)}
    files.write_json(path, checked)
    return checked


def forget(folder: RunFolder, phase: str) -> None:
    """Removes what is kept of evaluations that need not be resumed."""
    for path in states(folder, phase):
        path.unlink()


def states(folder: RunFolder, phase: str) -> list[pathlib.Path]:
    """Returns the files of a phase's evaluations that were stopped."""
    return sorted(folder.path.glob(_state(phase, "*")))


def _state(phase: str, name: str) -> str:
    # Hidden: nobody needs to know of it.
    return f".evaluation-{phase}-{name}.json"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
