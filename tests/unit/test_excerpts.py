"""`runllm.notices.excerpt`: what is shown of the line that a problem stands in."""

import json

from hypothesis import given
from hypothesis import strategies as st

from runllm.diagnostics import Problem, Span
from runllm.notices import LONGEST, excerpt, problem_as_json
from runllm.rendering import Paint, problem_report

KEY = "sk-proj-0123456789abcdefghijklmnop"


def span(text: str, marked: str) -> Span:
    return Span(file="a.rllm", line=7, column=text.index(marked) + 1, length=len(marked), text=text)


def marked(text: str, word: str) -> str:
    """What stands above the carets, on a terminal whose every cell is one character wide."""
    _, line, carets, *_ = problem_report(Problem(message="m", span=span(text, word)), Paint(colour=False)).split("\n")
    return line[carets.index("^") : carets.rindex("^") + 1]


def test_a_short_line_is_shown_whole() -> None:
    found = excerpt(span("model: opnai/m", "opnai"))
    assert (found.text, found.start, found.length) == ("model: opnai/m", 7, 5)


def test_of_a_long_line_what_stands_around_the_place_is_shown() -> None:
    text = "a" * 500_000 + " WRONG " + "b" * 500_000
    found = excerpt(span(text, "WRONG"))
    assert found.text[found.start :][: found.length] == "WRONG"
    assert len(found.text) == LONGEST + 2
    assert found.text.startswith("…a")
    assert found.text.endswith("b…")
    assert marked(text, "WRONG") == "WRONG"


def test_the_end_of_a_long_line_is_shown_to_its_end() -> None:
    found = excerpt(span("a" * 500 + "WRONG", "WRONG"))
    assert found.text == "…" + ("a" * 500 + "WRONG")[-LONGEST:]


def test_carets_stand_below_the_place_whatever_the_line_holds() -> None:
    assert marked("a\x1b[2J: WRONG", "WRONG") == "WRONG"
    assert marked(f"key: {KEY}, x: WRONG", "WRONG") == "WRONG"
    _, line, carets = problem_report(Problem(message="m", span=span("名前: 値x", "値x")), Paint(colour=False)).split(
        "\n"
    )
    assert (line[8:], carets[8:]) == ("名前: 値x", "      ^^^")  # a Chinese letter takes two cells


def test_a_cut_shows_no_part_of_a_secret() -> None:
    for before in range(0, 2 * LONGEST, 7):
        text = "a" * 400 + f" {KEY} " + " " * before + "WRONG" + " " * 400 + KEY
        assert not any(KEY[at : at + 8] in excerpt(span(text, "WRONG")).text for at in range(8, len(KEY) - 8))


@given(st.text(), st.integers(1, 300), st.integers(1, 300))
def test_any_place_of_any_line_can_be_shown(text: str, column: int, length: int) -> None:
    found = excerpt(Span(file="a", line=1, column=column, length=length, text=text), 40)
    assert 0 <= found.start <= len(found.text) <= 42
    assert found.length >= 1


def test_the_json_of_a_problem_holds_no_endless_line() -> None:
    long = problem_as_json(Problem(message="m", span=span("a" * 500_000 + "WRONG", "WRONG")))
    assert long["source"].endswith("WRONG")
    assert len(json.dumps(long)) < 3000
    assert problem_as_json(Problem(message="m", span=span(" x", "x")))["source"] == " x"
