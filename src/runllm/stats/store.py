# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The store of statistics: record runs, list them, remove old ones, hand them to other tools.

Any number of processes and threads use one file at the same time. Whatever goes wrong is a `StatsError`; a caller that
has an answer to deliver turns it into a warning. Runs that end side by side are written together: a commit costs more
than a row. They wait for `TOGETHER` seconds at most, and never beyond the end of the process or the next use of the
store.
"""

from __future__ import annotations

import atexit
import json
import os
import sqlite3
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakSet

from runllm.errors import StatsError
from runllm.stats.database import Selection, connect, failure, transaction
from runllm.stats.rows import AttemptRow, Attempts, RunRow, columns, restored, storable, stored

if TYPE_CHECKING:
    from runllm.stats.summary import Summary

Form = Literal["jsonl", "csv"]
TIMEOUT = 10.0
TOGETHER = 0.5
"""Seconds that a run may wait for others to be written with."""
_VARIABLES = 999  # of one statement, in every SQLite
_FEW = 2000  # runs of an app that are read faster than all calls of a model
_PAGE = 1000  # rows that are exported at a time: the store is free in between


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
        self._waiting = deque[RunRow]()  # of which one end is for those who add, the other for those who write
        self._timer: Timer | None = None
        self._lost: StatsError | None = None
        _stores.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, run: RunRow) -> int:
        """Keep a run with its attempts and children, all or nothing. Secrets in logged texts are masked.

        Returns:
            The id of its row.

        Raises:
            StatsError: the store cannot be written.
        """
        with self._using() as db, transaction(db):
            return _insert(db, [run])

    def record_soon(self, run: RunRow) -> None:
        """As `record`, but together with what comes in the next moment.

        Raises:
            StatsError: runs that were given before could not be written; this one will be.
        """
        self._waiting.append(run)
        if self._timer is None:
            self._timer = Timer(TOGETHER, self._write_waiting)
            self._timer.daemon = True
            self._timer.start()
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    def finish(self) -> None:
        """Write what waits to be written, or warn: no run is left to say what stood in the way."""
        self._write_waiting()
        lost, self._lost = self._lost, None
        if lost is not None:
            import warnings

            warnings.warn(f"runs are missing in the statistics: {lost.message}", RuntimeWarning, stacklevel=2)

    def _write_waiting(self) -> None:
        """Write what waits, after what is being written; where that fails, it is given up, and told with what comes."""
        self._timer = None  # what is added from here on has one of its own
        try:
            with self._using() if self._waiting else self._lock:
                pass
        except StatsError as error:
            self._waiting.clear()
            self._lost = error

    def runs(
        self, *, app: str | None = None, model: str | None = None, since: float | None = None, limit: int | None = None
    ) -> list[RunRow]:
        """Runs, the newest first; which ones, `Selection` says.

        Args:
            app: name, content hash or path of an app.
            model: the run's model.
            since: Unix seconds of the earliest start.
            limit: how many at most.

        Raises:
            StatsError: the store cannot be read.
        """
        selection = Selection(app=app, model=model, since=since)
        newest = "ORDER BY runs.started DESC, runs.id DESC LIMIT :limit"
        # One look for each way to name an app, since an index tells the newest of one way only.
        looks = " UNION ".join(f"SELECT * FROM (SELECT id FROM runs WHERE {way} {newest})" for way in selection.ways)
        query = f"SELECT * FROM runs WHERE id IN ({looks}) {newest}"
        with self._using() as db:
            rows = db.execute(query, selection.parameters | {"limit": -1 if limit is None else limit})
            return [restored(RunRow, row) for row in rows]

    def children(self, parent: int) -> list[RunRow]:
        """The runs that a run used, shared ones too, in order.

        Args:
            parent: id of the run.

        Raises:
            StatsError: the store cannot be read.
        """
        with self._using() as db:
            rows = db.execute("SELECT * FROM runs WHERE parent_id = ? ORDER BY id", (parent,))
            return [restored(RunRow, row) for row in rows]

    def samples(self, model: str, *, app: str | None = None, limit: int = 400) -> Attempts:
        """The newest answered calls of a model, the newest first.

        Args:
            model: as the attempt names it.
            app: name, content hash or path of an app.
            limit: how many at most.

        Raises:
            StatsError: the store cannot be read.
        """
        selection = Selection(app=app)
        given = selection.parameters | {"called": storable(model), "limit": limit}
        some = f"SELECT count(*) FROM (SELECT 1 FROM runs WHERE {selection.matching} LIMIT {_FEW})"
        with self._using() as db:
            # The calls of a model are read from the newest on; where the app ran seldom, those of its runs alone.
            few = app is not None and db.execute(some, given).fetchone()[0] < _FEW
            rows = db.execute(
                f"""
                SELECT attempts.number, attempts.model, attempts.latency, attempts.prompt_tokens,
                    attempts.completion_tokens
                FROM {"runs CROSS JOIN attempts" if few else "attempts CROSS JOIN runs"} ON runs.id = attempts.run_id
                WHERE attempts.model = :called AND attempts.completion_tokens > 0 AND {selection.matching}
                ORDER BY attempts.run_id DESC, attempts.number DESC LIMIT :limit""",
                given,
            )
            return tuple(AttemptRow(**row) for row in rows)

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
        pages = self._pages(Selection(app=app, model=model, since=since), attempts=form == "jsonl")
        if form == "csv":
            return _csv(pages)
        return (json.dumps(_readable(row), ensure_ascii=False) + "\n" for page in pages for row in page)

    def _pages(self, selection: Selection, *, attempts: bool) -> Iterator[list[RunRow]]:
        query = f"SELECT * FROM runs WHERE id > :last AND {selection.matching} ORDER BY id LIMIT {_PAGE}"
        made = "SELECT * FROM attempts WHERE run_id BETWEEN ? AND ? ORDER BY run_id, number"
        last = 0
        while True:
            with self._using() as db:
                page = {
                    row["id"]: restored(RunRow, row) for row in db.execute(query, selection.parameters | {"last": last})
                }
                if page and attempts:
                    found: dict[int, list[AttemptRow]] = {number: [] for number in page}
                    for row in db.execute(made, (min(page), max(page))):
                        if row["run_id"] in found:
                            found[row["run_id"]].append(restored(AttemptRow, row))
                    page = {number: replace(run, attempts=tuple(found[number])) for number, run in page.items()}
            if not page:
                return
            yield list(page.values())
            last = max(page)

    def close(self) -> None:
        """Write what waits, and close the file; it opens again when it is used again."""
        self.finish()
        with self._lock:
            self._close()

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection, None, None]:
        """The connection, for this thread alone; what fails in the block is a `StatsError`."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect(self.path, self._timeout)
                if waiting := [self._waiting.popleft() for _ in range(len(self._waiting))]:
                    with transaction(self._connection):
                        _insert(self._connection, waiting)
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
        self._connection = self._timer = self._lost = None
        self._waiting.clear()  # they are the parent's
        self._lock = Lock()


