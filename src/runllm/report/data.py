"""The figures for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from runllm import rendering
from runllm.redaction import redact
from runllm.stats.summary import Figures, Summary

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
