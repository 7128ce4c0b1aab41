"""What `--source` is, shown."""

from __future__ import annotations

import pathlib

from flags import inspect_flags
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.inspection import portable
from trainers.inspection import run_folder
from trainers.inspection import saved_model
from trainers.inspection.description import Description

# How files are told, by their suffix.
_FILES = {
    ".keras": run_folder.describe_network,
    ".onnx": portable.describe_onnx,
    ".tflite": portable.describe_litert,
}
# How folders are told.
_FOLDERS = (
    (saved_model.is_one, saved_model.describe),
    (run_folder.is_one, run_folder.describe),
    (saved_model.versions, saved_model.describe_versions),
)


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
    if not files.exists(path):
        raise InputError(f"--source={path} does not exist")
    if path.is_dir():
        for is_one, describe_it in _FOLDERS:
            if is_one(path):
                return describe_it(path)
        inside = [
            each.name
            for each in sorted(path.iterdir())
            if each.suffix in _FILES or (each.is_dir() and _is_known(each))
        ]
        raise InputError(
            f"--source={path} is no run (it has no metrics.json), no "
            "SavedModel (no saved_model.pb) and holds no versions of one"
            + (f"; give what is in it: {', '.join(inside)}" if inside else "")
        )
    if path.suffix not in _FILES:
        raise InputError(
            f"--source={path} is not known: give a folder, or a file that "
            f"ends in {', '.join(_FILES)}"
        )
    return _FILES[path.suffix](path)


def _is_known(folder: pathlib.Path) -> bool:
    return any(is_one(folder) for is_one, _ in _FOLDERS)
