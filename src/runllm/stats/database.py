# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The file: its tables as the steps that made them, connections, transactions, and what SQLite says as one error.

To change the tables, append a function to `STEPS`; never change one that was released. Each step and its new
`user_version` are one transaction, so that a step is done whole or not at all, and a store of any age opens.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from runllm.errors import StatsError
from runllm.stats.rows import storable
from runllm.values import frozen

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


def connect(
    path: Path, timeout: float, prepare: Callable[[sqlite3.Connection], None] | None = None
) -> sqlite3.Connection:
    """Open or create the store and bring it up to date, in autocommit mode and with foreign keys.

    Args:
        path: the file; it is made with mode 0600, a missing folder with 0700.
        timeout: seconds to wait for other processes.
        prepare: brings a file that is no store up to date.

    Raises:
        StatsError: the store was made by a newer runllm, or the file belongs to another program.
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
                prepare(db) if prepare else migrate(db, path)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)  # the switch to the log wants the file for itself, and does not wait
            else:
                return db
    except BaseException:
        db.close()
        raise


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
    said, hint = saying(error)
    return StatsError(
        f"the statistics in `{path}` cannot be used: {said}",
        details={"path": str(path), "reason": str(error)},
        hint=hint,
    )


def saying(error: Exception) -> tuple[str, str | None]:
    """What went wrong with a file of SQLite's, in words, and what to do about statistics."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}", "Check that the folder can be made and written, or choose another path."
    return _SAYINGS.get(_code(error), (str(error), None))


def is_busy(error: Exception) -> bool:
    """Whether another process holds the file, and will not for long."""
    return _code(error) in _BUSY


def is_damaged(error: Exception) -> bool:
    """Whether the file is none of SQLite's, or no longer."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for what Python itself found."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


# --- the tables -----------------------------------------------------------------------------------

APPLICATION = 0x726C6C6D  # "rllm", in the header of the file: SQLite's place for whose file it is

Step = Callable[[sqlite3.Connection], None]


def runs(db: sqlite3.Connection) -> None:
    """One row for each run; a child refers to the run that used it."""
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("""
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            parent_id INTEGER REFERENCES runs (id) ON DELETE CASCADE,
            child_name TEXT NOT NULL,
            child_index INTEGER,
            shared INTEGER NOT NULL,           -- 1: an earlier child's result, used again
            app TEXT NOT NULL,
            version TEXT NOT NULL,
            digest TEXT NOT NULL,
            path TEXT NOT NULL,
            model TEXT NOT NULL,
            engine TEXT NOT NULL,
            started REAL NOT NULL,             -- Unix seconds
            latency REAL NOT NULL,             -- seconds
            estimated_prompt_tokens INTEGER,
            input_valid INTEGER NOT NULL,
            valid_on INTEGER,                  -- the attempt whose answer fitted; 0: built without a model
            error_code TEXT,
            asked INTEGER NOT NULL,            -- from here on, sums over the run's own attempts
            answered INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            longest_answer INTEGER NOT NULL,   -- completion tokens
            call_latency REAL NOT NULL,        -- seconds in answered calls
            cost REAL NOT NULL,                -- US dollars, where the price is known
            unpriced INTEGER NOT NULL,         -- answered calls without a known price
            repairs TEXT NOT NULL              -- JSON list of names, for the last answer
        )""")


def attempts(db: sqlite3.Connection) -> None:
    """One row for each request to a model."""
    db.execute("""
        CREATE TABLE attempts (
            run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,           -- counted from 1
            model TEXT NOT NULL,
            latency REAL NOT NULL,             -- seconds
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            cost REAL,                         -- US dollars, null where the price is not known
            finish_reason TEXT NOT NULL,
            valid INTEGER NOT NULL,
            violations TEXT NOT NULL,          -- JSON list, each a keyword and a pointer
            repairs TEXT NOT NULL,             -- JSON list of names
            error_code TEXT,
            request_text TEXT,                 -- only when content is logged
            answer_text TEXT,                  -- only when content is logged
            UNIQUE (run_id, number)
        )""")


def indexes(db: sqlite3.Connection) -> None:
    """What is asked for: an app by name, hash or path, a model, a time, the children of a run."""
    for column in ("app", "digest", "path", "model", "started"):
        db.execute(f"CREATE INDEX runs_{column} ON runs ({column})")
    db.execute("CREATE INDEX runs_parent_id ON runs (parent_id) WHERE parent_id IS NOT NULL")
    db.execute("CREATE INDEX attempts_model ON attempts (model, run_id)")
    db.execute("CREATE INDEX attempts_wrong ON attempts (run_id, violations) WHERE violations <> '[]'")


def _show(db: sqlite3.Connection, dollars: str) -> None:
    """A view for people who open the file with another tool."""
    db.execute(f"""
        CREATE VIEW readable AS
        SELECT
            id, parent_id, strftime('%Y-%m-%d %H:%M:%S', started, 'unixepoch') AS started_utc, app, version, model,
            engine, round(latency, 3) AS seconds, coalesce(error_code, 'ok') AS outcome, valid_on,
            max(0, asked - 1) AS retries, prompt_tokens, completion_tokens,
            {dollars} AS dollars, path
        FROM runs
        ORDER BY started DESC, id DESC""")


def readable(db: sqlite3.Connection) -> None:
    """The view."""
    _show(db, "round(cost, 6)")


def unknown_costs(db: sqlite3.Connection) -> None:
    """The view shows no dollars where no price is known."""
    db.execute("DROP VIEW readable")
    _show(db, "CASE WHEN asked = 0 OR unpriced < answered THEN round(cost, 6) END")


def skipped(db: sqlite3.Connection) -> None:
    """How many items of lists failed without which a run went on."""
    db.execute("ALTER TABLE runs ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0")


def alone(db: sqlite3.Connection) -> None:
    """All that the figures ask of the runs that no other used, by app, model and time: 90 bytes a run."""
    db.execute(
        f"""
        CREATE INDEX runs_alone ON runs (
            app, model, started, latency, parent_id, shared, input_valid, valid_on, error_code, asked, answered,
            prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, longest_answer, call_latency, cost,
            unpriced, skipped
        ) WHERE {ALONE}""".replace("runs.", "")
    )


def newest_of(column: str, *, by_model: bool = True) -> Step:
    """A step, one for each of these indexes: none keeps others from recording for long."""

    def newest(db: sqlite3.Connection) -> None:
        """The newest runs of an app or a model are found without reading the others."""
        db.execute(f"DROP INDEX runs_{column}")
        db.execute(f"CREATE INDEX runs_{column} ON runs ({column}, started{', model' if by_model else ''})")

    return newest


ALONE = "runs.parent_id IS NULL AND NOT runs.shared"
"""SQL for "this row of `runs` is a run that no other used"; the index of the same name holds it literally."""

STEPS: tuple[Step, ...] = (
    runs, attempts, indexes, readable, unknown_costs, skipped, alone,
    newest_of("app"), newest_of("digest"), newest_of("path"), newest_of("model", by_model=False),
)  # fmt: skip


def migrate(db: sqlite3.Connection, path: Path, steps: Sequence[Step] = STEPS) -> None:
    """Bring the store up to the last of `steps`; processes may do so at the same time.

    Args:
        db: a connection in autocommit mode.
        path: the file, for the error.
        steps: in order; a store says in `user_version` how many it has seen.

    Raises:
        StatsError: the store was made by a newer runllm, or the file belongs to another program.
        sqlite3.Error: SQLite cannot do it.
    """
    with transaction(db, "DEFERRED"):  # one state: another process may make the store between two questions
        version = _version(db, path, steps)
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":  # readers and one writer do not wait for each other
        db.execute("PRAGMA journal_mode = WAL")  # a property of the file: not before it is known to be ours
    for number, step in enumerate(steps[version:], start=version + 1):
        with transaction(db):
            if _version(db, path, steps) < number:  # unless another process was faster
                step(db)
                db.execute(f"PRAGMA user_version = {number}")


def _version(db: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> int:
    """How many steps the store has seen, which is all that may be between nothing and `steps`."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    owner: int = db.execute("PRAGMA application_id").fetchone()[0]
    empty = version == 0 and owner == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION and not empty:
        raise StatsError(
            f"`{path}` is the database of another program",
            details={"path": str(path)},
            hint="Choose another path for the statistics.",
        )
    if version > len(steps):
        raise StatsError(
            f"`{path}` was made by a newer runllm: its version is {version}, and this one knows {len(steps)}",
            details={"path": str(path), "version": version, "known": len(steps)},
            hint="Upgrade runllm, or choose another path for the statistics.",
        )
    return version


