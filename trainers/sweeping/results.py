"""The figures of a sweep's cells: a row for each, and means over seeds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from collections.abc import Sequence

from hydra_tf import text
from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from trainers.run.folder import RunFolder

NATURAL = "natural"
ACHIEVED = "achieved_density"


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of a cell.

    Attributes:
        name: Its name, the path of its run in the sweep's folder.
        values: The value of each flag of the grid.
        state: How far it is.
        figures: What `of_run` returns.
    """

    name: str
    values: Mapping[str, str]
    state: str
    figures: Mapping[str, float]


def of_run(folder: RunFolder) -> dict[str, float]:
    """Returns the figures of a finished run, empty if there are none.

    They are its last network's `natural`, `robust.<attack>` and
    `certified.<proof>` accuracy in [0, 1], and the `achieved_density`.

    Args:
        folder: The run's folder.
    """
    try:
        metrics = folder.read_metrics()
    except InputError:
        # Its own process says what to do about a damaged file.
        return {}
    phases = metrics.get("phases", {})
    last = [name for name in PHASES if name in phases][-1:]
    if not last or "sparsity" not in metrics:
        return {}
    entry = phases[last[0]]
    kinds = {"robust": "robust_accuracy", "certified": "certified_accuracy"}
    return {
        NATURAL: entry["natural_accuracy"],
        **{
            f"{kind}.{name}": value
            for kind, key in kinds.items()
            for name, value in (entry.get(key) or {}).items()
            if value is not None
        },
        ACHIEVED: metrics["sparsity"]["density"],
    }


def as_tsv(rows: Sequence[Row]) -> str:
    """Returns a line for each cell, below a header; fractions are in [0, 1].

    Args:
        rows: The cells in the order of the grid.
    """
    axes, figures = _columns(rows)
    lines = [["cell", *axes, "state", *figures, "path"]]
    for number, row in enumerate(rows):
        lines.append(
            [
                str(number),
                *[row.values.get(axis, "") for axis in axes],
                row.state,
                *[f"{row.figures.get(name, '')}" for name in figures],
                row.name,
            ]
        )
    return "".join("\t".join(line) + "\n" for line in lines)


def means(rows: Sequence[Row]) -> str:
    """Returns a table of means and standard deviations over seeds, in %.

    Args:
        rows: The cells; those without figures are left out.
    """
    measured = [row for row in rows if row.figures]
    axes, figures = _columns(measured)
    axes = [axis for axis in axes if axis != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in measured:
        key = tuple(row.values.get(axis, "") for axis in axes)
        groups.setdefault(key, []).append(row)
    header = [*axes, "runs", *map(_title, figures)]
    return text.table(
        header,
        [
            [
                *key,
                str(len(group)),
                *[
                    _mean(
                        [
                            row.figures[name]
                            for row in group
                            if name in row.figures
                        ]
                    )
                    for name in figures
                ],
            ]
            for key, group in groups.items()
        ],
    )


def _columns(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Returns the flags of the grid and the figures, in their order."""
    axes = dict.fromkeys(name for row in rows for name in row.values)
    found = dict.fromkeys(name for row in rows for name in row.figures)
    found.pop(ACHIEVED, None)
    return list(axes), [*found, ACHIEVED]


def _title(figure: str) -> str:
    kind, _, name = figure.partition(".")
    return f"{kind} ({name})" if name else kind.replace("_", " ")


def _mean(values: Sequence[float]) -> str:
    if not values:
        return text.UNKNOWN
    shown = text.percent(statistics.mean(values))
    if len(values) == 1:
        return shown
    deviation = 100 * statistics.stdev(values)
    return f"{shown.removesuffix(' %')} +- {deviation:.1f} %"
