"""Processes that train one cell after the other, several at once."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import traceback
from collections.abc import Callable
from typing import Any

# TensorFlow keeps a little of every network that it has traced.
_CELLS_OF_A_PROCESS = 30


class Workers:
    """Processes that call a function of a module, `run(cell, ...)`.

    Args:
        count: Integer >= 1, processes at once.
        threads: Integer >= 1, threads of each.
        arguments: What `run` gets after the cell.
    """

    def __init__(self, count: int, threads: int, *arguments: Any) -> None:
        self._count = count
        self._start = (threads, arguments)
        self._idle: list[_Worker] = []
        self._busy: dict[Any, tuple[_Worker, Any]] = {}

    def run_all(
        self,
        ready: Callable[[], list[Any]],
        report: Callable[[Any, Any, str], None],
    ) -> None:
        """Runs cells until none is ready.

        Args:
            ready: Returns the cells that may run now, most urgent first; is
                asked whenever a process is free.
            report: Gets a cell with what came of it, or `None` and why not.
        """
        failed: set[Any] = set()
        try:
            while True:
                running = [cell for _, cell in self._busy.values()]
                for cell in ready():
                    if len(self._busy) == self._count:
                        break
                    if cell not in running and cell not in failed:
                        worker = self._take()
                        worker.connection.send(cell)
                        self._busy[worker.connection] = worker, cell
                if not self._busy:
                    return
                for connection in multiprocessing.connection.wait(
                    list(self._busy)
                ):
                    worker, cell = self._busy.pop(connection)
                    result, error = worker.receive()
                    if result is None:
                        failed.add(cell)
                    if worker.is_fresh:
                        self._idle.append(worker)
                    else:
                        worker.stop()
                    report(cell, result, error)
        finally:
            for worker in [*self._idle, *(w for w, _ in self._busy.values())]:
                worker.stop()

    def _take(self) -> _Worker:
        return self._idle.pop() if self._idle else _Worker(*self._start)


class _Worker:
    """One process.

    Attributes:
        connection: Takes cells; what comes of one is there to `receive`.
    """

    def __init__(self, threads: int, arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, threads, arguments), daemon=True
        )
        self._process.start()
        other.close()
        self._left = _CELLS_OF_A_PROCESS

    @property
    def is_fresh(self) -> bool:
        """Whether it should go on."""
        return self._left > 0

    def receive(self) -> tuple[Any, str]:
        """Returns what came of a cell, or `None` and why not."""
        self._left -= 1
        try:
            result, error = self.connection.recv()
            return result, error
        except EOFError:
            self._left = 0
            self._process.join()
            return None, f"the process ended with {self._process.exitcode}"

    def stop(self) -> None:
        """Ends the process, whatever it is doing."""
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Any, threads: int, arguments: tuple[Any, ...]) -> None:
    """Runs what comes until nothing does; the program of a process."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from benchmarks.results import training

    try:
        while True:
            cell = connection.recv()
            try:
                connection.send((training.run(cell, *arguments), ""))
            except Exception:
                connection.send((None, traceback.format_exc()))
    except (EOFError, KeyboardInterrupt):
        return
