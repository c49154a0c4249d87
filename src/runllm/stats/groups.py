# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The rows of the store, added up: in all, per model, per app, and over time.

SQLite adds up each *part*, the rows that belong to the same groups; here parts are put together. The runs that no
other used lie in one index by app, model and time, so their parts are stretches of it: nothing is sorted, and nothing
but the index is read. All others, children and what was selected, are gathered in a temporary table and read by the
ten thousand. No step needs room for all runs but their latencies do: eight bytes each.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

from runllm.stats.database import ALONE, Selection
from runllm.values import frozen

COUNTED = {
    "runs": "count(*)",
    "failed": "sum(runs.error_code IS NOT NULL)",
    "input_valid": "sum(input_valid)",
    "judged": "sum(answered > 0)",
    "first_valid": "sum(answered > 0 AND coalesce(valid_on = 1, 0))",
    "valid": "sum(answered > 0 AND coalesce(valid_on > 0, 0))",
}
_ADDED = (
    "asked", "answered", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "call_latency",
    "cost", "unpriced", "skipped",
)  # fmt: skip
# `total` gives a float, which absurd counts of a provider cannot overflow.
SPENT = {"retries": "total(max(0, asked - 1))"} | {name: f"total({name})" for name in _ADDED}
_TIMED = "(asked > 0 OR valid_on IS NOT NULL)"  # a run that did something: a refused input took no time worth a figure
_CHUNK = 10_000  # gathered runs that are read at a time


class Group:
    """What adds up over the rows of a group.

    Attributes:
        sums: of `COUNTED` and `SPENT`, by name.
        longest: completion tokens of the longest answer.
        latencies: seconds of the runs that did something, in pieces that are each in order.
        errors: how many runs failed with each code.
        violations: how often each occurred.
    """

    def __init__(self) -> None:
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.longest = 0
        self.latencies: list[array[float]] = []
        self.errors: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()

    def add(self, row: sqlite3.Row, latencies: array[float], *, counted: bool) -> None:
        """Add a part; where it does not count, only what it spent."""
        for name in (*COUNTED, *SPENT) if counted else SPENT:
            self.sums[name] += row[name]
        self.longest = max(self.longest, row["longest_answer"])
        if counted and latencies:
            self.latencies.append(latencies)

    @property
    def latency(self) -> float:
        """Seconds, in all."""
        return sum(map(sum, self.latencies))


class Groups:
    """All groups of the runs that are meant, and what they spent below them.

    Attributes:
        since: start of the first run that is meant, in Unix seconds; None when there is none.
        until: start of the last one.
        total: of all rows.
        models: per model, which is empty where none was asked.
        apps: per app of the run that is meant.
        buckets: per stretch of time, whose start is the key times its length.
    """

    def __init__(self, db: sqlite3.Connection, selection: Selection) -> None:
        """Find the runs; `read` adds them up.

        Args:
            db: the store, within a transaction, so that all figures are of one moment.
            selection: which runs.
        """
        self._db = db
        self._given = selection.parameters
        self._stretches = selection.everything
        for table in ("tree", "parts"):
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")
        db.execute("CREATE TEMP TABLE tree (id INTEGER PRIMARY KEY, top TEXT, meant INTEGER)")
        db.execute(_gather(selection), self._given)
        ends = _ENDS if self._stretches else _ENDS_OF_TREE
        self.since, self.until = db.execute(ends.format(matching=selection.matching), self._given).fetchone()
        self.total = Group()
        self.models: defaultdict[str, Group] = defaultdict(Group)
        self.apps: defaultdict[str, Group] = defaultdict(Group)
        self.buckets: defaultdict[int, Group] = defaultdict(Group)

    def read(self, width: int) -> None:
        """Add everything up, with buckets of `width` seconds."""
        given = self._given | {"width": width}
        if self._stretches:
            self._db.execute(_PARTS)
            self._db.execute(_FILL, given)
            self._add(_STRETCHES, given)
        low = 0
        while True:
            chunk = f"SELECT max(id) FROM (SELECT id FROM temp.tree WHERE id > ? ORDER BY id LIMIT {_CHUNK})"
            high = self._db.execute(chunk, (low,)).fetchone()[0]
            if high is None:
                break
            self._add(_GATHERED, given | {"low": low, "high": high})
            low = high
        for table in ("tree", "parts"):
            self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def _add(self, source: _Source, given: Mapping[str, Any]) -> None:
        cursor = self._db.cursor()
        cursor.row_factory = None  # plain tuples: there is one for each run
        latencies = map(itemgetter(0), cursor.execute(source.latencies, given))
        for row in self._db.execute(source.sums, given):
            found = array("d", sorted(islice(latencies, row["timed"])))
            for group, counted in self._of(row):
                group.add(row, found, counted=counted)
            self.buckets[row["at"]].add(row, found, counted=bool(row["meant"]))
        for row in self._db.execute(source.errors, given):
            for group, counted in self._of(row):
                if counted:
                    group.errors[row["error_code"]] += row["runs"]
        for row in self._db.execute(source.violations, given):
            for group, _ in self._of(row):
                group.violations.update(dict.fromkeys(json.loads(row["violations"]), row["runs"]))

    def _of(self, row: sqlite3.Row) -> Iterator[tuple[Group, bool]]:
        """The groups of a row but its bucket, each with whether it counts there: everywhere only what is meant does."""
        yield self.models[row["model"]], True
        yield from ((group, bool(row["meant"])) for group in (self.total, self.apps[row["top"]]))


# --- the SQL --------------------------------------------------------------------------------------


