"""The raw figures: a line for each cell, in `<study>.tsv` beside this file."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from hydra_tf.errors import InputError

FOLDER = pathlib.Path(__file__).resolve().parent

# The setting that is not the method's but the objective's.
RADIUS = "radius"


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """What is trained and measured in one piece.

    Attributes:
        study: Name of the study.
        network: Name of the network.
        objective: Name of the objective.
        purpose: `"selection"` or `"final"`.
        method: Name of the method.
        density: Target, 1 for networks that are not pruned.
        seed: Seed.
        settings: The method's settings, and the radius of training where it is
            another than that of measurement; JSON with sorted keys.
        epochs: Of pretrain, prune and finetune phase, joined by `+`.
    """

    study: str
    network: str
    objective: str
    purpose: str
    method: str
    density: float
    seed: int
    settings: str
    epochs: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The method's settings by name."""
        found: dict[str, Any] = json.loads(self.settings)
        found.pop(RADIUS, None)
        return found

    @property
    def radius(self) -> float | None:
        """The radius of training; None is that of measurement."""
        found: float | None = json.loads(self.settings).get(RADIUS)
        return found

    @property
    def phases(self) -> tuple[int, ...]:
        """The epochs of the three phases."""
        return tuple(int(each) for each in self.epochs.split("+"))


# A network whose accuracy is not above this (of ten classes) has learned
# nothing, which its training images show as well.
CHANCE = 0.15
# One whose robust accuracy is below this has overfitted to the attack that it
# was trained with: a constant network withstands any on a tenth of the images.
OVERFITTED = 0.05
# The note of a cell that has no pretrained network: all initial weights that
# were tried stay at chance.
NOT_PRETRAINED = "pretraining stays at chance"


@dataclasses.dataclass(frozen=True)
class Row(Cell):
    """A cell and what was measured.

    Attributes:
        kept: Density found, the share of the prunable weights that are not 0.
        train_seconds: CPU seconds of training, without pretraining.
        measure_seconds: CPU seconds of the measurement.
        natural: Accuracy.
        robust: Accuracy under each attack and, as `"all"`, under the worst of
            them for each image; JSON.
        images: Number of images measured.
        commit: The code's, with a `+` if it was changed since.
        note: What else there is to say, such as `"diverged"`.
    """

    kept: float
    train_seconds: float
    measure_seconds: float
    natural: float
    robust: str
    images: int
    commit: str
    note: str = ""

    @property
    def cell(self) -> Cell:
        """What was measured."""
        return Cell(
            **{
                each.name: getattr(self, each.name)
                for each in dataclasses.fields(Cell)
            }
        )

    @property
    def failed(self) -> bool:
        """Whether a phase diverged, ended at chance or overfitted."""
        return bool(self.note) or self.natural <= CHANCE or self.has_overfitted

    @property
    def has_overfitted(self) -> bool:
        """Whether the network withstands the attack of training alone."""
        return self.natural > CHANCE and self.worst < OVERFITTED

    @property
    def worst(self) -> float:
        """Robust accuracy under all attacks together."""
        return float(json.loads(self.robust)["all"])


_COLUMNS = [each.name for each in dataclasses.fields(Row)]
_NUMBERS = {"int": int, "float": float}
_TYPES = {
    each.name: _NUMBERS.get(str(each.type), str)
    for each in dataclasses.fields(Row)
}


def as_settings(values: Mapping[str, Any]) -> str:
    """Returns settings as the text of a cell, without those that are None."""
    given = {name: each for name, each in values.items() if each is not None}
    return json.dumps(given, sort_keys=True)


def path_of(study: str) -> pathlib.Path:
    """Returns where the rows of a study are."""
    return FOLDER / f"{study}.tsv"


def read(path: str | os.PathLike) -> list[Row]:
    """Returns all rows of a file; none if there is no such file.

    Raises:
        InputError: If it is no table of rows.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, **_FORMAT))
    if lines[:1] != [_COLUMNS]:
        raise InputError(f"{path} must begin with the columns {_COLUMNS}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        try:
            cells = zip(_COLUMNS, line, strict=True)
            rows.append(Row(**{name: _TYPES[name](c) for name, c in cells}))
        except ValueError:
            raise InputError(
                f"{path}, line {number}, is no row: delete it"
            ) from None
    return rows


def append(path: str | os.PathLike, row: Row) -> None:
    """Adds a row to a file, which gets its header if it is new."""
    path = pathlib.Path(path)
    is_new = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, **_FORMAT)
        if is_new:
            writer.writerow(_COLUMNS)
        writer.writerow(dataclasses.astuple(row))


_FORMAT: dict[str, Any] = {
    "delimiter": "\t",
    "quoting": csv.QUOTE_NONE,
    "quotechar": None,
    "lineterminator": "\n",
}
