"""What a reader wants to know first: whether the runs work, and what they cost; and every figure with its words."""

from __future__ import annotations

from collections.abc import Iterator

from runllm.quantities import count, dollars, percent, seconds, some
from runllm.report import columns, plots
from runllm.report.columns import shown
from runllm.report.markup import Markup, raw, tag
from runllm.stats.summary import Figures

_TALL = 14.0  # pixels of the one bar


def outcomes(figures: Figures) -> list[tuple[str, str, int]]:
    """How all the runs ended: the class, the words and the number of each way, which add up to the runs."""
    first, fitting = (
        round(figures.judged * (share or 0) / 100) for share in (figures.first_compliance, figures.final_compliance)
    )
    ways = [
        ("fine", "fitted at the first answer", first),
        ("final", "fitted after asking again", fitting - first),
        ("first", "built without an answer", figures.succeeded - fitting),
        ("failed", "failed", figures.failed),
    ]
    return [way for way in ways if way[2] > 0]


def bar(figures: Figures, name: str, height: float) -> Markup:
    """All the runs as one bar, by how they ended."""
    ways = outcomes(figures)
    said = ", ".join(f"{count(number)} {words}" for _, words, number in ways)
    return plots.stack([(style, number / figures.runs) for style, _, number in ways], f"{name}: {said}", height)


def headline(total: Figures) -> Markup:
    """Whether it works and what it costs, in one sentence, with a bar of all runs."""
    shares = [(style, f"{count(number)} {words}") for style, words, number in outcomes(total)]
    return tag(
        "section",
        tag("h2", _worked(total), " ", _cost(total)),
        bar(total, "All runs", _TALL),
        plots.key(shares),
        tag("p", " ".join(_more(total)), class_="note"),
        class_="headline",
    )


def _worked(total: Figures) -> list[Markup]:
    if total.runs == 1:
        return [tag("strong", "The run gave a result." if total.succeeded else "The run failed.")]
    share = percent(100 * total.succeeded / total.runs)
    return [
        raw(f"{count(total.succeeded)} of {some(total.runs, 'run')} gave a result ("), tag("strong", share), raw(")."),
    ]  # fmt: skip


def _cost(total: Figures) -> str:
    who = "It" if total.runs == 1 else "They"
    if not total.answered:
        return f"{who} cost nothing: no model answered."
    if total.cost is None:
        return "What was spent is not known."
    if not total.cost:
        return f"{who} cost nothing{_unpriced(total)}."
    return f"{who} cost {dollars(total.cost)}{_each(total)}{_unpriced(total)}."


def _each(total: Figures) -> str:
    """What falls to a run, where its price is known, and to which, where that is not to all."""
    if total.runs == 1 or total.unpriced:
        return ""
    whose = "each" if total.input_compliance == 100 else "for each whose input fitted"  # noqa: PLR2004 - percent
    return f", or {dollars(columns.cost_per_run(total))} {whose}"


def _unpriced(total: Figures) -> str:
    return f", without {some(total.unpriced, 'call')} whose price is not known" if total.unpriced else ""


def _more(total: Figures) -> Iterator[str]:
    if total.latency_p50 is not None and total.runs == 1:
        yield f"It took {seconds(total.latency_p50)}."
    elif total.latency_p50 is not None:
        half, most = seconds(total.latency_p50), seconds(total.latency_p95)
        yield f"Half of the runs took no longer than {half}, 19 of 20 no longer than {most}."
    if total.skipped:
        yield f"{some(total.skipped, 'item')} of lists skipped."


def everything(total: Figures) -> Markup:
    """Every figure with what it is of."""
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value), tag("td", of)) for name, value, of in _all(total)]
    head = tag("tr", *(tag("th", name, scope="col") for name in ("figure", "value", "what it is")))
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="words")
    region = tag("div", table, class_="scrolled", role="region", aria_label="Every figure", tabindex=0)
    return tag("details", tag("summary", "Every figure, and what it is of"), region)


def _all(total: Figures) -> Iterator[tuple[str, str, str]]:
    answered = f"of the {some(total.judged, 'run')} in which a model answered"
    yield "runs", count(total.runs), "all of them, failed ones too"
    yield (
        "succeeded",
        count(total.succeeded),
        f"runs with a result: {percent(100 * total.succeeded / total.runs)} of all",
    )
    yield "failed", count(total.failed), "runs that ended with an error"
    yield "input fits", percent(total.input_compliance), "of all runs; the others called no model"
    yield "first answer fits", percent(total.first_compliance), answered
    yield "some answer fits", percent(total.final_compliance), f"{answered}, at the first attempt or a later one"
    for name, value in (("average", total.latency_average), ("p50", total.latency_p50), ("p95", total.latency_p95)):
        what = {"p50": "half of the runs took no longer", "p95": "19 of 20 runs took no longer"}.get(name, "of a run")
        yield f"time, {name}", seconds(value), what
    yield "attempts", count(total.asked), "requests to a model, answered or not"
    yield "retries", count(total.retries), "attempts after the first one of a run"
    yield "prompt tokens", count(total.prompt_tokens), f"{count(total.cached_tokens)} of them cached"
    yield "prompt tokens of a call", count(total.prompt_average), "on average"
    yield "completion tokens", count(total.completion_tokens), f"{count(total.reasoning_tokens)} of them reasoning"
    yield (
        "completion tokens of a call",
        count(total.completion_average),
        f"on average; at most {count(total.completion_max)}",
    )
    yield "time for 1,000 tokens", f"{count(total.ms_per_1k_tokens)} ms", "of a call, prompt and completion together"
    unpriced = f"; {some(total.unpriced, 'call')} of unknown price" if total.unpriced else ""
    yield "cost", columns.cost(total), f"US dollars, with the runs that these used{unpriced}"
    yield "cost of a run", dollars(columns.cost_per_run(total)), "on average, of a run whose input fitted"
    times = total.violations[0][1] if total.violations else 0
    yield "most common violation", shown(total.violation or "none"), some(times, "time")
