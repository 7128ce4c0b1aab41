"""Definitions of command-line flags, one module a family; presets.

Flags read the tables of `hydra_tf.registry`, which need no TensorFlow, whereas
`import hydra_tf` takes seconds to import it. So that `--help` and a misspelt
flag are answered at once, the library's own `__init__` is put off here until
something of it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types


class _PutOff(types.ModuleType):
    """A package that is found, and runs its `__init__` when it is read."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        module = f"{self.__name__}.{name}"
        if importlib.util.find_spec(module) is not None:
            # `from package import module` asks for it as an attribute.
            return importlib.import_module(module)
        spec = self.__spec__
        # From here on it is the ordinary module.
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)


def _put_off(package: str) -> None:
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _PutOff
    sys.modules[package] = module


_put_off("hydra_tf")