@frozen
class _Source:
    """The queries over some rows of `runs`.

    Attributes:
        sums: a row for each part: `top`, `model`, `meant`, `at`, what is added up, and `timed`, how many did
            something.
        latencies: seconds of those, part after part in the same order.
        errors: `runs` for each error code.
        violations: `runs` for each list of them.
    """

    sums: str
    latencies: str
    errors: str
    violations: str


def _source(rows: str, wrong: str, part: str, group: str, at: str) -> _Source:
    """The queries.

    Args:
        rows: SQL for the rows of `runs`, up to its WHERE clause.
        wrong: the same, joined with the attempts in which an answer was wrong.
        part: by what rows make a part, in the order in which they are best read.
        group: app of the run that is meant, model, and whether it is this one.
        at: the bucket.
    """
    sums = ", ".join(f"{sql} AS {name}" for name, sql in (COUNTED | SPENT | {"timed": f"sum({_TIMED})"}).items())
    return _Source(
        sums=f"""
            SELECT {group}, {at} AS at, max(longest_answer) AS longest_answer, {sums}
            FROM {rows} GROUP BY {part} ORDER BY {part}""",
        latencies=f"SELECT runs.latency FROM {rows} AND {_TIMED} ORDER BY {part}",
        errors=f"""
            SELECT {group}, runs.error_code, count(*) AS runs
            FROM {rows} AND runs.error_code IS NOT NULL GROUP BY {part}, runs.error_code""",
        violations=f"""
            SELECT {group}, attempts.violations, count(*) AS runs
            FROM {wrong} AND attempts.violations <> '[]' GROUP BY top, runs.model, meant, attempts.violations""",
    )


_AT = "CAST(runs.started / :width AS INTEGER)"
_LATER = "(:since IS NULL OR runs.started >= :since)"
_STRETCHES = _source(
    rows=f"""
        temp.parts CROSS JOIN runs INDEXED BY runs_alone
        WHERE {ALONE} AND runs.app = parts.app AND runs.model = parts.model
        AND runs.started >= parts.start AND runs.started < parts.stop""",
    wrong=f"attempts CROSS JOIN runs ON runs.id = attempts.run_id WHERE {ALONE} AND {_LATER}",
    part="parts.id",
    group="runs.app AS top, runs.model AS model, 1 AS meant",
    at="parts.at",
)
_GATHERED = _source(
    rows="temp.tree CROSS JOIN runs ON runs.id = tree.id WHERE tree.id > :low AND tree.id <= :high",
    wrong="""
        temp.tree CROSS JOIN runs ON runs.id = tree.id CROSS JOIN attempts ON attempts.run_id = runs.id
        WHERE tree.id > :low AND tree.id <= :high""",
    part=f"tree.top, runs.model, tree.meant, {_AT}",
    group="tree.top AS top, runs.model AS model, tree.meant AS meant",
    at=_AT,
)


def _first(condition: str, order: str) -> str:
    """SQL for the first run of those in the index that fulfil a condition; null when none does."""
    return f"""(
        SELECT runs.id FROM runs INDEXED BY runs_alone WHERE {ALONE} AND {condition} ORDER BY {order} LIMIT 1)"""


# What ends before `since` is one stretch, which is leapt over.
_STOP = f"CASE WHEN this.started < :since THEN :since ELSE ({_AT.replace('runs.', 'this.')} + 1) * :width END"
_PARTS = "CREATE TEMP TABLE parts (id INTEGER PRIMARY KEY, app TEXT, model TEXT, at INTEGER, start REAL, stop REAL)"
_FILL = f"""
    WITH RECURSIVE found (id) AS (
        SELECT {_first("1", "runs.app, runs.model, runs.started")}
        UNION ALL
        SELECT coalesce(
            {_first(f"runs.app = this.app AND runs.model = this.model AND runs.started >= {_STOP}", "runs.started")},
            {_first("runs.app = this.app AND runs.model > this.model", "runs.model, runs.started")},
            {_first("runs.app > this.app", "runs.app, runs.model, runs.started")})
        FROM found JOIN runs AS this ON this.id = found.id)
    INSERT INTO temp.parts (app, model, at, start, stop)
    SELECT this.app, this.model, {_AT.replace("runs.", "this.")}, this.started, {_STOP}
    FROM found JOIN runs AS this ON this.id = found.id
    WHERE :since IS NULL OR this.started >= :since"""
_ENDS = f"""
    SELECT (SELECT started FROM runs WHERE {ALONE} AND {{matching}} ORDER BY started LIMIT 1),
        (SELECT started FROM runs WHERE {ALONE} AND {{matching}} ORDER BY started DESC LIMIT 1)"""
_ENDS_OF_TREE = "SELECT min(started), max(started) FROM temp.tree CROSS JOIN runs ON runs.id = tree.id WHERE tree.meant"


def _gather(selection: Selection) -> str:
    """SQL that puts the runs that are meant and all below them into `tree`; of everything only what is below.

    Its columns are the run, the app of the run that is meant (`top`), and whether it is this one (`meant`).
    """
    parents = "runs.id IN (SELECT parent_id FROM runs WHERE parent_id IS NOT NULL)"
    return f"""
        WITH RECURSIVE found (id, top, meant) AS (
            SELECT id, app, 1 FROM runs WHERE {selection.meant} {f"AND {parents}" if selection.everything else ""}
            UNION ALL
            SELECT runs.id, found.top, 0 FROM found JOIN runs ON runs.parent_id = found.id
            WHERE {selection.below or "0"})
        INSERT INTO temp.tree SELECT * FROM found {"WHERE NOT meant" if selection.everything else ""}"""
