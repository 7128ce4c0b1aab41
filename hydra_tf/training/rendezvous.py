"""All workers of a cluster are there, or it is said which are not.

TensorFlow waits for its workers without end, deaf to signals. So they meet
before it starts: at the address of the chief, where its server listens later.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterator
from collections.abc import Sequence

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError

_GO = b"go"
_MISSING = b"missing "
# Seconds between two looks.
_SHORT = 0.2
_LONGEST = 1 << 16


def meet(addresses: Sequence[str], index: int, seconds: float) -> None:
    """Returns once all workers are there.

    Args:
        addresses: `host:port` of each, the chief's first.
        index: Which of them this one is.
        seconds: How long to wait.

    Raises:
        InputError: If the chief's address is not its own, or taken.
        WorkersError: If they do not all come; on all that did.
    """
    deadline = time.monotonic() + seconds
    if index == 0:
        missing = _receive(addresses, deadline)
    else:
        missing = _report(addresses, index, deadline)
    if missing:
        raise WorkersError(
            f"not all workers came within `worker_timeout={math.ceil(seconds)}`"
            f" seconds: no answer from {missing.replace(',', ', ')}"
        )


def _receive(addresses: Sequence[str], deadline: float) -> str:
    """Waits for the others, as the chief; returns who is missing."""
    names = ""
    there: dict[int, socket.socket] = {}
    with _listening(addresses[0]) as listener, contextlib.ExitStack() as opened:
        while True:
            with contextlib.suppress(TimeoutError):
                one, _ = listener.accept()
                opened.enter_context(one)
                number = _read(one, _SHORT * 5)
                if number.isdigit() and 0 < int(number) < len(addresses):
                    # In place of an earlier process that died.
                    there[int(number)] = one
            there = {key: one for key, one in there.items() if _is_open(one)}
            if len(there) == len(addresses) - 1:
                break
            if time.monotonic() > deadline:
                missing = set(range(1, len(addresses))) - set(there)
                names = ",".join(addresses[number] for number in missing)
                break
        answer = _MISSING + names.encode() if names else _GO
        for one in there.values():
            with contextlib.suppress(OSError):
                one.sendall(answer + b"\n")
    return names


def _report(addresses: Sequence[str], index: int, deadline: float) -> str:
    """Waits for the chief's word; returns who is missing."""
    host, _, port = addresses[0].rpartition(":")
    while time.monotonic() < deadline + 5 * _SHORT:
        # There may be no chief yet, or one that is about to die.
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host.strip("[]"), int(port)), 2) as one,
        ):
            one.sendall(b"%d\n" % index)
            answer = _read(one, deadline - time.monotonic() + 10 * _SHORT)
            if answer == _GO:
                return ""
            if answer.startswith(_MISSING):
                return answer.removeprefix(_MISSING).decode()
        time.sleep(_SHORT)
    return addresses[0]


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    port = int(address.rpartition(":")[2])
    try:
        listener = socket.create_server(("", port))
    except OSError as error:
        raise InputError(
            f"the chief cannot listen on {address}: "
            f"{os.strerror(error.errno or 0)}; stop what uses the port, or "
            "name another in the cluster"
        ) from error
    with listener:
        listener.settimeout(_SHORT)
        yield listener


def _read(one: socket.socket, seconds: float) -> bytes:
    """Returns a line, empty if there comes none."""
    one.settimeout(max(seconds, _SHORT))
    line = b""
    with contextlib.suppress(OSError):
        while not line.endswith(b"\n") and len(line) < _LONGEST:
            part = one.recv(1024)
            if not part:
                return b""
            line += part
    return line.strip()


def _is_open(one: socket.socket) -> bool:
    """Whether the process at the other end is there still."""
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
