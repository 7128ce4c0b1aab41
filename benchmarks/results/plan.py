"""Which cells a study needs, and which of them can be trained now."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from benchmarks.results.methods import DENSE
from benchmarks.results.methods import UNPRUNED
from benchmarks.results.methods import Method
from benchmarks.results.rows import NOT_PRETRAINED
from benchmarks.results.rows import Cell
from benchmarks.results.rows import Row
from benchmarks.results.rows import as_settings
from hydra_tf.errors import InputError

# A value whose robust accuracy over the first seeds is this far behind the best
# one's is not tried with the others.
RACE = 0.04


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is wanted.

    Attributes:
        study: Name of the study.
        network: Name of the network.
        objective: Name of the objective.
        purpose: `"selection"` or `"final"`.
        epochs: Of pretrain, prune and finetune phase.
        methods: The methods.
        densities: Their densities.
        seeds: The seeds.
    """

    study: str
    network: str
    objective: str
    purpose: str
    epochs: tuple[int, int, int]
    methods: Sequence[Method]
    densities: Sequence[float]
    seeds: Sequence[int]

    def ready(self, rows: Iterable[Row]) -> list[Cell]:
        """Returns the cells that can be trained now, in this order.

        Args:
            rows: Those that are done.

        Raises:
            InputError: If a final cell's settings were not selected.
        """
        rows = list(rows)
        done = {row.cell: row for row in rows}
        wanted = [self._unpruned(seed) for seed in self.seeds]
        for method in self.methods:
            for density in self._densities(method):
                if self.purpose == "final":
                    settings = self._chosen(method, density, rows)
                    wanted += self._cells(method, density, settings)
                else:
                    wanted += self._trials(method, density, done)
        left = [cell for cell in dict.fromkeys(wanted) if cell not in done]
        # One seed after the other, so that what is there can be compared.
        return sorted(left, key=lambda cell: cell.seed)

    def _densities(self, method: Method) -> Sequence[float]:
        return (1.0,) if method.name == DENSE else self.densities

    def _cell(self, **fields: Any) -> Cell:
        return Cell(
            study=self.study,
            network=self.network,
            objective=self.objective,
            purpose=self.purpose,
            **fields,
        )

    def _unpruned(self, seed: int) -> Cell:
        return self._cell(
            method=UNPRUNED,
            density=1.0,
            seed=seed,
            settings="{}",
            epochs=f"{self.epochs[0]}+0+0",
        )

    def _cells(self, method: Method, density: float, settings: str):
        """Returns the cells of a method with settings, one for each seed."""
        epochs = "+".join(map(str, method.phases(self.epochs)))
        return [
            self._cell(
                method=method.name,
                density=density,
                seed=seed,
                settings=settings,
                epochs=epochs,
            )
            for seed in self.seeds
        ]

    def _trials(
        self, method: Method, density: float, done: dict[Cell, Row]
    ) -> list[Cell]:
        """Returns the cells of the setting that is being chosen."""
        best = {name: values[0] for name, values in method.tried.items()}
        for name, values in method.rounds:
            trials = {
                value: self._cells(
                    method, density, as_settings({**best, name: value})
                )
                for value in values
            }
            for position in range(len(self.seeds)):
                cells = [cells[position] for cells in trials.values()]
                if any(cell not in done for cell in cells):
                    return cells
                scores = {
                    value: _score(done[cell] for cell in cells[: position + 1])
                    for value, cells in trials.items()
                }
                best[name] = max(scores, key=lambda value: scores[value])
                least = scores[best[name]][0] - RACE
                trials = {
                    value: cells
                    for value, cells in trials.items()
                    if scores[value][0] >= least
                }
        return []

    def _chosen(self, method: Method, density: float, rows: list[Row]) -> str:
        """Returns the settings that were best on held-out images.

        Those with another network if none were tried with this one, with
        another objective if none were tried with it, those of the nearest
        density if none were tried at this one. Settings with which
        training on all images has failed are passed over. So is a radius at
        which pretraining has failed, and one at which the method has
        overfitted to the attack of training, with this network.
        """
        epochs = "+".join(map(str, method.phases(self.epochs)))
        final = [
            row
            for row in rows
            if (row.purpose, row.network, row.objective)
            == ("final", self.network, self.objective)
        ]
        failed = {
            row.settings
            for row in final
            if row.failed
            and (row.method, row.density) == (method.name, density)
        }
        not_pretrained = {
            (row.phases[0], row.radius)
            for row in final
            if row.note == NOT_PRETRAINED
        }
        overfitted = {
            row.radius
            for row in final
            if row.has_overfitted and row.method == method.name
        }
        tried: dict[tuple[str, str, float], list[Row]] = {}
        for row in rows:
            if (
                row.purpose == "selection"
                and row.settings not in failed
                and (row.phases[0], row.radius) not in not_pretrained
                and row.radius not in overfitted
                and (row.method, row.epochs) == (method.name, epochs)
            ):
                place = row.network, row.objective, row.density
                tried.setdefault(place, []).append(row)

        def distance(place: tuple[str, str, float]) -> tuple[bool, bool, float]:
            network, objective, each = place
            return (
                network != self.network,
                objective != self.objective,
                max(each / density, density / each),
            )

        if not tried:
            raise InputError(
                f"no settings were selected for {method.name}, or all of them "
                "failed: give --select"
            )
        return best_settings(tried[min(tried, key=distance)])


def best_settings(rows: Iterable[Row]) -> str:
    """Returns the settings with the highest mean, of those with most seeds.

    Args:
        rows: Of one method at one density.
    """
    by_settings: dict[str, dict[int, Row]] = {}
    for row in rows:
        by_settings.setdefault(row.settings, {})[row.seed] = row
    return max(
        by_settings,
        key=lambda each: (
            len(by_settings[each]),
            _score(by_settings[each].values()),
        ),
    )


def _score(rows: Iterable[Any]) -> tuple[float, float]:
    """Returns what is to be high: robust accuracy, then natural accuracy."""
    rows = list(rows)
    return (
        statistics.mean(row.worst for row in rows),
        statistics.mean(row.natural for row in rows),
    )
