"""Files and folders that appear under their name only when complete.

Everything is written beside its target and renamed, so that a reader, or a
run that resumes after being killed, sees the old version or the new one and
never a part of either. A path has one writer at a time.

What a process that was killed leaves is `clear_partial`'s to remove: a file or
folder that is still being written is locked by its writer.

Where the file system is not local, a rename may be no single step and there
are no locks. There everything is written to a local folder first. A file is
uploaded under a hidden name and renamed. A folder is uploaded under a hidden
name, too; then a file beside it, `.<name>.commit`, says that it is complete,
and its files are copied to their place. `recover_directory` finishes what was
killed within that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterator

from hydra_tf.errors import FileError
from hydra_tf.files.failures import file_error
from hydra_tf.files.failures import naming
from hydra_tf.files.paths import absolute
from hydra_tf.files.paths import located
from hydra_tf.files.paths import remove
from hydra_tf.files.remote import RemotePath


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
    found = located(folder).glob(f"**/{pattern}" if below else pattern)
    for path in sorted(found):
        # Of others, or not to be written to: no reason not to go on.
        with contextlib.suppress(OSError):
            if isinstance(path, RemotePath):
                if not _is_committed(path):
                    remove(path)
                continue
            with _locked(path):
                remove(path)


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
    path = located(path)
    if isinstance(path, RemotePath):
        with naming(path), tempfile.TemporaryDirectory() as folder:
            local = pathlib.Path(folder) / path.name
            local.touch()
            yield local
            _upload_file(local, path)
        return
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
    return located(path)


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
    path = absolute(path)
    if isinstance(path, RemotePath):
        if path.is_file():
            raise file_error(path, f"{path} cannot be written", errno.ENOTDIR)
        with naming(path), tempfile.TemporaryDirectory() as folder:
            local = pathlib.Path(folder) / path.name
            local.mkdir()
            yield local
            _upload_folder(local, path)
        return
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
            remove(partial)
            raise
        remove(previous)


def recover_directory(path: str | os.PathLike) -> bool:
    """Puts back a folder whose replacement was killed between its renames.

    `replacing_directory` does this first; a reader that resumes a run calls
    it before it looks for the folder.

    Args:
        path: The folder as it was given to `replacing_directory`.

    Returns:
        Whether `path` is a folder now.
    """
    path = absolute(path)
    if isinstance(path, RemotePath):
        _finish_folder(path)
        return path.is_dir()
    previous = path.with_name(f".{path.name}.previous")
    if previous.is_dir():
        if path.exists():
            remove(previous)
        else:
            os.rename(previous, path)
    return path.is_dir()


def append_text(path: pathlib.Path, text: str) -> None:
    """Adds UTF-8 text to the end of a file.

    Args:
        path: The file.
        text: The text, whole lines.

    Raises:
        FileError: If it cannot be written.
    """
    with naming(path):
        if isinstance(path, RemotePath):
            path.append(text.encode())
            return
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _upload_file(local: pathlib.Path, path: RemotePath) -> None:
    partial = path.with_name(
        f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.upload(local)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _upload_folder(local: pathlib.Path, path: RemotePath) -> None:
    _finish_folder(path)
    clear_partial(path.parent, glob.escape(path.name))
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.upload(local)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(partial)
        raise
    write_text(_commit_of(path), partial.name)
    _finish_folder(path)


def _finish_folder(path: RemotePath) -> None:
    """Brings a folder whose upload is complete to its place, if there is one.

    Whatever step it is killed in, it can be done again.
    """
    commit = _commit_of(path)
    if not commit.is_file():
        return
    partial = path.with_name(commit.read_text(encoding="utf-8"))
    if not partial.is_dir():
        raise FileError(
            f"{partial} is missing, whose files {path} was to get; delete "
            f"{commit}, and {path} if it is not whole"
        )
    new = {
        file.relative_to(partial)
        for file in partial.rglob("*")
        if file.is_file()
    }
    path.mkdir(parents=True, exist_ok=True)
    for name in sorted(new):
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # ram:// would append to it.
        target.unlink(missing_ok=True)
        (partial / name).copy_file(target)
    for file in [*path.rglob("*")]:
        if file.is_file() and file.relative_to(path) not in new:
            file.unlink(missing_ok=True)
    commit.unlink(missing_ok=True)
    remove(partial)


def _is_committed(partial: RemotePath) -> bool:
    """Whether a hidden folder is complete, and has yet to be put in place."""
    name = partial.name.removeprefix(".").removesuffix(".partial")
    commit = _commit_of(partial.with_name(name.rpartition(".")[0]))
    return commit.is_file() and commit.read_text() == partial.name


def _commit_of(path: RemotePath) -> RemotePath:
    return path.with_name(f".{path.name}.commit")


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
