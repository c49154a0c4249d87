"""Open the file, hold a transaction, and turn what SQLite says into the one catalogued error."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from runllm.errors import StatsError

_PAUSE = 0.02  # seconds between tries at what SQLite's own waiting does not cover
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_SAYINGS = {
    sqlite3.SQLITE_BUSY: ("another process keeps it locked", "Wait for the other process, or run without statistics."),
    sqlite3.SQLITE_READONLY: ("it is read-only", "Allow writing to the file and its folder, or choose another path."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Check that the file and its folder can be read and written."),
    sqlite3.SQLITE_PERM: ("access is denied", "Allow writing to the file and its folder, or choose another path."),
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space, or remove old runs with `runllm stats prune`."),
    sqlite3.SQLITE_IOERR: ("the disk failed", "Check the disk and its free space."),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "Move the file away: a new one is made with the next run."),
    sqlite3.SQLITE_NOTADB: ("it is not a database", "Move the file away: a new one is made with the next run."),
}

# Closing any descriptor of a file drops every POSIX lock that the process holds on it, those of SQLite
# too. So a file is opened by us only when it is new, and by one thread at a time.
_creating = Lock()
_SETTINGS = (
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "synchronous = NORMAL",  # a killed process loses nothing; a power cut the last few runs
)
if hasattr(os, "register_at_fork"):  # a child must not inherit the lock from a thread that it does not have
    os.register_at_fork(before=_creating.acquire, after_in_parent=_creating.release, after_in_child=_creating.release)


def connect(path: Path, timeout: float, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Open or create the file, in autocommit mode and with foreign keys.

    Args:
        path: the file; it is made with mode 0600, a missing folder with 0700.
        timeout: seconds to wait for other processes.
        prepare: what else to do before the connection is used; done again where SQLite is busy.

    Raises:
        sqlite3.Error: SQLite cannot open it.
        OSError: the file or its folder cannot be made.
    """
    _create(path)
    db = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        deadline = time.monotonic() + timeout
        while True:
            try:
                for setting in _SETTINGS:
                    db.execute(f"PRAGMA {setting}")
                prepare(db)
            except sqlite3.OperationalError as error:
                if not _busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)  # the switch to the log wants the file for itself, and does not wait
            else:
                return db
    except BaseException:
        db.close()
        raise


def use_log(db: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log: readers and one writer do not wait for each other."""
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        db.execute("PRAGMA journal_mode = WAL")


def _create(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _creating:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Generator[sqlite3.Connection, None, None]:
    """All or nothing: committed at the end of the block, rolled back when it fails.

    Args:
        db: a connection in autocommit mode.
        kind: `IMMEDIATE` to write, `DEFERRED` to read one state of the store several times.
    """
    try:
        db.execute(f"BEGIN {kind}")
        yield db
        db.commit()
    except BaseException:
        db.rollback()  # does nothing where SQLite has rolled back already
        raise


def failure(path: Path, error: Exception) -> StatsError:
    """What went wrong with the store, as the one error that its callers know."""
    saying, hint = str(error), None
    if isinstance(error, OSError):
        saying = f"{error.strerror or error}"
        hint = "Check that the folder can be made and written, or choose another path."
    elif isinstance(error, sqlite3.Error):
        saying, hint = _SAYINGS.get(_code(error), (saying, None))
    return StatsError(
        f"the statistics in `{path}` cannot be used: {saying}",
        details={"path": str(path), "reason": str(error)},
        hint=hint,
    )


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for what Python itself found."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _busy(error: sqlite3.Error) -> bool:
    return _code(error) in _BUSY
