"""What a person sees who waits: lines, and one that counts steps.

`keras.utils.Progbar` writes a line at every update where there is no terminal;
logs want one now and then.
"""

from __future__ import annotations

import sys
import time

from hydra_tf import text

# Seconds within which the results of one batch are told one by one.
_AT_ONCE = 0.1


def say(line: str) -> None:
    """Writes a line to stdout at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Ticker:
    """One line that counts steps: in place on a terminal, else now and then.

    The time that is left is that of the steps to come at the pace since the
    first update: what comes before it, such as TensorFlow's tracing, is not
    done again.

    Args:
        label: What is being counted.
        total: Number of steps.
        mode: `"auto"`, `"steps"`, `"epochs"` or `"none"`; the first two show
            steps on a terminal, `"epochs"` a line where it takes long.
        every: Seconds between two lines where there is no terminal.
        compiles: Whether the first step compiles, which takes long; it is
            said at once.
        as_share: Whether per cent are shown: where steps are images times
            restarts, their number says nothing.
    """

    def __init__(
        self,
        label: str,
        total: int,
        mode: str = "auto",
        every: float = 30.0,
        compiles: bool = False,
        as_share: bool = False,
    ):
        self._label = label
        self._total = max(total, 1)
        self._terminal = sys.stdout.isatty() and mode in ("auto", "steps")
        self._silent = mode == "none"
        self._as_share = as_share
        self._every = 0.1 if self._terminal else every
        self._last = time.monotonic()
        # Time and steps done, from which the pace is measured.
        self._first: tuple[float, int] | None = None
        self._shown = False
        if compiles and not self._silent:
            self._show(f"  {label}  compiling")

    def update(self, done: int, note: str = "") -> None:
        """Shows how many steps are done, if it is time."""
        now = time.monotonic()
        if self._first is None or now - self._first[0] < _AT_ONCE:
            self._first = now, done
        if self._silent or now - self._last < self._every:
            return
        self._last = now
        count = f"{done}/{self._total}"
        if self._as_share:
            count = f"{100 * done // self._total} %"
        parts = [f"  {self._label}", count, note]
        start, done_first = self._first
        if done > done_first:
            pace = (now - start) / (done - done_first)
            left = text.duration(pace * (self._total - done))
            parts.append(f"{left} left")
        self._show("  ".join(part for part in parts if part))

    def _show(self, line: str) -> None:
        if self._terminal:
            sys.stdout.write(f"\r\x1b[2K{line}")
            sys.stdout.flush()
            self._shown = True
        else:
            say(line)

    def close(self) -> None:
        """Removes the line from a terminal."""
        if self._shown:
            sys.stdout.write("\r\x1b[2K")
            sys.stdout.flush()
            self._shown = False
