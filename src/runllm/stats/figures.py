"""The figures of many runs: in all, per model, per app, and over time.

Two kinds of figure, from different rows. What is *counted* (runs, failures, compliance, latency) are
the runs that are meant: see `Selection`. What was *spent* (tokens, calls, cost, retries, violations)
includes the children of those runs, once. Per model, each run stands for itself, parent or child, so
the models together spend exactly what the whole spends.
"""

from __future__ import annotations

from runllm.values import frozen


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
    violations: tuple[tuple[str, int], ...]

    @property
    def violation(self) -> str | None:
        """The most frequent violation."""
        return self.violations[0][0] if self.violations else None


@frozen
class Bucket:
    """A stretch of time: one point of the series.

    Attributes:
        start: Unix seconds.
        runs: that began within it.
        failed: those of them with an error.
        latency_p50: seconds, None where nothing was measured.
        latency_p95: as above.
        first_compliance: as in `Figures`.
        final_compliance: as in `Figures`.
        cost: as in `Figures`: what was spent within it, children included; 0 where no call was made.
        unpriced: as in `Figures`.
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