def _insert(db: sqlite3.Connection, runs: Iterable[RunRow]) -> int:
    """Write runs and all below them, each with a number of its own; returns the first."""
    first: int = db.execute("SELECT coalesce(max(id), 0) + 1 FROM runs").fetchone()[0]
    rows: list[tuple[Any, ...]] = []
    attempts: list[tuple[Any, ...]] = []

    def add(run: RunRow, parent: int | None) -> None:
        if run.shared:  # its own row only, since the rest stands where it ran
            run = replace(run, attempts=(), children=())
        number = first + len(rows)
        rows.append(stored(replace(run, id=number, parent_id=parent)))
        attempts.extend((number, *stored(attempt)) for attempt in run.attempts)
        for child in run.children:
            add(child, number)

    for run in runs:
        add(run, None)
    _write(db, "runs", columns(RunRow), rows)
    _write(db, "attempts", ("run_id", *columns(AttemptRow)), attempts)
    return first


def _write(db: sqlite3.Connection, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows, as many in a statement as it may hold: each gives way to other threads, which takes a while."""
    one, most = f"({', '.join('?' * len(names))})", _VARIABLES // len(names)
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([one] * len(some))}"
        db.execute(statement, list(chain.from_iterable(some)))


def _readable(row: RunRow | AttemptRow) -> dict[str, Any]:
    """A row as JSON, with its attempts; a text that was not logged is left out."""
    found: dict[str, Any] = {name: getattr(row, name) for name in columns(type(row))}
    if isinstance(row, RunRow):
        return found | {"attempts": [_readable(attempt) for attempt in row.attempts]}
    return {name: value for name, value in found.items() if value is not None or not name.endswith("_text")}


def _csv(pages: Iterator[list[RunRow]]) -> Iterator[str]:
    """A header and a row for each run, a page at a time; a list becomes its names with spaces between."""
    import csv  # a run that is recorded exports nothing
    import io

    yield ",".join(columns(RunRow)) + "\n"
    for page in pages:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for run in page:
            shown: dict[str, Any] = {"repairs": " ".join(run.repairs)}
            writer.writerow([shown.get(name, getattr(run, name)) for name in columns(RunRow)])
        yield out.getvalue()


_stores: WeakSet[Store] = WeakSet()
_of_parents: list[sqlite3.Connection | None] = []  # kept, since Python closes what it throws away


def finish() -> None:
    """Write what waits in the stores of this process, before it ends."""
    for store in tuple(_stores):
        store.finish()


def _after_fork() -> None:
    for store in tuple(_stores):
        store.after_fork()


atexit.register(finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
