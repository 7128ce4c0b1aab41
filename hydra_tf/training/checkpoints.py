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
import operator
import os
import pathlib
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.training.best_weights import BestWeights
from hydra_tf.training.early_stopping import EarlyStopping

_FURTHER = "further_"
_ADVICE = "delete it, or pass `overwrite`"
_HISTORY = [{"epoch": int, "seconds": float, str: float}]
# What is said of settings whose values are digests.
_OTHER = {
    "source": "started from another network",
    "extra_data": "was begun with other extra images",
    "content": "was begun when the data set held other images or classes",
}
# Settings that there once were not, as they were then.
_BEFORE = {"quantize": "none"}


class PhaseCheckpoints:
    """The files of a phase.

    Args:
        folder: The folder in which `checkpoints/` lies.
        phase: Name of the phase.
    """

    def __init__(self, folder: str | os.PathLike, phase: str):
        self.folder = files.as_path(folder)
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
    def results(self) -> list[pathlib.Path]:
        """All that another process needs to go on as this one would."""
        names = ("history.json", "settings.json")
        return [self.network, self.state, *map(self._path, names)]

    @property
    def is_finished(self) -> bool:
        """Whether the phase is finished."""
        return files.is_file(self.network)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Records what a phase is begun with, unless epochs of it are there.

        After `check` and `check_settings`. Files that an earlier process left
        half-written are removed.

        Args:
            settings: What determines its result, by name.

        Raises:
            FileError: If they cannot be written.
        """
        if self.is_finished:
            return
        files.clear_partial(self.state.parent, f"{self.phase}*")
        if not self.state.is_file():
            self.remove()
            files.write_json(self._path("settings.json"), settings)

    def check(self) -> None:
        """Checks that what is kept of the phase can be used, and added to.

        Raises:
            InputError: If it cannot.
        """
        if not self.is_finished:
            files.check_writable(self.state.parent, "folder")
        if self._begun_with() is None:
            return
        self.read_history()
        if not self.is_finished:
            _read_state(self.state)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Compares settings with those that a phase was begun with, if any.

        Args:
            settings: What is compared, by name.

        Raises:
            InputError: If the phase was begun with other settings.
        """
        recorded = self._begun_with()
        if recorded is None:
            return
        for name, new in sorted(files.as_json(settings).items()):
            # What was not recorded is as it is now, or not known yet then.
            old = recorded.get(name, _BEFORE.get(name, new))
            if old == new:
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
        return load_network(self.network, str(self.network), _ADVICE)

    def read_history(self) -> list[dict[str, float]]:
        """Returns the figures of each epoch so far."""
        history = files.read_json(
            self._path("history.json"),
            _HISTORY,
            "delete it (the figures of these epochs are lost then, not the "
            "weights), or pass `overwrite`",
        )
        return history or []

    def write_history(self, epochs: list[dict[str, float]]) -> None:
        """Replaces the figures of the epochs."""
        files.write_json(self._path("history.json"), epochs)

    def remove(self) -> None:
        """Removes what was kept of the phase."""
        for suffix in ("state.npz", "history.json", "settings.json", "keras"):
            with files.naming(self._path(suffix), "removed"):
                self._path(suffix).unlink(missing_ok=True)

    def _begun_with(self) -> dict[str, Any] | None:
        """Returns the settings of a phase that was begun, else `None`."""
        if not (self.is_finished or files.is_file(self.state)):
            return None
        path = self._path("settings.json")
        settings = files.read_json(
            path, dict, "pass `overwrite` to start the phase again"
        )
        if not settings:
            raise InputError(
                f"{path} does not say what the {self.phase} phase beside it "
                "was begun with; put it back, or pass `overwrite` to start "
                "the phase again"
            )
        return settings

    def _path(self, suffix: str) -> pathlib.Path:
        return self.folder / "checkpoints" / f"{self.phase}.{suffix}"


def save_network(network: keras.Model, path: pathlib.Path) -> None:
    """Writes a `.keras` file that appears under its name when complete."""
    with files.replacing_file(path) as partial:
        network.save(partial)


