# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""The figures of many runs: in all, per model, per app, and over time.

Two kinds of figure, from different rows. What is *counted* (runs, failures, compliance, latency) are the runs that are
meant: see `Selection`. What was *spent* (tokens, calls, cost, retries, violations) includes the children of those
runs, once. Per model, each run stands for itself, parent or child, so the models together spend exactly what the whole
spends. SQLite adds up each group of rows, Python puts the groups together.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from runllm.stats.database import Selection
from runllm.values import frozen

_WIDTHS = (60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 7_776_000, 31_536_000)
_COUNTED = {
    "runs": "count(*)",
    "failed": "sum(error_code IS NOT NULL)",
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
_SPENT = {"retries": "total(max(0, asked - 1))"} | {name: f"total({name})" for name in _ADDED}
_MOST = 10  # violations that are listed
_GROUP = "row.top, row.model, row.meant, CAST(row.started / :width AS INTEGER)"


@frozen
class Figures:
    """The figures of one group of runs. A share is in percent; what has no basis is None.

    Attributes:
        runs: all of them, failed and refused ones too.
        succeeded: those without an error.
        failed: those with one.
        errors: how many runs failed with each code, the most frequent first.
        input_compliance: share of the runs whose input fitted.
        judged: the runs in which a model answered: the basis of the next two figures.
        first_compliance: share of the judged runs whose first answer fitted.
        final_compliance: share of the judged runs in which some answer fitted.
        latency_average: seconds, of the runs that called a model or built an output.
        latency_p50: as the average; between two runs, interpolated linearly.
        latency_p95: as above.
        asked: attempts made.
        retries: attempts after a run's first one.
        answered: attempts that brought an answer.
        prompt_average: prompt tokens of an answered attempt.
        completion_average: completion tokens of an answered attempt.
        completion_max: the most completion tokens of one attempt.
        prompt_tokens: in all.
        completion_tokens: in all.
        cached_tokens: of the prompt tokens.
        reasoning_tokens: of the completion tokens.
        ms_per_1k_tokens: milliseconds of the answered calls for 1,000 tokens, prompt and completion together.
        cost: US dollars of the calls whose price is known; None when none is known.
        unpriced: answered calls without a known price, missing in `cost`.
        skipped: items of lists that failed, and without which their runs went on.
        violations: how often each violation occurred, the most frequent first; at most ten.
    """

    runs: int
    succeeded: int
    failed: int
    errors: tuple[tuple[str, int], ...]
    input_compliance: float | None
    judged: int
    first_compliance: float | None
    final_compliance: float | None
    latency_average: float | None
    latency_p50: float | None
    latency_p95: float | None
    asked: int
    retries: int
    answered: int
    prompt_average: float | None
    completion_average: float | None
    completion_max: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    ms_per_1k_tokens: float | None
    cost: float | None
    unpriced: int
    skipped: int
    violations: tuple[tuple[str, int], ...]

    @property
    def violation(self) -> str | None:
        """The most frequent violation."""
        return self.violations[0][0] if self.violations else None


@frozen
class Bucket:
    """A stretch of time: one point of the series. What is not described is as in `Figures`.

    Attributes:
        start: Unix seconds.
        cost: what was spent within it, children included; 0 where no call was made.
    """

    start: float
    runs: int
    failed: int
    latency_p50: float | None
    latency_p95: float | None
    first_compliance: float | None
    final_compliance: float | None
    cost: float | None
    unpriced: int = 0


@frozen
class Summary:
    """All figures of a selection.

    Attributes:
        total: of all its runs.
        models: per model, by runs, the most first; runs without a model are left out.
        apps: per app, by runs, the most first.
        since: start of the first run in Unix seconds, None when there is none.
        until: start of the last run.
        width: seconds of a bucket: a minute to a year, whole in UTC.
        timeline: the buckets in which something happened, the oldest first.
    """

    total: Figures
    models: dict[str, Figures]
    apps: dict[str, Figures]
    since: float | None
    until: float | None
    width: int
    timeline: tuple[Bucket, ...]


def summarize(db: sqlite3.Connection, selection: Selection, buckets: int = 60) -> Summary:
    """All figures of the runs that are meant.

    Args:
        db: the store, within a transaction, so that all figures are of one moment.
        selection: which runs.
        buckets: how many points the timeline has at most.
    """
    query = f"SELECT min(started), max(started) FROM runs WHERE {selection.meant}"
    since, until = db.execute(query, selection.parameters).fetchone()
    width = 1 if since is None else _width(since, until, buckets)
    groups = _Groups(db, _rows(db, selection), selection.parameters | {"width": width})
    db.execute("DROP TABLE IF EXISTS temp.tree")
    return Summary(
        total=groups.total.figures(),
        models=_by_runs({name: group for name, group in groups.models.items() if name}),
        apps=_by_runs(groups.apps),
        since=since,
        until=until,
        width=width,
        timeline=tuple(groups.buckets[at].bucket(at * width) for at in sorted(groups.buckets)),
    )


class _Group:
    """What adds up over the rows of a group."""

    def __init__(self) -> None:
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.longest = 0
        self.latencies: list[float] = []
        self.errors: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()

    def add(self, row: sqlite3.Row, *, counted: bool) -> None:
        for name in (*_COUNTED, *_SPENT) if counted else _SPENT:
            self.sums[name] += row[name]
        self.longest = max(self.longest, row["longest_answer"])
        if counted and row["error_code"] is not None:
            self.errors[row["error_code"]] += row["runs"]

    def figures(self) -> Figures:
        sums, latencies = self.sums, sorted(self.latencies)
        tokens = sums["prompt_tokens"] + sums["completion_tokens"]
        given = {one.name for one in fields(Figures)} & {*_COUNTED, *_SPENT} - {"cost"}
        whole: dict[str, Any] = {name: int(sums[name]) for name in given}
        return Figures(
            **whole,
            succeeded=int(sums["runs"] - sums["failed"]),
            errors=_ranked(self.errors),
            input_compliance=_ratio(100 * sums["input_valid"], sums["runs"]),
            first_compliance=_ratio(100 * sums["first_valid"], sums["judged"]),
            final_compliance=_ratio(100 * sums["valid"], sums["judged"]),
            latency_average=_ratio(sum(latencies), len(latencies)),
            latency_p50=quantile(latencies, 0.5) if latencies else None,
            latency_p95=quantile(latencies, 0.95) if latencies else None,
            prompt_average=_ratio(sums["prompt_tokens"], sums["answered"]),
            completion_average=_ratio(sums["completion_tokens"], sums["answered"]),
            completion_max=self.longest,
            ms_per_1k_tokens=_ratio(sums["call_latency"] * 1e6, tokens),
            cost=sums["cost"] if sums["unpriced"] < sums["answered"] else None,
            violations=_ranked(self.violations)[:_MOST],
        )

    def bucket(self, start: float) -> Bucket:
        figures = self.figures()
        found: dict[str, Any] = {one.name: getattr(figures, one.name, start) for one in fields(Bucket)}
        if not figures.asked:
            found["cost"] = 0.0
        return Bucket(**found)


class _Groups:
    """The sums of all groups; a row belongs to several.

    Args:
        db: the store.
        rows: SQL for the rows, as `_rows` makes it.
        given: the values that it names.
    """

    def __init__(self, db: sqlite3.Connection, rows: str, given: Mapping[str, Any]) -> None:
        self.total = _Group()
        self.models: defaultdict[str, _Group] = defaultdict(_Group)
        self.apps: defaultdict[str, _Group] = defaultdict(_Group)
        self.buckets: defaultdict[int, _Group] = defaultdict(_Group)
        sums = ", ".join(f"{sql} AS {name}" for name, sql in (_COUNTED | _SPENT).items())
        query = f"""
            SELECT {_GROUP}, error_code, max(longest_answer) AS longest_answer, {sums}
            FROM {rows} GROUP BY {_GROUP}, error_code"""
        for row in db.execute(query, given):
            for group, counted in self.of(*row[:4]):
                group.add(row, counted=counted)
        # The latency of each run that did something: a refused input took no time worth a figure.
        query = f"SELECT {_GROUP}, row.latency FROM {rows} WHERE asked > 0 OR valid_on IS NOT NULL"
        latencies: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
        cursor = db.cursor()
        cursor.row_factory = None  # plain tuples: there is one for each run
        for *key, latency in cursor.execute(query, given):
            latencies[tuple(key)].append(latency)
        for key, found in latencies.items():
            for group, counted in self.of(*key):
                group.latencies += found if counted else ()
        query = f"""
            SELECT {_GROUP}, attempts.violations, count(*)
            FROM attempts CROSS JOIN {rows} ON row.id = attempts.run_id
            WHERE attempts.violations <> '[]' GROUP BY {_GROUP}, attempts.violations"""
        for *key, violations, count in db.execute(query, given):
            for group, _ in self.of(*key):
                group.violations.update(dict.fromkeys(json.loads(violations), count))

    def of(self, app: str, model: str, meant: int, at: int) -> Iterator[tuple[_Group, bool]]:
        """The groups of a row, each with whether it counts there: everywhere only a run that is meant does."""
        yield self.models[model], True
        yield from ((group, bool(meant)) for group in (self.total, self.apps[app], self.buckets[at]))


def _rows(db: sqlite3.Connection, selection: Selection) -> str:
    """SQL for the runs that are meant and all below them, each a `row`.

    Its columns are those of `runs` and two more: the app of the run that is meant (`top`), and whether it
    is this one (`meant`). Where there are children, the runs are first gathered in a temporary table.
    """
    children = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE parent_id IS NOT NULL LIMIT 1)"
    if selection.below is None or not db.execute(children).fetchone()[0]:
        return f"(SELECT runs.*, app AS top, 1 AS meant FROM runs WHERE {selection.meant}) AS row"
    db.execute("CREATE TEMP TABLE tree (id INTEGER PRIMARY KEY, top TEXT, meant INTEGER)")
    query = f"""
        WITH RECURSIVE found (id, top, meant) AS (
            SELECT id, app, 1 FROM runs WHERE {selection.meant}
            UNION ALL
            SELECT runs.id, found.top, 0 FROM found JOIN runs ON runs.parent_id = found.id WHERE {selection.below})
        INSERT INTO temp.tree SELECT * FROM found"""
    db.execute(query, selection.parameters)
    return "(SELECT runs.*, tree.top, tree.meant FROM temp.tree CROSS JOIN runs ON runs.id = tree.id) AS row"


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the numbers lie, interpolated linearly between its two neighbours.

    Args:
        ordered: at least one number, smallest first.
        share: from 0 (the smallest) to 1 (the largest).
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _width(since: float, until: float, buckets: int) -> int:
    """Seconds of a bucket: the shortest round stretch that needs no more than `buckets` of them."""
    for width in _WIDTHS:
        if until // width - since // width < buckets:
            return width
    return int((until - since) // max(1, buckets - 1)) + 1


def _by_runs(groups: Mapping[str, _Group]) -> dict[str, Figures]:
    found = {name: group.figures() for name, group in groups.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].runs, item[0])))


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
