"""Kinds of flags that absl does not have: bounded fractions and names.

A wrong value is answered in one line that says what would be right.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence

from absl import flags

# The families' modules own the flags that they define through this one.
flags.disclaim_key_flags()

_RATIO = re.compile(r"^\s*([^/\s]+)\s*/\s*([^/\s]+)\s*$")


class NumberParser(flags.ArgumentParser):
    """Parses a float, also written as a ratio such as `8/255`.

    Args:
        lower: Least value, or `None`.
        upper: Greatest value, or `None`.
        exclude_lower: Whether `lower` itself is refused.
        exclude_upper: Whether `upper` itself is refused.
        hint: What the number means, appended to the message.
    """

    syntactic_help = "a number or a ratio such as 8/255"

    def __init__(
        self,
        lower: float | None = None,
        upper: float | None = None,
        *,
        exclude_lower: bool = False,
        exclude_upper: bool = False,
        hint: str = "",
    ):
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.exclude_lower = exclude_lower
        self.exclude_upper = exclude_upper
        self.hint = hint

    def flag_type(self) -> str:
        return "number"

    def parse(self, argument: str | float) -> float:
        """Returns the number.

        Raises:
            ValueError: If it is not a finite number in range.
        """
        value = self._number(argument)
        below = self.lower is not None and (
            value <= self.lower if self.exclude_lower else value < self.lower
        )
        above = self.upper is not None and (
            value >= self.upper if self.exclude_upper else value > self.upper
        )
        if not math.isfinite(value) or below or above:
            raise ValueError(f"must be {self._range()}{self._hint()}")
        return value

    def _number(self, argument: str | float) -> float:
        if isinstance(argument, bool):
            raise ValueError(f"must be {self._range()}{self._hint()}")
        try:
            ratio = (
                _RATIO.match(argument) if isinstance(argument, str) else None
            )
            if ratio:
                return float(ratio.group(1)) / float(ratio.group(2))
            return float(argument)
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f"must be a number or a ratio such as 8/255, "
                f"{self._range()}{self._hint()}"
            ) from None

    def _range(self) -> str:
        bracket = "(" if self.exclude_lower else "["
        if self.lower is not None and self.upper is not None:
            closing = ")" if self.exclude_upper else "]"
            return f"in {bracket}{self.lower:g}, {self.upper:g}{closing}"
        if self.lower is not None:
            word = "above" if self.exclude_lower else "at least"
            return f"{word} {self.lower:g}"
        if self.upper is not None:
            return f"at most {self.upper:g}"
        return "finite"

    def _hint(self) -> str:
        return f", {self.hint}" if self.hint else ""


class NumbersParser(NumberParser):
    """Parses a comma-separated list of numbers, each as `NumberParser`.

    They are returned in rising order, each once.
    """

    syntactic_help = "numbers or ratios such as 1/255,2/255"

    def flag_type(self) -> str:
        return "list of numbers"

    def parse(  # type: ignore[override]
        self, argument: str | Sequence[float]
    ) -> list[float]:
        """Returns the numbers as a list.

        Raises:
            ValueError: If one of them is not a finite number in range.
        """
        parts: Sequence[str | float] = (
            argument.split(",") if isinstance(argument, str) else argument
        )
        parse_number = super().parse
        return sorted({parse_number(part) for part in parts})


class CountParser(flags.ArgumentParser):
    """Parses a whole number.

    Args:
        lower: Least value.
        upper: Greatest value.
    """

    syntactic_help = "a whole number"

    def __init__(self, lower: int = 0, upper: int = 2**31 - 1):
        super().__init__()
        self.lower = lower
        self.upper = upper

    def flag_type(self) -> str:
        return "count"

    def parse(self, argument: str | int) -> int:
        """Returns the number.

        Raises:
            ValueError: If it is not a whole number in range.
        """
        try:
            value = int(str(argument))
        except ValueError:
            value = self.lower - 1
        if not self.lower <= value <= self.upper:
            raise ValueError(
                f"must be a whole number, at least {self.lower}"
                + (f" and at most {self.upper}" if value > self.upper else "")
            )
        return value


class NameParser(flags.ArgumentParser):
    """Parses one of several names.

    Args:
        names: The valid names.
        or_else: What else is valid, in words, when `accepts` is given.
        accepts: Callable that tells whether another string is valid too.
    """

    def __init__(self, names: Sequence[str], or_else: str = "", accepts=None):
        super().__init__()
        self.names = tuple(names)
        self.or_else = or_else
        self.accepts = accepts
        self.syntactic_help = f"one of {', '.join(self.names)}"

    def flag_type(self) -> str:
        return "name"

    def parse(self, argument: str) -> str:
        """Returns the name.

        Raises:
            ValueError: If it is not a valid one.
        """
        if argument in self.names or (self.accepts and self.accepts(argument)):
            return argument
        matches = difflib.get_close_matches(
            str(argument).lower(), self.names, n=3
        )
        hint = (
            f" Did you mean {' or '.join(repr(name) for name in matches)}?"
            if matches
            else ""
        )
        other = f" or {self.or_else}" if self.or_else else ""
        raise ValueError(
            f"must be one of {', '.join(self.names)}{other}.{hint}"
        )


class NamesParser(NameParser):
    """Parses a comma-separated list of names, each at most once."""

    def flag_type(self) -> str:
        return "list of names"

    def parse(  # type: ignore[override]
        self, argument: str | Sequence[str]
    ) -> list[str]:
        """Returns the names as a list.

        Raises:
            ValueError: If one of them is not valid.
        """
        if isinstance(argument, str):
            argument = [part.strip() for part in argument.split(",")]
        parse_name = super().parse
        return list(
            dict.fromkeys(parse_name(part) for part in argument if part)
        )


def DEFINE_number(  # noqa: N802
    name: str,
    default: float | None,
    help: str,
    *,
    lower: float | None = None,
    upper: float | None = None,
    exclude_lower: bool = False,
    exclude_upper: bool = False,
    hint: str = "",
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for a float, see `NumberParser`."""
    parser = NumberParser(
        lower,
        upper,
        exclude_lower=exclude_lower,
        exclude_upper=exclude_upper,
        hint=hint,
    )
    return flags.DEFINE(
        parser,
        name,
        default,
        help,
        flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def DEFINE_numbers(  # noqa: N802
    name: str,
    default: Sequence[float] | None,
    help: str,
    *,
    lower: float | None = None,
    upper: float | None = None,
    hint: str = "",
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for a comma-separated list, see `NumbersParser`."""
    return flags.DEFINE(
        NumbersParser(lower, upper, hint=hint),
        name,
        None if default is None else list(default),
        help,
        flag_values,
        serializer=flags.CsvListSerializer(","),
    )


def DEFINE_count(  # noqa: N802
    name: str,
    default: int | None,
    help: str,
    *,
    lower: int = 0,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for a whole number, see `CountParser`."""
    return flags.DEFINE(
        CountParser(lower),
        name,
        default,
        help,
        flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def DEFINE_name(  # noqa: N802
    name: str,
    default: str | None,
    names: Sequence[str],
    help: str,
    *,
    or_else: str = "",
    accepts=None,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for one of several names, see `NameParser`."""
    return flags.DEFINE(
        NameParser(names, or_else, accepts),
        name,
        default,
        help,
        flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def DEFINE_names(  # noqa: N802
    name: str,
    default: Sequence[str] | None,
    names: Sequence[str],
    help: str,
) -> flags.FlagHolder:
    """Defines a flag for a comma-separated list, see `NamesParser`."""
    return flags.DEFINE(
        NamesParser(names),
        name,
        None if default is None else list(default),
        help,
        serializer=flags.CsvListSerializer(","),
    )
