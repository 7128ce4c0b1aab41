"""The path that a text of the user's stands for, and what lies there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from hydra_tf.errors import InputError
from hydra_tf.files.remote import RemotePath


def located(path: str | os.PathLike) -> pathlib.Path:
    """Returns a path as it is, a `RemotePath` if it has a scheme.

    Args:
        path: A file or folder.
    """
    if isinstance(path, pathlib.Path):
        return path
    text = os.fspath(path)
    remote = RemotePath.of(text) if isinstance(text, str) else None
    return remote or pathlib.Path(_without_scheme(text))


def as_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns a path as a user gave it, `~` replaced by the home folder.

    `gs://bucket/run` and whatever else has a scheme gives a path whose files
    `tf.io.gfile` reads and writes; `file://` is local.

    Args:
        path: A file or folder.

    Raises:
        InputError: If it is no path.
    """
    try:
        return located(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"`{os.fspath(path)}`: there is no such home folder"
        ) from error
    except TypeError as error:
        raise InputError(
            f"a path must be a text or a pathlib.Path. Received: {path!r}"
        ) from error


def directory_size(path: str | os.PathLike) -> int:
    """Returns the bytes in all files below a folder."""
    return sum(
        file.stat().st_size
        for file in located(path).rglob("*")
        if file.is_file()
    )


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or folder; none that cannot be seen."""
    path = located(path)
    return path.exists() if is_remote(path) else os.path.exists(path)


def lexists(path: str | os.PathLike) -> bool:
    """Whether there is a file, a folder or a link."""
    path = located(path)
    return path.exists() if is_remote(path) else os.path.lexists(path)


def is_file(path: str | os.PathLike) -> bool:
    """Whether there is a file; none that cannot be seen."""
    path = located(path)
    return path.is_file() if is_remote(path) else os.path.isfile(path)


def is_dir(path: str | os.PathLike) -> bool:
    """Whether there is a folder; none that cannot be seen."""
    path = located(path)
    return path.is_dir() if is_remote(path) else os.path.isdir(path)


def remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder and its content, if it is there."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif isinstance(path, RemotePath):
        path.rmtree()
    else:
        shutil.rmtree(path)


def absolute(path: str | os.PathLike) -> pathlib.Path:
    """Returns a path from the root on, links not followed."""
    path = as_path(path)
    return path if is_remote(path) else pathlib.Path(os.path.abspath(path))


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path has a scheme, as `gs://bucket/run`."""
    return isinstance(located(path), RemotePath)


@contextlib.contextmanager
def local_copy(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a local path with the content of a file or folder to read.

    Args:
        path: The file or folder; a local one is given itself.

    Example:
    ```python
    with local_copy("gs://bucket/network.keras") as file:
        model = keras.saving.load_model(file)
    ```
    """
    path = located(path)
    if not isinstance(path, RemotePath):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / path.name
        path.download(copy)
        yield copy


def lock_file(path: pathlib.Path) -> pathlib.Path:
    """Returns the local file whose lock stands for that of a path.

    Remote file systems have no locks: there, processes of this machine alone
    see each other.

    Args:
        path: The file to lock.
    """
    if not is_remote(path):
        return path
    name = hashlib.sha256(str(path).encode()).hexdigest()[:32]
    folder = pathlib.Path(tempfile.gettempdir()) / f"hydra_tf-{os.getuid()}"
    return folder / name


def _without_scheme(text: str) -> str:
    if isinstance(text, str) and text.startswith("file://"):
        return text.removeprefix("file://")
    return text
