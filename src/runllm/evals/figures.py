"""A run of a case, and what many of them come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runllm.program import Case
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.results import RunResult


@frozen
class Tried:
    """One run of a case.

    Attributes:
        case: which.
        model: with which model; the file's own where it is empty.
        number: of the repeat, counted from 1.
        misses: what did not hold.
        result: what came; None where it was not run.
        took: seconds from start to end, as they were recorded for a replay.
    """

    case: Case
    model: str
    number: int = 1
    misses: tuple[str, ...] = ()
    result: RunResult | None = None
    took: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it was run and all held."""
        return self.result is not None and not self.misses


@frozen
class Figures:
    """What came of the cases of a file with one model.

    Attributes:
        cases: how many were run.
        passed: how many of them passed each time.
        first: the share of runs with a model whose first answer fitted; None where there is none.
        half: seconds of half of the runs; None where there is none.
        most: seconds of nine in ten.
        cached: how many runs took all answers from the cache; they are in none of the three.
        cost: US dollars of all; None where that of one is not known.
        tokens: of prompts and answers.
    """

    cases: int
    passed: int
    first: float | None
    half: float | None
    most: float | None
    cached: int
    cost: float | None
    tokens: int


def figures(tried: Sequence[Tried]) -> Figures:
    """Add up the runs of one model."""
    ran = [one for one in tried if one.result is not None]
    results = [one.result for one in ran if one.result is not None]
    called = [result for result in results if result.attempts and not result.cached]
    times = [one.took for one in ran if one.result is not None and not one.result.cached]
    costs = [result.cost for result in results if any(result.completions())]
    by_case: dict[str, bool] = {}
    for one in tried:
        by_case[one.case.name] = by_case.get(one.case.name, True) and one.passed
    return Figures(
        cases=len(by_case),
        passed=sum(by_case.values()),
        first=sum(len(one.attempts) == 1 and one.error is None for one in called) / len(called) if called else None,
        most=sorted(times)[math.ceil(0.9 * len(times)) - 1] if times else None,
        half=statistics.median(times) if times else None,
        cached=sum(result.cached for result in results),
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        tokens=sum(result.usage.total_tokens for result in results),
    )


def pass_hat(passed: int, runs: int, times: int) -> float:
    """pass^k: how likely it is that a case passes `times` times in a row, as far as these runs tell.

    C(passed, times) / C(runs, times): https://arxiv.org/abs/2406.12045, section 4.
    """
    return math.comb(passed, times) / math.comb(runs, times)


def flakiness(passed: int, runs: int) -> float:
    """The share of runs that ended otherwise than most: 0 where all agree, 0.5 at the worst."""
    return min(passed, runs - passed) / runs if runs else 0.0
