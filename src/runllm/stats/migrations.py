"""The tables, as the steps that made them: a store of any age opens.

To change the tables, append a function to `STEPS`; never change one that was released. Each step and
its new `user_version` are one transaction, so that a step is done whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from runllm.errors import StatsError
from runllm.stats.connection import transaction, use_log

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


def readable(db: sqlite3.Connection) -> None:
    """A view for people who open the file with another tool."""
    db.execute("""
        CREATE VIEW readable AS
        SELECT
            id, parent_id, strftime('%Y-%m-%d %H:%M:%S', started, 'unixepoch') AS started_utc, app, version, model,
            engine, round(latency, 3) AS seconds, coalesce(error_code, 'ok') AS outcome, valid_on,
            max(0, asked - 1) AS retries, prompt_tokens, completion_tokens, round(cost, 6) AS dollars, path
        FROM runs
        ORDER BY started DESC, id DESC""")


def unknown_costs(db: sqlite3.Connection) -> None:
    """The view shows no dollars where no price is known."""
    db.execute("DROP VIEW readable")
    db.execute("""
        CREATE VIEW readable AS
        SELECT
            id, parent_id, strftime('%Y-%m-%d %H:%M:%S', started, 'unixepoch') AS started_utc, app, version, model,
            engine, round(latency, 3) AS seconds, coalesce(error_code, 'ok') AS outcome, valid_on,
            max(0, asked - 1) AS retries, prompt_tokens, completion_tokens,
            CASE WHEN asked = 0 OR unpriced < answered THEN round(cost, 6) END AS dollars, path
        FROM runs
        ORDER BY started DESC, id DESC""")


STEPS: tuple[Step, ...] = (runs, attempts, indexes, readable, unknown_costs)


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
    use_log(db)  # a property of the file: not before it is known to be ours
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
