"""What a batch came to, as one page for a browser: no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runllm.quantities import count, dollars, percent, seconds, some
from runllm.report.columns import error_names, shown
from runllm.report.markup import Markup, tag
from runllm.report.page import document
from runllm.report.recent import ranking

if TYPE_CHECKING:
    from runllm.batch import Summary


def as_page(summary: Summary, app: str, made: float) -> str:
    """A whole HTML page.

    Args:
        summary: the figures.
        app: whose they are.
        made: now, in Unix seconds.
    """
    said = f"{some(summary.rows, 'row')}, of which {count(summary.ended)} have ended"
    header = tag("header", tag("p", "runllm batch", class_="kind"), tag("h1", shown(app)), tag("p", said))
    main = tag("main", _tiles(summary), _failures(summary), _times(summary))
    return document(f"{shown(app)} · runllm batch", header, main, made)


def _tiles(summary: Summary) -> Markup:
    good = summary.ended - summary.failed
    left = summary.rows - summary.ended
    cached = f", {count(summary.cached)} from the cache" if summary.cached else ""
    half, most = summary.latency or (None, None)
    return _tiles_of(
        {
            "Rows done": (
                count(good),
                f"{count(summary.failed)} failed, {count(left)} not run" + cached,
            ),
            "First answers that fit": (percent(None if summary.first is None else 100 * summary.first), "of rows done"),
            "A row took, half of them": (seconds(half), f"nine in ten took less than {seconds(most)}"),
            "Tokens": (count(summary.tokens), "of prompts and answers"),
            "Cost": (dollars(summary.cost), "of all answers"),
            "Time": (seconds(summary.elapsed), "this time"),
        }
    )


def _tiles_of(tiles: Mapping[str, tuple[str, str]]) -> Markup:
    """Figures by name, each with what belongs to it in small."""
    return tag(
        "dl",
        [
            tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note"))
            for name, (value, note) in tiles.items()
        ],
        class_="tiles",
    )


def _failures(summary: Summary) -> Markup:
    names = error_names()
    counts = [(shown(f"{kind.code} {names.get(kind.code, '')}".strip()), kind.rows) for kind in summary.kinds]
    examples = [
        tag("p", shown(f"{kind.code}, line {kind.line:,}: {kind.example}"), class_="note") for kind in summary.kinds
    ]
    return tag("section", tag("h2", "What went wrong"), ranking("Failed rows, by error", "row", counts), examples)


def _times(summary: Summary) -> Markup:
    counts = [(f"up to {seconds(time)}", rows) for time, rows in summary.spread]
    return tag("section", tag("h2", "How long rows took"), ranking("Rows, by the time that they took", "row", counts))
