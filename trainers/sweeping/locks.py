"""Locks between the processes of a sweep, on one machine or on several."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterator

from hydra_tf import files
from hydra_tf.errors import InputError


@contextlib.contextmanager
def held(
    path: pathlib.Path, waiting: Callable[[], None] | None = None
) -> Iterator[int | None]:
    """Holds a lock within a block.

    The system releases it when this process and those that were given the
    descriptor have ended, however they do.

    Args:
        path: The lock's file. It is made, and stays.
        waiting: What is called before waiting for another process to release
            the lock; without it nobody waits.

    Yields:
        The descriptor; `None` if another process has the lock.

    Raises:
        InputError: If the file system has no locks, or is not writable.
    """
    with files.naming(path):
        file = files.lock_file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor if _taken(descriptor, path, waiting) else None
    finally:
        os.close(descriptor)


def _taken(
    descriptor: int, path: pathlib.Path, waiting: Callable[[], None] | None
) -> bool:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                return False
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(
            f"{path} cannot be locked: {error.strerror}; name an --output_dir "
            "on another file system"
        ) from error
    return True
