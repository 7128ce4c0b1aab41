"""The runs of a report: found, read, and joined with later evaluations."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from trainers.run.metrics_shape import METRICS

# The name of the report's folder, within that of a run or a sweep.
REPORT = "report"
# Of a sweep: its record, and the folder of pretraining that cells share.
_SWEEP = "sweep.json"
_SHARED = "pretrain"
_EVALUATE = "evaluate"
_HISTORY = [{"epoch": int, str: (float, None)}]


@dataclasses.dataclass(eq=False)
class Run:
    """What is in the folder of a run, finished or not.

    Attributes:
        path: The folder.
        metrics: Content of `metrics.json`, empty if there is none.
        flags: Settings by flag name, as `flags.txt` writes them.
        histories: Figures of each epoch, by phase.
        origin: The run that it compares with or starts from, if that is here.
        evaluations: Entries of `metrics.json` that `trainers.evaluate` has
            measured, each with the phase whose network it measured.
        certificates: Sections `certify`, each with the phase whose network was
            certified and the folder of its table.
    """

    path: pathlib.Path
    metrics: dict[str, Any]
    flags: dict[str, str]
    histories: dict[str, list[dict[str, float]]]
    origin: Run | None = None
    evaluations: list[tuple[str, dict[str, Any]]] = dataclasses.field(
        default_factory=list
    )
    certificates: list[tuple[str, dict[str, Any], pathlib.Path]] = (
        dataclasses.field(default_factory=list)
    )

    @property
    def name(self) -> str:
        """The last parts of the path, as many as tell it from its origin."""
        parts = self.path.parts
        return "/".join(parts[-3 if parts[-2:-1] == ("compare",) else -1 :])

    @property
    def phases(self) -> dict[str, dict[str, Any]]:
        """The entries of the phases that were measured, in their order."""
        entries = self.metrics.get("phases") or {}
        return {
            phase: entries[phase]
            for phase in PHASES
            if "natural_accuracy" in (entries.get(phase) or {})
        }

    @property
    def last_phase(self) -> str | None:
        """The last phase that was measured."""
        return next(reversed(self.phases), None)

    @property
    def is_finished(self) -> bool:
        """Whether its last phase is done, exported and recorded."""
        recorded = self.metrics.get("run") or {}
        return bool(self.phases) and recorded.get("phase") == self.last_phase

    @property
    def state(self) -> str:
        """What is there of it, in words."""
        if self.is_finished or not self.histories and not self.phases:
            return "finished"
        running = next(reversed(self.histories), None)
        if running is not None and running not in self.phases:
            return f"{running}, epoch {self.histories[running][-1]['epoch']}"
        return f"after {self.last_phase}" if self.last_phase else "begun"

    @property
    def has_figures(self) -> bool:
        """Whether there is anything to show."""
        return bool(
            self.phases
            or self.histories
            or self.evaluations
            or self.certificates
            or self.formats
        )

    @property
    def formats(self) -> dict[str, dict[str, Any]]:
        """What an export has measured of each of its formats."""
        return self.metrics.get("formats") or {}

    def setting(self, name: str) -> Any:
        """Returns a setting as recorded, else as given, else as the origin's.

        Args:
            name: Name of the flag.
        """
        for record in (
            self.metrics.get("run") or {},
            self.flags,
            {} if self.origin is None else {name: self.origin.setting(name)},
        ):
            if record.get(name) is not None:
                return record[name]
        return None

    def number(self, name: str) -> float | None:
        """Returns a setting as a number, `None` if it is none."""
        try:
            return float(self.setting(name))
        except (TypeError, ValueError):
            return None

    def checkpoint(self, phase: str) -> pathlib.Path | None:
        """Returns the network of a finished phase, if it is here."""
        path = self.path / "checkpoints" / f"{phase}.keras"
        if path.is_file():
            return path
        return self.origin.checkpoint(phase) if self.origin else None


def read(paths: Iterable[str]) -> tuple[list[Run], list[str]]:
    """Returns the runs in folders, and remarks on what is not shown.

    Args:
        paths: Folders of runs, or folders of such folders.

    Raises:
        InputError: If a folder holds no run, a file in it cannot be used, or
            no run has anything to show.
    """
    found: dict[pathlib.Path, Run] = {}
    remarks: list[str] = []
    for text in paths:
        folder = files.as_path(text)
        if not files.is_dir(folder):
            there = "is no folder" if files.exists(folder) else "is not there"
            raise InputError(
                f"--runs={text} {there}; name folders of runs, or a folder "
                "that holds some"
            )
        with files.naming(folder, "read"):
            runs = list(_folders(folder))
        if not runs:
            raise InputError(
                f"--runs={text} holds no run: there is no metrics.json and no "
                "checkpoints/ in it or in the folders below; name a folder "
                "that a training program has written"
            )
        for path in runs:
            found.setdefault(path.resolve(), _read(path))
        remarks += _failed(folder)
    everything = list(found.values())
    _link(everything)
    _join(everything)
    shown = [run for run in everything if run.has_figures]
    if not shown:
        raise InputError(
            f"--runs={','.join(paths)} holds nothing to show yet: no epoch of "
            "a phase is finished; wait for the first, or name another run"
        )
    remarks += [
        f"{run.name}: no epoch is finished yet."
        for run in everything
        # Without a record, and not one whose figures are shown elsewhere.
        if not run.has_figures and not run.metrics
    ]
    return shown, remarks


def _folders(folder: pathlib.Path, depth: int = 2) -> Iterator[pathlib.Path]:
    """Yields the folders of runs in a folder, itself among them."""
    if _is_run(folder):
        yield folder
        yield from filter(_is_run, _below(folder / "compare"))
    elif depth:
        below = _below(folder)
        if (folder / _SWEEP).is_file() and any(map(_is_run, below)):
            # The cells have a copy of it.
            below = [each for each in below if each.name != _SHARED]
        for each in below:
            yield from _folders(each, depth - 1)


def _below(folder: pathlib.Path) -> list[pathlib.Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )


def _is_run(folder: pathlib.Path) -> bool:
    if (folder / "metrics.json").is_file():
        return True
    return any((folder / "checkpoints").glob("*"))


def _read(path: pathlib.Path) -> Run:
    advice = "delete it, or take its folder out of --runs"
    metrics = files.read_json(path / "metrics.json", METRICS, advice) or {}
    histories = {}
    for phase in PHASES:
        history = (metrics.get("phases") or {}).get(phase, {}).get("history")
        history = history or files.read_json(
            path / "checkpoints" / f"{phase}.history.json", _HISTORY, advice
        )
        if history:
            histories[phase] = history
    return Run(path, metrics, _flags(path / "flags.txt"), histories)


def _flags(path: pathlib.Path) -> dict[str, str]:
    """Returns the values in `flags.txt`, empty if there is none."""
    if not path.is_file():
        return {}
    with files.naming(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    given = {}
    for line in text.splitlines():
        if line.startswith("--"):
            name, equals, value = line[2:].partition("=")
            if equals:
                given[name] = value
            elif name.startswith("no"):
                given[name[2:]] = "false"
            else:
                given[name] = "true"
    return given


def _link(runs: list[Run]) -> None:
    """Finds the runs that others compare with or start from."""
    for run in runs:
        if run.path.parent.name == "compare":
            run.origin = _owner(run.path.parent.parent, runs)
        else:
            source = (run.metrics.get("run") or {}).get("source")
            source = source or run.flags.get("source")
            if source and not _is_evaluation(run):
                origin = _owner(files.located(source), runs, run)
                run.origin = origin if origin is not run else None


def _join(runs: list[Run]) -> None:
    """Hands what was measured later to the runs whose networks it is of."""
    for run in runs:
        for source, entry in _evaluations(run):
            owner, phase = _measured(source, run, runs)
            owner.evaluations.append((phase, entry))
        if (record := run.metrics.get("certify")) is not None:
            source = str(record.get("source") or run.path)
            owner, phase = _measured(source, run, runs)
            owner.certificates.append((phase, record, run.path))


def _measured(source: str, run: Run, runs: list[Run]) -> tuple[Run, str]:
    """Returns whose network a source is, the run itself if nobody's else."""
    path = files.located(source)
    owner = _owner(path, runs, run) or run
    if path.suffix == ".keras" and path.stem in PHASES:
        return owner, path.stem
    return owner, owner.last_phase or _EVALUATE


