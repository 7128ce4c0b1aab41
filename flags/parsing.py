"""Flags whose values are checked by the library's settings.

absl has numbers within bounds and names; here a number may also be a ratio such
as `8/255`, and a wrong value is answered in one line that says what would be
right, in the words of `hydra_tf.registry.settings`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from absl import flags

from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Setting

# The families' modules own the flags that they define through this one.
flags.disclaim_key_flags()

# TensorFlow keeps counts as int32.
_GREATEST_COUNT = 2**31 - 1


class SettingParser(flags.ArgumentParser):
    """Parses a value of a setting.

    Args:
        setting: The setting, whose type and range a value must have.
        hint: What the value means, appended to the message about a wrong one.
        accepts: Callable that tells whether another text is valid too.
        or_else: What that text is, in words.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        hint: str = "",
        accepts: Callable[[str], bool] | None = None,
        or_else: str = "",
    ):
        super().__init__()
        self.setting = setting
        self.accepts = accepts
        self.range = setting.range + (f" or {or_else}" if or_else else "")
        self.hint = f", {hint}" if hint else ""
        self.syntactic_help = self.range

    def flag_type(self) -> str:
        return type(self.setting).__name__.lower()

    def parse(self, argument: Any) -> Any:
        """Returns the value.

        Raises:
            ValueError: If it is of another type or out of range.
        """
        if self.accepts and self.accepts(argument):
            return argument
        try:
            value = self._convert(argument)
        except (ValueError, ZeroDivisionError):
            value = None
        if isinstance(value, int) and value > _GREATEST_COUNT:
            raise ValueError(f"must be at most {_GREATEST_COUNT}")
        if self.setting.accepts(value):
            return value
        is_text = value is None and isinstance(self.setting, Number)
        ratio = " or a ratio such as 8/255" if is_text else ""
        suggestion = self.setting.hint(argument)
        raise ValueError(f"must be {self.range}{ratio}{self.hint}{suggestion}")

    def _convert(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        if isinstance(self.setting, Number):
            numerator, slash, denominator = argument.partition("/")
            return float(numerator) / float(denominator if slash else 1)
        if isinstance(self.setting, Count):
            return int(argument)
        return argument


class NumberParser(SettingParser):
    """Parses a number, see `hydra_tf.registry.settings.Number`."""

    def __init__(
        self,
        lower: float | None = None,
        upper: float | None = None,
        *,
        hint: str = "",
        **bounds: Any,
    ):
        number = Number(name="", help="", lower=lower, upper=upper, **bounds)
        super().__init__(number, hint=hint)


class ListParser(flags.ArgumentParser):
    """Parses a comma-separated list, whose elements are kept once.

    Numbers come in rising order; of names there may be none.

    Args:
        parser: Parser of each element.
    """

    def __init__(self, parser: SettingParser):
        super().__init__()
        self.parser = parser
        self.syntactic_help = f"separated by commas, each {parser.range}"

    def flag_type(self) -> str:
        return f"list of {self.parser.flag_type()}s"

    def parse(self, argument: str | Sequence[Any]) -> list[Any]:
        """Returns the elements.

        Raises:
            ValueError: If one of them is not valid.
        """
        are_names = isinstance(self.parser.setting, Choice)
        if isinstance(argument, str):
            argument = [part.strip() for part in argument.split(",")]
            if are_names:
                argument = [part for part in argument if part]
        elements = dict.fromkeys(map(self.parser.parse, argument))
        return list(elements) if are_names else sorted(elements)


def DEFINE_setting(  # noqa: N802
    setting: Setting,
    *,
    flag_values: flags.FlagValues = flags.FLAGS,
    **parsing: Any,
) -> flags.FlagHolder:
    """Defines the flag of a setting, named, checked and explained by it.

    Args:
        setting: The setting.
        flag_values: Where the flag is defined.
        **parsing: Passed to `SettingParser`.
    """
    return flags.DEFINE(
        SettingParser(setting, **parsing),
        setting.flag_name,
        setting.default,
        setting.help,
        flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def DEFINE_number(  # noqa: N802
    name: str,
    default: float | None,
    help: str,
    *,
    hint: str = "",
    flag_values: flags.FlagValues = flags.FLAGS,
    **bounds: Any,
) -> flags.FlagHolder:
    """Defines a flag for a number; `bounds` as for `Number`."""
    setting = Number(name=name, default=default, help=help, **bounds)
    return DEFINE_setting(setting, hint=hint, flag_values=flag_values)


def DEFINE_count(  # noqa: N802
    name: str,
    default: int | None,
    help: str,
    *,
    lower: int = 0,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for a whole number."""
    setting = Count(name=name, default=default, help=help, lower=lower)
    return DEFINE_setting(setting, flag_values=flag_values)


def DEFINE_name(  # noqa: N802
    name: str,
    default: str | None,
    names: Sequence[str],
    help: str,
    *,
    or_else: str = "",
    accepts: Callable[[str], bool] | None = None,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a flag for one of several names."""
    setting = Choice(name=name, default=default, help=help, choices=names)
    return DEFINE_setting(
        setting, or_else=or_else, accepts=accepts, flag_values=flag_values
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
    """Defines a flag for a list of numbers, which come rising, each once."""
    parser = NumberParser(lower, upper, hint=hint)
    return _define_list(parser, name, default, help, flag_values)


def DEFINE_names(  # noqa: N802
    name: str,
    default: Sequence[str] | None,
    names: Sequence[str],
    help: str,
) -> flags.FlagHolder:
    """Defines a flag for a list of names, each kept once."""
    choice = Choice(name=name, help=help, choices=names)
    return _define_list(SettingParser(choice), name, default, help, flags.FLAGS)


def _define_list(parser, name, default, help, flag_values):
    return flags.DEFINE(
        ListParser(parser),
        name,
        None if default is None else list(default),
        help,
        flag_values,
        serializer=flags.CsvListSerializer(","),
    )
