"""What `--source` is, shown."""

from __future__ import annotations

import os
import pathlib

from flags import inspect_flags
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.inspection import keras_file
from trainers.inspection import portable
from trainers.inspection import run_folder
from trainers.inspection import saved_model
from trainers.inspection.description import Description

# How files are told, by their suffix.
_FILES = {
    ".keras": keras_file.describe,
    ".onnx": portable.describe_onnx,
    ".tflite": portable.describe_litert,
}


def run() -> None:
    """Shows what `--source` is."""
    say(str(describe(files.as_path(inspect_flags.source_from_flags()))))


def describe(path: pathlib.Path) -> Description:
    """Returns what is known of a file or folder.

    Args:
        path: The file or folder.

    Raises:
        InputError: If it is none of the kinds that are known.
    """
    if not os.path.lexists(path):
        raise InputError(f"--source={path} does not exist")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return saved_model.describe(path)
        if (path / "metrics.json").is_file() or (path / "checkpoints").is_dir():
            return run_folder.describe(path)
        if saved_model.versions(path):
            return saved_model.describe_versions(path)
        raise InputError(
            f"--source={path} is no run (it has no metrics.json), no "
            "SavedModel (no saved_model.pb) and holds no versions of one"
        )
    if path.suffix not in _FILES:
        raise InputError(
            f"--source={path} is not known: give a folder, or a file that "
            f"ends in {', '.join(_FILES)}"
        )
    return _FILES[path.suffix](path)
