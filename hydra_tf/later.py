"""Parts of a package that are imported at their first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any


def importer(package: str, *names: str) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a package (PEP 562).

    Args:
        package: Name of the package.
        *names: Its modules to import later, such as `"bounds"`, and what is in
            them, such as `"export:export_saved_model"`.
    """
    modules = {}
    for entry in names:
        module, _, attribute = entry.partition(":")
        modules[attribute or module] = module

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        found = importlib.import_module(f"{package}.{modules[name]}")
        if name != modules[name]:
            found = getattr(found, name)
        setattr(sys.modules[package], name, found)
        return found

    return load


def listing(package: str, public: Sequence[str]) -> Callable[[], list[str]]:
    """Returns the `__dir__` of a package, what is imported later included.

    Args:
        package: Name of the package.
        public: Its `__all__`.
    """
    return lambda: sorted({*vars(sys.modules[package]), *public})
