"""Read a file whole, within a bound, and write one whole or not at all."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeAlias

from runllm.errors import FileAccessError

_PATIENCE = 2.0  # seconds in which somebody must open the other end of a pipe
_PAUSE = 0.01
Doubt: TypeAlias = Callable[[os.stat_result], str]
"""Says of a file that was opened why it must not be read; empty where it may."""

_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/")  # what a shell names: its writer is there, or has been


def read_bytes(path: str, most: int, doubt: Doubt = lambda _: "") -> bytes:
    """The first `most` + 1 bytes of a file: one more than allowed, so that the caller sees that it is too long.

    Args:
        path: the file, as the caller wrote it.
        most: bytes that are allowed.
        doubt: why it must not be read; asked of what was opened, which is then what is read.

    Raises:
        FileAccessError: it is missing, a folder, not readable, in doubt, or a pipe to which nobody writes.
    """
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - `Path` says no more
            return _read_pipe(path, most, doubt)
        with Path(path).open("rb") as file:
            _check(path, file.fileno(), doubt)
            return file.read(most + 1)
    except FileNotFoundError:
        raise FileAccessError(f"there is no file `{path}`", details={"path": path}) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"`{path}` cannot be read: {reason}", details={"path": path}) from None


def _check(path: str, descriptor: int, doubt: Doubt) -> None:
    why = doubt(os.fstat(descriptor))
    if why:
        raise FileAccessError(f"`{path}` must not be read: {why}", details={"path": path})


def _read_pipe(path: str, most: int, doubt: Doubt) -> bytes:
    """As `read_bytes`, without waiting for a writer that never comes; one that is there may be slow."""
    found = bytearray()
    written = path.startswith(_OPEN_ALREADY)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _check(path, descriptor, doubt)
        end = time.monotonic() + _PATIENCE
        while len(found) <= most:
            try:
                piece = os.read(descriptor, min(most + 1 - len(found), 1 << 16))
            except BlockingIOError:  # the writer is there, and has nothing to say yet
                written, piece = True, None
            if piece == b"":  # the end, or nobody has begun
                if written or time.monotonic() > end:
                    break
                piece = None
            if piece:
                found += piece
                written = True
            else:
                time.sleep(_PAUSE)
    finally:
        os.close(descriptor)
    if not written:
        said = f"`{path}` is a pipe, and nobody writes to it"
        raise FileAccessError(said, details={"path": path}, hint="Start what writes to it first, or name a file.")
    return bytes(found)


def read_standard_input(most: int) -> bytes:
    """The first `most` + 1 bytes of standard input.

    Raises:
        FileAccessError: it is closed, or not readable.
    """
    import sys

    try:
        return sys.stdin.buffer.read(most + 1)
    except (AttributeError, OSError, ValueError):  # a process may be started without one
        raise FileAccessError("standard input is closed", details={"path": "-"}) from None


def unwritable(folder: str | Path) -> str | None:
    """Why no file can be made in a folder, None where one can; tried with a file that has no name."""
    import tempfile  # most commands write nothing

    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


@contextmanager
def replacing(path: str, *, private: bool = False) -> Generator[TextIO]:
    """A text to write, which takes the place of a file when it is whole: whoever reads meanwhile gets no half.

    The file keeps its mode; a new one has that of any new file. If anything is raised meanwhile, it stays as it was.

    Args:
        path: the file; where it is a link, what it leads to is replaced.
        private: whether only this user may read it from now on.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{os.urandom(8).hex()}")
    mode = None
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode)
    if private:
        mode = 0o600
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
            if mode is not None:
                temporary.chmod(mode)
            yield file
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()
