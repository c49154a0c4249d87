# ruff: noqa: S608 - the names in the SQL are our own; what a user gives is a parameter
"""Make the figures: SQLite adds up each group of rows, Python puts the groups together."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from runllm.stats.figures import Bucket, Figures, Summary
from runllm.stats.quantiles import quantile
from runllm.stats.selection import Selection

_WIDTHS = (60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 7_776_000, 31_536_000)
# What is summed up for each group, by SQLite: the names are those that `_Sums` asks for.
_COUNTED = {
    "runs": "count(*)",
    "failed": "sum(error_code IS NOT NULL)",
    "input_valid": "sum(input_valid)",
    "judged": "sum(answered > 0)",
    "first_valid": "sum(answered > 0 AND coalesce(valid_on = 1, 0))",
    "valid": "sum(answered > 0 AND coalesce(valid_on > 0, 0))",
}
_SPENT = {  # `total` gives a float, which absurd counts of a provider cannot overflow
    "asked": "total(asked)",
    "retries": "total(max(0, asked - 1))",
    "answered": "total(answered)",
    "prompt_tokens": "total(prompt_tokens)",
    "completion_tokens": "total(completion_tokens)",
    "cached_tokens": "total(cached_tokens)",
    "reasoning_tokens": "total(reasoning_tokens)",
    "call_latency": "total(call_latency)",
    "cost": "total(cost)",
    "unpriced": "total(unpriced)",
}
_MOST = 10  # violations that are listed
_GROUP = "row.top, row.model, row.meant, CAST(row.started / :width AS INTEGER)"


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
    rows = _rows(db, selection)
    given = selection.parameters | {"width": width}
    groups = _Groups()
    _add_sums(db, rows, given, groups)
    _add_latencies(db, rows, given, groups)
    _add_violations(db, rows, given, groups)
    db.execute("DROP TABLE IF EXISTS temp.tree")
    return Summary(
        total=groups.total.figures(),
        models=_by_runs({name: sums for name, sums in groups.models.items() if name}),
        apps=_by_runs(groups.apps),
        since=since,
        until=until,
        width=width,
        timeline=tuple(_bucket(at * width, groups.buckets[at]) for at in sorted(groups.buckets)),
    )


class _Sums:
    """What adds up over the rows of a group."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.spent: dict[str, float] = {}
        self.longest = 0
        self.latencies: list[float] = []
        self.errors: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()

    def count(self, row: sqlite3.Row) -> None:
        for name in _COUNTED:
            self.counted[name] += row[name]
        if row["error_code"] is not None:
            self.errors[row["error_code"]] += row["runs"]

    def spend(self, row: sqlite3.Row) -> None:
        for name in _SPENT:
            self.spent[name] = self.spent.get(name, 0) + row[name]
        self.longest = max(self.longest, row["longest_answer"])

    def figures(self) -> Figures:
        counted = self.counted
        latencies = sorted(self.latencies)
        spent = {name: self.spent.get(name, 0) for name in _SPENT}
        tokens = spent["prompt_tokens"] + spent["completion_tokens"]
        answered = int(spent["answered"])
        seconds = spent["call_latency"]
        return Figures(
            runs=counted["runs"],
            succeeded=counted["runs"] - counted["failed"],
            failed=counted["failed"],
            errors=_ranked(self.errors),
            input_compliance=_percent(counted["input_valid"], counted["runs"]),
            judged=counted["judged"],
            first_compliance=_percent(counted["first_valid"], counted["judged"]),
            final_compliance=_percent(counted["valid"], counted["judged"]),
            latency_average=_average(latencies),
            latency_p50=_quantile(latencies, 0.5),
            latency_p95=_quantile(latencies, 0.95),
            asked=int(spent["asked"]),
            retries=int(spent["retries"]),
            answered=answered,
            prompt_average=spent["prompt_tokens"] / answered if answered else None,
            completion_average=spent["completion_tokens"] / answered if answered else None,
            completion_max=self.longest,
            prompt_tokens=int(spent["prompt_tokens"]),
            completion_tokens=int(spent["completion_tokens"]),
            cached_tokens=int(spent["cached_tokens"]),
            reasoning_tokens=int(spent["reasoning_tokens"]),
            ms_per_1k_tokens=seconds * 1000 / tokens * 1000 if tokens else None,
            cost=spent["cost"] if spent["unpriced"] < answered else None,
            unpriced=int(spent["unpriced"]),
            violations=_ranked(self.violations)[:_MOST],
        )


