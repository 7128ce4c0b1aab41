"""Code of a user's own, named `package.module:name`: whose an error is."""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from hydra_tf.errors import InputError

# Longer messages, such as those of TensorFlow, are cut.
_LONGEST = 300

# The files of the modules that users named, with the names.
_FILES: dict[str, list[str]] = {}


def remember(path: str) -> None:
    """Takes note of a user's module.

    Args:
        path: What the user wrote, `"package.module:name"`.
    """
    file = _file_of(path.partition(":")[0])
    if file is not None:
        names = _FILES.setdefault(file, [])
        # The last one named comes first.
        names[:] = [path, *(each for each in names if each != path)]


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function that may be a user's own.

    Raises:
        InputError: If their code raises, with what and where.
    """
    try:
        return function(*args, **kwargs)
    except InputError:
        raise
    except Exception as error:
        blamed = blame(error)
        if blamed is None:
            raise
        raise blamed from error


def blame(error: BaseException) -> InputError | None:
    """Returns an error in a user's code as one line; `None` for others.

    Args:
        error: What was raised.
    """
    each: BaseException | None = error
    while each is not None:
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            names = _FILES.get(os.path.abspath(frame.filename))
            if names:
                where = (frame.filename, frame.lineno, frame.name)
                return InputError(_line(_named(names, each), each, where))
        each = each.__cause__ or each.__context__
    return None


def import_failure(path: str, error: BaseException) -> InputError:
    """Returns the error of a module that cannot be imported.

    Args:
        path: What the user wrote, `"package.module:name"`.
        error: What the import raised.
    """
    module = path.partition(":")[0]
    if isinstance(error, ImportError):
        return InputError(
            f"{path!r}: module {module!r} cannot be imported ({error})"
        )
    remember(path)
    return blame(error) or InputError(_line(path, error, None))


def _file_of(module: str) -> str | None:
    """Returns where a module is, or would be if it could be imported."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        loaded = None if spec is None else spec.origin
    return None if loaded is None else os.path.abspath(loaded)


def _named(names: list[str], error: BaseException) -> str:
    """Returns which of a module's names an error comes from."""
    called = set()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # A method is called after its class first.
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)  # Since 3.11.
        called.add(name.partition(".")[0])
    return next(
        (name for name in names if name.partition(":")[2] in called), names[0]
    )


def _line(
    path: str, error: BaseException, where: tuple[str, int | None, str] | None
) -> str:
    text = " ".join(str(error).split())
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    said = f"{path!r} raised {type(error).__name__}"
    if text:
        said += f": {text}"
    if where is None:
        return said
    file, number, function = where
    place = f"{os.path.basename(file)}, line {number}"
    if function != "<module>":
        place += f" in {function}"
    code = linecache.getline(file, number or 0).strip()
    return f"{said} ({place}: {code})" if code else f"{said} ({place})"
