"""Paths of file systems that are not local: `gs://bucket/run`, `s3://...`.

Whatever `tf.io.gfile` reaches: what TensorFlow brings along (`gs://`, and
`ram://`, the memory of the process), what tensorflow-io adds (`s3://`, `az://`)
and schemes that the user registers.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import io
import os
import pathlib
import re
import stat
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import IO
from typing import Any
from typing import TypeVar

from hydra_tf.errors import FileError

T = TypeVar("T")

# How long a host may take to answer the first time. TensorFlow tries again for
# many minutes.
_SECONDS = 60
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# Stands for a host that is not given, as in hdfs:///run.
_NO_HOST = "\0"
_reached: set[str] = set()


class RemotePath(pathlib.PosixPath):
    """A `pathlib.Path` whose files `tf.io.gfile` reads and writes.

    Made by `hydra_tf.files.as_path`. There are no links, permissions and
    locks; `os` and `open` don't know such paths, only its own methods do.
    """

    @classmethod
    def of(cls, text: str) -> RemotePath | None:
        """Returns the path that a text with a scheme stands for.

        Args:
            text: Such as `gs://bucket/run`.

        Returns:
            The path; `None` if the text names a local one.
        """
        match = _SCHEME.match(text)
        if match is None or match[1] == "file":
            return None
        rest = match[2]
        host = [_NO_HOST] if not rest or rest.startswith("/") else []
        return cls(f"{match[1]}:", *host, f"./{rest}")

    @property
    def scheme(self) -> str:
        """The file system, such as `gs`."""
        return self.parts[0].removesuffix(":")

    def __str__(self) -> str:
        text = super().__str__()
        return text.replace(":/", "://", 1).replace(_NO_HOST, "", 1)

    def __fspath__(self) -> str:
        return str(self)

    def is_absolute(self) -> bool:
        return True

    def absolute(self):
        return self

    def resolve(self, strict=False):
        return self

    def expanduser(self):
        return self

    def stat(self, *, follow_symlinks=True):
        found = self._call(lambda gfile: gfile.stat(str(self)))
        kind = stat.S_IFDIR if found.is_directory else stat.S_IFREG
        seconds = found.mtime_nsec // 10**9
        return os.stat_result(
            (kind, 0, 0, 1, 0, 0, found.length, seconds, seconds, seconds)
        )

    def lstat(self):
        return self.stat()

    def iterdir(self):
        names = self._call(lambda gfile: gfile.listdir(str(self)))
        # Some file systems mark folders.
        for name in sorted({name.rstrip("/") for name in names} - {""}):
            yield self / name

    def glob(self, pattern):
        if pattern.startswith("**/"):
            yield from self.rglob(pattern.removeprefix("**/"))
            return
        with contextlib.suppress(FileNotFoundError):
            for path in self.iterdir():
                if fnmatch.fnmatchcase(path.name, pattern):
                    yield path

    def rglob(self, pattern):
        for path in self.glob("*"):
            if fnmatch.fnmatchcase(path.name, pattern):
                yield path
            if path.is_dir():
                yield from path.rglob(pattern)

    def open(
        self, mode="r", buffering=-1, encoding=None, errors=None, newline=None
    ):
        content: IO[Any]
        if mode.startswith("r"):
            content = io.BytesIO(self._call(self._read))
            if "b" in mode:
                return content
            return io.TextIOWrapper(
                content, encoding or "utf-8", errors, newline
            )
        return self._call(lambda gfile: gfile.GFile(str(self), mode))

    def mkdir(self, mode=0o777, parents=False, exist_ok=False):
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self)
        self._call(lambda gfile: gfile.makedirs(str(self)))

    def unlink(self, missing_ok=False):
        with contextlib.suppress(*[FileNotFoundError] * missing_ok):
            self._call(lambda gfile: gfile.remove(str(self)))

    def rename(self, target):
        """Gives a file or folder another name; a file replaces what is there.

        A folder is copied, then removed: few of these file systems can do
        more.
        """
        if self.is_dir():
            self._copy_folder(type(self)(target))
            self.rmtree()
        else:
            self._call(
                lambda gfile: gfile.rename(
                    str(self), str(target), overwrite=True
                )
            )
        return target

    replace = rename

    def rmtree(self) -> None:
        """Removes a folder with all that is in it."""
        self._call(lambda gfile: gfile.rmtree(str(self)))

    def write_bytes(self, data):
        self._write("wb", data)

    def append(self, data: bytes) -> None:
        """Adds to the end of a file."""
        self._write("ab", data)

    def download(self, target: pathlib.Path) -> None:
        """Copies the file, or the folder with all in it, to a local path."""
        if not self.is_dir():
            self.copy_file(target)
            return
        target.mkdir(parents=True)
        for path in self.iterdir():
            path.download(target / path.name)

    def upload(self, source: pathlib.Path) -> None:
        """Makes the content of a local file, or folder, that of the path."""
        if source.is_dir():
            self.mkdir(parents=True, exist_ok=True)
            for path in sorted(source.iterdir()):
                (self / path.name).upload(path)
            return
        self._call(
            lambda gfile: gfile.copy(str(source), str(self), overwrite=True)
        )

    def copy_file(self, target: pathlib.Path) -> None:
        """Copies the file to a path, local or not."""
        self._call(
            lambda gfile: gfile.copy(str(self), str(target), overwrite=True)
        )

    def _copy_folder(self, target: RemotePath) -> None:
        target.mkdir(exist_ok=True)
        for path in self.iterdir():
            if path.is_dir():
                path._copy_folder(target / path.name)
            else:
                path.copy_file(target / path.name)

    def _read(self, gfile: Any) -> bytes:
        with gfile.GFile(str(self), "rb") as file:
            return file.read()

    def _write(self, mode: str, data: bytes) -> None:
        def write(gfile: Any) -> None:
            with gfile.GFile(str(self), mode) as file:
                file.write(data)

        self._call(write)

    def _call(self, function: Callable[[Any], T]) -> T:
        """Returns what a function of `tf.io.gfile` returns.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            FileError: If the file system is unknown, or does not answer.
        """
        # Slow to import, and needed for paths of this kind only.
        import tensorflow as tf

        with self._errors(tf.errors):
            self._reach(tf.io.gfile)
            return function(tf.io.gfile)

    def _reach(self, gfile: Any) -> None:
        """Waits for the first answer of a host, for a limited time."""
        host = "/".join(self.parts[:2])
        if host in _reached:
            return
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                gfile.stat(str(self))
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_SECONDS)
        if thread.is_alive():
            raise self._error(
                errno.ETIMEDOUT, f"no answer within {_SECONDS} seconds"
            )
        if raised and type(raised[0]).__name__ != "NotFoundError":
            raise raised[0]
        _reached.add(host)

    @contextlib.contextmanager
    def _errors(self, kinds: Any) -> Iterator[None]:
        """Turns the errors of TensorFlow into those of a path."""
        try:
            yield
        except kinds.NotFoundError as error:
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), str(self)
            ) from error
        except kinds.UnimplementedError as error:
            raise self._unknown(error) from error
        except kinds.OpError as error:
            lines = str(error.message).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            number = _NUMBERS.get(type(error).__name__, errno.EHOSTUNREACH)
            raise self._error(
                number,
                f"{reason[:200]}; check the name, the network and your "
                "credentials",
            ) from error

    def _unknown(self, error: Any) -> FileError:
        from tensorflow.io.gfile import get_registered_schemes

        known = sorted({*get_registered_schemes()} - {"", "file"})
        if self.scheme in known:
            return self._error(errno.ENOTSUP, str(error.message))
        return self._error(
            errno.EPROTONOSUPPORT,
            f"TensorFlow has no file system {self.scheme}://, but "
            f"{', '.join(f'{each}://' for each in known)}; tensorflow-io "
            "has more, such as s3://",
        )

    def _error(self, number: int, reason: str) -> FileError:
        error = FileError(f"{self} cannot be reached: {reason}")
        error.errno = number
        return error


_NUMBERS = {
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "ResourceExhaustedError": errno.ENOSPC,
    "FailedPreconditionError": errno.EHOSTUNREACH,
}
