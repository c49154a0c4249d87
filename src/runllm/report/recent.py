"""What happened last, and what went wrong, by its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runllm.errors import catalogue
from runllm.quantities import count, dollars, seconds, some
from runllm.report import plots
from runllm.report.columns import moment, shown
from runllm.report.markup import Markup, tag
from runllm.stats.summary import Figures

if TYPE_CHECKING:
    from runllm.stats.rows import RunRow

_MINUTE = 60.0
_LAST = ("began", "how it ended", "app", "model", "attempts", "took", "cost")


def last_runs(runs: Sequence[RunRow]) -> Markup:
    """The runs, the newest first, one a row; their costs are their own, without the runs that they used."""
    kinds = _kinds()
    rows = [
        tag(
            "tr",
            tag("th", moment(run.started, _MINUTE), scope="row"),
            tag("td", _ended(run.error_code, kinds), class_=None if run.error_code is None else "unfit"),
            tag("td", shown(run.app)),
            tag("td", shown(run.model or "none")),
            tag("td", count(run.asked)),
            tag("td", seconds(run.latency)),
            tag("td", dollars(run.cost)),
        )
        for run in runs
    ]
    head = tag("tr", [tag("th", name, scope="col") for name in _LAST])
    return tag(
        "section",
        tag("h2", "The last run" if len(runs) == 1 else f"The last {count(len(runs))} runs"),
        tag(
            "div",
            tag("table", tag("thead", head), tag("tbody", rows), class_="lasting"),
            class_="scrolled", role="region", aria_label="The last runs", tabindex=0,
        ),
    )  # fmt: skip


def _ended(code: str | None, kinds: Mapping[str, tuple[str, str]]) -> str:
    return "fine" if code is None else shown(kinds.get(code, (code, ""))[0])


def _kinds() -> dict[str, tuple[str, str]]:
    """What each error is called, and what it means, by its code."""
    return {cls.code: (f"{cls.code} {cls.__name__}", (cls.__doc__ or "").partition("\n")[0]) for cls in catalogue()}


def failures(total: Figures) -> Markup:
    """The failed runs by error, and what was wrong with answers."""
    kinds = _kinds()
    errors = [(*kinds.get(code, (shown(code), "")), times) for code, times in total.errors]
    return tag(
        "section",
        tag("h2", "What went wrong"),
        tag(
            "div",
            ranking(
                "Failed runs, by error", "run", [(name, times) for name, _, times in errors], [e[1] for e in errors]
            ),
            ranking(
                "What did not fit in answers, also where a later one did",
                "time",
                [(shown(name), times) for name, times in total.violations],
            ),
            class_="grid",
        ),
    )


def ranking(title: str, word: str, counts: Sequence[tuple[str, int]], notes: Sequence[str] = ()) -> Markup:
    """Things and how often each was found, with a bar for each, and what it means."""
    most = max((times for _, times in counts), default=1)
    rows = [
        row(name, some(times, word), plots.pair([("failed", times / most)], f"{name}: {some(times, word)}"), note)
        for (name, times), note in zip(counts, notes or [""] * len(counts), strict=True)
    ]
    return tag("figure", tag("figcaption", title), tag("ul", rows, class_="bars") if rows else tag("p", "None."))


def row(name: str, value: str, drawn: Markup, note: str = "") -> Markup:
    """A name, its value, what it means in small, and what is drawn of it."""
    words = [tag("span", name, class_="name"), tag("span", value, class_="value")]
    return tag("li", words, [tag("span", note, class_="note")] if note else [], drawn)
