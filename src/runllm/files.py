"""Read a file whole, within a bound, and write one whole or not at all.

What is read is what a path led to when it was looked at. What a user named to be written is written through no link
that leads elsewhere: a folder may come from a stranger, and `out.json` in it be a link to a file of the user's. So a
link is followed only to what lies in its own folder or below; a folder that the user typed may itself be a link. What
is no file, such as a device, a pipe or `/dev/stdout`, is written as it is.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeAlias

from runllm.errors import FileAccessError
from runllm.meant import missing

FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
"""How to open a folder in order to go on from it, as far as the system lets: without the right to list it."""
_PATIENCE = 2.0  # seconds in which somebody must open the other end of a pipe
_PAUSE = 0.01
_SOON = 3.0  # seconds in which whoever types or pipes an input is expected to have ended it
Doubt: TypeAlias = Callable[[os.stat_result], str]
"""Says of a file that was opened why it must not be read; empty where it may."""

_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/")  # what a shell names: its writer is there, or has been
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is opened without waiting
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_LINK_AT_ALL = getattr(os, "O_NOFOLLOW_ANY", 0)  # macOS looks at each step of a path
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_MOST_LINKS = 40  # as the system allows


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
        raise missing(path) from None
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


def read_standard_input(most: int, late: Callable[[], None] = lambda: None) -> bytes:
    """The first `most` + 1 bytes of standard input.

    Args:
        most: bytes that are allowed.
        late: called once, if it has not ended after three seconds; never on Windows.

    Raises:
        FileAccessError: it is closed, or not readable.
    """
    try:
        if os.name == "nt":  # whose pipes cannot be waited for
            return sys.stdin.buffer.read(most + 1)
        return _read_until(sys.stdin.fileno(), most, late)
    except (AttributeError, OSError, ValueError):  # a process may be started without one
        raise FileAccessError("standard input is closed", details={"path": "-"}) from None


def _read_until(descriptor: int, most: int, late: Callable[[], None]) -> bytes:
    """The first `most` + 1 bytes of what may be slow, and may never end."""
    found = bytearray()
    end = time.monotonic() + _SOON
    told = False
    while len(found) <= most:
        left = None if told else max(0.0, end - time.monotonic())
        ready = select.select([descriptor], [], [], left)[0]
        if not told and time.monotonic() >= end:
            told = True
            late()
        if ready:
            piece = os.read(descriptor, min(most + 1 - len(found), 1 << 20))
            if not piece:
                break
            found += piece
    return bytes(found)


def unwritable(folder: str | Path) -> str | None:
    """Why no file can be made in a folder, None where one can; tried with a file that has no name."""
    import tempfile  # most commands write nothing

    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


# --- writing --------------------------------------------------------------------------------------


def check_writable(path: str) -> None:
    """Refuse what `writing` could not write, before the work whose result it is to hold.

    Raises:
        FileAccessError: why not.
    """
    with _catalogued(path):
        descriptor = _own_descriptor(path)
        if descriptor is not None:
            os.write(descriptor, b"")
        elif _is_no_file(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            reason = unwritable(os.path.dirname(_destination(path)))  # noqa: PTH120 - text is all that is needed
            if reason is not None:
                raise _refused(path, reason)


@contextmanager
def writing(path: str, *, private: bool = False) -> Generator[TextIO]:
    """A text to write: see the module; `private` as for `replacing`.

    Raises:
        FileAccessError: it cannot be written.
    """
    with _catalogued(path):
        descriptor = _own_descriptor(path)
        if descriptor is not None:
            sys.stdout.flush()  # it may be the same
            with _text(os.dup(descriptor)) as file:
                yield file
        elif _is_no_file(path):
            with _text(_device(path)) as file:
                yield file
        else:
            with replacing(path, private=private) as file:
                yield file


@contextmanager
def replacing(path: str, *, private: bool = False, mode: int = 0o666) -> Generator[TextIO]:
    """A text to write, which takes the place of a file when it is whole: whoever reads meanwhile gets no half.

    The file keeps its mode. If anything is raised meanwhile, it stays as it was.

    Args:
        path: the file; where it is a link, what it leads to is replaced.
        private: whether only this user may read it from now on.
        mode: of a new file, less what the umask takes.

    Raises:
        FileAccessError: it is a link to something outside its folder.
        OSError: it cannot be written.
    """
    with _place(path) as (folder, name):
        temporary = os.path.join(os.path.dirname(name), f".{os.urandom(8).hex()}")  # noqa: PTH118, PTH120 - often a name alone
        try:
            with _text(os.open(temporary, _NEW, 0o600 if private else mode, dir_fd=folder)) as file:
                old = None if private else _mode(name, folder)
                if old is not None and sys.platform != "win32":
                    os.fchmod(file.fileno(), old)
                yield file
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)


def create(texts: Mapping[str, str]) -> None:
    """Write new files, all of them or none, in their order; none that is there already, be it a link to nowhere.

    Raises:
        FileAccessError: one is there, or cannot be written; nothing is left.
    """
    refuse_existing(texts)
    made: list[str] = []
    try:
        for path, text in texts.items():
            with _catalogued(path):
                descriptor = os.open(path, _NEW, 0o666)
                made.append(path)
                with _text(descriptor) as file:
                    file.write(text)
    except BaseException:
        for path in made:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - text is all that is needed
        raise


def refuse_existing(paths: Iterable[str]) -> None:
    """Refuse files that are there already, before the work whose result they are to hold.

    Raises:
        FileAccessError: one is.
    """
    there = next((path for path in paths if os.path.lexists(path)), None)
    if there is not None:
        raise FileAccessError(f"`{there}` is there already", hint="Give another name; nothing was written.")


@contextmanager
def _place(path: str) -> Generator[tuple[int | None, str]]:
    """The folder in which a file is replaced, held open so that nothing leads elsewhere meanwhile, and its name there.

    Where the system holds no folder open, as Windows: None, and the whole path.
    """
    destination = _destination(path)
    if os.open not in os.supports_dir_fd:
        yield None, destination
        return
    folder, name = os.path.split(destination)
    descriptor = open_resolved(folder, FOLDER)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _destination(path: str) -> str:
    """The resolved path of what is replaced, which lies in the folder that is named or, for a link, below it."""
    folder, name = os.path.split(path)
    if name in ("", os.curdir, os.pardir):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    own, real = os.path.realpath(folder or os.curdir), os.path.realpath(path)
    if Path(real).is_relative_to(own):
        return real
    raise FileAccessError(
        f"`{path}` cannot be written: it is a link to `{real}`, outside its own folder",
        details={"path": path, "target": real},
        hint="Name that file itself if it is meant, or remove the link; nothing was written.",
    )


def _own_descriptor(path: str) -> int | None:
    """The descriptor of this process that is named, as by `/dev/stdout`; None for anything else.

    Another way to open it would begin the file behind it anew.
    """
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder or os.curdir)
        if folder in (f"/proc/{os.getpid()}/fd", "/dev/fd") and name.isdecimal():
            return int(name)
        path = os.path.join(folder, name)  # noqa: PTH118 - keeps what `readlink` says as it is
        if not os.path.islink(path):  # noqa: PTH114 - as above
            return None
        path = os.path.join(folder, os.readlink(path))  # noqa: PTH115, PTH118 - as above
    return None


def _is_no_file(path: str) -> bool:
    """Whether this is there and no regular file: a device or a pipe, also at the end of a link.

    Raises:
        OSError: it is a folder, or cannot be seen.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - text is all that is needed
    except FileNotFoundError:
        return False  # it is still to be made
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return not stat.S_ISREG(mode)


def _device(path: str) -> int:
    """Open what is no file to write to it; a file that has taken its place meanwhile is left alone."""
    descriptor = os.open(path, os.O_WRONLY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it has just become a file")
    return descriptor


def _mode(name: str, folder: int | None) -> int | None:
    """The permissions of a file; None where there is none yet."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    return stat.S_IMODE(mode) if stat.S_ISREG(mode) else None


def _text(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")


@contextmanager
def _catalogued(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        hint = "Make room there, or write to another place." if error.errno in _FULL else None
        raise _refused(path, error.strerror or str(error), hint) from None


def _refused(path: str, reason: str, hint: str | None = None) -> FileAccessError:
    folder = os.path.dirname(path)  # noqa: PTH120 - text is all that is needed
    if folder and not os.path.lexists(folder):
        reason, hint = f"there is no folder `{folder}`", "Make it first, or write to another place."
    return FileAccessError(f"`{path}` cannot be written: {reason}", details={"path": path}, hint=hint)
