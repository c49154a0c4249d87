# ruff: noqa: S608 - the numbers in the SQL are our own
"""Answers that were accepted, kept for the next time that the same is asked.

One SQLite file of the user's. A row is found by a digest of what was asked and of where it went; of that no word is
kept, of the answer all. Any number of processes and threads use it at the same time. Whatever is wrong with it is a
`FileAccessError`, which costs a run a call and never fails it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from runllm.engines import recorded
from runllm.errors import FileAccessError
from runllm.ownership import doubt
from runllm.quantities import seconds
from runllm.redaction import redact_text
from runllm.results import Completion, Request, Usage
from runllm.stats.database import connect, is_busy, is_damaged, saying, transaction
from runllm.values import frozen

VARIABLE = "RUNLLM_CACHE_FOLDER"
MOST_BYTES = 256 << 20
"""Bytes of answers that are kept, those of their rows among them; the least recently used go first."""
_OF_A_ROW = 200  # bytes of its key and of its places in the indexes
_ROOM = 20  # where it is full, one in so many bytes is made free at a time
_LARGEST = 16 << 20  # bytes of one answer
_OFTEN = 3600.0  # seconds after which another use of an answer is noted
_TIMEOUT = 1.0  # seconds to wait for other processes: the call may be as fast
_OWNER, _FORM = 0x726C6C63, 1  # "rllc" in the header of the file, and what its tables are
_TABLES = (
    f"PRAGMA application_id = {_OWNER}",
    f"PRAGMA user_version = {_FORM}",
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, made REAL NOT NULL, used REAL NOT NULL, answer BLOB NOT NULL
    )""",
    "CREATE INDEX answers_used ON answers (used)",
    "CREATE TABLE total (bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    f"""CREATE TRIGGER added AFTER INSERT ON answers BEGIN
        UPDATE total SET bytes = bytes + length(new.answer) + {_OF_A_ROW};
    END""",
    f"""CREATE TRIGGER removed AFTER DELETE ON answers BEGIN
        UPDATE total SET bytes = bytes - length(old.answer) - {_OF_A_ROW};
    END""",
)
_ANEW = "`runllm cache clear` begins anew."
T = TypeVar("T")


@frozen
class Held:
    """What the cache holds.

    Attributes:
        path: its file, which need not exist.
        answers: how many.
        size: their bytes.
        oldest: when the oldest was given, in Unix seconds; None without one.
    """

    path: Path
    answers: int = 0
    size: int = 0
    oldest: float | None = None


def key_of(request: Request, place: str) -> bytes:
    """What tells a request from all others: a digest of it, and of where it goes.

    Args:
        request: what is asked; nothing in it is masked, so that no two that differ share an answer.
        place: as the engine says it.
    """
    endpoint = request.endpoint
    where = [place, endpoint.api_version, dict(endpoint.provider_params)]
    return bytes.fromhex(recorded.key_of({"asked": recorded.asked(request), "where": where}))


def answers_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The file of the cache: in the folder that `RUNLLM_CACHE_FOLDER` names, or in the user's own for such files.

    Raises:
        FileAccessError: the system knows no home.
    """
    if named := environment.get(VARIABLE):
        return Path(os.path.expanduser(named)) / "answers.db"  # noqa: PTH111 - never fails
    from platformdirs import user_cache_path

    try:
        return user_cache_path("runllm", appauthor=False) / "answers.db"
    except RuntimeError:
        raise FileAccessError("there is no folder for the cache", hint=f"Name one in {VARIABLE}.") from None


