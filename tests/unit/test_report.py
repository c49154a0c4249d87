"""What the figures look like: on a terminal, in a browser, and to a program."""

import csv
import io
import json
import re
import unicodedata
from base64 import b64encode
from dataclasses import asdict, replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chances import examples

from runllm import report
from runllm.rendering import Paint
from runllm.report import columns, plots
from runllm.report.columns import COLUMNS, as_csv, as_json, best, cost
from runllm.report.headline import outcomes
from runllm.report.page import as_page
from runllm.report.plots import HEIGHT, Measure, Series, Times, bar_plot, line_plot
from runllm.report.table import Look, as_table, has_blocks
from runllm.stats.rows import RunRow
from runllm.stats.summary import Bucket, Figures, Summary

SECRET = "sk-abcdefghijklmnop1234"
HOSTILE = f'<script>alert("1")</script>&\x1b[31m\u202e{SECRET}'

SOME = Figures(
    runs=40, succeeded=36, failed=4, errors=(("RLLM_007", 3), ("RLLM_015", 1)), input_compliance=97.5,
    judged=38, first_compliance=71.0, final_compliance=94.5, latency_average=1.5, latency_p50=1.25, latency_p95=4.5,
    asked=52, retries=13, answered=50, prompt_average=412.0, completion_average=96.0, completion_max=512,
    prompt_tokens=20_600, completion_tokens=4_800, cached_tokens=1_000, reasoning_tokens=70,
    ms_per_1k_tokens=2410.4, cost=0.36, unpriced=0, skipped=0, violations=(("required /summary", 9), ("type /score", 2)),
)  # fmt: skip
OTHER = replace(SOME, runs=30, first_compliance=88.0, final_compliance=92.0, latency_p50=0.8, cost=0.9, retries=4)
NONE = Figures(
    runs=0, succeeded=0, failed=0, errors=(), input_compliance=None, judged=0, first_compliance=None,
    final_compliance=None, latency_average=None, latency_p50=None, latency_p95=None, asked=0, retries=0, answered=0,
    prompt_average=None, completion_average=None, completion_max=0, prompt_tokens=0, completion_tokens=0,
    cached_tokens=0, reasoning_tokens=0, ms_per_1k_tokens=None, cost=None, unpriced=0, skipped=0, violations=(),
)  # fmt: skip


def bucket(start: float, **facts: float | None) -> Bucket:
    given = {"runs": 4, "failed": 1, "latency_p50": 1.0, "latency_p95": 3.0, "first_compliance": 50.0,
             "final_compliance": 75.0, "cost": 0.01}  # fmt: skip
    return Bucket(start=start, **(given | facts))


def summary(models: dict[str, Figures], *, total: Figures = SOME, apps: tuple[str, ...] = ("summary",)) -> Summary:
    return Summary(
        total=total,
        models=models,
        apps=dict.fromkeys(apps, SOME),
        since=1_700_000_000.0,
        until=1_700_090_000.0,
        width=3600,
        timeline=(
            bucket(1_699_999_200),
            bucket(1_700_002_800, latency_p50=None, latency_p95=None),
            bucket(1_700_089_200),
        ),
    )


TWO = summary({"openai/slow": SOME, "local/quick": OTHER})
EMPTY = Summary(total=NONE, models={}, apps={}, since=None, until=None, width=1, timeline=())


def table(found: Summary, width: int = 200, *, colour: bool = False, blocks: bool = True) -> str:
    return as_table(found, "summary.rllm", Look(paint=Paint(colour=colour), width=width, blocks=blocks))


# --- words and numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (columns.moment, 1e300, "-"),
        (columns.local_time, -1e300, "-"),
    ],
)
def test_a_number_is_written_for_people(write, value: float | None, text: str) -> None:
    assert write(value) == text


