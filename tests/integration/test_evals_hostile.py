"""`runllm test` in hands that do not know it: odd cases, tables, cassettes edited by hand, and what stops a recording."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chances import examples
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, answer
from tests.warm import RUNLLM

from runllm import Runtime
from runllm.cli.steps import Steps
from runllm.cli.test import _run as run_all
from runllm.documents import read
from runllm.engines.cassette import Cassette, Exchange
from runllm.errors import BudgetExceededError, UsageError
from runllm.evals import Suite, Tried, Wanted, finding
from runllm.moments import now
from runllm.rendering import Paint
from runllm.report.junit import as_junit
from runllm.report.tested import as_page
from runllm.report.tests import as_object, as_text, totals
from runllm.testing import ScriptedEngine

ECHO = """---
name: echo
input: {n: integer}
returns: {twice: integer, words: "text[]"}
output:
  twice: "{{ vars.twice }}"
  words: "{{ vars.words }}"
---
```rllm-python pre p inputs=input.n outputs=twice,words
twice = n * 2
words = ["x"] * n
```
"""
ASKS = """---
name: asks
input: {text: text}
returns: text
llm: openai/m
tests:
  - {name: a, input: {text: a}}
  - {name: b, input: {text: b}MORE}
  - {name: c, input: {text: c}}