class Answers:
    """The answers in one file, opened when they are first asked for. Threads may share it; it survives a fork."""

    def __init__(self, path: Path | None = None, *, most: int = MOST_BYTES, timeout: float = _TIMEOUT) -> None:
        """Open nothing yet.

        Args:
            path: the file, made with mode 0600; the user's own by default.
            most: bytes to keep.
            timeout: seconds to wait for other processes.
        """
        self._path = path
        self._most = most
        self._timeout = timeout
        self._broken: FileAccessError | None = None
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        """The file.

        Raises:
            FileAccessError: there is no place for it.
        """
        return self._path or answers_file()

    @property
    def trouble(self) -> str:
        """Why it is not used; empty where it is."""
        return self._broken.message if self._broken else ""

    def find(self, key: bytes, age: float, now: float) -> Completion | None:
        """The answer to a request, if there is one that is no older than `age` seconds; it costs nothing any more.

        Raises:
            FileAccessError: the file cannot be used.
        """

        def look(db: sqlite3.Connection) -> tuple[float, bytes] | None:
            row = db.execute("SELECT made, answer, used FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None or not 0 <= now - row[0] <= age:
                return None
            if abs(now - row[2]) > _OFTEN:
                db.execute("UPDATE answers SET used = ? WHERE key = ?", (now, key))
            return row[0], row[1]

        found = self._use(look)
        if found is None:
            return None
        try:
            kept = recorded.completion_of(json.loads(found[1]))
        except (ValueError, TypeError, AttributeError, RecursionError):  # what runllm of another day has kept
            return None
        note = f"from the cache: it was given {seconds(now - found[0])} ago"
        return replace(kept, usage=Usage(), cost=0.0, latency=0.0, notes=(note,), cached=True)

    def keep(self, key: bytes, completion: Completion, now: float) -> None:
        """Keep an answer in place of the one that was kept before; none that holds what looks like a secret.

        Raises:
            FileAccessError: the file cannot be used.
        """
        said = recorded.answered(replace(completion, usage=Usage(), cost=None, latency=0.0, notes=()))
        answer = json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(answer) > min(_LARGEST, self._most) or redact_text(completion.text) != completion.text:
            return

        def write(db: sqlite3.Connection) -> None:
            with transaction(db):
                db.execute("DELETE FROM answers WHERE key = ?", (key,))
                db.execute("INSERT INTO answers (key, made, used, answer) VALUES (?, ?, ?, ?)", (key, now, now, answer))
                if (over := _bytes(db) - self._most) > 0:
                    self._make_room(db, over + self._most // _ROOM)

        self._use(write)

    def held(self) -> Held:
        """What there is.

        Raises:
            FileAccessError: the file cannot be used.
        """
        path = self.path
        if not path.exists():
            return Held(path=path)

        def look(db: sqlite3.Connection) -> Held:
            count, oldest = db.execute("SELECT count(*), min(made) FROM answers").fetchone()
            return Held(path=path, answers=count, size=_bytes(db), oldest=oldest)

        return self._use(look)

    def clear(self) -> int | None:
        """Remove all answers, and their bytes from the disk; a file that is damaged is removed itself.

        Returns:
            How many there were; None for a file in which they could not be counted.

        Raises:
            FileAccessError: the file cannot be written, or is another program's.
        """
        path = self.path
        if not path.exists():
            return 0

        def remove(db: sqlite3.Connection) -> int:
            db.execute("PRAGMA secure_delete = ON")
            gone = db.execute("DELETE FROM answers").rowcount
            with suppress(sqlite3.OperationalError):  # used by another process: the space comes back another time
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

        try:
            return self._use(remove)
        except FileAccessError as error:
            if not error.details.get("damaged"):
                raise
        self.close()
        try:
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                name.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(path, error) from None
        self._broken = None
        return None

    def close(self) -> None:
        """Close the file. Safe to call twice; it can be used again."""
        if self._process == os.getpid():
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
                self._connection = None

    # --- the file ------------------------------------------------------------------------------

    def _use(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """What a use of the file gives. One that failed otherwise than by waiting is not tried again."""
        if (broken := self._broken) is not None:
            raise FileAccessError(broken.message, details=broken.details, hint=broken.recovery_hint)
        if self._process != os.getpid():  # a fork: the connection is its parent's, and is kept from being closed
            _of_parents.append(self._connection)
            self._begin()
        path = self.path
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = _opened(path, self._timeout)
                return do(self._connection)
        except (sqlite3.Error, OSError) as error:
            failed = _failure(path, error)
        except FileAccessError as error:
            failed = error
        if not failed.details.get("busy"):
            self._broken = failed
        raise failed from None

    def _make_room(self, db: sqlite3.Connection, needed: int) -> None:
        """Remove what was not used for the longest time, until so many bytes are free."""
        gone: list[tuple[int]] = []
        for number, size in db.execute("SELECT id, length(answer) FROM answers ORDER BY used, id"):
            if needed <= 0:
                break
            gone.append((number,))
            needed -= size + _OF_A_ROW
        db.executemany("DELETE FROM answers WHERE id = ?", gone)


_of_parents: list[sqlite3.Connection | None] = []


def _bytes(db: sqlite3.Connection) -> int:
    return db.execute("SELECT bytes FROM total").fetchone()[0]


def _opened(path: Path, timeout: float) -> sqlite3.Connection:
    """Open or make the file.

    Raises:
        FileAccessError: it may be another user's word, or is another program's.
        sqlite3.Error, OSError: it cannot be opened.
    """
    if why := doubt(path):
        raise FileAccessError(f"`{path}` is not used: {why}", hint="Make it your own alone, or remove it.")

    def prepare(db: sqlite3.Connection) -> None:
        _check(db, path)
        db.execute("PRAGMA journal_mode = WAL")  # readers and one writer do not wait for each other
        db.execute("PRAGMA journal_size_limit = 4194304")
        if not _check(db, path):
            with transaction(db):
                for statement in () if _check(db, path) else _TABLES:  # unless another process was faster
                    db.execute(statement)

    if path.exists():
        path.chmod(0o600)  # whoever made it, and however; the files that SQLite lays beside it have the same mode
    return connect(path, timeout, prepare)


def _check(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there.

    Raises:
        FileAccessError: there are others.
    """
    # In one question, since another process may be making them now.
    owner, form, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if owner == 0 and not tables:
        return False
    if owner != _OWNER:
        raise FileAccessError(f"`{path}` is the database of another program", hint="Move it away.")
    if form != _FORM:
        said = f"the cache in `{path}` is of another version of runllm"
        raise FileAccessError(said, details={"damaged": True}, hint=_ANEW)
    return True


def _failure(path: Path, error: Exception) -> FileAccessError:
    """What went wrong with the file."""
    busy, damaged = is_busy(error), is_damaged(error)
    return FileAccessError(
        f"the cache in `{path}` cannot be used: {saying(error)[0]}",
        details={"path": str(path), "busy": busy, "damaged": damaged},
        hint=_ANEW if damaged else f"{VARIABLE} names another folder for it.",
    )
