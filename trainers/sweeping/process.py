"""A binary in a process of its own, which may end as it likes."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from hydra_tf import interrupts
from trainers.terminal import startup

# As the shell gave it: importing TensorFlow changes it.
_ENVIRONMENT = dict(os.environ)
# Seconds that a process has that got the signal from the terminal, too.
_GRACE = 2.0
# Seconds that it has to write what it is writing.
_PATIENCE = 60.0
# Of what a process wrote to stderr, as much as is searched for the reason.
_TAIL = 20_000
_LONGEST = 500


def run(
    binary: str, arguments: Sequence[str], keep: Sequence[int] = ()
) -> str | None:
    """Runs a binary to its end.

    Its output goes where that of this process goes.

    Args:
        binary: Its name, such as `"pipeline"`.
        arguments: Its command line.
        keep: Descriptors that stay open as long as it lives.

    Returns:
        In a line why it failed, or `None` if it did not.

    Raises:
        Interrupted: If this process is asked to stop. Then the other has
            ended, too.
    """
    command, tail = [*_program(binary), *arguments], bytearray()
    child = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        pass_fds=tuple(keep),
        env=_environment(),
    )
    tee = threading.Thread(target=_pass_on, args=(child.stderr, tail))
    try:
        tee.start()
        child.wait()
    except BaseException as stop:
        _stop(child, stop)
        raise
    finally:
        tee.join()
    interrupts.check()
    if child.returncode == 0:
        return None
    return reason(child.returncode, tail.decode(errors="replace"))


def reason(code: int, written: str) -> str:
    """Returns in a line why a process failed.

    Args:
        code: Its exit code, negative for the signal that ended it.
        written: The end of what it wrote to stderr.
    """
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    said = [match[1] for line in lines if (match := _SAID.match(line))]
    raised = [line for line in lines if _RAISED.match(line)]
    found = (said or raised or lines or [f"exit code {code}"])[-1]
    if found.endswith(":"):
        # TensorFlow's say what it is below the graph's own traceback.
        below = lines[lines.index(found) + 1 :]
        found = " ".join(
            [found, *[line for line in below if line[:2] != "[["][-1:]]
        )
    return found[:_LONGEST]


# What `startup` ends a binary with; the last line of a traceback.
_SAID = re.compile(r"(?:hydra-tf-)?(?:pipeline|pretrain): (?:error: )?(.+)")
_RAISED = re.compile(r"[\w.]+(Error|Exception)\b")


def _program(binary: str) -> list[str]:
    """Returns the words that start a binary as this one was started."""
    if startup.is_installed():
        here = pathlib.Path(sys.argv[0])
        return [str(here.with_name(startup.program(binary)))]
    return [sys.executable, "-m", f"trainers.{binary}"]


def _environment() -> dict[str, str]:
    """Returns the environment, with the checkout where modules are found."""
    root = str(pathlib.Path(__file__).parents[2])
    if startup.is_installed():
        return _ENVIRONMENT
    paths = filter(None, [root, _ENVIRONMENT.get("PYTHONPATH")])
    return _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)}


def _pass_on(source: IO[bytes], tail: bytearray) -> None:
    """Writes to stderr what comes from a process, and keeps its end."""
    with source:
        while chunk := os.read(source.fileno(), 1 << 16):
            tail += chunk
            del tail[:-_TAIL]
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()


def _stop(child: subprocess.Popen, stop: BaseException) -> None:
    """Ends a process: as a signal asks it to, or a second one at once."""
    number = getattr(stop, "signal_number", signal.SIGTERM)
    try:
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.send_signal(number)
            child.wait(_PATIENCE)
    except BaseException:
        child.kill()
        child.wait()