def test_a_price_that_is_known_in_part_says_so_and_gives_no_price_of_a_run() -> None:
    part = replace(SOME, unpriced=3)
    [column] = [column for column in COLUMNS if column.name == "cost/run"]
    assert (cost(SOME), cost(part), cost(NONE)) == ("$0.36", "$0.36+", "-")
    assert (column.text(SOME), column.text(part)) == ("$0.0092", "-")


@pytest.mark.parametrize(
    ("groups", "name", "winners"),
    [
        ({"a": SOME, "b": OTHER}, "final", {"a"}),
        ({"a": SOME, "b": OTHER}, "first", {"b"}),
        ({"a": SOME, "b": OTHER}, "p50", {"b"}),
        ({"a": SOME, "b": OTHER}, "runs", set()),
        ({"a": SOME, "b": SOME}, "final", set()),
        ({"a": SOME}, "final", set()),
        ({"a": SOME, "b": replace(OTHER, judged=4)}, "first", set()),
        ({"a": SOME, "b": replace(OTHER, final_compliance=94.51), "c": OTHER}, "final", {"a", "b"}),
        ({"a": SOME, "b": replace(OTHER, unpriced=1)}, "cost/run", set()),
    ],
)
def test_the_best_has_runs_enough_and_is_better_as_it_is_written(
    groups: dict[str, Figures], name: str, winners: set[str]
) -> None:
    [column] = [column for column in COLUMNS if column.name == name]
    assert best(column, groups) == winners


# --- the terminal ------------------------------------------------------------------------------


def test_the_table_says_every_figure_that_was_promised() -> None:
    text = table(TWO)
    for said in (
        "runs         40 · 36 succeeded · 4 failed",
        "input fits   97.5%",
        "first 71.0% ████▎  · final 94.5% █████▋",
        "average 1.50 s · p50 1.25 s · p95 4.50 s · 2,410 ms per 1k tokens",
        "prompt 412, completion 96 on average · completion at most 512",
        "cost         $0.36",
        "retries      13 · 52 attempts in all",
        "violations   required /summary (9 times) · type /score (2 times)",
        "failures     RLLM_007 RetryExhaustedError (3 runs) · RLLM_015 ProviderConnectionError (1 run)",
    ):
        assert said in text
    [slow] = [line for line in text.split("\n") if line.startswith("openai/slow")]
    assert re.sub("[ ▏▎▍▌▋▊▉█]+", " ", slow).split(" ") == [
        "openai/slow", "40", "71.0%", "94.5%*", "1.25", "s", "4.50", "s", "412", "96", "2,410", "$0.36", "$0.0092*", "0.33",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [20, 60, 80, 100, 133, 300])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal_and_no_column_is_lost(width: int, colour: bool) -> None:
    names = {"openrouter/a-provider/with-a-very-long-name-" + "x" * 80: SOME, "模型" * 40: OTHER, "m": SOME}
    long = replace(SOME, violations=(("required /" + "deep/" * 60, 3),))
    text = table(summary(names, total=long, apps=("one", "two")), width, colour=colour)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert (plain == text) is not colour
    wide = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in plain.split("\n")]
    assert max(wide) <= max(60, width)
    for column in COLUMNS:
        assert len(re.findall(rf"(?m)^.* {re.escape(column.name)}(?: |$)", plain)) >= 2


def test_where_there_are_no_blocks_the_table_is_ascii() -> None:
    text = table(summary({"modèle/" + "x" * 90: SOME, "型" * 30: OTHER}), 80, blocks=False)
    assert text.isascii()
    assert max(map(len, text.split("\n"))) <= 80
    assert "94.5%* #####." in text
    assert (has_blocks("utf-8"), has_blocks("latin-1"), has_blocks("ascii"), has_blocks(None)) == (
        True,
        False,
        False,
        False,
    )


