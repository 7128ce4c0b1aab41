"""What a setting is: its name, type, range, default and help, in one place."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of an entry of a registry: a keyword of its constructor.

    Attributes:
        name: Name of the argument.
        help: One sentence or more: meaning, unit, what the default is for.
        default: Value that stands where none is given. `None` is accepted as a
            value where it is the default.
        flag: Name of the command-line flag; by default `name`.
    """

    name: str
    help: str
    default: Any = None
    flag: str = ""

    @property
    def flag_name(self) -> str:
        """Name of the command-line flag."""
        return self.flag or self.name

    @property
    def range(self) -> str:
        """The values that are right, in words, such as `"a number >= 0"`."""
        return "a value"

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the right type and in range."""
        return True

    def check(self, value: Any) -> Any:
        """Returns a value that is right.

        Tensors and schedules are taken as they are: what they will be is not
        known here.

        Raises:
            InputError: If it is of another type or out of range.
        """
        if value is None and self.default is None:
            return value
        if isinstance(value, bool | numbers.Number | str | type(None)):
            if not self.accepts(value):
                raise self.error(value)
        return value

    def error(self, value: Any) -> InputError:
        """Returns the error that says what would be right."""
        return InputError(
            f"`{self.name}` must be {self.range}. Received: "
            f"{self.name}={value!r}{self.hint(value)}"
        )

    def hint(self, value: Any) -> str:
        """Returns what may have been meant, a sentence or nothing."""
        return ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number(Setting):
    """A finite number, on the command line also a ratio such as `8/255`.

    Attributes:
        lower: Least value, or `None`.
        upper: Greatest value, or `None`.
        exclude_lower: Whether `lower` itself is out of range.
        exclude_upper: Whether `upper` itself is out of range.
    """

    lower: float | None = None
    upper: float | None = None
    exclude_lower: bool = False
    exclude_upper: bool = False

    @property
    def range(self) -> str:
        if self.lower is not None and self.upper is not None:
            opening = "(" if self.exclude_lower else "["
            closing = ")" if self.exclude_upper else "]"
            return (
                f"a number in {opening}{self.lower:g}, {self.upper:g}{closing}"
            )
        if self.lower is not None:
            return (
                f"a number {'>' if self.exclude_lower else '>='} {self.lower:g}"
            )
        if self.upper is not None:
            return (
                f"a number {'<' if self.exclude_upper else '<='} {self.upper:g}"
            )
        return "a finite number"

    def accepts(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        number = float(value)
        above = self.lower is None or (
            number > self.lower if self.exclude_lower else number >= self.lower
        )
        below = self.upper is None or (
            number < self.upper if self.exclude_upper else number <= self.upper
        )
        return math.isfinite(number) and above and below


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count(Setting):
    """A whole number.

    Attributes:
        lower: Least value.
    """

    lower: int = 0

    @property
    def range(self) -> str:
        return f"a whole number >= {self.lower}"

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and int(value) >= self.lower
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of several names.

    Attributes:
        choices: The names.
    """

    choices: Sequence[str] = ()

    @property
    def range(self) -> str:
        return f"one of {', '.join(map(repr, self.choices))}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.choices

    def hint(self, value: Any) -> str:
        return f". {close_matches(str(value), self.choices)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """True or False."""

    @property
    def range(self) -> str:
        return "True or False"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Setting):
    """Any text."""

    @property
    def range(self) -> str:
        return "a text"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Number):
    """Several numbers, each in range; checked, they rise, each once."""

    @property
    def range(self) -> str:
        return f"numbers, each {super().range}"

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, Iterable)
            and not isinstance(value, str)
            and all(map(super().accepts, value))
        )

    def check(self, value: Any) -> Any:
        if value is None and self.default is None:
            return value
        if not self.accepts(value):
            raise self.error(value)
        return tuple(sorted({float(each) for each in value}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names(Choice):
    """Several of several names; without `choices`, any names."""

    @property
    def range(self) -> str:
        return "names" + (
            f" out of {', '.join(map(repr, self.choices))}"
            if self.choices
            else ""
        )

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Iterable) and not self._wrong(value)

    def check(self, value: Any) -> Any:
        if value is None and self.default is None:
            return value
        if isinstance(value, str):
            value = (value,)
        if not self.accepts(value):
            raise self.error(value)
        return tuple(value)

    def hint(self, value: Any) -> str:
        if not (self.choices and isinstance(value, Iterable)):
            return ""
        return super().hint(self._wrong(value)[0])

    def _wrong(self, value: Iterable[Any]) -> list[Any]:
        return [
            name
            for name in value
            if not isinstance(name, str)
            or (self.choices and name not in self.choices)
        ]
