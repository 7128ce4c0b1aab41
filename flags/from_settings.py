"""Command-line flags from the settings of `hydra_tf.registry`.

A wrong value is answered in one line that says what would be right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from absl import flags

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
        setting = self._settings[0]
        if isinstance(argument, str):
            argument = setting.parse(argument)
        ratio = ""
        if isinstance(setting, Number) and any(
            isinstance(each, str) for each in _elements(argument)
        ):
            ratio = " or a ratio such as 8/255"
        meaning = setting.help.partition(". ")[0].rstrip(".")
        raise ValueError(
            f"must be {setting.range}{ratio}{setting.hint(argument)} "
            f"({meaning})"
        )


def _elements(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


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


def define_family(registry: Registry[Any]) -> dict[str, flags.FlagHolder]:
    """Defines the flags of all settings of a registry's entries.

    Entries with settings of the same flag share it. Its help says which entry
    reads it, and it has a default if they agree on one.

    Returns:
        The flags by their names.
    """
    return {
        name: define(
            shared([(entry.name, setting) for entry, setting in users]),
            also=[setting for _, setting in users],
        )
        for name, users in registry.settings().items()
    }


def shared(users: Sequence[tuple[str, Setting]]) -> Setting:
    """Returns one setting for several entries that share a flag."""
    first = users[0][1]
    by_help: dict[str, list[str]] = {}
    for name, setting in users:
        by_help.setdefault(setting.help, []).append(name)
    return dataclasses.replace(
        first,
        default=first.default
        if all(setting.default == first.default for _, setting in users)
        else None,
        help=" ".join(
            f"{', '.join(names)}: {help}" for help, names in by_help.items()
        ),
    )
