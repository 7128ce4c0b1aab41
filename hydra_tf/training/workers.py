"""What the workers of a cluster tell each other beside gradients.

All call the same methods in the same order, as for every collective.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError

# Of a cluster; the first task of the first that there is, is the chief.
JOBS = ("chief", "worker")
# Numbers that are sent at once: 64 MB.
_CHUNK = 1 << 24
# What TensorFlow raises where a peer is gone.
_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
# Folders of workers that are no chief, removed when the process ends.
_temporary: list[tempfile.TemporaryDirectory[str]] = []


class Workers:
    """The processes that train together under a strategy.

    Args:
        strategy: The strategy, of one process or of many.

    Attributes:
        count: Number of workers.
        index: Number of this one; that of the chief is 0.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.count, self.index = 1, 0
        self._strategy = strategy
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            cluster = resolver.cluster_spec().as_dict()
            if cluster:
                self.count = len(addresses_of(cluster))
                self.index = position_of(resolver)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes what comes of training."""
        return self.index == 0

    def own_folder(self, folder: str | os.PathLike) -> pathlib.Path:
        """Returns the folder that this worker uses in place of the chief's.

        That is a temporary one, which `share` fills, of all but the chief.

        Args:
            folder: The folder in which the chief writes.
        """
        if self.is_chief:
            return files.as_path(folder)
        if not _temporary:
            _temporary.append(tempfile.TemporaryDirectory())
        root = pathlib.Path(_temporary[0].name)
        path = pathlib.Path(os.path.abspath(files.as_path(folder)))
        if path.is_relative_to(root):
            return path
        return root / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]

    def share(self, paths: Iterable[pathlib.Path]) -> None:
        """Gives the others the chief's files, or removes theirs.

        Args:
            paths: The same files, in the folder of each worker.
        """
        if self.count == 1:
            return
        for path in paths:
            # An empty file is none.
            there = self.is_chief and path.is_file()
            content = self.from_chief(path.read_bytes() if there else b"")
            if self.is_chief:
                continue
            path.unlink(missing_ok=True)
            if content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def from_chief(self, content: bytes) -> bytes:
        """Returns what the chief has.

        Args:
            content: That of this worker, which counts if it is the chief.
        """
        if self.count == 1:
            return content
        if not self.is_chief:
            content = b""
        size = int(self._sum(np.array([len(content)], np.int32))[0])
        padded = content if self.is_chief else bytes(size)
        numbers = np.frombuffer(padded + bytes(-size % 4), np.int32)
        parts = [
            self._sum(numbers[first : first + _CHUNK])
            for first in range(0, len(numbers), _CHUNK)
        ]
        return b"".join(part.tobytes() for part in parts)[:size]

    def check_equal(self, facts: Mapping[str, str]) -> None:
        """Compares what every worker must have alike with the chief's.

        Args:
            facts: What it is, in words, with its value or digest.

        Raises:
            InputError: On every worker alike, if one has another.
        """
        if self.count == 1:
            return
        chief = json.loads(self.from_chief(json.dumps(dict(facts)).encode()))
        names = sorted({*facts, *chief})
        other = [n for n in names if facts.get(n) != chief.get(n)]
        told = [
            f"{name} ({_shown(facts.get(name))}, not {_shown(chief.get(name))})"
            for name in other
        ]
        found = self._gathered("; ".join(told))
        for index, each in enumerate(found):
            if each:
                raise InputError(
                    f"worker {index} differs from the chief in {each}; start "
                    "all workers with the same command, code and data"
                )

    def wait(self) -> None:
        """Waits for all workers."""
        if self.count > 1:
            self._sum(np.zeros(1, np.int32))

    def on_chief(self, function: Callable[[], None]) -> None:
        """Calls a function on the chief; the others wait for its end."""
        with self.watching():
            if self.is_chief:
                function()
            self.wait()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Turns what TensorFlow raises where a worker is gone into one line.

        Raises:
            WorkersError: If another worker stopped within the block.
        """
        try:
            yield
        except _GONE as error:
            if self.count == 1:
                raise
            raise WorkersError(
                f"another of the {self.count} workers stopped (its own output "
                "says why); start all of them again, and training goes on from "
                "the last epoch that is kept"
            ) from error

    def _gathered(self, text: str) -> list[str]:
        """Returns a text of every worker."""
        content = text.encode()
        sizes: np.ndarray = np.zeros(self.count, np.int32)
        sizes[self.index] = len(content)
        sizes = self._sum(sizes)
        longest = int(sizes.max()) or 1
        rows: np.ndarray = np.zeros((self.count, longest), np.int32)
        rows[self.index, : len(content)] = np.frombuffer(content, np.uint8)
        rows = self._sum(rows)
        return [
            row[:size].astype(np.uint8).tobytes().decode()
            for row, size in zip(rows, sizes, strict=True)
        ]

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the sum of int32 arrays of one shape over all workers."""
        with self.watching():
            # `identity` has a device, which `reduce` asks for.
            total = self._strategy.reduce(
                tf.distribute.ReduceOp.SUM,
                tf.identity(tf.constant(numbers)),
                axis=None,
            )
            return np.asarray(total)


def remove_folders() -> None:
    """Removes the temporary folders of this process now."""
    while _temporary:
        _temporary.pop().cleanup()


def addresses_of(cluster: Mapping[str, Any]) -> list[str]:
    """Returns where the workers are, the chief first.

    Args:
        cluster: Addresses by the names of jobs, as of a `ClusterSpec`.
    """
    return [each for job in JOBS for each in cluster.get(job, ())]


def position_of(resolver: Any) -> int:
    """Returns the number of this worker among `addresses_of` its cluster.

    Args:
        resolver: A TensorFlow cluster resolver.
    """
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", ()))
    own = resolver.task_type == "worker"
    return int(resolver.task_id) + (chiefs if own else 0)


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
