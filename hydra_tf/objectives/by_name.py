"""Objectives by name, as `--objective` takes them."""

from __future__ import annotations

import inspect
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.registry import own_code
from hydra_tf.registry.objectives import OBJECTIVES

register = OBJECTIVES.register


def names() -> list[str]:
    """Returns the names that `create` knows."""
    return sorted(OBJECTIVES.names)


def create(name: str, **settings: Any) -> Objective:
    """Returns the objective called `name`.

    Args:
        name: One of `names()`, or `"package.module:Class"` for one of your own.
        **settings: Arguments of its constructor.

    Raises:
        InputError: If there is no such objective, it has no such setting, or a
            setting is out of its range.

    Example:
    >>> create("trades", beta=3.0).beta
    3.0
    """
    entry = OBJECTIVES.entry(name)
    for setting in settings:
        entry.setting(setting)
    objective_class = entry.load()
    if not (
        isinstance(objective_class, type)
        and issubclass(objective_class, Objective)
    ):
        raise InputError(
            f"{name!r} must be a subclass of hydra_tf.objectives.Objective"
        )
    try:
        inspect.signature(objective_class).bind(**settings)
    except TypeError as error:
        raise InputError(f"objective {name!r}: {error}") from error
    return own_code.call(objective_class, **settings)
