"""The ways in which a run stops early, and the signals that ask for it."""

from __future__ import annotations

import signal


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM was received.

    Attributes:
        signal_number: Which of them.
        where: How far the run has come, in words, or empty.
    """

    def __init__(self, signal_number: int, where: str = ""):
        super().__init__(signal_number)
        self.signal_number = signal_number
        self.where = where


# The last signal received. An exception that a handler raises is lost when
# the interpreter happens to be in a destructor or in a callback from C.
_received: list[int] = []


def install_handlers() -> None:
    """Makes SIGINT and SIGTERM raise `Interrupted` in the main thread."""
    _received.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _handle)


def received() -> int | None:
    """Returns the number of the last signal received, or `None`."""
    return _received[-1] if _received else None


def check() -> None:
    """Raises `Interrupted` if a signal was received before."""
    if _received:
        raise Interrupted(_received[-1])


def _handle(number: int, frame) -> None:
    _received.append(number)
    raise Interrupted(number)
