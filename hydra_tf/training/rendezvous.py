"""All workers of a cluster are there, or it is said which are not.

TensorFlow waits for its workers without end, deaf to signals. So they meet
before it starts: at the address of the chief, where its server listens later.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from collections.abc import Sequence

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError

# What the chief answers: all are there, some are not, or what is wrong.
_GO, _MISSING, _WRONG = b"go", b"missing ", b"wrong "
# Seconds between two looks.
_SHORT = 0.2
# Seconds for others to come once it is known that they cannot train.
_LATE = 10.0
_LONGEST = 1 << 16


def meet(addresses: Sequence[str], index: int, seconds: float) -> None:
    """Returns once all workers are there, with the same addresses.

    Args:
        addresses: `host:port` of each, the chief's first.
        index: Which of them this one is.
        seconds: How long to wait.

    Raises:
        InputError: If a worker has other addresses than the chief, or cannot
            listen on its own; on all that came.
        WorkersError: If they do not all come; on all that did.
    """
    deadline = time.monotonic() + seconds
    if index == 0:
        missing, wrong = _receive(addresses, deadline)
    else:
        unusable = None
        try:
            with _listening(addresses[index]):
                pass
        except InputError as error:
            unusable = error
            deadline = min(deadline, time.monotonic() + _LATE)
        missing, wrong = _report(
            addresses, index, str(unusable or ""), deadline
        )
        if unusable is not None:
            raise unusable
    if wrong:
        raise InputError(wrong)
    if missing:
        raise WorkersError(
            f"not all workers came within `worker_timeout={math.ceil(seconds)}`"
            f" seconds: no answer from {missing.replace(',', ', ')}"
        )


def _receive(addresses: Sequence[str], deadline: float) -> tuple[str, str]:
    """Waits for the others, as the chief.

    Returns:
        Who is missing, and what is wrong with those who are not.
    """
    names = wrong = ""
    there: dict[int, socket.socket] = {}
    with _listening(addresses[0]) as listener, contextlib.ExitStack() as opened:
        while True:
            with contextlib.suppress(TimeoutError):
                one, _ = listener.accept()
                opened.enter_context(one)
                number, found = _understood(_read(one, _SHORT * 5), addresses)
                if number:
                    # In place of an earlier process that died.
                    there[number] = one
                if found and not wrong:
                    wrong = found
                    deadline = min(deadline, time.monotonic() + _LATE)
            there = {key: one for key, one in there.items() if _is_open(one)}
            missing = set(range(1, len(addresses))) - set(there)
            if not missing:
                break
            if time.monotonic() > deadline:
                names = ",".join(addresses[number] for number in missing)
                break
        answer = _MISSING + names.encode() if names else _GO
        if wrong:
            answer = _WRONG + wrong.encode()
        for one in there.values():
            with contextlib.suppress(OSError):
                one.sendall(answer + b"\n")
    return names, wrong


def _understood(line: bytes, addresses: Sequence[str]) -> tuple[int, str]:
    """Returns the number of a worker, and what is wrong with it.

    Args:
        line: What it sent; of anybody else the number is 0.
        addresses: Those of the chief.
    """
    try:
        index, others, unusable = json.loads(line)
        if index < 1 or not isinstance(unusable, str):
            return 0, ""
        if others != list(addresses):
            theirs, ours = ",".join(others), ",".join(addresses)
            unusable = (
                f"worker {index} differs from the chief in the addresses of "
                f"the workers ({theirs}, not {ours}); give all workers the "
                "same cluster"
            )
    except (ValueError, TypeError):
        return 0, ""
    return index, unusable


def _report(
    addresses: Sequence[str], index: int, unusable: str, deadline: float
) -> tuple[str, str]:
    """Waits for the chief's word; returns what `_receive` does.

    Args:
        addresses: As for `meet`.
        index: As for `meet`.
        unusable: Why this worker cannot train, empty if it can.
        deadline: When to stop waiting.
    """
    host, _, port = addresses[0].rpartition(":")
    line = json.dumps([index, list(addresses), unusable]).encode() + b"\n"
    while time.monotonic() < deadline + 5 * _SHORT:
        # There may be no chief yet, or one that is about to die.
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host.strip("[]"), int(port)), 2) as one,
        ):
            one.sendall(line)
            answer = _read(one, deadline - time.monotonic() + 10 * _SHORT)
            if answer == _GO:
                return "", ""
            if answer.startswith(_MISSING):
                return answer.removeprefix(_MISSING).decode(), ""
            if answer.startswith(_WRONG):
                return "", answer.removeprefix(_WRONG).decode()
        time.sleep(_SHORT)
    return addresses[0], ""


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    port = int(address.rpartition(":")[2])
    try:
        listener = socket.create_server(("", port))
    except OSError as error:
        raise InputError(
            f"worker {address} cannot listen on its address: "
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
