"""A table of things by name, each imported when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import Generic
from typing import TypeVar

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry import own_code
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Setting
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.settings import Text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a registry.

    Attributes:
        name: What flags and files call it.
        target: The object, or where it is: `"package.module:name"`.
        help: What it is, in a few words for `--help` and the documentation.
        settings: What it can be given.
    """

    name: str
    target: Any
    help: str = ""
    settings: tuple[Setting, ...] = ()

    def setting(self, name: str) -> Setting:
        """Returns a setting by its name.

        Raises:
            InputError: If there is none of that name.
        """
        for setting in self.settings:
            if setting.name == name:
                return setting
        known = [setting.name for setting in self.settings]
        hint = close_matches(name, known) if known else "It has none."
        raise InputError(f"{self.name!r} has no setting {name!r}. {hint}")

    def check(self, values: dict[str, Any]) -> dict[str, Any]:
        """Returns settings by name, those not given at their defaults.

        Raises:
            InputError: If one is unknown or out of range.
        """
        for name in values:
            self.setting(name)
        return {
            setting.name: setting.check(
                values.get(setting.name, setting.default)
            )
            for setting in self.settings
        }

    def load(self) -> Any:
        """Returns the object.

        Raises:
            InputError: If a user's own cannot be imported.
        """
        if not isinstance(self.target, str):
            return self.target
        return import_object(self.target)


E_co = TypeVar("E_co", bound=Entry)


class Registry(Generic[E_co]):
    """The entries of a family, by name.

    Besides the names of the table, `package.module:name` is understood: a
    user's own object, whose settings are read from its constructor.

    Args:
        family: What an entry is called in messages, such as `"objective"`.
        entries: The table.
        entry_type: Class of the entries that `entry` makes of users' own
            objects.
        own_fields: Function of the name and the object of such an entry; it
            returns attributes that do not follow from the object's own.
    """

    def __init__(
        self,
        family: str,
        entries: Iterable[E_co],
        entry_type: type[E_co] = Entry,  # type: ignore[assignment]
        own_fields: Callable[[str, Any], dict[str, Any]] | None = None,
    ) -> None:
        self.family = family
        self._entry_type = entry_type
        self._own_fields = own_fields
        self._entries: dict[str, E_co] = {}
        for entry in entries:
            self.add(entry)

    def __iter__(self) -> Iterator[E_co]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of the table."""
        return tuple(self._entries)

    def add(self, entry: E_co) -> None:
        """Adds a row; one of the same name is replaced."""
        if ":" in entry.name or not entry.name:
            raise InputError(
                f"`name` of the {self.family} must be a name without colon. "
                f"Received: name={entry.name!r}"
            )
        self._entries[entry.name] = entry

    def register(
        self, name: str, *, help: str = "", **fields: Any
    ) -> Callable[[Any], Any]:
        """Returns a decorator that adds what it decorates.

        Args:
            name: Name in the table.
            help: What it is, in a few words; by default the first line of its
                docstring.
            **fields: Further attributes of the entry. By default its
                `settings` are read from the constructor, and the others from
                attributes of the same names.
        """

        def add(target: Any) -> Any:
            self.add(self._own_entry(name, target, help=help, **fields))
            return target

        return add

    def entry(self, name: str) -> E_co:
        """Returns the entry of a name, or of `package.module:name`.

        Raises:
            InputError: If there is none.
        """
        if name in self._entries:
            return self._entries[name]
        if is_own(name):
            target = import_object(name)
            if not callable(target):
                raise InputError(
                    f"{name!r} must be a class or a function. Received: "
                    f"{type(target).__name__}"
                )
            return self._own_entry(name, target)
        raise InputError(
            f"unknown {self.family} {name!r}. "
            f"{close_matches(str(name), self._entries)} One of your own is "
            "written package.module:name."
        )

    def entry_of(self, cls: type) -> E_co:
        """Returns the row of a class; of a user's own, what `entry` returns."""
        for entry in self:
            if _path_of(entry.target) == _path_of(cls):
                return entry
        return self._own_entry(_path_of(cls), cls)

    def load(self, name: str) -> Any:
        """Returns the object behind a name; see `entry`."""
        return self.entry(name).load()

    def settings(self) -> dict[str, list[tuple[E_co, Setting]]]:
        """Returns who has a setting, by the name of its flag."""
        users: dict[str, list[tuple[E_co, Setting]]] = {}
        for entry in self:
            for setting in entry.settings:
                if setting.flag_name is not None:
                    users.setdefault(setting.flag_name, []).append(
                        (entry, setting)
                    )
        return users

    def _own_entry(
        self, name: str, target: Any, help: str = "", **fields: Any
    ) -> E_co:
        """Returns an entry of what is in no table.

        Attributes that are not given are those of the object; failing that,
        those of the row of a parent class, whose settings it shares.
        """
        rows = {_path_of(entry.target): entry for entry in self}
        parents = [_path_of(cls) for cls in getattr(target, "__mro__", ())]
        row = next((rows[path] for path in parents if path in rows), None)
        shared = {each.name: each for each in row.settings} if row else {}
        settings = tuple(
            dataclasses.replace(
                shared.get(each.name, each), default=each.default
            )
            for each in settings_of(target)
        )
        fields.setdefault("settings", settings)
        help = help or (inspect.getdoc(target) or "").split("\n", 1)[0]
        if self._own_fields is not None:
            fields = {**self._own_fields(name, target), **fields}
        for field in dataclasses.fields(self._entry_type):
            if field.name in _OF_EVERY_ENTRY:
                continue
            for source in (target, row):
                if hasattr(source, field.name):
                    fields.setdefault(field.name, getattr(source, field.name))
        return self._entry_type(
            name=name,
            target=target,
            help=help,
            **fields,
        )


