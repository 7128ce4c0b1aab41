"""The folder of a run: what lies where, whose it is, what it was made with.

```
checkpoints/                          see hydra_tf.training.checkpoints
compare/<method>/                     the same for a method compared with
events/                               TensorBoard
report/                               see trainers.report
saved_model/                          the network for serving
formats/                              the same as LiteRT and ONNX files
serving/<name>/<version>/             the same for TensorFlow Serving
network.keras                         the network of a converted checkpoint
densities.png                         what each layer of it keeps
learning_curves.png                   accuracies in training and validation
certify.tsv  certify.png              what is proved of each test image
examples.tsv                          what attacks left of each test image
flags.txt  metrics.json  README.md
```
"""

from __future__ import annotations

import fcntl
import pathlib
from collections.abc import Mapping
from typing import IO
from typing import Any

from hydra_tf import export
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from hydra_tf.training import PhaseCheckpoints
from trainers.run.metrics_shape import METRICS

_FOLDERS = (
    "checkpoints",
    "compare",
    "events",
    "formats",
    "report",
    "saved_model",
    "serving",
)
_FILES = (
    "network.keras",
    "shrunk.keras",
    "densities.png",
    "learning_curves.png",
    "certify.tsv",
    "certify.png",
    "examples.tsv",
    "flags.txt",
    "metrics.json",
    "README.md",
)
_ENTRIES = (*_FOLDERS, *_FILES)


class RunFolder:
    """The paths of a run's folder, and the small files in it.

    Args:
        path: The folder. It is made when something is written.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = files.as_path(path)
        self._lock: IO[str] | None = None

    @property
    def saved_model(self) -> pathlib.Path:
        return self.path / "saved_model"

    @property
    def formats(self) -> pathlib.Path:
        return self.path / "formats"

    @property
    def serving(self) -> pathlib.Path:
        return self.path / "serving"

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
    def learning_curves(self) -> pathlib.Path:
        return self.path / "learning_curves.png"

    @property
    def shrunk(self) -> pathlib.Path:
        return self.path / "shrunk.keras"

    @property
    def examples(self) -> pathlib.Path:
        return self.path / "examples.tsv"

    @property
    def network(self) -> pathlib.Path:
        return self.path / "network.keras"

    @property
    def readme(self) -> pathlib.Path:
        return self.path / "README.md"

    def phase(self, name: str) -> PhaseCheckpoints:
        """Returns what is kept of a phase."""
        return PhaseCheckpoints(self.path, name)

    def finished(self, phase: str) -> pathlib.Path:
        """Returns the path of a finished phase's network."""
        return self.phase(phase).network

    def comparison(self, method: str) -> RunFolder:
        """Returns the folder of a method that is compared with."""
        return RunFolder(self.path / "compare" / method)

    def last_finished(self, before: str | None = None) -> str | None:
        """Returns the last phase that has finished, or `None`.

        Args:
            before: Phase to stop at.
        """
        phases = PHASES if before is None else PHASES[: PHASES.index(before)]
        done = [phase for phase in phases if self.phase(phase).is_finished]
        return done[-1] if done else None

    def open(self, *, overwrite: bool = False) -> None:
        """Takes the folder for this process, until the process ends.

        Args:
            overwrite: Whether to remove what an earlier run left.

        What a run that was killed left half-written is removed.

        Raises:
            InputError: If the path cannot be a run's folder, holds other
                things, or another process is writing to it.
        """
        self.check(overwrite=overwrite)
        flag = f"--output_dir={self.path}"
        with files.naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock_file = files.lock_file(self.path / ".lock")
            lock_file.parent.mkdir(exist_ok=True)
            lock = open(lock_file, "a")  # noqa: SIM115
        try:
            # Released by the system however the process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{flag} is in use by another process; wait for it, or name "
                "another folder"
            ) from error
        except OSError as error:
            raise InputError(
                f"{flag} cannot be locked: {error.strerror}; name a folder on "
                "another file system"
            ) from error
        self._lock = lock
        if overwrite:
            self._clear()
        files.clear_partial(self.path, below=True)

    def check(self, *, overwrite: bool = False) -> None:
        """Checks that the folder can be taken, and writes nothing.

        Args:
            overwrite: Whether what an earlier run left will be removed.

        Raises:
            InputError: If it cannot be written, or holds what no run wrote.
        """
        flag = f"--output_dir={self.path}"
        if files.exists(self.path) and not self.path.is_dir():
            raise InputError(f"{flag} is a file; name a folder")
        files.check_writable(self.path, "output_dir")
        if not self.path.is_dir():
            return
        with files.naming(self.path, "read"):
            visible = {
                entry.name: entry.is_dir()
                for entry in self.path.iterdir()
                if not entry.name.startswith(".")
            }
        if visible and not visible.keys() & set(_ENTRIES):
            raise InputError(
                f"{flag} holds files that are no run of these programs; "
                "name a new or an empty folder"
            )
        for name in visible.keys() & set(_ENTRIES):
            if visible[name] != (name in _FOLDERS):
                wanted = "folder" if name in _FOLDERS else "file"
                raise InputError(
                    f"{flag} holds {name} that is no {wanted}, as that of a "
                    "run is; rename it, or name another folder"
                )
        for name in ("checkpoints", "compare"):
            files.check_writable(self.path / name, "output_dir")
        export.check_replaceable(self.saved_model)
        if not overwrite:
            # Not only when figures are added to it, perhaps after hours.
            self.read_metrics()

    def describe_checkpoints(self) -> dict[str, dict[str, Any]]:
        """Returns where each finished phase's network is, and how large."""
        return {
            phase: {
                "path": str(self.finished(phase).relative_to(self.path)),
                "bytes": self.finished(phase).stat().st_size,
            }
            for phase in PHASES
            if self.phase(phase).is_finished
        }

    def read_metrics(self) -> dict[str, Any]:
        """Returns the content of `metrics.json`, empty if there is none."""
        metrics = files.read_json(
            self.metrics, METRICS, "delete it, and networks are measured again"
        )
        return metrics or {}

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

    def _clear(self) -> None:
        for name in _ENTRIES:
            entry = self.path / name
            with files.naming(entry, "removed"):
                files.remove(entry)
