"""The folder of versions that TensorFlow Serving watches."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.export.saved_model import SavedModelInfo
from hydra_tf.export.saved_model import export_saved_model


def export_serving(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    version: int | None = None,
    images: Any = None,
    class_names: Sequence[str] = (),
    input_shape: tuple[int | None, ...] | None = None,
) -> SavedModelInfo:
    """Writes a model as the next version in TensorFlow Serving's layout.

    The SavedModel is that of `export_saved_model`, in `<path>/<version>/`. It
    appears there when it is complete: a server that watches the folder never
    loads a part of it, and goes from one version to the next by itself.

    Args:
        model: A model with one input and one output, the logits.
        path: Folder of all versions, whose name is that of the model.
        version: Integer >= 1. By default the one after the highest there is.
        images: Some images in [0, 1] to warm up with.
        class_names: Names of the classes in the order of the logits.
        input_shape: Shape of one example, for a model that does not know its
            own.

    Returns:
        Where the version is and how large.

    Raises:
        InputError: If the version is there, `path` holds something else than
            versions, or the model cannot be used.
        FileError: If `path` cannot be written.

    Example:
    ```python
    info = ht.export.export_serving(network, "models/digits", images=images)
    print(info.path)  # models/digits/1
    ```
    """
    path = files.as_path(path)
    files.check_writable(path, "path")
    there = versions(path)
    if version is None:
        version = max(there, default=0) + 1
    if type(version) is not int or version < 1:
        raise InputError(
            "`version` must be an integer >= 1, or None for the next. "
            f"Received: version={version!r}"
        )
    if version in there:
        raise InputError(
            f"`version`={version} exists: {path / str(version)}; leave it out "
            f"for {max(there) + 1}, the next"
        )
    return export_saved_model(
        model,
        path / str(version),
        input_shape=input_shape,
        images=images,
        class_names=class_names,
    )


def versions(path: pathlib.Path) -> list[int]:
    """Returns the versions in a folder, which need not be there.

    Raises:
        InputError: If it holds something else, too.
    """
    if not path.is_dir():
        return []
    entries = [each for each in path.iterdir() if not each.name.startswith(".")]
    for entry in entries:
        if not (entry.name.isdecimal() and entry.is_dir()):
            raise InputError(
                f"`path`={path} must hold versions alone, folders that are "
                f"called 1, 2 and so on; it holds {entry.name}"
            )
    return sorted(int(each.name) for each in entries)
