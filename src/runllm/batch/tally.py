"""What a batch came to: the figures that stand at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from runllm.batch.journal import Ended
from runllm.predict import Forecast, Range
from runllm.stats.ranks import Counted, quantile
from runllm.values import frozen


@frozen
class Kind:
    """The rows that failed with one error.

    Attributes:
        code: of the error.
        rows: how many.
        example: the message of the first.
        line: of the first.
    """

    code: str
    rows: int
    example: str
    line: int


@frozen
class Summary:
    """What a batch came to.

    Attributes:
        rows: how many there are.
        ended: how many have ended.
        failed: how many of them failed.
        cached: how many came from the cache.
        first: the share of rows for which a model was called whose first answer was taken; None where there is none.
        tokens: of prompts and answers.
        cost: US dollars; None where the price of a call is not known.
        elapsed: seconds that it took now.
        latency: seconds that a row took: of half of them, and of nine in ten; None where none was run.
        kinds: the rows that failed, by error, the most frequent first.
        spread: how many rows took how long: the seconds of each bar, and its rows.
    """

    rows: int
    ended: int
    failed: int
    cached: int
    first: float | None
    tokens: int
    cost: float | None
    elapsed: float
    latency: tuple[float, float] | None
    kinds: tuple[Kind, ...] = ()
    spread: tuple[tuple[float, int], ...] = ()


class Tally:
    """Adds up rows as they end; however many there are, in the same memory."""

    def __init__(self) -> None:
        self.ended = self.failed = self.cached = self.first = self.tokens = 0
        self.cost: float | None = 0.0
        self._seconds = Counter[float]()  # to three digits, as they are shown
        self._kinds: dict[str, Kind] = {}

    def add(self, ended: Ended, *, ends: bool = True) -> None:
        """Count how a row ended, and what was paid for it; or the latter alone."""
        self.tokens += ended.tokens
        if ended.calls:
            self.cost = None if self.cost is None or ended.cost is None else self.cost + ended.cost
        if not ends:
            return
        self.ended += 1
        self.cached += ended.cached
        self.first += ended.first
        if ended.calls:
            self._seconds[float(f"{ended.seconds:.2e}")] += 1
        if ended.failed:
            self.failed += 1
            first = Kind(code=ended.code, rows=0, example=ended.message, line=ended.line)
            found = self._kinds.get(ended.code, first)
            self._kinds[ended.code] = replace(found, rows=found.rows + 1)

    def summary(self, rows: int, elapsed: float) -> Summary:
        """The figures; `rows` is how many there are, `elapsed` how long it took."""
        times = Counted(self._seconds)
        return Summary(
            rows=rows,
            ended=self.ended,
            failed=self.failed,
            cached=self.cached,
            first=self.first / len(times) if len(times) else None,
            tokens=self.tokens,
            cost=self.cost,
            elapsed=elapsed,
            latency=(quantile(times, 0.5), quantile(times, 0.9)) if len(times) else None,
            kinds=tuple(sorted(self._kinds.values(), key=lambda kind: -kind.rows)),
            spread=_spread(self._seconds),
        )


_BARS = 24


def _spread(times: Mapping[float, int]) -> tuple[tuple[float, int], ...]:
    """How many of some times lie between equal steps up to the longest."""
    step, counts = max(times, default=0.0) / _BARS, [0] * _BARS
    if step <= 0:
        return ()
    for time, rows in times.items():
        counts[min(_BARS - 1, int(time / step))] += rows
    return tuple((step * (at + 1), count) for at, count in enumerate(counts))


@frozen
class Expected:
    """What a batch will take, as far as a few of its rows tell: each figure of half of the cases, and of nine in ten.

    Attributes:
        rows: that will be run.
        unfit: rows that do not fit and fail without a call.
        tokens: of the prompts; None where nothing is known.
        seconds: None where nothing is known of the model's speed.
        cost: US dollars; None where a price is not known.
        notes: what was assumed.
    """

    rows: int
    unfit: int
    tokens: int | None
    seconds: Range | None
    cost: Range | None
    notes: tuple[str, ...] = ()


def expected(rows: int, unfit: int, at_once: int, samples: Iterable[Forecast]) -> Expected:
    """Make of the forecasts of some rows one of all.

    The figures are added up as if all rows were fast together or slow together: a model that is slow today is slow
    for every row, so that chance evens out less than it would among rows that know nothing of each other.

    Args:
        rows: that will be run.
        unfit: that will not.
        at_once: how many of them at a time.
        samples: forecasts of some.
    """
    found = list(samples)
    times = [one.latency for one in found]
    costs = [one.cost for one in found]
    prompts = [sum(part.times * (part.prompt_tokens or 0) for part in one.parts) for one in found]
    share = rows / (len(found) or 1)
    waits = rows / min(at_once, rows or 1) / (len(found) or 1)
    return Expected(
        rows=rows,
        unfit=unfit,
        tokens=round(sum(prompts) * share) if all(prompts) and prompts else None,
        seconds=_sum(times, waits),
        cost=_sum(costs, share),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _sum(ranges: Iterable[Range | None], times: float) -> Range | None:
    """All rows together; None where nothing is known of one."""
    known = list(ranges)
    found = [one for one in known if one is not None]
    if not found or len(found) < len(known):
        return None
    return Range(p50=sum(one.p50 for one in found) * times, p90=sum(one.p90 for one in found) * times)
