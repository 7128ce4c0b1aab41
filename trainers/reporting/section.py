"""A section of the page, its figures, and how they show what they are of."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainers.reporting.networks import DENSE
from trainers.reporting.networks import Group
from trainers.reporting.networks import Setup

_MOST_DENSITIES = 3


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: That of its PNG file, without suffix.
        title: What it shows.
        caption: How to read it.
        figure: The figure of matplotlib.
    """

    name: str
    title: str
    caption: str
    figure: Any


@dataclasses.dataclass(frozen=True)
class Section:
    """Figures about one thing.

    Attributes:
        name: Short name, of the link to it.
        title: Heading.
        text: What one sees.
        pictures: The figures, perhaps none.
        remarks: What is left out and why.
    """

    name: str
    title: str
    text: str
    pictures: list[Picture]
    remarks: list[str]


def extremes(targets: list[float]) -> list[float]:
    """Returns few densities: the densest, the sparsest, one in between."""
    if len(targets) <= _MOST_DENSITIES:
        return targets
    return [targets[0], targets[len(targets) // 2], targets[-1]]


def color(setup: Setup, group: Group) -> int:
    """Returns the number of a variant's colour, below 0 before pruning."""
    if group.variant == DENSE:
        return -1
    return setup.variants.index(group.variant)


def line(setup: Setup, group: Group) -> int:
    """Returns the number of a density's line style."""
    return setup.targets.index(group.target) if group.variant != DENSE else 0


def file_name(name: str) -> str:
    """Returns a name without what file names lack."""
    return "".join(each if each.isalnum() else "_" for each in name)


def file_name_of(target: float) -> str:
    """Returns a density as part of a file's name, `2_5` for 2.5 %."""
    return file_name(f"{100 * target:.3g}")
