"""Files and folders that appear under their name only when complete.

Everything is written beside its target and renamed, so that a reader, or a
run that resumes after being killed, sees the old version or the new one and
never a part of either. A path has one writer at a time.

What a process that was killed leaves is `clear_partial`'s to remove: a file or
folder that is still being written is locked by its writer.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import math
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import json_shape
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError

# Why nothing more can be written, whatever the file, and what helps.
FULL = {
    errno.ENOSPC: "make room and run it again",
    errno.EDQUOT: "make room and run it again",
    errno.EFBIG: "raise the limit (ulimit -f) and run it again",
    errno.EIO: "look after the disk and run it again",
}
_ADVICE = {
    **FULL,
    errno.EACCES: "it takes the permission, or another path",
    errno.EPERM: "it takes the permission, or another path",
    errno.EROFS: "give another path",
    errno.ENAMETOOLONG: "give a shorter path",
}
# Room for the names that are put below a folder, some by TensorFlow.
_LONGEST_NAME = "x" * 200


@contextlib.contextmanager
def naming(path: str | os.PathLike, action: str = "written") -> Iterator[None]:
    """Turns the system's refusal within a block into an error with a path.

    Args:
        path: What the block writes or reads.
        action: What cannot be done with it.

    Raises:
        FileError: If the block raises an `OSError` about `path` or about no
            file, or another error that a full disk brought about.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = system_reason(error)
        other = getattr(error, "filename", None)
        near = os.path.dirname(os.path.abspath(path))
        if number is None or (
            isinstance(other, str | os.PathLike)
            and not os.path.abspath(other).startswith(near)
        ):
            raise
        raise _file_error(path, f"{path} cannot be {action}", number) from error


def system_reason(error: BaseException) -> int | None:
    """Returns the system's reason for an error as an `errno`, else `None`.

    Libraries that write files hide it: TensorFlow in a message, `zipfile` in
    what it raises while it handles the first error.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno
    cause: BaseException | None = error
    while cause is not None:
        for number in FULL:
            if os.strerror(number) in str(cause):
                return number
        cause = cause.__cause__ or cause.__context__
    return None


def check_writable(folder: str | os.PathLike, argument: str) -> None:
    """Checks that files can be written below a folder; makes none.

    Args:
        folder: The folder, perhaps still to be made.
        argument: What the caller's argument is called.

    Raises:
        FileError: If they cannot.
    """
    folder = pathlib.Path(folder)
    what = f"`{argument}`={folder} cannot be written"
    there = next(
        path for path in (folder, *folder.parents) if os.path.lexists(path)
    )
    try:
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "")
        for name in (*folder.relative_to(there).parts, _LONGEST_NAME):
            with contextlib.suppress(FileNotFoundError):
                os.lstat(there / name)
        with contextlib.suppress(FileNotFoundError):
            os.lstat(folder / _LONGEST_NAME)
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _file_error(folder, what, error.errno) from error
    except ValueError as error:
        raise FileError(f"{what}: {error}") from error


def clear_partial(
    folder: str | os.PathLike, names: str = "*", *, below: bool = False
) -> None:
    """Removes what killed processes left of files they did not complete.

    What a living process writes just now stays.

    Args:
        folder: The folder.
        names: Pattern of the files' names without suffix.
        below: Whether the folders below are cleared, too.
    """
    pattern = f".{names}.{'[0-9a-f]' * 32}.partial*"
    found = pathlib.Path(folder).glob(f"**/{pattern}" if below else pattern)
    for path in sorted(found):
        # Of others, or not to be written to: no reason not to go on.
        with contextlib.suppress(OSError), _locked(path):
            _remove(path)


def as_path(path: str | os.PathLike) -> pathlib.Path:
    """Returns a path as a user gave it, `~` replaced by the home folder.

    Args:
        path: A file or folder.

    Raises:
        InputError: If it is no path.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"`{os.fspath(path)}`: there is no such home folder"
        ) from error
    except TypeError as error:
        raise InputError(
            f"a path must be a text or a pathlib.Path. Received: {path!r}"
        ) from error


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a path whose file becomes `path` when the block ends well.

    A file that is already there stays until the new one is complete, and
    stays for good if the block raises. Missing folders are made.

    Args:
        path: The file to create or replace.

    Yields:
        The file to write, a hidden sibling of `path` with its suffix.

    Raises:
        FileError: If it cannot be written.

    Example:
    ```python
    with replacing_file("run/network.keras") as partial:
        model.save(partial)
    ```
    """
    path = pathlib.Path(path)
    # Keras, NumPy and matplotlib look at the suffix.
    partial = path.with_name(
        f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}"
    )
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.touch()
            with _locked(partial, needed=False) as file:
                yield partial
                os.fsync(file)
                os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_text(path: str | os.PathLike, text: str) -> pathlib.Path:
    """Writes a UTF-8 text file atomically; missing folders are made.

    Args:
        path: The file to create or replace.
        text: Its whole content.

    Returns:
        The path of the file.
    """
    with replacing_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return pathlib.Path(path)


def write_json(path: str | os.PathLike, value: object) -> pathlib.Path:
    """Writes a JSON file atomically: two spaces of indent, keys in order.

    NumPy scalars and arrays, tuples and paths are written as the numbers,
    lists and strings that they stand for.

    Args:
        path: The file to create or replace.
        value: Nested mappings, sequences, strings, numbers, booleans, `None`.

    Returns:
        The path of the file.

    Raises:
        ValueError: If a number is not finite; the message says where it is.
        TypeError: If a value has no JSON form; the message says where it is.
    """
    text = json.dumps(
        as_json(value), indent=2, ensure_ascii=False, allow_nan=False
    )
    return write_text(path, text + "\n")


def read_json(
    path: str | os.PathLike, shape: Any = object, advice: str = "delete it"
) -> Any:
    """Returns the content of a JSON file, `None` if there is no such file.

    Args:
        path: The file.
        shape: What it must hold; see `hydra_tf.json_shape`.
        advice: What the user may do about a file that does not fit.

    Raises:
        InputError: If it cannot be read, or holds something else.

    Example:
    ```python
    epochs = read_json("history.json", [{"epoch": int, str: float}])
    ```
    """
    try:
        with naming(path, "read"):
            text = pathlib.Path(path).read_text(encoding="utf-8")
        value = json.loads(
            text, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except FileError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read as JSON: {error}; {advice}"
        ) from error
    found = json_shape.mismatch(value, shape)
    if found is not None:
        raise InputError(f"{path} cannot be used: {found}; {advice}")
    return value


def as_json(value: object) -> Any:
    """Returns a value in the types of JSON, as it comes back from a file.

    Args:
        value: As for `write_json`, which raises the same errors.
    """
    return _plain(value, "")


@contextlib.contextmanager
def replacing_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives an empty folder that becomes `path` when the block ends well.

    A folder that is already there stays complete and in place until the new
    one is, and stays for good if the block raises. What an earlier process
    left behind when it was killed is cleared away or, if it was killed
    between the two renames, put back.

    Args:
        path: The folder to create or replace, with all it holds.

    Yields:
        The folder to fill, a hidden sibling of `path`.

    Raises:
        FileError: If it cannot be written, or `path` is an existing file.

    Example:
    ```python
    with replacing_directory("run/saved_model") as folder:
        tf.saved_model.save(module, str(folder))
    ```
    """
    path = pathlib.Path(os.path.abspath(path))
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    previous = path.with_name(f".{path.name}.previous")
    with naming(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "")
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_directory(path)
        clear_partial(path.parent, glob.escape(path.name))
        try:
            partial.mkdir()
            with _locked(partial, needed=False):
                yield partial
                # One that is not empty cannot be renamed over, hence two.
                if path.exists():
                    os.rename(path, previous)
                os.rename(partial, path)
        except BaseException:
            _remove(partial)
            raise
        _remove(previous)