def test_the_words_of_others_cannot_steer_the_terminal_or_show_a_secret() -> None:
    foreign = replace(SOME, violations=((HOSTILE, 2),))
    text = as_table(
        summary({HOSTILE + "\n\udcff": SOME}, total=foreign, apps=(HOSTILE, "b")), HOSTILE,
        Look(paint=Paint(colour=False), width=400),
    )  # fmt: skip
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\udcff]", text)
    assert SECRET not in text
    assert text.count("[redacted]") >= 4


def test_items_that_were_skipped_are_told_where_there_are_any() -> None:
    found = summary({"openai/m": SOME}, total=replace(SOME, skipped=3))
    assert "40 · 36 succeeded · 4 failed · 3 items of lists skipped" in table(found)
    assert "3 items of lists skipped." in as_page(found, "summary.rllm", 1_700_100_000.0)
    assert "skipped" not in table(TWO)


# --- programs ----------------------------------------------------------------------------------


def test_json_holds_the_figures_by_their_names() -> None:
    found = json.loads(as_json(TWO, {"app": None, "model": "m", "since": 1.5}))
    ranked = {"errors": {"RLLM_007": 3, "RLLM_015": 1}, "violations": {"required /summary": 9, "type /score": 2}}
    assert found["total"] == asdict(SOME) | ranked
    assert found["models"] == {"openai/slow": asdict(SOME) | ranked, "local/quick": asdict(OTHER) | ranked}
    assert list(found["total"]["errors"]) == ["RLLM_007", "RLLM_015"]
    assert found["asked"] == {"app": None, "model": "m", "since": 1.5}
    assert found["timeline"] == {"width": 3600, "buckets": [asdict(bucket) for bucket in TWO.timeline]}


def test_csv_is_a_row_for_each_group_and_holds_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(summary({"=1+1": SOME, "m": NONE, SECRET: SOME})))))
    assert [(row["group"], row["name"]) for row in rows] == [
        ("total", ""), ("model", "'=1+1"), ("model", "m"), ("model", "[redacted]"), ("app", "summary"),
    ]  # fmt: skip
    assert (rows[0]["runs"], rows[0]["final_compliance"], rows[0]["violations"]) == (
        "40", "94.5", "required /summary: 9; type /score: 2",
    )  # fmt: skip
    assert (rows[2]["runs"], rows[2]["cost"]) == ("0", "")


def test_programs_see_no_secret_and_no_text_that_cannot_be_written() -> None:
    text = as_json(summary({HOSTILE: SOME}), {"app": f"\udcff{SECRET}", "model": None, "since": None})
    assert SECRET not in text + as_csv(summary({HOSTILE: SOME}))
    assert json.loads(text.encode())["asked"]["app"] == "\udcff[redacted]"


# --- the page ----------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Reads a page as a browser does, and refuses what is not closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


ALLOWED = {"class", "role", "tabindex", "scope", "title", "lang", "charset", "name", "content", "http-equiv",
           "width", "height", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "points", "viewbox",
           "preserveaspectratio", "aria-label", "aria-hidden"}  # fmt: skip
MANY = {f"provider/model-{at}": replace(SOME, runs=at + 1, final_compliance=float(at)) for at in range(12)}


@pytest.mark.parametrize(
    "found", [TWO, EMPTY, summary(MANY, apps=("a", "b")), summary({"m": NONE}, total=replace(NONE, runs=1))]
)
def test_a_page_is_whole_asks_for_nothing_and_runs_nothing(found: Summary) -> None:
    page = as_page(found, "summary.rllm", 1_700_100_000.0)
    read = Reader(page)
    assert not {"script", "link", "img", "iframe", "object", "a", "form", "base"} & {tag for tag, _ in read.elements}
    assert {name for _, attributes in read.elements for name in attributes} <= ALLOWED
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_policy_of_a_page_allows_its_own_style_alone() -> None:
    page = as_page(TWO, "summary.rllm", 0.0)
    [policy] = [
        meta["content"] for meta in Reader(page).all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_words_of_others_stay_words_in_a_page() -> None:
    foreign = replace(SOME, violations=((HOSTILE, 2),), errors=((HOSTILE, 1),))
    page = as_page(summary({HOSTILE: foreign, "\udcff": SOME}, total=foreign, apps=(HOSTILE, "b")), HOSTILE, 0.0)
    read = Reader(page.encode().decode())
    assert not read.all("script")
    assert {name for _, attributes in read.elements for name in attributes} <= ALLOWED
    assert SECRET not in page
    shown = '<script>alert("1")</script>&\\x1b[31m\\u202e[redacted]'
    assert sum(shown in text for text in read.texts) > 6
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)


