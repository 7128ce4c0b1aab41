"""The state of a phase in a folder: what it was begun with, where it is.

```
checkpoints/<phase>.keras             a finished phase
checkpoints/<phase>.state.npz         a running one, after its last epoch
checkpoints/<phase>.history.json      figures of each epoch
checkpoints/<phase>.settings.json     what the phase was begun with
```
"""

from __future__ import annotations

import json
import os
import pathlib
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.training.best_weights import BestWeights

_FURTHER = "further_"
# What is said of settings whose values are digests.
_OTHER = {
    "source": "started from another network",
    "content": "was begun when the data set held other images or classes",
}


class PhaseCheckpoints:
    """The files of a phase.

    Args:
        folder: The folder in which `checkpoints/` lies.
        phase: Name of the phase.
    """

    def __init__(self, folder: str | os.PathLike, phase: str):
        self.folder = pathlib.Path(folder)
        self.phase = phase

    @property
    def network(self) -> pathlib.Path:
        """The network of the finished phase."""
        return self._path("keras")

    @property
    def state(self) -> pathlib.Path:
        """The state of the running phase after its last epoch."""
        return self._path("state.npz")

    @property
    def is_finished(self) -> bool:
        """Whether the phase is finished."""
        return self.network.is_file()

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Records what a phase is begun with, or checks that it is the same.

        A phase of which no epoch was finished is begun afresh.

        Args:
            settings: What determines its result, by name.

        Raises:
            InputError: If the phase was begun with other settings.
        """
        if self._begun_with() is None:
            self.remove()
            files.write_json(self._path("settings.json"), settings)
        else:
            self.check_settings(settings)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Compares settings with those that a phase was begun with, if any.

        Args:
            settings: What is compared, by name.

        Raises:
            InputError: If the phase was begun with other settings.
        """
        recorded = self._begun_with() or {}
        for name, new in sorted(files.as_json(settings).items()):
            old = recorded.get(name)
            if not recorded or old == new:
                continue
            begun = _OTHER.get(name, "")
            if not begun:
                begun = (
                    f"was begun with `{name}`={_shown(old)}, not "
                    f"`{name}`={_shown(new)}"
                )
            raise InputError(
                f"`folder`={self.folder} holds a {self.phase} phase that "
                f"{begun}; name another folder, or pass `overwrite` to start "
                "again"
            )

    def finish(self, network: keras.Model) -> None:
        """Writes the network of the finished phase."""
        save_network(network, self.network)
        self.state.unlink(missing_ok=True)

    def load_network(self) -> keras.Model:
        """Returns the network of the finished phase.

        Raises:
            InputError: If the file cannot be read.
        """
        try:
            return keras.saving.load_model(self.network, compile=False)
        except Exception as error:
            # Keras raises whatever its parts raise: zip, JSON, HDF5, layers.
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.network} cannot be read ({type(error).__name__}: "
                f"{reason}); delete it, or pass `overwrite`"
            ) from error

    def read_history(self) -> list[dict[str, float]]:
        """Returns the figures of each epoch so far."""
        return files.read_json(self._path("history.json")) or []

    def write_history(self, epochs: list[dict[str, float]]) -> None:
        """Replaces the figures of the epochs."""
        files.write_json(self._path("history.json"), epochs)

    def remove(self) -> None:
        """Removes what was kept of the phase."""
        for suffix in ("state.npz", "history.json", "settings.json", "keras"):
            self._path(suffix).unlink(missing_ok=True)

    def _begun_with(self) -> dict[str, Any] | None:
        """Returns the settings of a phase that was begun, else `None`."""
        if not (self.is_finished or self.state.is_file()):
            return None
        return files.read_json(self._path("settings.json")) or None

    def _path(self, suffix: str) -> pathlib.Path:
        return self.folder / "checkpoints" / f"{self.phase}.{suffix}"


def save_network(network: keras.Model, path: pathlib.Path) -> None:
    """Writes a `.keras` file that appears under its name when complete."""
    with files.replacing_file(path) as partial:
        network.save(partial)


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
    with files.replacing_file(path) as partial:
        np.savez(partial, epoch=epoch, **values)


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
            f"{path} cannot be read ({error}); delete it, or pass `overwrite`"
        ) from error
    if not fits or any(
        value.shape != tuple(variable.shape)
        for value, variable in zip(values, variables, strict=True)
    ):
        raise InputError(
            f"{path} is the state of another network; delete it, or pass "
            "`overwrite`"
        )
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)
    return epoch, further


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps history and state of a phase after every epoch.

    Keras' `BackupAndRestore` keeps neither the history nor the best epoch, and
    may be killed within its writing.

    The history is written first: the state says how many of its entries
    count, so that being killed between the two does no harm.

    Args:
        kept: The files of the phase.
        variables: All that has to be kept.
        history: Figures of the epochs so far; is appended to.
        best: What holds the weights of the best epoch, if anything does. It
            has to have seen an epoch before this callback does.
    """

    def __init__(
        self,
        kept: PhaseCheckpoints,
        variables: list[keras.Variable],
        history: list[dict[str, float]],
        best: BestWeights | None = None,
    ):
        super().__init__()
        self._kept = kept
        self._variables = variables
        self._history = history
        self._best = best
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
        self._history.append(figures)
        self._kept.write_history(self._history)
        save_state(self._kept.state, self._variables, epoch + 1, further)


def _shown(value: object) -> str:
    """Returns a setting as it is written on a command line."""
    if isinstance(value, dict | bool):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