def _evaluations(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields what `trainers.evaluate` has measured, each with its source."""
    networks = run.metrics.get("networks") or {}
    checked = run.metrics.get("sanity") or {}
    for name, entry in networks.items():
        if "natural_accuracy" in entry:
            yield (
                str(entry.get("source") or run.path),
                entry | {"sanity": checked.get(name)},
            )
    alone = (run.metrics.get("phases") or {}).get(_EVALUATE)
    if alone and not networks:
        recorded = run.metrics.get("run") or {}
        own = recorded.get("source") if _is_evaluation(run) else None
        yield str(own or run.path), alone


def _is_evaluation(run: Run) -> bool:
    """Whether nothing was trained in a folder."""
    return not run.phases and not run.histories


def _owner(
    path: pathlib.Path, runs: list[Run], recorder: Run | None = None
) -> Run | None:
    """Returns the run in whose folder a path is.

    Args:
        path: The path. If it is relative and not of this working directory, it
            is taken as one of a folder above the run that recorded it.
        runs: All runs.
        recorder: That run.
    """
    path = path.expanduser()
    places = [path.resolve()]
    if recorder is not None:
        above = (each / path for each in recorder.path.resolve().parents)
        places += [each.resolve() for each in above if each.exists()]
    for place in places:
        owners = [r for r in runs if place.is_relative_to(r.path.resolve())]
        if owners:
            return max(owners, key=lambda run: len(run.path.parts))
    return None


def _failed(folder: pathlib.Path) -> list[str]:
    """Returns what is said of the cells of a sweep that failed."""
    sweep = files.read_json(folder / _SWEEP, dict, "delete it") or {}
    cells = sweep.get("cells") or ()
    if isinstance(cells, dict):
        cells = [{"name": name, **each} for name, each in cells.items()]
    return [
        f"{each.get('name')} failed: {each['error']}"
        for each in cells
        if isinstance(each, dict) and each.get("error")
    ]
