"""Errors that users see, and words that help to mend their causes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A value the user gave cannot be used.

    Library code raises it for arguments that the caller can mend; the message
    is one line that names the argument, the value received and what would be
    right. The binaries turn it into that line and a non-zero exit, whereas any
    other exception is a defect and keeps its traceback.
    """


class FileError(OSError, InputError):
    """A file or folder cannot be written or read: full disk, no permission.

    The message is one line that names it and says why; `errno` is the
    system's number of that reason.
    """


class DivergedError(RuntimeError):
    """The loss or a weight is no finite number; the message says where."""


class WorkersError(RuntimeError):
    """Another worker of a training stopped, or never came.

    The message is one line that says which, where that is known. Collectives
    cannot go on: start all workers again.
    """


class ContradictionError(RuntimeError):
    """An attack found what a proof excludes; the message says which."""


def check_known(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises `InputError` for the first setting that there is not.

    Args:
        names: What the user gave by keyword.
        known: All the valid names.
    """
    known = set(known)
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no setting `{name}`. {close_matches(name, known)}"
            )


def close_matches(name: str, choices: Iterable[str]) -> str:
    """Returns `"Did you mean 'a' or 'b'?"`, or the list of all choices.

    Args:
        name: What the user wrote.
        choices: All the valid names.

    Example:

    >>> close_matches("trade", ["trades", "mart"])
    "Did you mean 'trades'?"
    """
    choices = sorted(choices)
    name = str(name).lower()
    matches = difflib.get_close_matches(name, choices, n=3)
    if matches:
        # 'density' goes without 'density_ramp', which is much farther off.
        best = difflib.SequenceMatcher(None, matches[0], name).ratio()
        matches = difflib.get_close_matches(name, matches, 3, best - 0.2)
        return f"Did you mean {' or '.join(repr(m) for m in matches)}?"
    return f"Choose from: {', '.join(choices)}."
