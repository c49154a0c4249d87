"""The figures as one page for a browser: no script, nothing fetched, light or dark as the reader likes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from runllm._version import __version__
from runllm.quantities import count, percent, seconds, some
from runllm.report import columns, plots
from runllm.report.columns import COLUMNS, best, moment, shown
from runllm.report.headline import bar, everything, headline, outcomes
from runllm.report.markup import Markup, raw, tag
from runllm.report.plots import Measure, Series, Times
from runllm.report.recent import failures, last_runs, row
from runllm.stats.summary import Bucket, Figures, Summary

if TYPE_CHECKING:
    from runllm.stats.rows import RunRow

_DAY = 86_400.0
_LATENCY = (("p50", "half took no longer"), ("p95", "19 of 20 took no longer"))


def as_page(summary: Summary, title: str, made: float, last: Sequence[RunRow] = ()) -> str:
    """A whole HTML page, to be opened from a disk or served.

    Args:
        summary: the figures.
        title: whose figures they are.
        made: now, in Unix seconds.
        last: the newest of the runs, the newest first.
    """
    main = tag("main", _sections(summary, last))
    return document(f"{shown(title)} · runllm statistics", _header(summary, title), main, made)


def document(title: str, header: Markup, main: Markup, made: float) -> str:
    """A page of these parts; `made` is now, in Unix seconds."""
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    policy = f"default-src 'none'; style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", raw(style)),
    )
    body = tag("body", header, main, _footer(made))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _digest(style: str) -> str:
    return b64encode(sha256(style.encode()).digest()).decode()


def _header(summary: Summary, title: str) -> Markup:
    said = "Nothing is recorded."
    if summary.since is not None and summary.until is not None:
        times = dict.fromkeys(moment(time, _DAY) for time in (summary.since, summary.until))
        said = f"{some(summary.total.runs, 'run')}, {' to '.join(times)}"
    return tag("header", tag("p", "runllm statistics", class_="kind"), tag("h1", shown(title)), tag("p", said))


def _footer(made: float) -> Markup:
    return tag("footer", tag("p", f"Made by runllm {__version__} on {moment(made, _DAY)}. All times are UTC."))


def _sections(summary: Summary, last: Sequence[RunRow]) -> list[Markup]:
    total = summary.total
    if not total.runs:
        return [tag("section", tag("p", "A run is recorded when it ends, whether it succeeds or fails."))]
    found = [headline(total)]
    if last:
        found.append(last_runs(last))
    if total.errors or total.violations:
        found.append(failures(total))
    if summary.models:
        found.append(_compared("Models", "model", summary.models))
    if len(summary.apps) > 1:
        found.append(_compared("Apps", "app", summary.apps))
    if len(summary.timeline) > 1:
        found.append(_over_time(summary))
    return [*found, tag("section", everything(total))]


def _compared(title: str, kind: str, groups: Mapping[str, Figures]) -> Markup:
    """Models or apps side by side: bars for what decides, and a table of everything."""
    ended = {
        name: (f"{_share_of(f)} of {some(f.runs, 'run')}", bar(f, shown(name), plots.THICK))
        for name, f in groups.items()
    }
    ways = dict.fromkeys((style, words) for f in groups.values() for style, words, _ in outcomes(f))
    latency = _paired(groups, lambda f: (f.latency_p50, f.latency_p95), plots.TIME, _LATENCY)
    price = _paired(groups, lambda f: (columns.cost_per_run(f),), plots.MONEY, (("cost", "US dollars"),))
    figures = [_bars(f"Runs with a result, by {kind}", list(ways), ended)]
    figures.append(_bars(f"Time of a run, by {kind}", _LATENCY, latency))
    if any(columns.cost_per_run(f) for f in groups.values()):
        figures.append(_bars(f"Cost of a run, by {kind}", (), price))
    compared = tag("div", figures, class_="grid") if len(groups) > 1 else raw()
    return tag("section", tag("h2", title), compared, _table(kind, groups))


def _share_of(figures: Figures) -> str:
    return percent(100 * figures.succeeded / figures.runs if figures.runs else None)


def _paired(
    groups: Mapping[str, Figures],
    values: Callable[[Figures], Sequence[float | None]],
    measure: Measure,
    parts: Sequence[tuple[str, str]],
) -> dict[str, tuple[str, Markup]]:
    """For each group its values in words, all in one unit, and a bar for each value."""
    found = {name: values(figures) for name, figures in groups.items()}
    top = max((value or 0 for each in found.values() for value in each), default=0)
    drawn: dict[str, tuple[str, Markup]] = {}
    for name, each in found.items():
        texts = measure.alike(each, top)
        said = ", ".join(f"{word} {text}" for (_, word), text in zip(parts, texts, strict=True))
        shares = [
            (style, None if value is None or not top else value / top)
            for (style, _), value in zip(parts, each, strict=True)
        ]
        drawn[name] = (" → ".join(texts), plots.pair(shares, f"{shown(name)}: {said}"))
    return drawn


def _bars(title: str, legend: Sequence[tuple[str, str]], groups: Mapping[str, tuple[str, Markup]]) -> Markup:
    """A row for each group: its name, its figures in words, and what is drawn of them."""
    rows = [row(shown(name), value, drawn) for name, (value, drawn) in groups.items()]
    said = [plots.key(legend)] if legend else []
    return tag("figure", tag("figcaption", title), said, tag("ul", rows, class_="bars"))


def _table(kind: str, groups: Mapping[str, Figures]) -> Markup:
    """Every column; a star and a title mark the best."""
    winners = {column.name: best(column, groups) for column in COLUMNS}
    head = [tag("th", column.name, scope="col", title=column.meaning) for column in COLUMNS]
    rows: list[tuple[str, list[Markup]]] = []
    for name, figures in groups.items():
        cells = [
            tag("td", tag("strong", f"{column.text(figures)} ★", title="the best"))
            if name in winners[column.name]
            else tag("td", column.text(figures))
            for column in COLUMNS
        ]
        rows.append((shown(name), cells))
    note = tag("p", "first and final are shares of the runs in which a model answered.", class_="note")
    return tag(
        "div", _scrolled(f"All figures by {kind}", [tag("th", kind, scope="col"), *head], rows), note, _meanings()
    )


def _meanings() -> Markup:
    """What the columns mean, folded."""
    said = [tag("div", tag("dt", column.name), tag("dd", column.meaning)) for column in COLUMNS]
    best = tag("div", tag("dt", "★"), tag("dd", "the best, of those with five answers or more"))
    return tag("details", tag("summary", "What the columns mean"), tag("dl", said, best, class_="meanings"))


def _scrolled(label: str, head: Sequence[Markup], rows: Sequence[tuple[str, Sequence[Markup]]]) -> Markup:
    """A table that scrolls by itself where the window is narrower; the keyboard reaches it."""
    body = [tag("tr", tag("th", name, scope="row"), cells) for name, cells in rows]
    table = tag("table", tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", table, class_="scrolled", role="region", aria_label=label, tabindex=0)


def _over_time(summary: Summary) -> Markup:
    buckets = summary.timeline
    times = Times(starts=[bucket.start for bucket in buckets], width=summary.width)

    def series(name: str, style: str, value: Callable[[Bucket], float | None]) -> Series:
        return Series(name=name, style=style, values=[value(bucket) for bucket in buckets])

    latency = [
        series(_LATENCY[0][1], "p50", lambda b: b.latency_p50),
        series(_LATENCY[1][1], "p95", lambda b: b.latency_p95),
    ]
    runs = [series("succeeded", "fine", lambda b: b.runs - b.failed), series("failed", "failed", lambda b: b.failed)]
    fit = [
        series("first answer", "first", lambda b: b.first_compliance),
        series("some answer", "final", lambda b: b.final_compliance),
    ]
    figures = [
        plots.bar_plot("Runs over time", runs, times, plots.NUMBER),
        plots.line_plot("Time of a run, over time", latency, times, plots.TIME),
        plots.line_plot("Answers that fit, of the runs with an answer", fit, times, plots.SHARE),
    ]
    if any(bucket.cost for bucket in buckets):
        cost = [series("cost", "cost", lambda b: b.cost)]
        figures.insert(1, plots.bar_plot("Cost over time", cost, times, plots.MONEY))
    drawn = tag("div", figures, class_="grid wide")
    return tag("section", tag("h2", "Over time"), drawn, _values(buckets, times))


def _values(buckets: Sequence[Bucket], times: Times) -> Markup:
    """What the plots show, in numbers."""
    names = ("from", "runs", "failed", "p50", "p95", "first", "final", "cost")
    rows: list[tuple[str, list[Markup]]] = []
    for bucket in buckets:
        texts = (
            count(bucket.runs), count(bucket.failed), seconds(bucket.latency_p50), seconds(bucket.latency_p95),
            percent(bucket.first_compliance), percent(bucket.final_compliance), columns.cost(bucket),
        )  # fmt: skip
        rows.append((times.of(bucket.start), [tag("td", text) for text in texts]))
    head = [tag("th", name, scope="col") for name in names]
    return tag("details", tag("summary", "The values of the plots"), _scrolled("Values over time", head, rows))
