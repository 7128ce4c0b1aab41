"""The cells of a grid: their order, their names, their flags."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from absl import flags

from flags import preset_flags
from flags import sweep_flags
from hydra_tf.errors import InputError
from trainers.terminal.messages import in_flags

# What comes to it of files below has room within a path's 255 characters.
_LONGEST = 120


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One combination of the grid's values.

    Attributes:
        number: Its place in the grid, from 0.
        name: Its values, as a name for its folder.
        values: The value of each flag of the grid.
        flags: The values of all flags of its run that are given, by name;
            `--output_dir` is not among them.
    """

    number: int
    name: str
    values: dict[str, str]
    flags: dict[str, str]

    @property
    def words(self) -> list[str]:
        """Its command line, without program and `--output_dir`."""
        return [f"--{name}={value}" for name, value in self.flags.items()]

    def __str__(self) -> str:
        return f"cell {self.number} ({self.name})"


def cells(axes: Sequence[sweep_flags.Axis]) -> list[Cell]:
    """Returns the cells, the last axis varying fastest.

    Args:
        axes: The flags that vary. The others are those that are parsed now;
            afterwards the parsed flags are those of the last cell.

    Raises:
        InputError: If flags contradict each other in a cell, or two cells are
            the same.
    """
    common = given()
    combinations = [
        dict(zip([axis.flag for axis in axes], values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]
    found = []
    for number, (name, values) in enumerate(
        zip(_names(combinations), combinations, strict=True)
    ):
        cell = Cell(number, name, values, {})
        with blaming(cell):
            parse(list(_words(common, values)))
        found.append(dataclasses.replace(cell, flags=given()))
    _check_distinct(found)
    return found


@contextlib.contextmanager
def blaming(cell: Cell) -> Iterator[None]:
    """Says of which cell a user's mistake is that a block finds.

    Args:
        cell: The cell.
    """
    try:
        yield
    except (InputError, flags.Error) as error:
        raise InputError(f"{cell}: {in_flags(str(error))}") from error


def given() -> dict[str, str]:
    """Returns the parsed flags that were given and are of a run, as texts."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return {
        flag.name: _text(flag, flag.value)
        for module in sorted(by_module)
        if module.startswith("flags.")
        for flag in by_module[module]
        if flag.present
        and flag.value is not None
        and flag.name not in sweep_flags.OWN
    }


def default(name: str) -> str | None:
    """Returns the text of a flag's default, `None` if it has none."""
    if name not in flags.FLAGS or flags.FLAGS[name].default is None:
        return None
    return _text(flags.FLAGS[name], flags.FLAGS[name].default)


def parse(words: Sequence[str]) -> None:
    """Parses a command line in place of the one that was parsed before.

    Args:
        words: The command line without the program.
    """
    by_module = flags.FLAGS.flags_by_module_dict()
    for module in by_module:
        if module.startswith("flags."):
            for flag in by_module[module]:
                flag.unparse()
    flags.FLAGS([sys.argv[0], *words])


def _text(flag: flags.Flag, value: object) -> str:
    if flag.boolean:
        return str(value).lower()
    return flag.serializer.serialize(value)


def _words(
    common: Mapping[str, str], values: Mapping[str, str]
) -> Iterator[str]:
    """Yields a cell's command line: recipes first, what varies last."""
    if "preset" in values:
        yield from preset_flags.expand([f"--preset={values['preset']}"])
    for name, value in {**common, **values}.items():
        if name != "preset":
            yield f"--{name}={value}"


def _names(combinations: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns a name for each combination that a folder can have."""
    names = [
        "+".join(f"{flag}={safe(value)}" for flag, value in values.items())
        for values in combinations
    ]
    counts = Counter(names)
    return [
        name
        if counts[name] == 1 and len(name) <= _LONGEST
        else f"{name[:_LONGEST]}+{digest(repr(values))}"
        for name, values in zip(names, combinations, strict=True)
    ]


def safe(text: str) -> str:
    """Returns a text in characters that every file system takes."""
    return re.sub(r"[^\w.=-]+", "_", text, flags=re.ASCII)


def digest(text: str) -> str:
    """Returns a few characters that tell a text from others."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _check_distinct(found: Sequence[Cell]) -> None:
    seen: dict[frozenset, Cell] = {}
    for cell in found:
        first = seen.setdefault(frozenset(cell.flags.items()), cell)
        if first is not cell:
            raise InputError(
                f"--grid has {first} and {cell}, which are the same run; take "
                "one of the values out of it"
            )
