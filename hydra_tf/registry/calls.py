"""Calls with arguments that there are not, answered like other mistakes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any
from typing import TypeVar

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.table import settings_of

_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def checked_call(function: _Function) -> _Function:
    """Decorator: arguments that a function does not take are an `InputError`.

    Python's own error names them as well, but neither what may have been meant
    nor, behind a decorator, the right function.

    Args:
        function: A function that users call with settings by keyword.

    Example:

    >>> attack = checked_call(lambda x, *, epsilon: x)
    >>> attack(0, eps=0.1)
    Traceback (most recent call last):
    hydra_tf.errors.InputError: <lambda>() has no argument `eps`. Did you mean \
'epsilon'?
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            known = list(signature.parameters)
            name = f"{function.__name__}()"
            raise _error(name, known, kwargs, error) from None
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


def check_construction(
    cls: type, args: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    """Raises `InputError` for arguments that a constructor does not take.

    To be called by `__new__`; arguments that are missing are left to Python.

    Args:
        cls: The class that is called.
        args: Positional arguments.
        settings: Keyword arguments.
    """
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        signature = inspect.Signature([_SELF])
    try:
        signature.bind_partial(None, *args, **settings)
    except TypeError as error:
        known = [setting.name for setting in settings_of(cls)]
        raise _error(cls.__name__, known, settings, error) from None


def _error(
    name: str, known: list[str], given: dict[str, Any], error: TypeError
) -> InputError:
    unknown = [each for each in given if each not in known]
    if unknown:
        hint = close_matches(unknown[0], known) if known else "It has none."
        return InputError(f"{name} has no argument `{unknown[0]}`. {hint}")
    hint = ""
    if "positional" in str(error) and known:
        hint = f". Name each: {', '.join(f'{each}=...' for each in known)}"
    return InputError(f"{name}: {error}{hint}")
