"""The journal of a batch: what was begun, and how each row ended.

A file beside the output to which lines are only added. Each line is the CRC-32 of a JSON value, a space, and the
value, added by one `write()`, so that a process that is killed leaves whole lines but for the last one, which is then
cut off. It is forced to the disk once a second (`SYNCED`): a power cut costs no more than the rows of that second.

The first line says what makes the answers what they are: a batch is only gone on with while that is the same.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import IO, Any
from zlib import crc32

from runllm.errors import FileAccessError
from runllm.values import often

SYNCED = 1.0
"""Seconds between two times that the journal is forced to the disk."""
_VERSION = 1
_NOWHERE = 0
_ROW = b'{"row":'
_NEAR = (1 << 32) - 1
_FAR = 1 << 40


@often
class Ended:
    """How a row ended.

    Attributes:
        index: its place among the rows, counted from 0.
        line: where the row stands in its file.
        output: what it gave; None where it failed.
        code: of the error; empty where it did not fail.
        message: of the error.
        calls: of models.
        tokens: of prompts and answers.
        cost: US dollars; None where a price is not known.
        seconds: that it took.
        first: whether the first answer was taken.
        cached: whether it came from the cache, without a call.
    """

    index: int
    line: int
    output: Any = None
    code: str = ""
    message: str = ""
    calls: int = 0
    tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0
    first: bool = False
    cached: bool = False

    @property
    def failed(self) -> bool:
        """Whether it has an error instead of an output."""
        return bool(self.code)


_DECODED = json.JSONDecoder().raw_decode
_DEFAULTS = {one.name: one.default for one in fields(Ended) if one.name not in ("index", "line", "output")}


class Journal:
    """The journal of one output, held by this process alone. Not thread-safe: one thread adds to it.

    Attributes:
        path: of the file.
        header: what its first line says; None while it has none.
        offsets: where the line of each row begins; 0, where the header stands, for one that has not ended.
    """

    def __init__(self, path: str, *, anew: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        """Open or make it, and read what it holds.

        Args:
            path: of the file.
            anew: whether what it holds is thrown away, where no other process writes it.
            now: the clock.

        Raises:
            FileAccessError: it cannot be read or written, another process holds it, or a line in it is damaged.
        """
        self.path = path
        self.header: dict[str, Any] | None = None
        self.offsets: array[int] = array("I")
        self._reader: IO[bytes] | None = None
        self._now, self._synced, self._dirty = now, now(), False
        with _catalogued(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _hold(self._file, path)
            with _catalogued(path):
                if anew:
                    os.ftruncate(self._file, 0)
                self._end = self._read()
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write what makes the answers what they are; also again, where rows have come after the others."""
        self.header = {"version": _VERSION, **header}
        self._add({"batch": self.header})

    def add(self, ended: Ended) -> None:
        """Keep how a row ended; what was kept of it before does not count any more.

        Raises:
            FileAccessError: it cannot be written; the row has not ended.
        """
        beside = {name: value for name, usual in _DEFAULTS.items() if (value := getattr(ended, name)) != usual}
        self._place(ended.index, self._add({"row": ended.index, "line": ended.line, "output": ended.output, **beside}))

    def spend(self, ended: Ended) -> None:
        """Keep what a row cost that did not end."""
        self._add({"spent": {"calls": ended.calls, "tokens": ended.tokens, "cost": ended.cost}})

    def ended(self, index: int) -> bool:
        """Whether a row has ended."""
        return index < len(self.offsets) and self.offsets[index] != _NOWHERE

    def found(self, index: int) -> Ended | None:
        """How a row ended; None where it has not."""
        if not self.ended(index):
            return None
        try:
            if self._reader is None:
                self._reader = open(self.path, "rb")  # noqa: SIM115, PTH123 - closed with the journal
            self._reader.seek(self.offsets[index])
            return _ended(_said(self._reader.readline()))
        except OSError as error:
            raise _broken(self.path, error) from None

    def all(self) -> Iterator[tuple[Ended, bool]]:
        """All that was kept, in the order of time, and whether it counts still; it was paid for in either case."""
        with _catalogued(self.path), open(self.path, "rb") as file:  # noqa: PTH123 - text is all that is needed
            at = 0
            for line in file:
                said = _said(line)
                if "row" in said:
                    ended = _ended(said)
                    yield ended, self.offsets[ended.index] == at
                elif "spent" in said:
                    yield _spent(said), False
                at += len(line)

    def close(self) -> None:
        """Force it to the disk and let go of it. Safe to call twice."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1
            if self.header is None:  # nothing was begun
                with suppress(OSError):
                    os.unlink(self.path)  # noqa: PTH108 - text is all that is needed
        if self._reader is not None:
            self._reader.close()

    def sync(self) -> None:
        """Force what was added to the disk."""
        if self._dirty:
            with _catalogued(self.path):
                os.fsync(self._file)
            self._dirty, self._synced = False, self._now()

    def _add(self, said: Mapping[str, Any]) -> int:
        data = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
        line, at = b"%08x %b\n" % (crc32(data), data), self._end
        with _catalogued(self.path):
            written = os.write(self._file, line)
            if written < len(line):  # the disk is full: what was begun is taken back
                os.ftruncate(self._file, at)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end, self._dirty = at + len(line), True
        if self._now() - self._synced >= SYNCED:
            self.sync()
        return at

    def _place(self, index: int, at: int) -> None:
        if at > _NEAR and self.offsets.typecode == "I":
            self.offsets = array("q", self.offsets)  # twice the memory, for a journal of more than four GiB
        if index >= len(self.offsets):
            self.offsets.extend([_NOWHERE] * (index + 1 - len(self.offsets)))
        self.offsets[index] = at

    def _read(self) -> int:
        """Read what is there, without a last line that was not written whole; returns where it ends."""
        at, number = 0, 0
        with open(self.path, "rb") as file:  # noqa: PTH123 - as above
            size = os.fstat(file.fileno()).st_size
            for number, line in enumerate(file, 1):
                is_whole = _is_whole(line)
                if not is_whole and at + len(line) == size:
                    break
                if not is_whole:
                    raise FileAccessError(
                        f"the journal `{self.path}` is damaged in line {number:,}",
                        details={"path": self.path},
                        hint="What it says cannot be trusted. Begin anew with `--overwrite`, or restore the file.",
                    )
                if line.startswith(_ROW, 9):  # most of them: read when they are asked for
                    self._place(int(line[9 + len(_ROW) : line.index(b",")]), at)
                else:
                    self.header = _said(line).get("batch", self.header)
                at += len(line)
        if at < size:
            os.ftruncate(self._file, at)
        return at


def added(path: str, at: int) -> Iterator[tuple[Ended | dict[str, Any], int]]:
    """What a journal that another process writes says from a place on, as far as lines are whole, and where each ends.

    It is how a row ended, or with no place what one cost that did not, or what a first line may say.
    """
    with _catalogued(path), suppress(FileNotFoundError), open(path, "rb") as file:  # noqa: PTH123 - as above
        file.seek(at)
        for line in file:
            if not _is_whole(line):
                return
            at, said = at + len(line), _said(line)
            yield (_ended(said) if "row" in said else _spent(said) if "spent" in said else said["batch"]), at


def is_held(path: str) -> bool:
    """Whether a process has a journal."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        _hold(descriptor, path)
    except FileAccessError:
        return True
    finally:
        os.close(descriptor)
    return False


def _spent(said: Mapping[str, Any]) -> Ended:
    return Ended(index=-1, line=0, **said["spent"])


def _ended(said: dict[str, Any]) -> Ended:
    return Ended(index=said.pop("row"), **said)


def _said(line: bytes) -> dict[str, Any]:
    return _DECODED(line[9:].decode())[0]


def _is_whole(line: bytes) -> bool:
    """Whether a line is as it was written."""
    try:
        return line[8:9] == b" " and line.endswith(b"\n") and int(line[:8], 16) == crc32(memoryview(line)[9:-1])
    except ValueError:
        return False


def _hold(descriptor: int, path: str) -> None:
    """Keep other processes from the file, where its file system can."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)  # what is locked there cannot be read, and nothing stands so far
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise FileAccessError(
                f"another process is writing `{path}`",
                details={"path": path},
                hint="Wait until that batch has ended, or stop it: this one then goes on where it was.",
            ) from None


@contextmanager
def _catalogued(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _broken(path, error) from None


def _broken(path: str, error: OSError) -> FileAccessError:
    return FileAccessError(
        f"the journal `{path}` cannot be written: {error.strerror or error}",
        details={"path": path},
        hint="Nothing that has ended is lost: run the same command again when that is mended.",
    )