class _Groups:
    """The sums of all groups; a row belongs to several."""

    def __init__(self) -> None:
        self.total = _Sums()
        self.models: defaultdict[str, _Sums] = defaultdict(_Sums)
        self.apps: defaultdict[str, _Sums] = defaultdict(_Sums)
        self.buckets: defaultdict[int, _Sums] = defaultdict(_Sums)

    def of(self, app: str, model: str, bucket: int) -> tuple[_Sums, tuple[_Sums, ...]]:
        """The group in which each row counts, and those in which only the runs that are meant do."""
        return self.models[model], (self.total, self.apps[app], self.buckets[bucket])


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


def _add_sums(db: sqlite3.Connection, rows: str, given: Mapping[str, Any], groups: _Groups) -> None:
    sums = ", ".join(f"{sql} AS {name}" for name, sql in (_COUNTED | _SPENT).items())
    query = f"""
        SELECT {_GROUP}, error_code, max(longest_answer) AS longest_answer, {sums}
        FROM {rows} GROUP BY {_GROUP}, error_code"""
    for row in db.execute(query, given):
        model, others = groups.of(row[0], row[1], row[3])
        model.count(row)
        model.spend(row)
        for group in others:
            if row[2]:
                group.count(row)
            group.spend(row)


def _add_latencies(db: sqlite3.Connection, rows: str, given: Mapping[str, Any], groups: _Groups) -> None:
    """The latency of each run that did something: a refused input took no time worth a figure."""
    query = f"SELECT {_GROUP}, row.latency FROM {rows} WHERE asked > 0 OR valid_on IS NOT NULL"
    found: defaultdict[tuple[str, str, int, int], list[float]] = defaultdict(list)
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples: there is one for each run
    for app, model, meant, at, latency in cursor.execute(query, given):
        found[app, model, meant, at].append(latency)
    for (app, model, meant, at), latencies in found.items():
        own, others = groups.of(app, model, at)
        own.latencies += latencies
        if meant:
            for group in others:
                group.latencies += latencies


def _add_violations(db: sqlite3.Connection, rows: str, given: Mapping[str, Any], groups: _Groups) -> None:
    query = f"""
        SELECT {_GROUP}, attempts.violations, count(*)
        FROM attempts CROSS JOIN {rows} ON row.id = attempts.run_id
        WHERE attempts.violations <> '[]' GROUP BY {_GROUP}, attempts.violations"""
    for app, model, _, at, violations, count in db.execute(query, given):
        own, others = groups.of(app, model, at)
        for violation in json.loads(violations):
            for group in (own, *others):
                group.violations[violation] += count


def _bucket(start: float, sums: _Sums) -> Bucket:
    figures = sums.figures()
    return Bucket(
        start=start,
        runs=figures.runs,
        failed=figures.failed,
        latency_p50=figures.latency_p50,
        latency_p95=figures.latency_p95,
        first_compliance=figures.first_compliance,
        final_compliance=figures.final_compliance,
        cost=figures.cost if figures.asked else 0.0,
        unpriced=figures.unpriced,
    )


def _width(since: float, until: float, buckets: int) -> int:
    """Seconds of a bucket: the shortest round stretch that needs no more than `buckets` of them."""
    for width in _WIDTHS:
        if until // width - since // width < buckets:
            return width
    return int((until - since) // max(1, buckets - 1)) + 1


def _by_runs(groups: Mapping[str, _Sums]) -> dict[str, Figures]:
    found = {name: sums.figures() for name, sums in groups.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].runs, item[0])))


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return quantile(ordered, share) if ordered else None