LAST = [
    RunRow(app="summary", version="1", digest="d", path="p", model="openai/slow", engine="litellm", started=1_700_089_200.0,
           latency=1.25, valid_on=1, asked=1, answered=1, cost=0.009),
    RunRow(app=HOSTILE, version="1", digest="d", path="p", model="", engine="", started=1_700_089_100.0, error_code="RLLM_004"),
]  # fmt: skip


def test_a_page_says_every_figure_and_each_plot_says_what_it_is() -> None:
    page = as_page(TWO, "summary.rllm", 0.0, LAST)
    read = Reader(page)
    text = " ".join(read.texts)
    for said in (
        "summary.rllm", "36 of 40 runs gave a result (", "90.0%", "They cost $0.36, or $0.0092 for each whose input fitted.",
        "27 fitted at the first answer", "9 fitted after asking again", "4 failed", "94.5%", "97.5%", "1.50 s",
        "Half of the runs took no longer than 1.25 s, 19 of 20 no longer than 4.50 s.", "of the 38 runs in which a model answered",
        "20,600", "1,000 of them cached", "at most 512", "2,410 ms", "required /summary", "94.5% ★", "800 ms ★",
        "RLLM_007 RetryExhaustedError", "No attempt gave an answer that fits the contract",
        "The last 2 runs", "14 Nov 23:00", "RLLM_004 InputSchemaError", "$0.0090", "fine",
        "Time of a run, over time", "Runs over time", "Cost over time", "Runs with a result, by model", "1.25 s → 4.50 s", "0.800 s → 4.50 s",
        "14 Nov 22:00: half took no longer 1.00 s, 19 of 20 took no longer 3.00 s",
    ):  # fmt: skip
        assert said in text
    assert SECRET not in page
    for picture in read.all("svg"):
        assert picture.get("aria-label") or picture.get("aria-hidden") or "preserveaspectratio" in picture


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"runs": 1, "succeeded": 1, "failed": 0, "cost": 0.0, "unpriced": 0}, "The run gave a result. It cost nothing."),
        ({"runs": 1, "succeeded": 0, "failed": 1, "answered": 0, "cost": 0.0}, "The run failed. It cost nothing: no model answered."),
        ({"cost": None, "unpriced": 50}, "36 of 40 runs gave a result (90.0%). What was spent is not known."),
        ({"unpriced": 3}, "(90.0%). They cost $0.36, without 3 calls whose price is not known."),
        ({"input_compliance": 100.0}, "(90.0%). They cost $0.36, or $0.0090 each."),
    ],
)  # fmt: skip
def test_the_headline_says_whether_it_works_and_what_it_costs(facts: dict, said: str) -> None:
    page = as_page(summary({}, total=replace(SOME, **facts)), "a", 0.0)
    assert said in re.sub("<[^>]+>", "", page)


def test_the_ways_in_which_runs_ended_add_up_to_all_of_them() -> None:
    for total in (SOME, OTHER, replace(SOME, judged=0, first_compliance=None, final_compliance=None)):
        assert sum(number for *_, number in outcomes(replace(total, runs=total.succeeded + total.failed))) == total.succeeded + total.failed  # fmt: skip


