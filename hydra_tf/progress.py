"""What a person sees who waits: lines, and one that counts steps.

`keras.utils.Progbar` writes a line at every update where there is no terminal;
logs want one now and then.
"""

from __future__ import annotations

import sys
import time

from hydra_tf import text


def say(line: str) -> None:
    """Writes a line to stdout at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Ticker:
    """One line that counts steps: in place on a terminal, else now and then.

    Args:
        label: What is being counted.
        total: Number of steps.
        mode: `"steps"`, `"epochs"` or `"none"`; only the first shows steps on
            a terminal, and the others are silent unless it takes long.
        every: Seconds between two lines where there is no terminal.
        done: Number of steps that were done before.
    """

    def __init__(
        self,
        label: str,
        total: int,
        mode: str = "auto",
        every: float = 30.0,
        done: int = 0,
    ):
        self._label = label
        self._total = max(total, 1)
        self._done_before = done
        self._terminal = sys.stdout.isatty() and mode in ("auto", "steps")
        self._silent = mode == "none"
        self._every = 0.1 if self._terminal else every
        self._start = self._last = time.monotonic()
        self._shown = False

    def update(self, done: int, note: str = "") -> None:
        """Shows how many steps are done, if it is time."""
        now = time.monotonic()
        if self._silent or now - self._last < self._every:
            return
        self._last = now
        elapsed = now - self._start
        done_now = max(done - self._done_before, 1)
        left = elapsed / done_now * (self._total - done)
        line = (
            f"  {self._label}  {done}/{self._total}  {note}  "
            f"{text.duration(left)} left"
        )
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
