"""What a setting is: its name, type, range, default and help, in one place."""

from __future__ import annotations

import ast
import dataclasses
import math
import numbers
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches

# Of what TensorFlow computes with in int32.
_LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of an entry of a registry: a keyword of its constructor.

    Attributes:
        name: Name of the argument.
        help: One sentence or more: meaning, unit, what the default is for.
        default: Value that stands where none is given. `None` is accepted as a
            value where it is the default.
        flag: Name of the command-line flag, by default `name`; `None` for a
            setting of the constructor alone.
    """

    name: str
    help: str
    default: Any = None
    flag: str | None = ""

    @property
    def flag_name(self) -> str | None:
        """Name of the command-line flag, `None` if there is none."""
        return self.name if self.flag == "" else self.flag

    @property
    def range(self) -> str:
        """The values that are right, in words, such as `"a number >= 0"`."""
        return "a value"

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the right type and in range."""
        return True

    def is_open(self, value: Any) -> bool:
        """Whether a value cannot be checked, being known later only."""
        return False

    def check(self, value: Any) -> Any:
        """Returns a value that is right.

        Tensors, and schedules of numbers, are returned unchecked: what they
        will be is not known here.

        Raises:
            InputError: If it is of another type or out of range.
        """
        if value is None and self.default is None or self.is_open(value):
            return value
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

    def parse(self, text: str) -> Any:
        """Returns the value that a text on the command line stands for.

        A text that stands for none is returned as it is, for `accepts` to
        refuse.
        """
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Numeric(Setting):
    """What may also be a tensor or a schedule."""

    def is_open(self, value: Any) -> bool:
        return not isinstance(value, numbers.Number) and (
            hasattr(value, "dtype") or callable(value)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number(_Numeric):
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

    def parse(self, text: str) -> Any:
        numerator, slash, denominator = text.partition("/")
        try:
            return float(numerator) / (float(denominator) if slash else 1.0)
        except (ValueError, ZeroDivisionError):
            return text

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
class Fraction(Number):
    """A part of a whole, for which per cent are easily given."""

    lower: float | None = 0
    upper: float | None = 1

    def hint(self, value: Any) -> str:
        try:
            percent = float(str(value).removesuffix("%"))
        except ValueError:
            return ""
        fraction = percent / 100
        if percent < 1 or not self.accepts(fraction):
            return ""
        return f". {percent:g} % is {fraction:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Radius(Number):
    """A length in the space of images: how far perturbations may go.

    In the maximum norm no two images are farther apart than their range.
    """

    lower: float | None = 0

    def check_within(
        self,
        value: Any,
        threat_model: str,
        clip: tuple[Any, Any] | None = (0.0, 1.0),
    ) -> Any:
        """Returns a value that is right for images of a range.

        Args:
            value: The radius.
            threat_model: `"linf"` or `"l2"`.
            clip: Least and largest value of a pixel, or `None`.

        Raises:
            InputError: If it is no radius, or any image lies within it.
        """
        return self.within(threat_model, clip).check(self.check(value))

    def within(
        self, threat_model: str, clip: tuple[Any, Any] | None = (0.0, 1.0)
    ) -> Radius:
        """Returns the setting for images of a range; see `check_within`."""
        if (
            threat_model != "linf"
            or clip is None
            or not all(isinstance(each, numbers.Real) for each in clip)
        ):
            return self
        return dataclasses.replace(self, upper=float(clip[1] - clip[0]))

    @property
    def range(self) -> str:
        if self.upper is None:
            return super().range
        return f"{super().range} with threat_model=linf, as images are"

    def hint(self, value: Any) -> str:
        is_number = isinstance(value, numbers.Real)
        if self.upper != 1 or not (is_number and 1 < float(value) <= 255):
            return ""
        return f". For {value:g} of 255 levels pass {value:g}/255"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count(_Numeric):
    """A whole number.

    Attributes:
        lower: Least value.
    """

    lower: int = 0

    def parse(self, text: str) -> Any:
        try:
            return int(text)
        except ValueError:
            return text

    @property
    def range(self) -> str:
        return f"a whole number >= {self.lower}"

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and self.lower <= int(value) <= _LARGEST
        )

    def hint(self, value: Any) -> str:
        too_large = isinstance(value, int) and value > _LARGEST
        return f". At most {_LARGEST} is possible" if too_large else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of several names.

    Attributes:
        choices: The names.
    """

    choices: Sequence[str] = ()

    def parse(self, text: str) -> Any:
        return text

    @property
    def range(self) -> str:
        return f"one of {', '.join(map(repr, self.choices))}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.choices

    def hint(self, value: Any) -> str:
        matches = close_matches(str(value), self.choices)
        # The range has all of them already.
        return f". {matches}" if matches.startswith("Did you") else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenChoice(Choice):
    """One of several names, or another value of a known form.

    What is no text or number, such as a mapping, is for its reader to check.

    Attributes:
        others: Predicate of the other values.
        or_else: What they are, in words, such as `"a .json file"`.
    """

    others: Callable[[Any], bool]
    or_else: str

    @property
    def range(self) -> str:
        return f"{super().range}, or {self.or_else}"

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) or self.others(value)

    def parse(self, text: str) -> Any:
        # One of the others may be a number.
        number = Number(name=self.name, help="").parse(text)
        return number if self.others(number) else text

    def is_open(self, value: Any) -> bool:
        return not isinstance(value, str | numbers.Number)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """True or False."""

    def parse(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text.lower(), text)

    @property
    def range(self) -> str:
        return "True or False"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Setting):
    """Any text."""

    def parse(self, text: str) -> Any:
        return text

    @property
    def range(self) -> str:
        return "a text"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits(Setting):
    """A pair, the least and the largest value, or `None` for no limits.

    Checked, it is a tuple; a file returns a list.
    """

    def check(self, value: Any) -> Any:
        checked = super().check(value)
        return tuple(checked) if isinstance(checked, list) else checked

    def is_open(self, value: Any) -> bool:
        return isinstance(value, tuple | list) and any(
            hasattr(each, "dtype") and not isinstance(each, numbers.Real)
            for each in value
        )

    @property
    def range(self) -> str:
        return "a pair (smallest, largest), or None"

    def accepts(self, value: Any) -> bool:
        return value is None or (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(isinstance(each, numbers.Real) for each in value)
            and value[0] < value[1]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps(Setting):
    """A first and a last step, counted from 1; one number is both."""

    def parse(self, text: str) -> Any:
        try:
            steps = [int(part) for part in text.split(",")]
        except ValueError:
            return text
        return tuple(steps * 2 if len(steps) == 1 else steps)

    @property
    def range(self) -> str:
        return "a first and a last step, such as 10,20, the first at least 1"

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(isinstance(each, int) for each in value)
            and 1 <= value[0] <= value[1]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers(Number):
    """Several numbers, each in range; checked, they rise, each once.

    On the command line they are separated by commas.
    """

    def parse(self, text: str) -> Any:
        return [super(Numbers, self).parse(part) for part in text.split(",")]

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
    """Several of several names; without `choices`, any names.

    On the command line they are separated by commas.
    """

    def parse(self, text: str) -> Any:
        parts = [part.strip() for part in text.split(",")]
        return list(dict.fromkeys(part for part in parts if part))

    @property
    def range(self) -> str:
        return "a list of names" + (
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