def load_network(path: pathlib.Path, what: str, advice: str) -> keras.Model:
    """Returns the network of a `.keras` file.

    Args:
        path: The file.
        what: What to call it in a message, such as `--source=x.keras`.
        advice: What the user may do about a damaged file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with files.local_copy(path) as local:
            return keras.saving.load_model(local, compile=False)
    except FileError:
        raise
    except Exception as error:
        # Keras raises whatever its parts raise: zip, JSON, HDF5, layers.
        reason = " ".join(str(error).split())[:200]
        why = f"cannot be read as a Keras model: it is damaged; {advice}"
        if isinstance(error, OSError) and error.errno:
            why = f"cannot be read: {os.strerror(error.errno)}"
        elif _is_whole(path):
            why = (
                "cannot be read as a Keras model, although the file is whole; "
                "its layers may be unknown here"
            )
        raise InputError(
            f"{what} {why} ({type(error).__name__}: {reason})"
        ) from error


def _is_whole(path: pathlib.Path) -> bool:
    """Whether a zip archive is as it was written."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except LookupError:
        # Python lacks a part of its own, which says nothing of the file.
        return True
    except Exception:
        return False


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
    epoch, values, further = _read_state(path)
    if len(values) != len(variables) or any(
        # A variable may take as many rows as there are.
        not tf.TensorShape(variable.shape).is_compatible_with(value.shape)
        or not np.can_cast(
            value.dtype, tf.as_dtype(variable.dtype).as_numpy_dtype, "same_kind"
        )
        for value, variable in zip(values, variables, strict=True)
    ):
        raise InputError(f"{path} is the state of another network; {_ADVICE}")
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)
    return epoch, further


def _read_state(
    path: pathlib.Path,
) -> tuple[int, list[np.ndarray], dict[str, np.ndarray]]:
    """Returns the epochs, the values and the further arrays of a state.

    Raises:
        InputError: If `save_state` cannot have written it.
    """
    try:
        with (
            files.naming(path, "read"),
            path.open("rb") as content,
            np.load(content) as file,
        ):
            arrays = dict(file)
        # Refuses what is no whole number.
        epoch = operator.index(arrays.pop("epoch")[()])
    except FileError:
        raise
    except Exception as error:
        # NumPy and zipfile raise whatever a damaged file leads them to.
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {reason}); "
            f"{_ADVICE}"
        ) from error
    further = {
        name.removeprefix(_FURTHER): arrays.pop(name)
        for name in sorted(arrays)
        if name.startswith(_FURTHER)
    }
    if epoch < 0 or sorted(arrays) != [
        f"{index:05d}" for index in range(len(arrays))
    ]:
        raise InputError(
            f"{path} cannot be read: it is not the state of a phase; {_ADVICE}"
        )
    values = [arrays[name] for name in sorted(arrays)]
    for value in (*values, *further.values()):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(
                f"{path} holds weights that are no finite numbers; {_ADVICE}"
            )
    return epoch, values, further


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps history and state of a phase after every epoch.

    Keras' `BackupAndRestore` keeps neither the history nor the best epoch, and
    may be killed within its writing.

    The history is written first: the state says how many of its entries
    count, so that being killed between the two does no harm.

    Args:
        kept: The files of the phase; `None` for a history in memory alone.
        variables: All that has to be kept.
        history: Figures of the epochs so far; is appended to.
        best: What holds the weights of the best epoch, if anything does. It
            has to have seen an epoch before this callback does.
        stopping: What may stop training early, if anything does.
    """

    def __init__(
        self,
        kept: PhaseCheckpoints | None,
        variables: list[keras.Variable],
        history: list[dict[str, float]],
        best: BestWeights | None = None,
        stopping: EarlyStopping | None = None,
    ):
        super().__init__()
        self._kept = kept
        self._variables = variables
        self._history = history
        self._best = best
        self._stopping = stopping
        self._start = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        figures = {key: float(value) for key, value in (logs or {}).items()}
        figures["epoch"] = epoch + 1
        figures["seconds"] = round(time.monotonic() - self._start, 3)
        if self._best is not None and self._best.epoch is not None:
            figures["best_epoch"] = self._best.epoch + 1
        if self._stopping is not None and self._stopping.stops_after(epoch):
            figures["stopped_early"] = 1.0
        self._history.append(figures)
        if self._kept is None:
            return
        further = {} if self._best is None else self._best.get_state()
        self._kept.write_history(self._history)
        save_state(self._kept.state, self._variables, epoch + 1, further)


def _shown(value: object) -> str:
    """Returns a setting as it is written on a command line."""
    if isinstance(value, dict | bool):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