def recover_directory(path: str | os.PathLike) -> bool:
    """Puts back a folder whose replacement was killed between its renames.

    `replacing_directory` does this first; a reader that resumes a run calls
    it before it looks for the folder.

    Args:
        path: The folder as it was given to `replacing_directory`.

    Returns:
        Whether `path` is a folder now.
    """
    path = pathlib.Path(os.path.abspath(path))
    previous = path.with_name(f".{path.name}.previous")
    if previous.is_dir():
        if path.exists():
            _remove(previous)
        else:
            os.rename(previous, path)
    return path.is_dir()


def directory_size(path: str | os.PathLike) -> int:
    """Returns the bytes in all files below a folder."""
    return sum(
        file.stat().st_size
        for file in pathlib.Path(path).rglob("*")
        if file.is_file()
    )


def _remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder and its content, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: pathlib.Path, *, needed: bool = True) -> Iterator[int]:
    """Marks a file or folder as in use by this process; gives a descriptor.

    Args:
        path: The file or folder.
        needed: Whether it is an error if it cannot be marked, as where another
            process has done so, or on a file system without locks.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if needed:
                raise
        yield descriptor
    finally:
        os.close(descriptor)


def _file_error(
    path: str | os.PathLike, what: str, number: int | None
) -> FileError:
    """Returns the error for one of the system's reasons."""
    reason = os.strerror(number) if number else "for an unknown reason"
    if number in (errno.ENOTDIR, errno.EEXIST):
        # Which of the folders above is none, or the path itself.
        path = pathlib.Path(path)
        places = (path, *path.parents)
        there = next(each for each in places if os.path.lexists(each))
        reason = f"{there} is not a folder"
    advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
    error = FileError(f"{what}: {reason}{advice}")
    error.errno = number
    return error


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r} twice")
    return content


def _plain(value: object, where: str) -> object:
    """Returns `value` in the types of JSON, checked for finite numbers."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain(item, f"{where}.{key}" if where else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _plain(item, f"{where}[{index}]")
            for index, item in enumerate(value)
        ]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), where)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no {value!r}: found at `{where}`")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"JSON has no {type(value).__name__}: found at `{where}`")
