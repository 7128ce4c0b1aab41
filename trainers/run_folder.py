"""The folder of a run: what lies where, whose it is, what it was made with.

```
checkpoints/<phase>.keras             a finished phase
checkpoints/<phase>.state.npz         a running one, after its last epoch
checkpoints/<phase>.history.json      figures of each epoch
checkpoints/<phase>.settings.json     what the phase is made with
compare/<method>/                     the same for a method compared with
events/                               TensorBoard
saved_model/                          the network for serving
densities.png                         what each layer of it keeps
certify.tsv  certify.png              what is proved of each test image
flags.txt  metrics.json  README.md
```
"""

from __future__ import annotations

import fcntl
import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import IO
from typing import Any

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES

_ENTRIES = (
    "checkpoints",
    "compare",
    "events",
    "saved_model",
    "shrunk.keras",
    "densities.png",
    "certify.tsv",
    "certify.png",
    "flags.txt",
    "metrics.json",
    "README.md",
)


class RunFolder:
    """The paths of a run's folder, and the small files in it.

    Args:
        path: The folder. It is made when something is written.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self._lock: IO[str] | None = None

    @property
    def saved_model(self) -> pathlib.Path:
        return self.path / "saved_model"

    @property
    def events(self) -> pathlib.Path:
        return self.path / "events"

    @property
    def metrics(self) -> pathlib.Path:
        return self.path / "metrics.json"

    @property
    def flagfile(self) -> pathlib.Path:
        return self.path / "flags.txt"

    @property
    def density_plot(self) -> pathlib.Path:
        return self.path / "densities.png"

    @property
    def shrunk(self) -> pathlib.Path:
        return self.path / "shrunk.keras"

    @property
    def readme(self) -> pathlib.Path:
        return self.path / "README.md"

    def finished(self, phase: str) -> pathlib.Path:
        """Returns the path of a finished phase's network."""
        return self._checkpoint(phase, "keras")

    def state(self, phase: str) -> pathlib.Path:
        """Returns the path of a running phase's last epoch."""
        return self._checkpoint(phase, "state.npz")

    def comparison(self, method: str) -> RunFolder:
        """Returns the folder of a method that is compared with."""
        return RunFolder(self.path / "compare" / method)

    def last_finished(self, before: str | None = None) -> str | None:
        """Returns the last phase that has finished, or `None`.

        Args:
            before: Phase to stop at.
        """
        phases = PHASES if before is None else PHASES[: PHASES.index(before)]
        done = [phase for phase in phases if self.finished(phase).is_file()]
        return done[-1] if done else None

    def open(self, *, overwrite: bool = False) -> None:
        """Takes the folder for this process, until the process ends.

        Args:
            overwrite: Whether to remove what an earlier run left.

        Raises:
            InputError: If the path cannot be a run's folder, holds other
                things, or another process is writing to it.
        """
        flag = f"--output_dir={self.path}"
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{flag} is a file; name a folder")
        if self.path.is_dir():
            entries = {entry.name for entry in self.path.iterdir()}
            visible = {name for name in entries if not name.startswith(".")}
            if visible and not visible.intersection(_ENTRIES):
                raise InputError(
                    f"{flag} holds files that are no run of these programs; "
                    "name a new or an empty folder"
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "a")  # noqa: SIM115
        except OSError as error:
            raise InputError(
                f"{flag} cannot be written: {error.strerror}"
            ) from error
        try:
            # Released by the system however the process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"{flag} is in use by another process; wait for it, or name "
                "another folder"
            ) from error
        self._lock = lock
        if overwrite:
            self._clear()
        for leftover in self.path.glob("checkpoints/.*.partial*"):
            leftover.unlink(missing_ok=True)

    def check_settings(self, phase: str, settings: Mapping[str, Any]) -> None:
        """Records what a phase is made with, or compares with the record.

        As `compare_settings`; a phase that was not begun starts afresh.

        Args:
            phase: Name of the phase.
            settings: What determines its result, by flag name.
        """
        if self._begun_with(phase) is None:
            self.remove_phase(phase)
            path = self._checkpoint(phase, "settings.json")
            files.write_json(path, settings)
        else:
            self.compare_settings(phase, settings)

    def compare_settings(self, phase: str, settings: Mapping[str, Any]) -> None:
        """Compares settings with those that a phase was begun with, if any.

        Args:
            phase: Name of the phase.
            settings: What is compared, by flag name.

        Raises:
            InputError: If the phase was begun with other settings.
        """
        recorded = self._begun_with(phase) or {}
        for name, new in sorted(json.loads(json.dumps(settings)).items()):
            old = recorded.get(name)
            if not recorded or old == new:
                continue
            if name == "source":
                raise InputError(
                    f"--output_dir={self.path} holds a {phase} phase that "
                    "started from another network; name another folder, "
                    "or pass --overwrite to start again"
                )
            raise InputError(
                f"--output_dir={self.path} holds a {phase} phase made "
                f"with --{name}={_shown(old)}, not --{name}="
                f"{_shown(new)}; name another folder, or pass "
                "--overwrite to start again"
            )

    def describe_checkpoints(self) -> dict[str, dict[str, Any]]:
        """Returns where each finished phase's network is, and how large."""
        return {
            phase: {
                "path": str(self.finished(phase).relative_to(self.path)),
                "bytes": self.finished(phase).stat().st_size,
            }
            for phase in PHASES
            if self.finished(phase).is_file()
        }

    def read_history(self, phase: str) -> list[dict[str, float]]:
        """Returns the figures of each epoch so far."""
        return self._read_json(self._checkpoint(phase, "history.json")) or []

    def write_history(self, phase: str, epochs: list[dict[str, float]]) -> None:
        """Replaces the figures of the epochs."""
        files.write_json(self._checkpoint(phase, "history.json"), epochs)

    def remove_phase(self, phase: str) -> None:
        """Removes what was kept of a phase."""
        for suffix in ("state.npz", "history.json", "keras"):
            self._checkpoint(phase, suffix).unlink(missing_ok=True)

    def read_metrics(self) -> dict[str, Any]:
        """Returns the content of `metrics.json`, empty if there is none."""
        return self._read_json(self.metrics) or {}

    def merge_metrics(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Adds to `metrics.json`; of phases, those not named stay.

        Returns:
            The whole content.
        """
        metrics = self.read_metrics()
        for key, value in new.items():
            if key in ("phases", "artifacts", "attacks", "certification"):
                value = {**metrics.get(key, {}), **value}
            metrics[key] = value
        files.write_json(self.metrics, metrics)
        return metrics

    def _begun_with(self, phase: str) -> dict[str, Any] | None:
        """Returns the settings of a phase that was begun, else `None`."""
        if not (self.finished(phase).is_file() or self.state(phase).is_file()):
            return None
        return self._read_json(self._checkpoint(phase, "settings.json")) or None

    def _checkpoint(self, phase: str, suffix: str) -> pathlib.Path:
        return self.path / "checkpoints" / f"{phase}.{suffix}"

    def _clear(self) -> None:
        for name in _ENTRIES:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    def _read_json(self, path: pathlib.Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def _shown(value: object) -> str:
    """Returns a setting as it is written on the command line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)