@pytest.mark.parametrize(
    ("largest", "measure", "labels"),
    [
        (0.9, plots.TIME, ["0 ms", "250 ms", "500 ms", "750 ms", "1,000 ms"]),
        (4.5, plots.TIME, ["0 s", "2 s", "4 s", "6 s"]),
        (150.0, plots.TIME, ["0 min", "1 min", "2 min", "3 min"]),
        (0.0012, plots.MONEY, ["$0", "$0.0005", "$0.0010", "$0.0015"]),
        (3, plots.NUMBER, ["0", "1", "2", "3"]),
        (12.0, plots.SHARE, ["0%", "25%", "50%", "75%", "100%"]),
        (0.0, plots.TIME, ["0 ms", "1 ms"]),
    ],
)
def test_an_axis_has_one_unit_and_one_number_of_digits(largest: float, measure: Measure, labels: list[str]) -> None:
    plot = bar_plot("Title", [Series(name="a", style="p50", values=[largest])], Times(starts=[0], width=60), measure)
    assert re.findall(r'<text [^>]*class="left">([^<]*)</text>', plot) == labels


@examples(60)
@given(
    values=st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=40),
    gaps=st.lists(st.integers(1, 400), min_size=40, max_size=40),
    width=st.sampled_from([60, 3600, 86_400, 31_536_000]),
)
def test_nothing_is_drawn_outside_its_plot(values: list[float | None], gaps: list[int], width: int) -> None:
    starts = [width * sum(gaps[:at]) for at in range(len(values))]
    times = Times(starts=starts, width=width)
    series = [Series(name="a", style="p50", values=values), Series(name="b", style="p95", values=values)]
    for plot in (
        line_plot("Title", series, times, plots.TIME),
        bar_plot("Title", series, times, plots.NUMBER),
    ):
        read = Reader(plot)
        for shape in read.all("rect") + read.all("circle"):
            if "fine" in str(shape.get("class")) or shape.get("width") == "100%":
                continue
            x = float(str(shape.get("x") or shape.get("cx")).rstrip("%"))
            y = float(shape.get("y") or shape.get("cy") or 0)
            right = x + float(str(shape.get("width", "0")).rstrip("%"))
            assert -0.01 <= x <= right <= 100.01
            assert -0.01 <= y <= y + float(shape.get("height") or 0) <= HEIGHT + 1.01
        drawn = sum(value is not None for value in values)
        assert len(read.all("circle")) in (0, 2 * drawn)


def test_bars_stand_on_each_other_and_a_few_are_not_broad() -> None:
    """Three in the first bucket, one in the second; the last bucket ends where the axis does."""
    parts = {"a": [3, 1], "b": [1, None], "c": [4, 0]}
    series = [Series(name=name, style=name, values=values) for name, values in parts.items()]
    read = Reader(bar_plot("Title", series, Times(starts=[0, 60], width=60), plots.NUMBER))
    bars = [shape for shape in read.all("rect") if str(shape.get("class")).startswith("bar")]
    places = [{key: float(str(bar[key]).rstrip("%")) for key in ("x", "y", "width", "height")} for bar in bars]
    eighth = HEIGHT / 8
    assert [(place["y"] / eighth, place["height"] / eighth) for place in places] == [(5, 3), (4, 1), (0, 4), (7, 1)]
    assert [place["x"] + place["width"] / 2 for place in places] == pytest.approx([87.5, 87.5, 87.5, 95.833], abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1])
def test_words_and_bars_stand_out_from_what_is_behind_them(scheme: int) -> None:
    """The contrast that WCAG asks for at level AA: 4.5 for text, 3 for graphics; light and dark."""
    style = Path(report.__file__).with_name("page.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+);", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))

    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(colours[one]), light(colours[other])))
        return (high + 0.05) / (low + 0.05)

    assert len(colours) == 12
    for behind in ("back", "card"):
        assert min(contrast(text, behind) for text in ("text", "soft")) >= 4.5
    assert min(contrast(bar, "card") for bar in ("first", "final", "p95", "cost", "fine", "failed")) >= 3
