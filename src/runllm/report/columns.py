"""The columns in which models and apps are compared, which is best in each, and the figures as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Literal

from runllm import quantities, rendering
from runllm.errors import catalogue
from runllm.quantities import UNKNOWN
from runllm.redaction import redact
from runllm.rendering import safe
from runllm.stats.summary import Bucket, Figures, Summary
from runllm.values import frozen

_FEWEST = 5  # runs with an answer below which chance would choose the best
_MINUTE, _DAY, _MONTH = 60, 86_400, 2_592_000


@frozen
class Column:
    """A figure, as a column of a table.

    Attributes:
        name: its heading.
        meaning: what it is, in a few words.
        value: the figure, None where it is not known.
        write: the figure as text.
        best: which end is better, None where neither is.
        top: of a bar, the value that fills it: a number, or `largest` for the largest in the column;
            None for no bar.
    """

    name: str
    meaning: str
    value: Callable[[Figures], float | None]
    write: Callable[[float | None], str]
    best: Literal["high", "low"] | None = None
    top: float | Literal["largest"] | None = None

    def text(self, figures: Figures) -> str:
        """What stands in the cell."""
        return self.write(self.value(figures))


class Cost(Column):
    """What was spent; where the price of some calls is not known, the sum is followed by a plus."""

    def text(self, figures: Figures) -> str:
        """What stands in the cell."""
        return cost(figures)


def cost(figures: Figures | Bucket) -> str:
    """The cost, with a plus where the price of some calls is not known."""
    return quantities.dollars(figures.cost) + ("+" if figures.cost is not None and figures.unpriced else "")


def cost_per_run(figures: Figures) -> float | None:
    """US dollars of a run whose input fitted, on average; None where the price of some call is not known."""
    return None if figures.cost is None or figures.unpriced else _per_run(figures.cost, figures)


def _per_run(amount: float, figures: Figures) -> float | None:
    """What falls to a run whose input fitted: a refused one costs nothing, and would make its model look cheap."""
    fitting = round(figures.runs * (figures.input_compliance or 0) / 100)
    return amount / fitting if fitting else None


COLUMNS = (
    Column(name="runs", meaning="all runs, failed ones too", value=lambda f: f.runs, write=quantities.count),
    Column(
        name="first", meaning="share of runs with an answer whose first one fitted",
        value=lambda f: f.first_compliance, write=quantities.percent, best="high", top=100.0,
    ),
    Column(
        name="final", meaning="share of runs with an answer in which some fitted",
        value=lambda f: f.final_compliance, write=quantities.percent, best="high", top=100.0,
    ),
    Column(
        name="p50", meaning="half of the runs took no longer",
        value=lambda f: f.latency_p50, write=quantities.seconds, best="low", top="largest",
    ),
    Column(
        name="p95", meaning="19 of 20 runs took no longer",
        value=lambda f: f.latency_p95, write=quantities.seconds, best="low",
    ),
    Column(
        name="in", meaning="prompt tokens of a call, on average",
        value=lambda f: f.prompt_average, write=quantities.count,
    ),
    Column(
        name="out", meaning="completion tokens of a call, on average",
        value=lambda f: f.completion_average, write=quantities.count,
    ),
    Column(
        name="ms/1k", meaning="milliseconds of a call for 1,000 tokens, prompt and completion together",
        value=lambda f: f.ms_per_1k_tokens, write=quantities.count, best="low",
    ),
    Cost(
        name="cost", meaning="US dollars in all; + where some price is unknown",
        value=lambda f: f.cost, write=quantities.dollars,
    ),
    Column(
        name="cost/run", meaning="US dollars of a run whose input fitted, on average",
        value=cost_per_run, write=quantities.dollars, best="low", top="largest",
    ),
    Column(
        name="retries/run", meaning="attempts after the first, of a run whose input fitted, on average",
        value=lambda f: _per_run(f.retries, f), write=quantities.rate, best="low",
    ),
)  # fmt: skip


def best(column: Column, groups: Mapping[str, Figures]) -> frozenset[str]:
    """The groups that are best in a column, as it is written; none where all are, or too few have enough runs."""
    found = {
        name: value
        for name, figures in groups.items()
        if column.best and figures.judged >= _FEWEST and (value := column.value(figures)) is not None
    }
    if not found:
        return frozenset()
    first = (max if column.best == "high" else min)(found.values())
    winners = frozenset(name for name, value in found.items() if column.write(value) == column.write(first))
    return winners if len(winners) < len(found) else frozenset()


def filled(column: Column, figures: Figures, groups: Mapping[str, Figures]) -> float | None:
    """How much of a bar is full, from 0 to 1; None for no bar, as where there is nothing to compare with."""
    value = column.value(figures)
    values = [found for each in groups.values() if (found := column.value(each)) is not None]
    if column.top is None or value is None or (column.top == "largest" and len(values) == 1):
        return None
    top = max(values) if column.top == "largest" else column.top
    return min(1.0, value / top) if top > 0 else 0.0


def shown(text: str) -> str:
    """A foreign word: secrets masked, control characters made visible, lone surrogates too."""
    return safe(text.encode("utf-8", "backslashreplace").decode()).replace("\n", "\\n").replace("\t", "\\t")


def moment(time: float, width: float = _MINUTE) -> str:
    """A time in UTC, as exactly as a bucket of `width` seconds allows."""
    form = "%b %Y" if width >= _MONTH else "%d %b %Y" if width >= _DAY else "%d %b %H:%M"
    try:
        return datetime.fromtimestamp(time, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # a clock that was set absurdly
        return UNKNOWN


def local_time(time: float) -> str:
    """A time to the minute, where the reader is."""
    try:
        return datetime.fromtimestamp(time, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # as above
        return UNKNOWN


def error_names() -> Mapping[str, str]:
    """The name of each error, by its code."""
    return {cls.code: cls.__name__ for cls in catalogue()}


# --- for programs ---------------------------------------------------------------------------------

_RANKED = ("errors", "violations")  # how often each occurred, the most frequent first
_NUMBERS = tuple(field.name for field in fields(Figures) if field.name not in _RANKED)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(summary: Summary, asked: Mapping[str, str | float | None]) -> str:
    """All figures as JSON, named as in `runllm.stats.summary`.

    Args:
        summary: the figures.
        asked: which runs were asked for.
    """
    found = {
        "asked": dict(asked),
        "since": summary.since,
        "until": summary.until,
        "total": _object(summary.total),
        "models": {name: _object(figures) for name, figures in summary.models.items()},
        "apps": {name: _object(figures) for name, figures in summary.apps.items()},
        "timeline": {"width": summary.width, "buckets": [asdict(bucket) for bucket in summary.timeline]},
    }
    return rendering.as_json(found)


def as_csv(summary: Summary) -> str:
    """A header and a row for each group: the total, every model, every app. What is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["group", "name", *_NUMBERS, *_RANKED])
    writer.writerow(_row("total", "", summary.total))
    for group, members in (("model", summary.models), ("app", summary.apps)):
        writer.writerows(_row(group, name, figures) for name, figures in members.items())
    return out.getvalue().removesuffix("\n")


def _object(figures: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(figures, name) for name in _NUMBERS}
    return found | {name: dict(getattr(figures, name)) for name in _RANKED}


def _row(group: str, name: str, figures: Figures) -> list[Any]:
    ranked = ("; ".join(f"{word}: {times}" for word, times in getattr(figures, field)) for field in _RANKED)
    numbers = (getattr(figures, field) for field in _NUMBERS)
    return [group, _harmless(redact(name)), *numbers, *(_harmless(redact(text)) for text in ranked)]


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
