"""The state of a running phase on disk, and what must never get there."""

from __future__ import annotations

import math
import os
import pathlib
import time
import uuid
import zipfile
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf import interrupts
from hydra_tf import training
from hydra_tf.errors import DivergedError
from hydra_tf.errors import InputError
from trainers import run_folder


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Writes a `.keras` file that appears under its name when complete."""

    def write(partial: pathlib.Path) -> None:
        model.save(partial)

    _write_atomically(path, write)


_FURTHER = "further_"


def save_state(
    path: pathlib.Path,
    variables: list[keras.Variable],
    epoch: int,
    further: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the values of variables and the number of epochs they have seen.

    Args:
        path: A `.npz` file.
        variables: Those of the network and of the optimiser, in their order.
        epoch: Number of epochs that are done.
        further: Arrays to keep with them, by name.
    """
    values = {
        f"{index:05d}": np.asarray(variable)
        for index, variable in enumerate(variables)
    }
    for name, array in (further or {}).items():
        values[_FURTHER + name] = array

    def write(partial: pathlib.Path) -> None:
        with open(partial, "wb") as file:
            np.savez(file, epoch=epoch, **values)

    _write_atomically(path, write)


def restore_state(
    path: pathlib.Path, variables: list[keras.Variable]
) -> tuple[int, dict[str, np.ndarray]]:
    """Gives variables the values that `save_state` wrote.

    Returns:
        The number of epochs that are done, and the arrays kept with them.

    Raises:
        InputError: If the file is damaged or of other variables.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = [arrays[f"{index:05d}"] for index in range(len(variables))]
            further = {
                name.removeprefix(_FURTHER): arrays[name]
                for name in arrays.files
                if name.startswith(_FURTHER)
            }
            fits = len(arrays.files) == len(variables) + 1 + len(further)
            epoch = int(arrays["epoch"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read ({error}); delete it, or pass --overwrite"
        ) from error
    if not fits or any(
        value.shape != tuple(variable.shape)
        for value, variable in zip(values, variables, strict=True)
    ):
        raise InputError(
            f"{path} is the state of another network; delete it, or pass "
            "--overwrite"
        )
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)
    return epoch, further


def _write_atomically(
    path: pathlib.Path, write: Callable[[pathlib.Path], None]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keras insists on the suffix.
    partial = path.with_name(f".{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        write(partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps history and state of a phase after every epoch.

    The history is written first: the state says how many of its entries
    count, so that being killed between the two does no harm.

    Args:
        folder: The folder of the run.
        phase: Name of the phase.
        variables: All that has to be kept.
        history: Figures of the epochs so far; is appended to.
        best: What holds the weights of the best epoch, if anything does. It
            has to have seen an epoch before this callback does.
    """

    def __init__(
        self,
        folder: run_folder.RunFolder,
        phase: str,
        variables: list[keras.Variable],
        history: list[dict[str, float]],
        best: training.BestWeights | None = None,
    ):
        super().__init__()
        self._best = best
        self._folder = folder
        self._phase = phase
        self._variables = variables
        self.history = history
        self._start = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        figures = {key: float(value) for key, value in (logs or {}).items()}
        figures["epoch"] = epoch + 1
        figures["seconds"] = round(time.monotonic() - self._start, 3)
        further: dict[str, np.ndarray] = {}
        if self._best is not None:
            further = self._best.get_state()
            if self._best.epoch is not None:
                figures["best_epoch"] = self._best.epoch + 1
        self.history.append(figures)
        self._folder.write_history(self._phase, self.history)
        save_state(
            self._folder.state(self._phase), self._variables, epoch + 1, further
        )


class FiniteGuard(keras.callbacks.Callback):
    """Stops a phase whose loss or weights are no finite numbers.

    Has to come before the callback that writes checkpoints.

    Args:
        phase: Name of the phase.
        variables: The weights to look at after every epoch.
    """

    def __init__(self, phase: str, variables: list[keras.Variable]):
        super().__init__()
        self._phase = phase
        self._variables = variables
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        interrupts.check()
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"step {batch + 1}", f"the loss is {loss}")

    def on_epoch_end(self, epoch, logs=None):
        for variable in self._variables:
            if not np.all(np.isfinite(np.asarray(variable))):
                self._stop("its end", f"{variable.path} is not finite")

    def _stop(self, where: str, what: str) -> None:
        rate = _current_rate(self.model)
        raise DivergedError(
            f"{self._phase} phase, epoch {self._epoch + 1}, {where}: {what}. "
            f"The last checkpoint is kept. Try a lower --learning_rate (now "
            f"{rate:.3g}), more --warmup_epochs"
            + (
                " or --precision=float32."
                if "16" in str(keras.config.dtype_policy().name)
                else "."
            )
        )


def _current_rate(model: Any) -> float:
    """Returns the learning rate of the next step."""
    return float(np.asarray(model.optimizer.learning_rate))
