"""The figures of many runs: in all, per model, per app, and over time.

Two kinds of figure, from different rows. What is *counted* (runs, failures, compliance, latency) are the runs that are
meant: see `Selection`. What was *spent* (tokens, calls, cost, retries, violations) includes the children of those
runs, once. Per model, each run stands for itself, parent or child, so the models together spend exactly what the whole
spends. How rows are added up, `groups` says.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from runllm.stats.database import Selection
from runllm.stats.groups import COUNTED, SPENT, Group, Groups
from runllm.stats.ranks import Merged, quantile
from runllm.values import frozen

_WIDTHS = (60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 7_776_000, 31_536_000)
_MOST = 10  # violations that are listed


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
    groups = Groups(db, selection)
    since, until = groups.since, groups.until
    width = 1 if since is None or until is None else _width(since, until, buckets)
    groups.read(width)
    return Summary(
        total=_figures(groups.total),
        models=_by_runs({name: group for name, group in groups.models.items() if name}),
        apps=_by_runs(groups.apps),
        since=since,
        until=until,
        width=width,
        timeline=tuple(_bucket(groups.buckets[at], at * width) for at in sorted(groups.buckets)),
    )


def _figures(group: Group) -> Figures:
    sums, timed = group.sums, Merged(group.latencies)
    tokens = sums["prompt_tokens"] + sums["completion_tokens"]
    given = {one.name for one in fields(Figures)} & {*COUNTED, *SPENT} - {"cost"}
    whole: dict[str, Any] = {name: int(sums[name]) for name in given}
    return Figures(
        **whole,
        succeeded=int(sums["runs"] - sums["failed"]),
        errors=_ranked(group.errors),
        input_compliance=_ratio(100 * sums["input_valid"], sums["runs"]),
        first_compliance=_ratio(100 * sums["first_valid"], sums["judged"]),
        final_compliance=_ratio(100 * sums["valid"], sums["judged"]),
        latency_average=_ratio(group.latency, len(timed)),
        latency_p50=quantile(timed, 0.5) if timed else None,
        latency_p95=quantile(timed, 0.95) if timed else None,
        prompt_average=_ratio(sums["prompt_tokens"], sums["answered"]),
        completion_average=_ratio(sums["completion_tokens"], sums["answered"]),
        completion_max=group.longest,
        ms_per_1k_tokens=_ratio(sums["call_latency"] * 1e6, tokens),
        cost=sums["cost"] if sums["unpriced"] < sums["answered"] else None,
        violations=_ranked(group.violations)[:_MOST],
    )


def _bucket(group: Group, start: float) -> Bucket:
    figures = _figures(group)
    found: dict[str, Any] = {one.name: getattr(figures, one.name, start) for one in fields(Bucket)}
    if not figures.asked:
        found["cost"] = 0.0
    return Bucket(**found)


def _width(since: float, until: float, buckets: int) -> int:
    """Seconds of a bucket: the shortest round stretch that needs no more than `buckets` of them."""
    for width in _WIDTHS:
        if until // width - since // width < buckets:
            return width
    return int((until - since) // max(1, buckets - 1)) + 1


def _by_runs(groups: Mapping[str, Group]) -> dict[str, Figures]:
    found = {name: _figures(group) for name, group in groups.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].runs, item[0])))


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
