"""The cookbook: each app is sound, takes its example, and has a check that sends back the answer it was written against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import runllm
from runllm import Runtime
from runllm.evals.groups import Wanted
from runllm.evals.suite import Suite
from runllm.results import Request
from runllm.testing import ScriptedEngine

FOLDER = Path(__file__).parents[2] / "examples" / "cookbook"
APPS = sorted(path.stem for path in FOLDER.glob("*.rllm"))
PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text("utf-8")

# By app: an answer that its check refuses, a word of what the model is told, and one that passes the first of its tests.
LINES = [{"what": "curtains", "amount": 99.0}, {"what": "delivery", "amount": 6.9}]
WRITTEN: dict[str, tuple[Any, str, Any]] = {
    "cite": (
        {"answer": "In 1934.", "quotes": [{"source": "town history", "words": "electric light since 1934"}]},
        "does not say",
        {"answer": "In 1934.", "quotes": [{"source": "town history", "words": "since 1934 it has run on electricity"}]},
    ),
    "commit": (
        {"subject": "Count the items.", "body": ""}, "full stop", {"subject": "The total counts each item", "body": ""},
    ),
    "invoice": (
        {"number": "2041", "date": "2026-11-14", "lines": LINES, "total": 126.02},
        "come to 105.9",
        {"number": "2041", "date": "2026-11-14", "lines": [*LINES, {"what": "VAT", "amount": 20.12}], "total": 126.02},
    ),
    "log": (
        {"cause": "No space is left.", "severity": "high", "lines": [4]},
        "there is no line 4",
        {"cause": "No space is left.", "severity": "high", "lines": [2]},
    ),
    "minutes": (
        {"summary": "Shelves.", "decisions": [], "tasks": [{"who": "Tom", "what": "be there"}]},
        "Tom was not there",
        {"summary": "Shelves.", "decisions": [], "tasks": [{"who": "Ben", "what": "be there"}]},
    ),
    "moderate": (
        {"verdict": "hide", "rule": "none", "quote": ""}, "breaks a rule", {"verdict": "show", "rule": "none", "quote": ""},
    ),
    "product": (
        {"name": "Oslo", "width_cm": 80, "height_cm": 180}, "height_cm is 180",
        {"name": "Oslo", "width_cm": 80, "height_cm": 200, "price_eur": 349},
    ),
    "survey": (
        {"themes": ["food", "waiting"], "mood": "mixed"}, "waiting is no theme", {"themes": ["food"], "mood": "mixed"},
    ),
    "translate": (
        {"text": "Hallo Ann, %d neue Nachrichten."}, "placeholders", {"text": "Hallo {name}, %d neue Nachrichten."},
    ),
}  # fmt: skip


def test_the_cookbook_is_ten_apps_each_with_an_input_that_fits_and_a_place_on_the_page() -> None:
    assert len(APPS) == 10
    assert set(APPS) == {*WRITTEN, "mail"}  # which the small model answers, from its cassette
    for name in APPS:
        assert runllm.validate(FOLDER / f"{name}.rllm").problems == (), name
        app = runllm.load(FOLDER / f"{name}.rllm", runtime=Runtime(engine=ScriptedEngine([])))
        app.preview(yaml.safe_load((FOLDER / f"{name}.input.yaml").read_text("utf-8")))
        assert f"examples/cookbook/{name}.rllm" in PAGE


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_does_not_hold_goes_back_to_the_model(name: str) -> None:
    """The answers are ours, not a model's: what is tried is the app around it."""
    wrong, told, right = WRITTEN[name]

    def answer(request: Request) -> Any:
        return right if request.messages[-2].role == "assistant" else wrong

    made = lambda **_: Runtime(engine=ScriptedEngine(answer))  # noqa: E731 - it takes what `api.new_runtime` takes
    with Suite(Wanted(paths=(str(FOLDER / f"{name}.rllm"),)), {}, make=made) as suite:
        [group] = suite.groups()
        first, *_, refused = suite.run(group)
    assert first.misses == ()
    assert first.result
    before, last = first.result.attempts
    assert told in " ".join(problem.message for problem in before.problems)
    assert told in last.request.messages[-1].content
    assert refused.passed


def test_the_small_model_sorts_the_mails_of_the_cassette() -> None:
    with Suite(Wanted(paths=(str(FOLDER / "mail.rllm"),), mode="replay"), {}) as suite:
        [group] = suite.groups()
        assert [one.misses for one in suite.run(group)] == [()] * 3
