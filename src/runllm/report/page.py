"""The figures as one page for a browser: no script, nothing fetched, light or dark as the reader likes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from runllm._version import __version__
from runllm.quantities import count, dollars, percent, seconds, some
from runllm.report import columns, plots
from runllm.report.columns import COLUMNS, best, error_names, moment, shown
from runllm.report.markup import Markup, raw, tag
from runllm.report.plots import Series, Times
from runllm.stats.summary import Bucket, Figures, Summary

_DAY = 86_400.0
_FIT = (("first", "first answer"), ("final", "some answer"))
_LATENCY = (("p50", "p50"), ("p95", "p95"))


def as_page(summary: Summary, title: str, made: float) -> str:
    """A whole HTML page, to be opened from a disk or served.

    Args:
        summary: the figures.
        title: whose figures they are.
        made: now, in Unix seconds.
    """
    main = tag("main", _sections(summary))
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


def _sections(summary: Summary) -> list[Markup]:
    if not summary.total.runs:
        return [tag("section", tag("p", "A run is recorded when it ends, whether it succeeds or fails."))]
    found = [_tiles(summary.total)]
    if summary.models:
        found.append(_compared("Models", "model", summary.models))
    found += [_over_time(summary), _wrong(summary.total)]
    if len(summary.apps) > 1:
        found.append(_compared("Apps", "app", summary.apps))
    return found


def _tiles(total: Figures) -> Markup:
    """The totals, each with what belongs to it in small."""
    unpriced = f"{some(total.unpriced, 'call')} of unknown price" if total.unpriced else "every price is known"
    times = total.violations[0][1] if total.violations else 0
    skipped = f"; {some(total.skipped, 'item')} of lists skipped" if total.skipped else ""
    tiles = {
        "Runs": (count(total.runs), f"{count(total.succeeded)} succeeded, {count(total.failed)} failed{skipped}"),
        "Answers fit, finally": (
            percent(total.final_compliance),
            f"{percent(total.first_compliance)} at the first attempt",
        ),
        "Inputs fit": (percent(total.input_compliance), "of all runs"),
        "Latency, average": (
            seconds(total.latency_average),
            f"p50 {seconds(total.latency_p50)}, p95 {seconds(total.latency_p95)}",
        ),
        "Cost": (columns.cost(total), unpriced),
        "Retries": (count(total.retries), f"{some(total.asked, 'attempt')} in all"),
        "Prompt tokens": (
            count(total.prompt_average),
            f"on average; {count(total.prompt_tokens)} in all, {count(total.cached_tokens)} of them cached",
        ),
        "Completion tokens": (
            count(total.completion_average),
            (
                f"on average; at most {count(total.completion_max)}; {count(total.completion_tokens)} in all, "
                f"{count(total.reasoning_tokens)} of them reasoning"
            ),
        ),
        "Time for 1,000 tokens": (f"{count(total.ms_per_1k_tokens)} ms", "prompt and completion together"),
        "Most common violation": (shown(total.violation or "none"), some(times, "time")),
    }
    return tiles_of(tiles)


def tiles_of(tiles: Mapping[str, tuple[str, str]]) -> Markup:
    """Figures by name, each with what belongs to it in small."""
    return tag(
        "dl",
        [
            tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note"))
            for name, (value, note) in tiles.items()
        ],
        class_="tiles",
    )


def _compared(title: str, kind: str, groups: Mapping[str, Figures]) -> Markup:
    """Models or apps side by side: bars for what decides, and a table of everything."""
    slowest = max((f.latency_p95 or 0 for f in groups.values()), default=0)
    dearest = max((columns.cost_per_run(f) or 0 for f in groups.values()), default=0)

    def fit(figures: Figures) -> list[tuple[float | None, str]]:
        shares = (figures.first_compliance, figures.final_compliance)
        return [(None if share is None else share / 100, percent(share)) for share in shares]

    def latency(figures: Figures) -> list[tuple[float | None, str]]:
        return [(_share(time, slowest), seconds(time)) for time in (figures.latency_p50, figures.latency_p95)]

    def price(figures: Figures) -> list[tuple[float | None, str]]:
        found = columns.cost_per_run(figures)
        return [(_share(found, dearest), dollars(found))]

    return tag(
        "section",
        tag("h2", title),
        tag(
            "div",
            _bars(f"Answers that fit, by {kind}", _FIT, groups, fit),
            _bars(f"Latency, by {kind}", _LATENCY, groups, latency),
            _bars(f"Cost of a run, by {kind}", (("cost", "US dollars"),), groups, price),
            class_="grid",
        ),
        _table(kind, groups),
    )


def _share(value: float | None, top: float) -> float | None:
    return None if value is None or not top else value / top


def _bars(
    title: str,
    parts: Sequence[tuple[str, str]],
    groups: Mapping[str, Figures],
    values: Callable[[Figures], Sequence[tuple[float | None, str]]],
) -> Markup:
    """A row for each group: its name, its figures in words, and a bar for each."""
    rows: list[Markup] = []
    for name, figures in groups.items():
        found = values(figures)
        said = ", ".join(f"{word} {text}" for (_, word), (_, text) in zip(parts, found, strict=True))
        shares = [(style, share) for (style, _), (share, _) in zip(parts, found, strict=True)]
        value = " → ".join(text for _, text in found)
        rows.append(_bar(shown(name), value, shares, f"{said}; {some(figures.runs, 'run')}"))
    legend = [plots.key(parts)] if len(parts) > 1 else []
    return tag("figure", tag("figcaption", title), legend, tag("ul", rows, class_="bars"))


def _bar(name: str, value: str, shares: Sequence[tuple[str, float | None]], said: str) -> Markup:
    """A name, its value, and a bar for each share, which say it in words to who points at them."""
    words = (tag("span", name, class_="name"), tag("span", value, class_="value"))
    return tag("li", *words, plots.pair(shares, f"{name}: {said}"))


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
    meanings = "; ".join(f"{column.name}: {column.meaning}" for column in COLUMNS)
    note = tag("p", f"★ the best, of those with five answers or more. {meanings}.", class_="note")
    return tag("div", _scrolled(f"All figures by {kind}", [tag("th", kind, scope="col"), *head], rows), note)


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

    latency = [series("p50", "p50", lambda b: b.latency_p50), series("p95", "p95", lambda b: b.latency_p95)]
    runs = [series("succeeded", "fine", lambda b: b.runs - b.failed), series("failed", "failed", lambda b: b.failed)]
    fit = [
        series(_FIT[0][1], "first", lambda b: b.first_compliance),
        series(_FIT[1][1], "final", lambda b: b.final_compliance),
    ]
    drawn = tag(
        "div",
        plots.line_plot("Latency over time", latency, times, seconds),
        plots.bar_plot("Runs over time", runs, times, count, whole=True),
        plots.bar_plot("Cost over time", [series("cost", "cost", lambda b: b.cost)], times, dollars),
        plots.line_plot("Answers that fit, over time", fit, times, percent, top=100),
        class_="grid wide",
    )
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


def _wrong(total: Figures) -> Markup:
    names = error_names()
    failures = [(shown(f"{code} {names.get(code, '')}".strip()), times) for code, times in total.errors]
    violations = [(shown(name), times) for name, times in total.violations]
    return tag(
        "section",
        tag("h2", "What went wrong"),
        tag(
            "div",
            ranking("Failed runs, by error", "run", failures),
            ranking("Violations of the output schema, by attempts", "time", violations),
            class_="grid",
        ),
    )


def ranking(title: str, word: str, counts: Sequence[tuple[str, int]]) -> Markup:
    """Things and how often each was found, with a bar for each."""
    most = max((times for _, times in counts), default=1)
    rows = [_bar(name, some(times, word), [("failed", times / most)], some(times, word)) for name, times in counts]
    return tag("figure", tag("figcaption", title), tag("ul", rows, class_="bars") if rows else tag("p", "None."))
