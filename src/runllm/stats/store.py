# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The store of statistics: record runs, list them, remove old ones.

Any number of processes and threads use one file at the same time. Whatever goes wrong is a
`StatsError`; a caller that has an answer to deliver turns it into a warning.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from runllm.errors import StatsError
from runllm.redaction import redact_text
from runllm.stats.connection import connect, failure, transaction
from runllm.stats.migrations import migrate
from runllm.stats.records import AttemptRecord, ChildRecord, RunRecord
from runllm.stats.selection import Selection, storable

if TYPE_CHECKING:
    from runllm.stats.export import Form
    from runllm.stats.figures import Summary
    from runllm.stats.rows import Sample, StoredRun

TIMEOUT = 10.0


class Store:
    """The statistics in one file, opened when they are first used. Threads may share it; it survives a fork."""

    def __init__(self, path: str | Path, *, timeout: float = TIMEOUT) -> None:
        """Open nothing yet.

        Args:
            path: the file; made with mode 0600 when it is first used, a missing folder with 0700.
            timeout: seconds to wait for other processes.
        """
        self.path = Path(path)
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None
        self._lock = Lock()
        _stores.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, run: RunRecord) -> int:
        """Keep a run with its attempts and children, all or nothing. Secrets in logged texts are masked.

        Returns:
            The id of its row.

        Raises:
            StatsError: the store cannot be written.
        """
        with self._using() as db, transaction(db):
            return _insert(db, run)

    def runs(
        self, *, app: str | None = None, model: str | None = None, since: float | None = None, limit: int | None = None
    ) -> list[StoredRun]:
        """Runs, the newest first; which ones, `Selection` says.

        Args:
            app: name, content hash or path of an app.
            model: the run's model.
            since: Unix seconds of the earliest start.
            limit: how many at most.

        Raises:
            StatsError: the store cannot be read.
        """
        from runllm.stats.rows import stored  # a run that is recorded reads nothing

        selection = Selection(app=app, model=model, since=since)
        query = f"SELECT * FROM runs WHERE {selection.meant} ORDER BY started DESC, id DESC LIMIT :limit"
        with self._using() as db:
            rows = db.execute(query, selection.parameters | {"limit": -1 if limit is None else limit})
            return [stored(row) for row in rows]

    def children(self, parent: int) -> list[StoredRun]:
        """The runs that a run used, shared ones too, in order.

        Args:
            parent: id of the run.

        Raises:
            StatsError: the store cannot be read.
        """
        from runllm.stats.rows import stored  # as above

        with self._using() as db:
            return [stored(row) for row in db.execute("SELECT * FROM runs WHERE parent_id = ? ORDER BY id", (parent,))]

    def samples(self, model: str, *, app: str | None = None, limit: int = 400) -> list[Sample]:
        """The newest answered calls of a model, the newest first.

        Args:
            model: as the attempt names it.
            app: name, content hash or path of an app.
            limit: how many at most.

        Raises:
            StatsError: the store cannot be read.
        """
        from runllm.stats.rows import Sample  # as above

        selection = Selection(app=app)
        query = f"""
            SELECT attempts.prompt_tokens, attempts.completion_tokens, attempts.latency
            FROM attempts JOIN runs ON runs.id = attempts.run_id
            WHERE attempts.model = :called AND attempts.completion_tokens > 0 AND {selection.matching}
            ORDER BY attempts.run_id DESC, attempts.number DESC LIMIT :limit"""
        with self._using() as db:
            rows = db.execute(query, selection.parameters | {"called": storable(model), "limit": limit})
            return [Sample(prompt_tokens=prompt, completion_tokens=answer, latency=s) for prompt, answer, s in rows]

    def summary(
        self, *, app: str | None = None, model: str | None = None, since: float | None = None, buckets: int = 60
    ) -> Summary:
        """The figures of the runs that `Selection` means.

        Args:
            app: name, content hash or path of an app.
            model: the run's model.
            since: Unix seconds of the earliest start.
            buckets: how many points the series over time have at most.

        Raises:
            StatsError: the store cannot be read.
        """
        from runllm.stats.summary import summarize  # a run that is recorded asks for no figures

        with self._using() as db, transaction(db, "DEFERRED"):
            return summarize(db, Selection(app=app, model=model, since=since), buckets)

    def prune(self, *, before: float | None = None, keep: int | None = None) -> int:
        """Remove runs with their attempts and children, for good: their bytes are overwritten.

        Args:
            before: remove what started earlier, in Unix seconds.
            keep: remove all but the newest so many.

        Returns:
            How many runs went, children not counted.

        Raises:
            StatsError: the store cannot be written.
        """
        query = """
            DELETE FROM runs WHERE parent_id IS NULL AND (started < :before OR id IN (
                SELECT id FROM runs WHERE parent_id IS NULL AND :keep IS NOT NULL
                ORDER BY started DESC, id DESC LIMIT -1 OFFSET max(0, coalesce(:keep, 0))))"""
        with self._using() as db:
            db.execute("PRAGMA secure_delete = ON")
            with transaction(db):
                gone = db.execute(query, {"before": before, "keep": keep}).rowcount
            if gone:
                with suppress(sqlite3.OperationalError):  # the runs are gone; the space comes back another time
                    db.execute("VACUUM")
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone

    def export(
        self, form: Form, *, app: str | None = None, model: str | None = None, since: float | None = None
    ) -> Iterator[str]:
        """Every row that fits, children and shared ones too, the oldest first, as text in pieces that end with a line.

        Args:
            form: `jsonl`, an object for each run with its attempts, or `csv`, a header and a row for each run.
            app: name, content hash or path of an app.
            model: the run's model.
            since: Unix seconds of the earliest start.

        Raises:
            StatsError: the store cannot be read.
        """
        from runllm.stats.export import lines  # a run that is recorded exports nothing

        return lines(self._using, form, Selection(app=app, model=model, since=since))

    def close(self) -> None:
        """Close the file; it opens again when it is used again."""
        with self._lock:
            self._close()

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection, None, None]:
        """The connection, for this thread alone; what fails in the block is a `StatsError`."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect(self.path, self._timeout, partial(migrate, path=self.path))
                yield self._connection
            except (sqlite3.Error, OSError, OverflowError, ValueError) as error:
                self._close()  # the next use starts afresh: the file may have been moved away, the disk have room
                raise failure(self.path, error) from error
            except StatsError:
                self._close()
                raise

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def after_fork(self) -> None:
        """Called in a forked process: SQLite forbids to use there, and even to close, what the parent has opened."""
        _of_parents.append(self._connection)
        self._connection = None
        self._lock = Lock()


def _insert(db: sqlite3.Connection, run: RunRecord, parent: int | None = None, child: ChildRecord | None = None) -> int:
    """Write a run and all below it; of a shared child the head only, since the rest stands where it ran."""
    shared = child is not None and child.shared
    attempts = () if shared else run.attempts
    answers = [attempt for attempt in attempts if attempt.answered]
    head: dict[str, Any] = {
        "id": None,
        "parent_id": parent,
        "child_name": storable(child.name) if child else "",
        "child_index": child.index if child else None,
        "shared": shared,
        "app": storable(run.app),
        "version": storable(run.version),
        "digest": storable(run.digest),
        "path": storable(run.path),
        "model": storable(run.model),
        "engine": run.engine,
        "started": run.started,
        "latency": run.latency,
        "estimated_prompt_tokens": run.estimated_prompt_tokens,
        "input_valid": run.input_valid,
        "valid_on": run.valid_on,
        "error_code": run.error_code,
        "asked": len(attempts),
        "answered": len(answers),
        "prompt_tokens": sum(a.prompt_tokens for a in attempts),
        "completion_tokens": sum(a.completion_tokens for a in attempts),
        "cached_tokens": sum(a.cached_tokens for a in attempts),
        "reasoning_tokens": sum(a.reasoning_tokens for a in attempts),
        "longest_answer": max((a.completion_tokens for a in attempts), default=0),
        "call_latency": sum(a.latency for a in answers),
        "cost": sum(a.cost or 0.0 for a in attempts),
        "unpriced": sum(a.cost is None for a in answers),
        "repairs": _names(attempts[-1].repairs) if attempts else "[]",
    }
    run_id = db.execute(_insertion("runs", head), head).lastrowid
    if run_id is None:
        raise sqlite3.DatabaseError("the new row has no id")
    for attempt in attempts:
        row = _attempt(attempt, run_id)
        db.execute(_insertion("attempts", row), row)
    for used in () if shared else run.children:
        _insert(db, used.run, run_id, used)
    return run_id


def _attempt(attempt: AttemptRecord, run_id: int) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "number": attempt.number,
        "model": storable(attempt.model),
        "latency": attempt.latency,
        "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens,
        "cached_tokens": attempt.cached_tokens,
        "reasoning_tokens": attempt.reasoning_tokens,
        "cost": attempt.cost,
        "finish_reason": storable(attempt.finish_reason),
        "valid": attempt.valid,
        "violations": _names(attempt.violations),
        "repairs": _names(attempt.repairs),
        "error_code": attempt.error_code,
        "request_text": _logged(attempt.request_text),
        "answer_text": _logged(attempt.answer_text),
    }


def _insertion(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES (:{', :'.join(row)})"


def _logged(text: str | None) -> str | None:
    return None if text is None else storable(redact_text(text))


def _names(names: tuple[str, ...]) -> str:
    """A JSON list, all ASCII."""
    return json.dumps(names)


_stores: WeakSet[Store] = WeakSet()
_of_parents: list[sqlite3.Connection | None] = []  # kept, since Python closes what it throws away


def _after_fork() -> None:
    for store in tuple(_stores):
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
