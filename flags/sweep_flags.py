"""Flags of a sweep: the grid, and which of its cells run."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from flags import preset_flags
from flags.from_settings import define
from hydra_tf.errors import close_matches
from hydra_tf.registry.settings import Count

# What is the sweep's own; all other flags are those of its cells.
OWN = (
    "grid",
    "cell",
    "list_cells",
    "output_dir",
    "overwrite",
    "preset",
    "list_presets",
)


@dataclasses.dataclass(frozen=True)
class Axis:
    """A flag of the grid and the values that it takes there.

    Attributes:
        flag: Name of the flag.
        values: Its values as they were given, at least one.
    """

    flag: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        separator = ";" if any("," in value for value in self.values) else ","
        return f"{self.flag}={separator.join(self.values)}"


class _AxisParser(flags.ArgumentParser):
    """Parses a line of the grid, and checks it by the flag it is of."""

    syntactic_help = "a flag and its values, such as density=0.1,0.05"

    def flag_type(self) -> str:
        """Returns what the value is called in absl's help."""
        return "axis"

    def parse(self, argument: Any) -> Axis:
        """Returns the axis.

        Raises:
            ValueError: If there is no such flag, or it has no such values.
        """
        name, equals, text = argument.lstrip("-").partition("=")
        if not equals or not name:
            raise ValueError(f"must be {self.syntactic_help}")
        parse = _parser_of(name)
        values = [
            value.strip() for value in text.split(_separator(text, parse))
        ]
        if "" in values:
            raise ValueError(
                "has an empty value; values are separated by commas, lists by "
                "semicolons"
            )
        for value in values:
            try:
                parse(value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}={value}: {error}") from error
        return Axis(name, tuple(values))


def _parser_of(name: str) -> Any:
    """Returns what parses values of a flag of the cells."""
    if name == "preset":
        return _check_preset
    if name in OWN:
        raise ValueError(
            f"--{name} is of the whole sweep and the same for all cells"
        )
    by_module = flags.FLAGS.flags_by_module_dict()
    known = {
        flag.name: flag
        for module in by_module
        if module.startswith("flags.")
        for flag in by_module[module]
        if flag.name not in OWN
    }
    if name not in known:
        raise ValueError(
            f"there is no flag --{name}. {close_matches(name, known)}"
        )
    return known[name].parser.parse


def _check_preset(name: str) -> str:
    try:
        preset_flags.expand([f"--preset={name}"])
    except flags.Error as error:
        raise ValueError(str(error)) from error
    return name


def _separator(text: str, parse: Any) -> str:
    """Returns what separates values: commas, unless these are lists."""
    try:
        holds_list = isinstance(parse(text), list)
    except (TypeError, ValueError):
        holds_list = False
    return ";" if holds_list or ";" in text else ","


_GRID = flags.DEFINE_multi(
    _AxisParser(),
    flags.ArgumentSerializer(),
    "grid",
    None,
    "A flag and its values, such as --grid=density=0.1,0.05; once for each "
    "flag that varies. Every combination is a cell, the last flag varying "
    "fastest. "
    "Values that are lists themselves are separated by semicolons "
    "(--grid='eval_attacks=pgd;pgd,fgsm'), and those of preset are recipes. Of "
    "two lines for one flag the later wins",
)
_CELL = define(
    Count(
        name="cell",
        help="Number of the only cell to run, from 0, for the jobs of a "
        "cluster's array. By default all cells run, one after the other.",
    )
)
# `None`, so that no other binary's flagfile names it.
_LIST_CELLS = flags.DEFINE_bool(
    "list_cells",
    None,
    "Lists the cells with their numbers and states, and runs none.",
)


@dataclasses.dataclass(frozen=True)
class SweepSettings:
    """Which cells there are, and which of them run.

    Attributes:
        axes: The flags that vary, the last fastest.
        cell: Number of the only cell to run; `None` for all.
        lists: Whether the cells are listed only.
    """

    axes: tuple[Axis, ...]
    cell: int | None
    lists: bool


def sweep_from_flags() -> SweepSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If there is no grid.
    """
    if not _GRID.value:
        raise flags.ValidationError(
            "flag --grid: is required; give flags and their values, such as "
            "--grid=method=lwm,hydra --grid=seed=0,1,2"
        )
    # In the order in which the flags were first named.
    axes = {axis.flag: axis for axis in _GRID.value}
    return SweepSettings(
        axes=tuple(axes.values()),
        cell=_CELL.value,
        lists=bool(_LIST_CELLS.value),
    )
