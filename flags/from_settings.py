"""Command-line flags from the settings of `hydra_tf.registry`.

Name, type, range, default and help of a flag are those of its setting. A wrong
value is answered in one line that says what would be right.
"""

from __future__ import annotations

import dataclasses
import fractions
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from absl import flags

from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Setting
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.table import Registry

# The families' modules own the flags that they define through this one.
flags.disclaim_key_flags()


class SettingParser(flags.ArgumentParser):
    """Parses the value of a setting.

    Args:
        settings: The setting; several where entries of a registry share a
            flag, which takes what any of them does.
    """

    def __init__(self, *settings: Setting):
        super().__init__()
        self._settings = settings
        self.syntactic_help = settings[0].range

    def flag_type(self) -> str:
        """Returns what the value is called in absl's help."""
        return type(self._settings[0]).__name__.lower()

    def parse(self, argument: Any) -> Any:
        """Returns the value.

        Raises:
            ValueError: If it is not of the right type and in range.
        """
        for setting in self._settings:
            value = argument
            if isinstance(argument, str):
                value = setting.parse(argument)
            if setting.accepts(value):
                return value
        raise ValueError(self._what_is_right(argument))

    def _what_is_right(self, argument: Any) -> str:
        setting = self._settings[0]
        value = argument
        if isinstance(argument, str):
            value = setting.parse(argument)
        words = f"must be {setting.range}"
        parts = value if isinstance(value, list) else [value]
        if isinstance(setting, Number) and str in map(type, parts):
            words += ", or a ratio such as 8/255"
        if isinstance(setting, Number | Count):
            # That of an entry, where entries share the flag.
            meaning = self._settings[:2][-1].help.partition(". ")[0]
            words += f" ({meaning.rstrip('.')})"
        return words + setting.hint(value)


class _Serializer(flags.ArgumentSerializer):
    """Writes lists as they are given, separated by commas."""

    def serialize(self, value: Any) -> str:
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value)


def define(
    setting: Setting,
    *,
    also: Sequence[Setting] = (),
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines the flag of a setting.

    Args:
        setting: Name, default and help of the flag.
        also: Settings whose values are right, too.
        flag_values: Where to define it.
    """
    name, default = setting.flag_name, setting.default
    if isinstance(setting, Switch):
        return flags.DEFINE_bool(
            name, default, setting.help, flag_values=flag_values
        )
    return flags.DEFINE(
        SettingParser(setting, *also),
        name,
        default,
        setting.help,
        flag_values,
        serializer=_Serializer(),
    )


def define_all(
    settings: Iterable[Setting], flag_values: flags.FlagValues = flags.FLAGS
) -> dict[str, flags.FlagHolder]:
    """Defines the flags of settings; returns them by the settings' names."""
    return {
        setting.name: define(setting, flag_values=flag_values)
        for setting in settings
    }


def define_family(
    registry: Registry[Any], flag_values: flags.FlagValues = flags.FLAGS
) -> dict[str, flags.FlagHolder]:
    """Defines the flags of all settings of a registry's entries.

    Entries with settings of the same flag share it, see `shared`.

    Returns:
        The flags by their names.
    """
    return {
        name: define(
            shared([(entry.name, setting) for entry, setting in users]),
            also=[setting for _, setting in users],
            flag_values=flag_values,
        )
        for name, users in registry.settings().items()
    }


def shared(users: Sequence[tuple[str, Setting]]) -> Setting:
    """Returns one setting for several entries that share a flag.

    Its default is `None`, so that each entry has its own, a user's own
    included. Its help says which entry reads it, and with which default.

    Args:
        users: Names of the entries, with their settings.
    """
    help_of = _by_value((setting.help, name) for name, setting in users)
    words = [f"{', '.join(names)}: {help}" for help, names in help_of.items()]
    defaults = _by_value(
        (_shown(setting.default), name)
        for name, setting in users
        if setting.default is not None
    )
    if len(defaults) == 1:
        words.append(f"By default {next(iter(defaults))}.")
    elif defaults:
        each = [f"{d} ({', '.join(names)})" for d, names in defaults.items()]
        words.append(f"By default {', '.join(each)}.")
    return dataclasses.replace(users[0][1], default=None, help=" ".join(words))


def _by_value(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for value, name in pairs:
        names.setdefault(value, []).append(name)
    return names


def _shown(default: Any) -> str:
    if not isinstance(default, float):
        return str(default)
    ratio = fractions.Fraction(default).limit_denominator(255)
    return str(ratio) if ratio.denominator == 255 else f"{default:g}"
