"""How earlier calls went: the speed of a model, the length of an app's answers, its retries.

The model of a call is

    latency ≈ base + per_prompt_token · prompt tokens + per_completion_token · completion tokens

and what the line leaves unexplained is kept as the ratio of real to predicted latency.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from enum import IntEnum

from runllm.stats.ranks import quantile
from runllm.stats.rows import Attempts, RunRow
from runllm.stats.store import Store
from runllm.values import frozen

ENOUGH = 5
"""Calls of an app from which on its own speed is better evidence than the model's with all apps."""
_NEWEST = 200
_FEW = 3  # samples below which only a rate can be told
_MANY = 8  # samples from which prompt and answer can be told apart
_OUTLYING = 3 * 1.4826  # three median deviations, in units of a standard deviation of normal noise
_MOST_DROPPED = 0.2
_CORRELATED = 0.5
_ROUNDS, _STILL = 5000, 1e-12  # most rounds of fitting, and a change that is none


class Basis(IntEnum):
    """Where numbers come from, the best evidence first."""

    HISTORY = 0
    """Earlier runs of this app with this model."""
    MODEL = 1
    """The model's speed with other apps."""
    LIMITS = 2
    """Nothing was recorded: only the declared limits."""


@frozen
class Speed:
    """How fast a model answers.

    Attributes:
        base: seconds of a call without tokens.
        per_prompt_token: seconds.
        per_completion_token: seconds.
        ratios: real latency by predicted one, of every sample, smallest first.
    """

    base: float
    per_prompt_token: float
    per_completion_token: float
    ratios: tuple[float, ...]

    def line(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Seconds of a call, before `ratios` spread it."""
        return self.base + self.per_prompt_token * prompt_tokens + self.per_completion_token * completion_tokens


@frozen
class Lengths:
    """How long answers are.

    Attributes:
        per_prompt_token: completion tokens that each prompt token adds; 0 where they have little to do with
            each other.
        rest: completion tokens of each sample without what its prompt adds, smallest first.
    """

    per_prompt_token: float
    rest: tuple[float, ...]

    def at(self, prompt_tokens: int, share: float, most: int | None = None) -> float:
        """A quantile of the completion tokens: at least 1, at most `most`."""
        tokens = max(1.0, self.per_prompt_token * prompt_tokens + quantile(self.rest, share))
        return tokens if most is None else min(tokens, float(most))


@frozen
class Record:
    """What is known of one app with one model.

    Attributes:
        finished: the runs of the app that asked the model, newest first.
        basis: the evidence that this is.
        speed: of the model, with this app where that was often enough, else with any; None where nothing is known.
        lengths: of the app's answers; None where it has given none.
    """

    finished: tuple[RunRow, ...] = ()
    basis: Basis = Basis.LIMITS
    speed: Speed | None = None
    lengths: Lengths | None = None

    @property
    def attempts(self) -> tuple[int, ...]:
        """How many calls each run took; one where nothing is known."""
        return tuple(run.asked for run in self.finished) or (1,)

    @property
    def prompt_tokens(self) -> int | None:
        """Of a usual first request; None where none was sent."""
        sent = [run.prompt_tokens / run.answered for run in self.finished if run.answered]
        return round(statistics.median(sent)) if sent else None

    @property
    def counted_by_estimated(self) -> float:
        """What the model counts for a token of the estimate; 1 where nothing is known."""
        ratios = [
            run.prompt_tokens / run.estimated_prompt_tokens
            for run in self.finished
            if run.asked == run.answered == 1 and run.estimated_prompt_tokens and run.prompt_tokens
        ]
        return statistics.median(ratios) if ratios else 1.0

    @property
    def overhead(self) -> float:
        """Seconds that a run takes beside its calls."""
        beside = [run.latency - run.call_latency for run in self.finished if run.asked == run.answered]
        return max(0.0, statistics.median(beside)) if beside else 0.0


class Past:
    """The store, asked once for each app and model."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self._records: dict[tuple[str, str], Record] = {}

    def record(self, app: str, model: str) -> Record:
        """What is known of an app (its path, or its name) with a model.

        Raises:
            StatsError: the store cannot be read.
        """
        if (app, model) not in self._records:
            self._records[app, model] = self._read(app, model)
        return self._records[app, model]

    def _read(self, app: str, model: str) -> Record:
        store = self.store
        if store is None:
            return Record()
        own = store.samples(model, app=app)
        enough = len(own) >= ENOUGH
        speed = fit_speed(own if enough else store.samples(model))
        return Record(
            finished=tuple(run for run in store.runs(app=app, model=model, limit=_NEWEST) if run.asked),
            basis=Basis.HISTORY if enough else Basis.MODEL if speed else Basis.LIMITS,
            speed=speed,
            lengths=fit_lengths(own),
        )

    def usual_count(self, app: str, name: str) -> int | None:
        """Over how many items an app has usually run a dependency; None where it never did.

        Raises:
            StatsError: the store cannot be read.
        """
        if self.store is None:
            return None
        counts = [
            sum(child.child_name == name for child in self.store.children(run.id))
            for run in self.store.runs(app=app, limit=20)
            if run.error_code is None
        ]
        return round(statistics.median(counts)) if counts else None


# --- fitting --------------------------------------------------------------------------------------


def fit_speed(samples: Attempts) -> Speed | None:
    """The line through the samples, with no coefficient below zero; None where no call took any time.

    One or two samples give a time for each completion token; up to seven a base as well; more also a time for
    each prompt token. After a first fit the samples further than three median deviations from it, the worst
    first and a fifth at most, are left out of a second one. The ratios are of all samples.
    """
    points = [((1.0, float(s.prompt_tokens), float(s.completion_tokens)), s.latency) for s in samples if s.latency > 0]
    allowed = (2,) if len(points) < _FEW else (0, 2) if len(points) < _MANY else (0, 1, 2)
    found = _least_squares(points, allowed)
    found = _least_squares(_without_outliers(points, found), allowed)
    predicted = [(_line(found, terms), latency) for terms, latency in points]
    ratios = sorted(latency / line for line, latency in predicted if line > 0)
    if not ratios:
        return None
    return Speed(base=found[0], per_prompt_token=found[1], per_completion_token=found[2], ratios=tuple(ratios))


def fit_lengths(samples: Attempts) -> Lengths | None:
    """The completion tokens of the samples; None without one.

    From eight samples on they may follow the prompt's length in a straight line, where the two correlate by more
    than a half.
    """
    if not samples:
        return None
    prompts = [float(s.prompt_tokens) for s in samples]
    answers = [float(s.completion_tokens) for s in samples]
    slope = 0.0
    varied = len(set(prompts)) > 1 and len(set(answers)) > 1
    if varied and len(samples) >= _MANY and abs(statistics.correlation(prompts, answers)) > _CORRELATED:
        slope = statistics.linear_regression(prompts, answers).slope
    rest = sorted(answer - slope * prompt for prompt, answer in zip(prompts, answers, strict=True))
    return Lengths(per_prompt_token=slope, rest=tuple(rest))


_Terms = tuple[float, float, float]
_Point = tuple[_Terms, float]


def _line(coefficients: _Terms, terms: _Terms) -> float:
    return sum(c * t for c, t in zip(coefficients, terms, strict=True))


def _without_outliers(points: Sequence[_Point], fit: _Terms) -> list[_Point]:
    residuals = [latency - _line(fit, terms) for terms, latency in points]
    if not residuals:
        return []
    middle = statistics.median(residuals)
    away = [abs(residual - middle) for residual in residuals]
    limit = _OUTLYING * statistics.median(away)
    worst = sorted(range(len(points)), key=away.__getitem__, reverse=True)[: int(len(points) * _MOST_DROPPED)]
    dropped = {index for index in worst if away[index] > limit}
    return [point for index, point in enumerate(points) if index not in dropped]


def _least_squares(points: Sequence[_Point], allowed: Sequence[int]) -> _Terms:
    """The coefficients, none below zero, with the least sum of squared errors.

    One coefficient after the other is set to the best value beside the others, or to zero where that is below it, until
    nothing moves: for a sum of squares this leads to the best line. Each term is scaled to its largest value.
    """
    largest = [max((terms[at] for terms, _ in points), default=0.0) for at in range(3)]
    used = [at for at in allowed if largest[at] > 0]
    products = {(at, by): _sum(points, largest, at, by) for at in used for by in used}
    aims = {at: sum(terms[at] / largest[at] * latency for terms, latency in points) for at in used}
    found = [0.0, 0.0, 0.0]
    for _ in range(_ROUNDS):
        moved = 0.0
        for at in used:
            rest = aims[at] - sum(products[at, by] * found[by] for by in used if by != at)
            best = max(0.0, rest / products[at, at])
            moved, found[at] = max(moved, abs(best - found[at])), best
        if moved <= _STILL * max(found):
            break
    return found[0] / (largest[0] or 1), found[1] / (largest[1] or 1), found[2] / (largest[2] or 1)


def _sum(points: Sequence[_Point], largest: Sequence[float], at: int, by: int) -> float:
    return sum(terms[at] * terms[by] for terms, _ in points) / largest[at] / largest[by]
