"""Disks that are full, in tests."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from unittest import mock


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Makes writing beyond a size an error, as `ulimit -f` does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def full_at(count: int) -> Iterator[list[int]]:
    """Makes the disk full when a file or folder is completed.

    Args:
        count: Which one, from 0.

    Yields:
        A list that grows by each of them.
    """
    fsync, done = os.fsync, []

    def fail(descriptor: int) -> None:
        done.append(descriptor)
        if len(done) > count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with mock.patch.object(os, "fsync", fail):
        yield done
