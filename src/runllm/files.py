"""Read a file whole, within a bound, and open what a path led to when it was looked at."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from runllm.errors import FileAccessError

FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
"""How to open a folder in order to go on from it, as far as the system lets: without the right to list it."""
_PATIENCE = 2.0  # seconds in which somebody must open the other end of a pipe
_PAUSE = 0.01
Doubt: TypeAlias = Callable[[os.stat_result], str]
"""Says of a file that was opened why it must not be read; empty where it may."""

_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/")  # what a shell names: its writer is there, or has been
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is opened without waiting
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_LINK_AT_ALL = getattr(os, "O_NOFOLLOW_ANY", 0)  # macOS looks at each step of a path


def open_resolved(path: str, flags: int) -> int:
    """Open what is at a path that is absolute and was resolved, so that no step of it is a link.

    One that has become a link since is refused: what was checked of the path holds for what is opened. Windows cannot
    refuse it, and opens the path.

    Raises:
        OSError: a step is a link now, or it cannot be opened.
    """
    if _NO_LINK_AT_ALL or os.open not in os.supports_dir_fd:
        return os.open(path, flags | _NO_LINK_AT_ALL)
    first, *steps = Path(path).parts
    found = os.open(first, FOLDER if steps else flags)
    while steps:
        step, above = steps.pop(0), found
        try:
            found = os.open(step, (FOLDER if steps else flags) | _NO_LINK, dir_fd=above)
        finally:
            os.close(above)
    return found


def read_bytes(path: str, most: int, doubt: Doubt = lambda _: "", *, resolved: str | None = None) -> bytes:
    """The first `most` + 1 bytes of a file: one more than allowed, so that the caller sees that it is too long.

    Args:
        path: the file, as the caller wrote it.
        most: bytes that are allowed.
        doubt: why it must not be read; asked of what was opened, which is then what is read.
        resolved: where it is, if that was checked: it is read there, through no link, and only if it is a regular file.

    Raises:
        FileAccessError: it is missing, a folder, not readable, in doubt, or a pipe to which nobody writes.
    """
    try:
        descriptor = os.open(path, _READ) if resolved is None else open_resolved(resolved, _READ)
        try:
            _check(path, descriptor, doubt)
            mode = os.fstat(descriptor).st_mode
            if resolved is not None and not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "it is no file any more")
            if stat.S_ISFIFO(mode):
                return _read_pipe(path, descriptor, most)
            if os.name != "nt":
                os.set_blocking(descriptor, True)  # a terminal is waited for
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(most + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise FileAccessError(f"there is no file `{path}`", details={"path": path}) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"`{path}` cannot be read: {reason}", details={"path": path}) from None


def _check(path: str, descriptor: int, doubt: Doubt) -> None:
    why = doubt(os.fstat(descriptor))
    if why:
        raise FileAccessError(f"`{path}` must not be read: {why}", details={"path": path})


def _read_pipe(path: str, descriptor: int, most: int) -> bytes:
    """As `read_bytes`, without waiting for a writer that never comes; one that is there may be slow."""
    found = bytearray()
    written = path.startswith(_OPEN_ALREADY)
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