# --- which runs -----------------------------------------------------------------------------------

_OF_APP = "(runs.app = :app OR runs.digest = :app OR runs.path = :app)"


@frozen
class Selection:
    """Which runs are meant.

    Without an app or a model these are the runs that no other run used. An app's or a model's runs are
    meant wherever they happened, as a child too. A shared child is no run, since nothing ran.

    Attributes:
        app: name, content hash or path of an app; None for all.
        model: the run's model; None for all.
        since: Unix seconds of the earliest start; None for all.
    """

    app: str | None = None
    model: str | None = None
    since: float | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the conditions name."""
        return {
            "app": None if self.app is None else storable(self.app),
            "model": None if self.model is None else storable(self.model),
            "since": self.since,
        }

    @property
    def everything(self) -> bool:
        """Whether the runs of all apps and models are meant."""
        return self.app is None and self.model is None

    @property
    def meant(self) -> str:
        """SQL for "this row of `runs` is meant"."""
        return f"{self.matching} AND {ALONE if self.everything else 'NOT runs.shared'}"

    @property
    def ways(self) -> tuple[str, ...]:
        """As `meant`, in conditions of which one must hold, each with an index of its own."""
        if self.app is None:
            return (self.meant,)
        meant = self.meant.replace("runs.model", "+runs.model")  # the plus keeps SQLite from the index of all its runs
        return tuple(meant.replace(_OF_APP, f"runs.{name} = :app") for name in ("app", "digest", "path"))

    @property
    def matching(self) -> str:
        """SQL for "this row of `runs` has this app, model and time", whatever it is a part of."""
        asked = {
            _OF_APP: self.app,
            "runs.model = :model": self.model,
            "runs.started >= :since": self.since,
        }
        return " AND ".join(["1", *(condition for condition, value in asked.items() if value is not None)])

    @property
    def below(self) -> str | None:
        """SQL for "this row is a part of a run that is meant, and is not meant itself"; None where parts do not count.

        What a run spent includes its children, unless a single model is asked for: then each run
        stands for itself.
        """
        if self.model is not None:
            return None
        return "NOT runs.shared" if self.app is None else f"NOT runs.shared AND NOT {_OF_APP}"
