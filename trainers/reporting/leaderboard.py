"""The rows that the adversarial-pruning benchmark's tables take.

Piras et al., 2024, "Adversarial Pruning: A Survey and Benchmark of Pruning
Methods for Adversarial Robustness" (arXiv 2409.01249) compares networks by
clean accuracy and that under AutoAttack, for each architecture, data set,
structure (weights, filters or channels; US and S) and sparsity, and shows their
security curves under FMN.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import WEIGHT
from trainers.reporting.measured import AUTOATTACK
from trainers.reporting.measured import FMN
from trainers.reporting.networks import Network
from trainers.reporting.networks import Setup
from trainers.reporting.tables import Cell
from trainers.reporting.tables import Table
from trainers.terminal import startup

FILE = "leaderboard.tsv"
_STRUCTURES = {each: f"{each}s" for each in (WEIGHT, *STRUCTURED)}
_NORMS = {"linf": "Linf", "l2": "L2"}
# What the table of the page leaves to the file.
_FILE_ONLY = ("fmn_curve", "run")


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """The rows, and what is missing.

    Attributes:
        rows: A dictionary for each network with AutoAttack's figure;
            accuracies and sparsity in per cent, as the benchmark has them.
        missing: Runs without it.
        command: What adds it to the first of them, `None` if none is missing.
    """

    rows: list[dict[str, Any]]
    missing: list[str]
    command: str | None

    def tsv(self) -> str:
        """Returns the rows as tab-separated values."""
        lines = [list(self.rows[0])] + [
            ["" if each is None else str(each) for each in row.values()]
            for row in self.rows
        ]
        return "".join("\t".join(line) + "\n" for line in lines)

    @property
    def table(self) -> Table:
        """The rows as a table of the page."""
        header = [name for name in self.rows[0] if name not in _FILE_ONLY]
        return Table(
            "The benchmark's columns, in per cent. In its tables a network is "
            "clean/AutoAttack",
            [name.replace("_", " ") for name in header],
            [
                [
                    Cell("-")
                    if row[name] is None
                    else Cell(str(row[name]), row[name])
                    for name in header
                ]
                for row in self.rows
            ],
        ).without_empty_columns()


def make(setups: Sequence[Setup]) -> Leaderboard:
    """Returns the rows of the pruned networks."""
    networks = [
        network
        for setup in setups
        for group in setup.groups
        for network in group.networks
    ]
    without = [n for n in networks if AUTOATTACK not in n.figures.robust]
    return Leaderboard(
        [_row(n) for n in networks if AUTOATTACK in n.figures.robust],
        [network.run.name for network in without],
        command(without[0]) if without else None,
    )


def command(network: Network) -> str:
    """Returns the command that measures what a network's row lacks."""
    path = network.run.path
    return (
        f"{startup.program('evaluate')} "
        f"--flagfile={shlex.quote(str(path / 'flags.txt'))} "
        f"--source={shlex.quote(str(path))} "
        f"--eval_attacks={AUTOATTACK},{FMN}"
    )


def _row(network: Network) -> dict[str, Any]:
    run, figures = network.run, network.figures
    granularity = str(run.setting("granularity") or "weight")
    structure = _STRUCTURES.get(granularity, granularity)
    settings = figures.settings[AUTOATTACK]
    curve = figures.curves.get(FMN)
    clean = figures.clean[AUTOATTACK]
    data = (run.metrics.get("dataset") or {}).get("name")
    return {
        "name": network.variant,
        "architecture": run.setting("model"),
        "dataset": data or run.setting("dataset"),
        "structure": structure,
        "pruning": "S" if granularity in STRUCTURED else "US",
        "sparsity": _percent(1 - network.density),
        "clean": _percent(clean),
        "autoattack": _percent(figures.robust[AUTOATTACK]),
        "clean/autoattack": f"{100 * clean:.2f}/"
        f"{100 * figures.robust[AUTOATTACK]:.2f}",
        "fmn": _percent(_at(curve, settings, figures.robust.get(FMN))),
        "fmn_median_distance": None
        if curve is None or curve.get("median_distance") is None
        else round(curve["median_distance"], 5),
        "threat_model": _NORMS.get(settings.get("threat_model", "linf")),
        "epsilon": round(settings["epsilon"], 6),
        "images": figures.counts.get(AUTOATTACK),
        "seed": network.seed,
        "fmn_curve": None
        if curve is None
        else " ".join(
            f"{radius:.4g}:{100 * accuracy:.2f}"
            for radius, accuracy in zip(
                curve["radii"], curve["robust_accuracy"], strict=True
            )
        ),
        "run": run.path,
    }


def _at(curve: Any, settings: Any, measured: float | None) -> float | None:
    """Returns FMN's robust accuracy at AutoAttack's radius."""
    if measured is not None or curve is None:
        return measured
    return float(
        np.interp(settings["epsilon"], curve["radii"], curve["robust_accuracy"])
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 2)
