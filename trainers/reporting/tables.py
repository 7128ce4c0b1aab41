"""The tables of a report: methods by density, formats, and all runs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from hydra_tf import text
from hydra_tf.registry.export import FORMATS
from trainers.model_card import formats_section
from trainers.plots import style
from trainers.reporting import measured
from trainers.reporting.networks import Setup
from trainers.reporting.networks import Statistic
from trainers.reporting.runs import Run


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it shows.
        value: What its column is sorted by, `None` where nothing is known.
        href: What it links to.
        note: What is shown when one points at it.
    """

    text: str
    value: float | str | None = None
    href: str | None = None
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: What it is of.
        header: Name of each column.
        rows: The cells.
    """

    caption: str
    header: list[str]
    rows: list[list[Cell]]

    def without_empty_columns(self) -> Table:
        """Returns the table without the columns that nothing is known in."""
        used = [
            index
            for index in range(len(self.header))
            if any(row[index].value is not None for row in self.rows)
        ]
        return Table(
            self.caption,
            [self.header[index] for index in used],
            [[row[index] for index in used] for row in self.rows],
        )


def methods(setup: Setup) -> Table:
    """Returns the table of methods by density, mean and deviation."""
    attacks = _names(setup, lambda each: each.figures.robust)
    proofs = _names(setup, lambda each: each.figures.certified)
    rows = [
        [
            Cell(group.variant, group.variant),
            Cell(style.density(group.target), group.target),
            _statistic(group.natural),
            *[_statistic(group.robust(attack)) for attack in attacks],
            *[_statistic(group.certified(proof)) for proof in proofs],
            Cell(f"{1 / group.density:.3g}×", 1 / group.density)
            if group.density
            else Cell("-"),
            Cell(str(len(group.networks)), len(group.networks)),
        ]
        for group in setup.everything
    ]
    return Table(
        f"Methods by density: {setup.name}. Mean ± standard deviation over "
        "seeds",
        [
            "method",
            "density",
            "natural",
            *[f"robust ({attack})" for attack in attacks],
            *[f"certified ({proof})" for proof in proofs],
            "compression",
            "seeds",
        ],
        rows,
    )


def runs(everything: Sequence[Run], folder: pathlib.Path) -> Table:
    """Returns the table of all runs.

    Args:
        everything: The runs.
        folder: Folder of the page, which links are relative to.
    """
    rows = []
    figures = {run: _last(run) for run in everything}
    attacks = list(
        dict.fromkeys(
            name
            for each in figures.values()
            if each is not None
            for name in each.robust
        )
    )
    for run in everything:
        found = figures[run]
        sparsity = run.metrics.get("sparsity") or {}
        exported = (run.metrics.get("artifacts") or {}).get("saved_model") or {}
        seconds = [
            epoch.get("seconds") or 0
            for history in run.histories.values()
            for epoch in history
        ]
        card = run.path / "README.md"
        rows.append(
            [
                Cell(run.name, run.name, link(run.path, folder) + "/"),
                Cell(run.state, run.state),
                _text(run.setting("method") if sparsity else None),
                _share(sparsity.get("density")),
                _text(run.setting("seed"), number=True),
                _share(
                    found.natural if found else None, found, measured.NATURAL
                ),
                *[
                    _share(
                        found.robust.get(attack) if found else None,
                        found,
                        attack,
                    )
                    for attack in attacks
                ],
                Cell(
                    text.size(exported.get("compressed_bytes")),
                    exported.get("compressed_bytes"),
                ),
                Cell(text.duration(sum(seconds)), sum(seconds))
                if seconds
                else Cell("-"),
                Cell("card", "card", link(card, folder))
                if card.is_file()
                else Cell("-"),
            ]
        )
    return Table(
        "All runs. Names link to the folders",
        [
            "run",
            "state",
            "method",
            "density",
            "seed",
            "natural",
            *[f"robust ({attack})" for attack in attacks],
            "compressed size",
            "training time",
            "model card",
        ],
        rows,
    ).without_empty_columns()


def formats(everything: Sequence[Run], folder: pathlib.Path) -> Table:
    """Returns the table of the formats that networks were exported in.

    Args:
        everything: The runs.
        folder: Folder of the page, which links are relative to.
    """
    batches = sorted(
        {
            time["batch_size"]
            for run in everything
            for entry in run.formats.values()
            for time in entry["latencies"]
        }
    )
    rows = []
    for run in everything:
        for name, entry in run.formats.items():
            times = {each["batch_size"]: each for each in entry["latencies"]}
            rows.append(
                [
                    Cell(run.name, run.name),
                    Cell(
                        FORMATS[name].title if name in FORMATS else name,
                        name,
                        link(run.path / entry["path"], folder),
                    ),
                    *[
                        Cell(text.size(entry[key]), entry[key])
                        for key in ("bytes", "compressed_bytes")
                    ],
                    *[_share(entry[key]) for key in formats_section.ACCURACIES],
                    *[_milliseconds(times.get(size)) for size in batches],
                ]
            )
    caption = "Exported files. Names of formats link to them"
    notes = list(
        dict.fromkeys(
            formats_section.note(run.formats)
            for run in everything
            if run.formats
        )
    )
    return Table(
        ". ".join([caption, *(note.rstrip(".") for note in notes)]),
        ["run", *formats_section.header(batches)],
        rows,
    )


def _milliseconds(time: Mapping[str, Any] | None) -> Cell:
    if time is None:
        return Cell("-")
    return Cell(
        f"{time['median']:.3g}",
        time["median"],
        note=f"95 % of calls: {time['p95']:.3g}",
    )


def link(path: pathlib.Path, folder: pathlib.Path) -> str:
    """Returns a path as a link from a page in a folder."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return urllib.parse.quote(pathlib.Path(relative).as_posix())


def _last(run: Run) -> measured.Figures | None:
    return measured.of(run, run.last_phase or "evaluate")


def _names(setup: Setup, of: Callable[[Any], Iterable[str]]) -> list[str]:
    return list(
        dict.fromkeys(
            name
            for group in setup.everything
            for network in group.networks
            for name in of(network)
        )
    )


def _statistic(statistic: Statistic | None) -> Cell:
    if statistic is None:
        return Cell("-")
    count = len(statistic.values)
    return Cell(
        str(statistic),
        statistic.mean,
        note=f"{count} seed{'' if count == 1 else 's'}",
    )


def _share(
    value: float | None,
    figures: measured.Figures | None = None,
    name: str = "",
) -> Cell:
    if value is None:
        return Cell("-")
    notes = []
    if figures is not None and figures.counts.get(name):
        notes.append(f"{figures.counts[name]} images")
    if figures is not None and name in figures.intervals:
        low, high = figures.intervals[name]
        notes.append(f"95 %: {100 * low:.1f} to {100 * high:.1f} %")
    return Cell(text.percent(value), value, note=", ".join(notes) or None)


def _text(value: Any, *, number: bool = False) -> Cell:
    if value is None:
        return Cell("-")
    try:
        return Cell(str(value), float(value) if number else str(value))
    except ValueError:
        return Cell(str(value), str(value))
