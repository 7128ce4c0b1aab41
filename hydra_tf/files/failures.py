"""What the system refuses, as one line that names the path and helps."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Iterator

from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.files.paths import lexists
from hydra_tf.files.paths import located
from hydra_tf.files.remote import RemotePath

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
        raise file_error(path, f"{path} cannot be {action}", number) from error


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
    folder = located(folder)
    what = f"`{argument}`={folder} cannot be written"
    if isinstance(folder, RemotePath):
        _check_remote(folder, what)
        return
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
        raise file_error(folder, what, error.errno) from error
    except ValueError as error:
        raise FileError(f"{what}: {error}") from error


def _check_remote(folder: RemotePath, what: str) -> None:
    """Writes a file below a remote folder, and removes it."""
    probe = folder / f".{uuid.uuid4().hex}.partial"
    try:
        places = (folder, *folder.parents[:-2])
        there = next(filter(lexists, places), None)
        if there is not None and not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "")
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except FileError as error:
        raise FileError(f"{what}: {error}") from error
    except OSError as error:
        raise file_error(folder, what, error.errno) from error


def file_error(
    path: str | os.PathLike, what: str, number: int | None
) -> FileError:
    """Returns the error for one of the system's reasons."""
    reason = os.strerror(number) if number else "for an unknown reason"
    if number in (errno.ENOTDIR, errno.EEXIST):
        # Which of the folders above is none, or the path itself.
        path = located(path)
        places = (path, *path.parents)
        there = next(each for each in places if lexists(each))
        reason = f"{there} is not a folder"
    advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
    error = FileError(f"{what}: {reason}{advice}")
    error.errno = number
    return error