---
{{ input.text }}
"""


def tried(folder: Path, *arguments: str, **files: str) -> tuple[int, str]:
    """The status and all that `runllm test` says where these stand beside `echo.rllm`, under the endings given."""
    (folder / "echo.rllm").write_text(ECHO, encoding="utf-8")
    for ending, text in files.items():
        (folder / f"echo.tests.{ending}").write_text(text, encoding="utf-8")
    done = command("test", *arguments, cwd=folder)
    assert "RLLM_099" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input": {"n": 2}, "partial": {"twice": 4}, "expect": 1}, "unknown key `expect`"),
        ({"input": {"n": 2}, "tags": 5}, "5 is not of type"),
        ({"input": {"n": 2}, "name": 5}, "5 is not of type"),
        ({"input": {"n": 2}, "check": 5}, "5 is not of type"),
        ({"input": {"n": 2}, "most": {"second": 5}}, "unknown key `second`"),
        ({"input": 2}, "named `input`"),
        ({"n": 2, "tags": 5}, "5 is not of type"),
        ({"n": 2, "skip": True}, "true is not of type"),
        ({"n": 2, "twise": 4}, "Did you mean `twice`?"),
        ({"n": 2, "twice": "four"}, '"four" is not of type'),
    ],
)
def test_a_row_that_is_no_case_is_told_with_its_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    status, printed = tried(tmp_path, jsonl=f'{{"n": 1}}\n{json.dumps(row)}\n')
    assert (status, "echo.tests.jsonl:2:1: error" in printed) == (3, True), printed
    assert said in printed


def test_a_table_as_a_spreadsheet_writes_it_is_read(tmp_path: Path) -> None:
    status, printed = tried(
        tmp_path,
        "--tag",
        "x",
        csv="\ufeffn;twice;name;tags;skip\r\n1;2;eins;x y;\r\n2;5;zwei;x;\r\n;;;;\r\n3;6;drei;x;not now\r\n",
    )
    assert status == 1
    assert "twice: expected 5, got 4" in printed
    assert "FAILED zwei (no model) echo.tests.csv:3" in printed
    assert "skipped: not now" in printed
    assert "1 case passed, 1 failed" in printed


def test_cases_without_a_name_are_numbered_on_from_file_to_file(tmp_path: Path) -> None:
    status, printed = tried(tmp_path, yaml="- input: {n: 1}\n- input: {n: 2}\n", csv="n\n3\n")
    assert (status, "3 cases passed" in printed) == (0, True), printed


@pytest.mark.parametrize("tests", ["[]", "tests: []"])
def test_a_list_of_no_cases_is_no_tests_at_all(tmp_path: Path, tests: str) -> None:
    status, printed = tried(tmp_path, yaml=tests)
    assert (status, "there are no tests in ." in printed) == (2, True), printed


@pytest.mark.parametrize(
    ("check", "place"),
    [
        ("|\n    a = 1\n    assert output.twice == 2\n", "4:19"),
        ("assert output.twice == 2", "2:24"),
        ('"assert output.twice == 2"', "2:25"),
        ("|2\n      assert output.twice == 2\n", None),
        ('"a = 1\\nassert output.twice == 2"', "1:3"),
        (">\n    a = 1\n\n    assert output.twice == 2\n", "1:3"),
    ],
)
def test_what_is_wrong_with_a_check_is_shown_where_it_stands(tmp_path: Path, check: str, place: str | None) -> None:
    status, printed = tried(tmp_path, yaml=f"- input: {{n: 1}}\n  check: {check}\n")
    assert status == 3
    assert "echo.tests.yaml:" in printed
    if place is not None:
        assert (
            f"echo.tests.yaml:{place}: error: check block `case 1`: object of type `dict` has no attribute" in printed
        )


def test_a_check_that_fails_otherwise_names_no_other_file(tmp_path: Path) -> None:
    _, printed = tried(tmp_path, yaml="- {input: {n: 0}, check: 'assert 1 / output[\"twice\"]'}\n")
    assert "  check: ZeroDivisionError" in printed
    assert "echo.rllm:" not in printed


# --- cassettes ----------------------------------------------------------------------------------------


def suite(folder: Path, mode: str, answers: Callable[[Any], str] = lambda _: "x", **more: Any) -> Suite:
    """The tests below a folder, with a script for a model."""
    return Suite(
        Wanted(paths=(str(folder),), mode=mode, **more),
        {},
        make=lambda **members: Runtime(engine=ScriptedEngine(answers), **members),
    )


def ran(suite: Suite) -> list[Tried]:
    with suite:
        return [one for group in suite.groups() if group.ok for one in suite.run(group)]


def asks(folder: Path, more: str = "") -> Path:
    (folder / "asks.rllm").write_text(ASKS.replace("MORE", more), encoding="utf-8")
    return folder / "asks.cassette.yaml"


def asked(cassette: Path) -> list[str]:
    """The last message of each exchange."""
    found = read(cassette.read_text(encoding="utf-8"))[0].value
    return [one["messages"][-1]["content"] for one in found["exchanges"]]


@pytest.mark.parametrize("reason", ["skip", "only", "name"])
def test_nothing_is_pruned_for_a_case_that_was_not_run(tmp_path: Path, reason: str) -> None:
    kept = asks(tmp_path)
    ran(suite(tmp_path, "record"))
    asks(tmp_path, {"skip": ", skip: later", "only": ", only: true"}.get(reason, ""))
    part = suite(tmp_path, "replay", prune=True, name="a" if reason == "name" else "")
    assert all(one.passed for one in ran(part))
    assert sorted(asked(kept)) == ["a", "b", "c"]
    assert any("not all cases were run" in note for note in part.notes)


def test_what_no_case_asks_for_is_pruned_and_other_models_stay(tmp_path: Path) -> None:
    kept = asks(tmp_path)
    ran(suite(tmp_path, "record", models=("openai/m", "openai/other")))
    text = (tmp_path / "asks.rllm").read_text(encoding="utf-8")
    (tmp_path / "asks.rllm").write_text(text.replace("  - {name: b, input: {text: b}}\n", ""), encoding="utf-8")
    ran(suite(tmp_path, "replay", prune=True, models=("openai/m",)))
    assert sorted(asked(kept)) == ["a", "a", "b", "c", "c"]
    ran(suite(tmp_path, "replay", prune=True))
    assert sorted(asked(kept)) == ["a", "c"]


def test_a_cassette_that_is_missing_or_broken_stops_its_own_file_only(tmp_path: Path) -> None:
    asks(tmp_path)
    ran(suite(tmp_path, "record"))
    for name, broken in (("broken", "exchanges: ["), ("missing", None)):
        (tmp_path / f"{name}.rllm").write_text(ASKS.replace("MORE", ""), encoding="utf-8")
        if broken:
            (tmp_path / f"{name}.cassette.yaml").write_text(broken, encoding="utf-8")
    done = command("test", "--replay", cwd=tmp_path)
    assert done.returncode == 3
    assert "3 cases passed; 2 files could not be tested" in done.stdout, done.stdout + done.stderr
    assert "there is no cassette `missing.cassette.yaml`" in done.stdout
    assert "Record it: `runllm test --record`." in done.stdout
    assert "`broken.cassette.yaml` is no cassette: line 2:" in done.stdout


def test_a_cassette_that_cannot_be_written_is_told_before_anything_is_paid_for(tmp_path: Path) -> None:
    asks(tmp_path).mkdir()
    calls: list[Any] = []
    recorded = suite(tmp_path, "record", lambda request: str(calls.append(request)))
    (group,) = recorded.groups()
    assert (group.ok, calls) == (False, [])


def test_a_recording_that_is_stopped_keeps_what_was_paid_for(tmp_path: Path) -> None:
    kept = asks(tmp_path)

    def stopped() -> None:
        with suite(tmp_path, "record") as recorded:
            runs = recorded.run(recorded.groups()[0])
            for _ in runs:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        stopped()
    assert raised.tb  # which holds the runs that were left
    assert "a" in asked(kept)
    assert not suite(tmp_path, "replay").notes


def test_a_stopped_recording_takes_nothing_out(tmp_path: Path) -> None:
    kept = asks(tmp_path)
    ran(suite(tmp_path, "record"))

    def stopped() -> None:
        with suite(tmp_path, "replay", prune=True) as recorded:
            for _ in recorded.run(recorded.groups()[0]):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert sorted(asked(kept)) == ["a", "b", "c"]


@examples(100)
@given(texts=st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=3))
def test_any_text_comes_back_from_a_cassette_as_it_was(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = {"model": "m", "params": {}, "messages": [{"role": "user", "content": text} for text in texts]}
    path = tmp_path_factory.getbasetemp() / "any.cassette.yaml"
    Cassette(now(), [Exchange(said, [{"text": texts[0]}])]).write(path)
    (one,) = Cassette.read(path).rewound()._exchanges.values()
    assert (one.asked, one.answers) == (said, [{"text": texts[0]}])


@pytest.mark.parametrize("text", ["0o7", "1e3", "+12", ".5", "0x1F", "~", "null", "yes", "", " ", "2026-01-01", "- a", "a: b", "<<", "=", "\t", "\x85", "\u2028", "\x7f", "\r\n", "a\rb", "\ufeff"])  # fmt: skip
def test_what_yaml_reads_as_something_else_comes_back_as_text(text: str, tmp_path: Path) -> None:
    said = {"model": "m", "params": {"stop": [text]}, "messages": [{"role": "user", "content": text}]}
    Cassette(now(), [Exchange(said, [{"text": text}])]).write(tmp_path / "c.yaml")
    (one,) = Cassette.read(tmp_path / "c.yaml")._exchanges.values()
    assert (one.asked, one.answers) == (said, [{"text": text}])


def test_a_folder_with_a_thousand_files_is_looked_through_without_reading_them_as_apps(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.rllm").write_text("no app at all", encoding="utf-8")
    for place in (".hidden", "node_modules", "venv/lib"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.rllm").write_text(ECHO, encoding="utf-8")
        (tmp_path / place / "a.tests.yaml").write_text("[]", encoding="utf-8")
    (tmp_path / "one.rllm").write_text(ECHO, encoding="utf-8")
    (tmp_path / "one.tests.yaml").write_text("- input: {n: 1}\n", encoding="utf-8")
    assert finding.tested_files([str(tmp_path)]) == [str(tmp_path / "one.rllm")]


# --- what stops a run -----------------------------------------------------------------------------------


def stopped_at(number: int, by: BaseException) -> Callable[[Any], str]:
    """A model that answers so often, and is then stopped."""
    left = iter(range(number))

    def answer(_request: Any) -> str:
        if next(left, None) is None:
            raise by
        return "x"

    return answer


def test_a_recording_that_ctrl_c_stops_says_where_its_answers_are(tmp_path: Path) -> None:
    kept = asks(tmp_path)
    with suite(tmp_path, "record", stopped_at(1, KeyboardInterrupt())) as recorded:
        found, error = run_all(recorded, Steps())
    assert error is not None
    assert (error.exit_status, str(kept) in (error.recovery_hint or "")) == (130, True)
    assert "nothing was written" not in (error.recovery_hint or "")
    assert len(asked(kept)) >= 1
    assert totals(found).unrun == 3 - totals(found).passed
    assert totals(found).failed == 0


@pytest.mark.parametrize("answers", [1, 0])
def test_ctrl_c_keeps_what_was_answered_and_nothing_of_what_was_not(tmp_path: Path, answers: int) -> None:
    kept = asks(tmp_path)
    with Provider(*[answer("x")] * answers, replace(answer("x"), delay=20.0)) as provider:
        environment = {**os.environ, "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.base}
        words = [RUNLLM, "test", "--record", "--concurrency", "1" if answers else "3"]
        going = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(provider.chats) < (2 if answers else 3):
            time.sleep(0.01)
        going.send_signal(signal.SIGINT)
        out, said = going.communicate(timeout=60)
    assert going.returncode == 130
    assert b"not run" in out
    assert (b"is kept in asks.cassette.yaml" in said) is kept.exists() is bool(answers)
    assert not answers or asked(kept) == ["a"]


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_a_run_that_ctrl_c_stops_claims_nothing_of_files(tmp_path: Path, mode: str) -> None:
    asks(tmp_path)
    ran(suite(tmp_path, "record"))
    with suite(tmp_path, mode, stopped_at(0, KeyboardInterrupt())) as stopped:
        _, error = run_all(stopped, Steps())
    assert error is None if mode == "replay" else error and error.recovery_hint == "Run again to start over."


def test_cases_that_a_bound_leaves_out_are_told_as_not_run_in_every_form(tmp_path: Path) -> None:
    asks(tmp_path)
    (tmp_path / "more.rllm").write_text(ASKS.replace("MORE", ""), encoding="utf-8")
    made = Suite(
        Wanted(paths=(str(tmp_path),), mode="live", repeat=2),
        {"max_calls": 3, "concurrency": 1},
        make=lambda **members: Runtime(engine=ScriptedEngine(lambda _: "x"), **members),
    )
    with made:
        found, error = run_all(made, Steps())
    ended = totals(found)
    assert isinstance(error, BudgetExceededError)
    assert (ended.cases, ended.passed, ended.failed, ended.unrun, ended.broken) == (6, 1, 0, 5, 0)
    text = as_text(found, Paint(colour=False))
    assert "1 case passed, 5 not run" in text
    assert re.search(r"\n  b +1 of 2\n", text)
    assert text.count("not run") >= 5
    assert "not run " in text
    assert "RLLM_028" in text
    assert "FAILED" not in text
    shown = as_object(found)
    assert (shown["passed"], shown["not_run"], shown["failed"]) == (False, 5, 0)
    assert [one["pass_hat"] for one in shown["files"][0]["cases"]] == [{"1": 1.0, "2": 1.0}, {"1": 1.0}, {}]
    assert as_junit(found).count("not run: RLLM_028") == 9
    assert "5 not run" in as_page(found, 0.0)


def test_a_damaged_cassette_is_put_aside_by_a_recording_and_its_line_is_told(tmp_path: Path) -> None:
    kept = asks(tmp_path)
    ran(suite(tmp_path, "record"))
    good = kept.read_text(encoding="utf-8")
    damages = {
        good.replace("- model", "<<<<<<< HEAD\n- model", 1): "line",
        "": "line 1: the file is empty",
        "# only this\n": "the file is empty",
        "[]": "line 1",
        good.replace("role: user", "rle: user", 1): "`role` is required",
        good.replace("cassette: 1", "cassette: 9"): "its form is 9",
        good.replace("moment: '", "moment: 'x"): "moment",
        good.replace("answers:", "answered:", 1): "line",
    }
    assert good not in damages
    for damaged, said in damages.items():
        kept.write_text(damaged, encoding="utf-8")
        (replayed,) = (replaying := suite(tmp_path, "replay")).groups()
        assert not replayed.ok
        assert said in str(replayed.problems), damaged
        assert "line " in str(replayed.problems)
        assert "replayed from" not in as_text([(replayed, [])], Paint(colour=False))
        replaying.__exit__()
        again = suite(tmp_path, "record")
        assert all(one.passed for one in ran(again))
        assert any("put aside as asks.cassette.yaml.damaged" in note for note in again.notes)
        assert sorted(asked(kept)) == ["a", "b", "c"]
        assert (tmp_path / "asks.cassette.yaml.damaged").read_text(encoding="utf-8") == damaged


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_what_the_cache_cannot_be_used_for_is_said(tmp_path: Path, mode: str) -> None:
    asks(tmp_path)
    ran(suite(tmp_path, "record"))
    told = Suite(Wanted(paths=(str(tmp_path),), mode=mode), {"cache": True})
    assert told.groups()
    assert told.notes == ["no answer is taken from the cache: a cassette answers or keeps each call"]
    told = Suite(Wanted(paths=(str(tmp_path),), mode="live", repeat=2), {"cache": 60.0})
    assert told.groups()
    assert told.notes == ["no answer is taken from the cache: each repeat is a call"]


def test_prune_without_a_cassette_is_refused(tmp_path: Path) -> None:
    asks(tmp_path)
    with pytest.raises(UsageError, match="and none is used"):
        suite(tmp_path, "live", prune=True).groups()
