"""What a reader sees first: the figures that count, and a few sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hydra_tf import text
from trainers.plots import style
from trainers.reporting import measured
from trainers.reporting.networks import Group
from trainers.reporting.networks import Setup
from trainers.reporting.runs import Run
from trainers.terminal import results


@dataclasses.dataclass(frozen=True)
class Headline:
    """A figure on top of the page.

    Attributes:
        figure: The figure.
        meaning: What it is.
    """

    figure: str
    meaning: str


def headlines(setups: Sequence[Setup], runs: Sequence[Run]) -> list[Headline]:
    """Returns the figures that count most."""
    found = []
    finished = sum(run.is_finished for run in runs)
    found.append(
        Headline(
            str(len(runs)),
            f"run{'' if len(runs) == 1 else 's'}, {finished} finished",
        )
    )
    for setup in setups[:2]:
        where = f" ({setup.name})" if len(setups) > 1 else ""
        sparsest = setup.targets[-1:]
        if sparsest and setup.attack:
            best = _best(setup, sparsest[0])
            if best:
                found.append(
                    Headline(
                        str(best.robust(setup.attack)),
                        f"robust under {setup.attack} at "
                        f"{style.density(sparsest[0])} of the weights, "
                        f"{best.variant}{where}",
                    )
                )
        if setup.dense and setup.attack and setup.dense.robust(setup.attack):
            found.append(
                Headline(
                    str(setup.dense.robust(setup.attack)),
                    f"robust under {setup.attack} before pruning{where}",
                )
            )
    return found


def sentences(setup: Setup) -> list[str]:
    """Returns what one sees of a setup, a sentence for each density."""
    found = []
    attack = setup.attack
    if attack is None:
        return ["No attack was measured; only natural accuracy is known."]
    for target in setup.targets:
        groups = sorted(
            (each for each in setup.at(target) if each.robust(attack)),
            key=lambda each: -_mean(each, attack),
        )
        if not groups:
            continue
        first, *others = groups
        sentence = (
            f"With {style.density(target)} of the weights, {first.variant} "
            f"has {first.robust(attack)} robust accuracy under {attack}"
            f"{_seeds(first, attack)}"
        )
        if others:
            last = others[-1]
            gap = 100 * (_mean(first, attack) - _mean(last, attack))
            within = _within(first, last, attack)
            sentence += (
                f", {gap:.1f} points more than {last.variant} "
                f"({last.robust(attack)})"
                + (
                    ": no more than their deviations over seeds"
                    if within
                    else ""
                )
            )
        found.append(sentence + ".")
    if setup.dense and (dense := setup.dense.robust(attack)):
        found.append(
            f"Before pruning it is {dense}, with a natural accuracy of "
            f"{setup.dense.natural}."
        )
    return found


def dataset_line(setup: Setup) -> str:
    """Returns on how many images was measured, and what on others."""
    counts: dict[str, set[int]] = {}
    for group in setup.everything:
        for network in group.networks:
            for name, count in network.figures.counts.items():
                if count is not None:
                    counts.setdefault(name, set()).add(count)
    usual = counts.pop(measured.NATURAL, None)
    if not usual:
        return ""
    others: dict[str, list[str]] = {}
    for name, found in counts.items():
        if found != usual:
            others.setdefault(_either(found), []).append(name)
    return (
        f"Measured on {_either(usual)} test images"
        + "".join(
            f", under {' and '.join(names)} on {images}"
            for images, names in others.items()
        )
        + "."
    )


def doubts(runs: Sequence[Run]) -> list[str]:
    """Returns what speaks against believing figures, a line for each.

    Args:
        runs: The runs, with what attacks warned of and sanity checks found.
    """
    found = []
    for run in runs:
        entries = [*run.phases.items(), *run.evaluations]
        for phase, entry in entries:
            name = f"{run.name}, {phase}"
            found += results.warnings([(name, entry, {})])
            found += [
                f"failed check: {name}, {check['name'].replace('_', ' ')}: "
                f"{check['finding']}"
                for check in (entry.get("sanity") or {}).get("checks") or ()
                if not check["passed"]
            ]
    return list(dict.fromkeys(found))


def _either(counts: set[int]) -> str:
    return " or ".join(text.number(each) for each in sorted(counts))


def _best(setup: Setup, target: float) -> Group | None:
    attack = setup.attack or ""
    groups = [each for each in setup.at(target) if each.robust(attack)]
    return max(groups, key=lambda each: _mean(each, attack), default=None)


def _mean(group: Group, attack: str) -> float:
    found = group.robust(attack)
    return found.mean if found else 0.0


def _seeds(group: Group, attack: str) -> str:
    found = group.robust(attack)
    count = len(found.values) if found else 0
    return f" ({count} seeds)" if count > 1 else ""


def _within(first: Group, last: Group, attack: str) -> bool:
    """Whether two means differ by no more than their deviations."""
    statistics = [first.robust(attack), last.robust(attack)]
    deviations = [each.deviation for each in statistics if each]
    if None in deviations:
        return False
    gap = _mean(first, attack) - _mean(last, attack)
    return gap <= sum(deviations)  # type: ignore[arg-type]