_OF_EVERY_ENTRY = {field.name for field in dataclasses.fields(Entry)}


def _path_of(target: Any) -> str:
    """Where an object is, as `"package.module:name"`."""
    if isinstance(target, str):
        return target
    module, name = (
        getattr(target, attribute, "")
        for attribute in ("__module__", "__qualname__")
    )
    return f"{module}:{name}"


def is_own(value: Any) -> bool:
    """Whether a value has the form `package.module:name`."""
    return isinstance(value, str) and ":" in value


def import_object(path: str) -> Any:
    """Returns the object at `"package.module:name"`.

    Modules of the current folder are found as well.

    Raises:
        InputError: If the module cannot be imported or has no such name.
    """
    module_name, _, name = path.partition(":")
    if not name or not module_name or module_name.startswith("."):
        raise InputError(f"{path!r} must be of the form package.module:name")
    if "" not in sys.path and not module_name.startswith("hydra_tf."):
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise own_code.import_failure(path, error) from error
    if not module_name.startswith("hydra_tf."):
        own_code.remember(path)
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [each for each in vars(module) if not each.startswith("_")]
            raise InputError(
                f"{path!r}: module {module_name!r} has no {name!r}. "
                f"{close_matches(name, known)}"
            ) from None
    return found


def settings_of(target: Any) -> tuple[Setting, ...]:
    """Returns the settings that a class or function takes by keyword.

    Their types follow from the defaults; arguments without one are texts.
    """
    parameters: dict[str, inspect.Parameter] = {}
    classes = target.__mro__ if inspect.isclass(target) else (target,)
    for cls in classes:
        constructor = vars(cls).get("__init__") if inspect.isclass(cls) else cls
        if constructor is None or cls is object:
            continue
        found = inspect.signature(constructor).parameters.values()
        skipped = 1 if inspect.isclass(cls) else 0
        for parameter in list(found)[skipped:]:
            parameters.setdefault(parameter.name, parameter)
        # What goes on to the parent class is a setting, too.
        if all(p.kind != p.VAR_KEYWORD for p in found):
            break
    return tuple(
        _setting_of(parameter)
        for parameter in parameters.values()
        if parameter.kind
        in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )


def _setting_of(parameter: inspect.Parameter) -> Setting:
    default = parameter.default
    if default is parameter.empty:
        return Setting(name=parameter.name, help="")
    kind: type[Setting] = Setting
    for value_type, setting_type in (
        (bool, Switch),
        (int, Count),
        (float, Number),
        (str, Text),
    ):
        if isinstance(default, value_type):
            kind = setting_type
            break
    if kind is Count and default < 0:
        kind = Setting
    return kind(name=parameter.name, help="", default=default)
