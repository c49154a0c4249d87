"""Cases that say nothing are told before a run, and none passes for what no input could be the reason of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import runllm
from runllm.cli import invoke
from runllm.errors import (
    AuthenticationError,
    ModelNotFoundError,
    ProviderTimeoutError,
    RequestRefusedError,
    RunllmError,
    UsageError,
    catalogue,
)
from runllm.evals import Suite, Tried, Wanted, cases_of
from runllm.evals.compare import Comparison, compare
from runllm.parser.conditions import worthless
from runllm.runtime import Runtime
from runllm.schema import Value
from runllm.testing import ScriptedEngine

HEAD = """---
name: mail
input: {text: text}
output_schema:
  type: object
  additionalProperties: false
  required: [kind, label, urgent, score, count, words, ids, only, part]
  properties:
    kind: {enum: [delivery, billing]}
    code: {type: string}
    label: {type: string}
    urgent: {type: boolean}
    score: {type: number, minimum: 0, maximum: 10}
    count: {type: integer}
    words: {type: array, items: {type: string}}
    ids: {type: array, items: {type: integer}}
    only: {const: one}
    part: {type: object, required: [city], properties: {city: {type: string}}, additionalProperties: false}
llm: openai/gpt-4o-mini
tests:
  - input: {text: x}
    CASE
---
{{ input.text }}
"""
NEVER_FAILS = (
    "contains: {words: []}",
    'contains: {label: ""}',
    'contains: {label: [a, ""]}',
    "contains: {}",
    "matches: {}",
    "near: {}",
    "one_of: {}",
    'matches: {label: ""}',
    "matches: {label: .*}",
    "matches: {label: x*}",
    "matches: {label: ^}",
    "matches: {label: 'a|'}",
    "matches: {kind: '^[a-z]+$'}",
    "contains: {kind: l}",
    "near: {score: {value: 5, within: 5}}",
    "near: {score: {value: 5, within: 1.0e+308}}",
    "one_of: {kind: [delivery, billing]}",
    "one_of: {urgent: [true, false]}",
    "partial: {}",
    "partial: {part: {}}",
    "partial: {only: one}",
    "check: assert True",
    "check: assert input['text'] == 'x'",
)
NEVER_HOLDS = (
    "one_of: {kind: []}",
    "contains: {kind: q}",
    "contains: {label: 5}",
    "contains: {words: 5}",
    "contains: {ids: x}",
    "matches: {kind: '^[0-9]+$'}",
    "near: {score: {value: 20, within: 1}}",
    "near: {count: {value: 2.5, within: 0.1}}",
    "near: {score: {value: .inf, within: 1}}",
    "near: {score: {value: 1, within: .inf}}",
    "near: {score: {value: 1, within: .nan}}",
    "most: {seconds: .inf}",
    "most: {cost: .nan}",
    "most: {}",
    "only: true\n    skip: later",
)
CAN_DO_BOTH = (
    'contains: {words: ""}',
    "contains: {label: a, words: [a, b], ids: 5.0}",
    "matches: {code: .*}",
    "matches: {label: '^(?!.*password)'}",
    "matches: {label: '^[^\u00e9]*$'}",
    "matches: {label: '^.{0,80}$'}",
    "matches: {label: '^[a-z ]+$'}",
    "near: {score: {value: 5, within: 4}, count: {value: 2.5, within: 0.5}}",
    "one_of: {kind: [delivery], urgent: [true]}",
    "partial: {part: {city: ''}}",
    "partial: {words: []}",
    "check: assert output['label']",
    "check: \"if not output['label']: raise ValueError\"",
)


def told(folder: Path, case: str) -> str:
    path = folder / "mail.rllm"
    path.write_text(HEAD.replace("CASE", case), encoding="utf-8")
    return "\n".join(map(str, runllm.validate(path).problems))


@pytest.mark.parametrize("case", NEVER_FAILS)
def test_what_can_never_fail_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    said = told(tmp_path, case)
    assert "can never fail" in said
    assert "mail.rllm:22:" in said


@pytest.mark.parametrize("case", NEVER_HOLDS)
def test_what_can_never_hold_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    assert "mail.rllm:" in told(tmp_path, case)


@pytest.mark.parametrize("case", CAN_DO_BOTH)
def test_what_can_fail_and_hold_is_let_be(tmp_path: Path, case: str) -> None:
    assert told(tmp_path, case) == ""


@pytest.mark.parametrize("schema", [{"enum": ["a", "b"]}, {"const": 3}, {"anyOf": [{"const": 1}, {"type": "null"}]}])
def test_a_place_that_may_be_absent_can_always_fail(schema: dict[str, Any]) -> None:
    every = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])] or [1, None]
    assert worthless("one_of", every, {}, Value(schema)) is not None
    assert worthless("one_of", every, {}, Value(schema, absent=True)) is None
    assert worthless("one_of", ["other"], {}, Value(schema, absent=True)) is not None


# --- expected errors ------------------------------------------------------------------------------------

OF_INPUT = {"RLLM_004", "RLLM_005", "RLLM_006", "RLLM_007", "RLLM_009", "RLLM_017", "RLLM_019"}


@pytest.mark.parametrize("error", catalogue())
def test_only_what_an_input_can_be_the_reason_of_may_be_expected(tmp_path: Path, error: type[RunllmError]) -> None:
    for name in (error.code, error.__name__):
        assert ("no test can expect it" in told(tmp_path, f"error: {name}")) is (error.code not in OF_INPUT)


def ran(folder: Path, answer: Any, mode: str = "live") -> Tried:
    def make(**members: Any) -> Runtime:
        return Runtime(engine=ScriptedEngine(lambda _: answer), **members)

    with Suite(Wanted(paths=(str(folder),), mode=mode), {}, make=make) as suite:
        (tried,) = suite.run(suite.groups()[0])
    return tried


MACHINERY = (
    ModelNotFoundError("no model"),
    AuthenticationError("no key"),
    ProviderTimeoutError("late"),
)


@pytest.mark.parametrize("error", MACHINERY, ids=lambda error: error.code)
def test_what_the_machinery_fails_with_makes_no_case_pass(tmp_path: Path, error: RunllmError) -> None:
    told(tmp_path, "error: RunllmError")
    tried = ran(tmp_path, error)
    assert not tried.passed
    assert error.code in tried.misses[0]
    assert (error.recovery_hint in tried.misses[0]) is error.stops_all


def test_a_miss_of_the_replay_makes_no_case_pass(tmp_path: Path) -> None:
    told(tmp_path, "error: RunllmError")
    assert ran(tmp_path, RequestRefusedError("no"), "record").passed
    assert ran(tmp_path, "never", "replay").passed
    path = tmp_path / "mail.rllm"
    path.write_text(path.read_text().replace("{{ input.text }}", "Now {{ input.text }}"), encoding="utf-8")
    missed = ran(tmp_path, "never", "replay")
    assert not missed.passed
    assert "RLLM_029" in missed.misses[0]


# --- tables ---------------------------------------------------------------------------------------------

APP = """---
name: app
input: {text: text, n?: integer, note?: text}
output_schema:
  type: object
  additionalProperties: false
  required: [label, name]
  properties:
    label: {type: string}
    total: {type: number}
    more: {type: [string, "null"]}
    name: {type: string}
llm: openai/gpt-4o-mini
---
{{ input.text }}
"""


def read(folder: Path, table: str, ending: str) -> list[dict[str, Any]]:
    """The cases of a table: their inputs, and what they expect; or what is wrong."""
    (folder / "app.rllm").write_text(APP, encoding="utf-8")
    (folder / f"app.tests.{ending}").write_text(table, encoding="utf-8")
    program = runllm.validate(folder / "app.rllm").program
    assert program is not None
    found, problems = cases_of(program)
    (folder / f"app.tests.{ending}").unlink()
    wrong = [{"wrong": str(one)} for one in problems]
    return wrong or [{"input": dict(one.input), **one.expect} for one in found]


@pytest.mark.parametrize("value", ["42", "true", "null", " a ", "[1]", "1e3", ""])
def test_a_text_of_json_lines_stays_a_text(tmp_path: Path, value: str) -> None:
    row = json.dumps({"text": value, "label": value})
    assert read(tmp_path, row, "jsonl") == [{"input": {"text": value}, "partial": {"label": value}}]
    assert read(tmp_path, f"[{row}]", "json") == [{"input": {"text": value}, "partial": {"label": value}}]


def test_a_text_of_json_lines_is_no_number(tmp_path: Path) -> None:
    (one,) = read(tmp_path, '{"text": "x", "total": "42"}', "jsonl")
    assert "is not of type" in one["wrong"]
    (one,) = read(tmp_path, '{"text": "x", "n": "42"}', "jsonl")
    assert "is not of type" in one["wrong"]


def test_null_in_json_lines_is_expected(tmp_path: Path) -> None:
    assert read(tmp_path, '{"text": "x", "more": null}', "jsonl")[0]["partial"] == {"more": None}
    assert "wrong" in read(tmp_path, '{"text": "x", "label": null}', "jsonl")[0]
    assert "wrong" in read(tmp_path, '{"text": null}', "jsonl")[0]


def test_cells_of_a_table_of_texts_are_read_as_types_and_empty_ones_say_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "text,n,total,label,more\n42,7,1.5,42,\n,,,,x\n", "csv")
    assert found == [
        {"input": {"text": "42", "n": 7}, "partial": {"total": 1.5, "label": "42"}},
        {"input": {"text": ""}, "partial": {"more": "x"}},
    ]


def test_columns_are_found_as_a_batch_finds_them(tmp_path: Path) -> None:
    found = read(tmp_path, "TEXT,Total,Output.Name,input.N\nx,1,y,2\n", "csv")
    assert found == [{"input": {"text": "x", "n": 2}, "partial": {"total": 1, "name": "y"}}]
    assert "`Total`" in read(tmp_path, '{"text": "x", "Total": 1}', "jsonl")[0]["wrong"]


@pytest.mark.parametrize("row", ["5", "null", "[1]", '"x"'])
def test_a_row_that_is_no_object_is_told(tmp_path: Path, row: str) -> None:
    (one,) = read(tmp_path, f'{{"text": "x"}}\n{row}\n', "jsonl")
    assert "app.tests.jsonl:2:1: a row is a JSON object" in one["wrong"]


def test_what_a_batch_wrote_is_a_table_of_tests(tmp_path: Path) -> None:
    written = (
        'text,label,total,more,name,_key,_error_code,_error\nx,a,1.5,,b,,,\ny,,,,,3,RLLM_005,"no answer, at all"\n'
    )
    assert read(tmp_path, written, "csv") == [
        {"input": {"text": "x"}, "partial": {"label": "a", "total": 1.5, "name": "b"}},
        {"input": {"text": "y"}, "error": "RLLM_005"},
    ]
    rows = '{"text": "x", "label": "a"}\n{"text": "y", "_key": 2, "_error_code": "RLLM_015", "_error": "down"}\n'
    (one,) = read(tmp_path, rows, "jsonl")
    assert "app.tests.jsonl:2:1: no input makes a run end with ProviderConnectionError" in one["wrong"]


# --- rows to compare by ---------------------------------------------------------------------------------


def compared_by(folder: Path, table: str, maps: dict[str, str] | None = None) -> tuple[Comparison, list[str]]:
    (folder / "app.rllm").write_text(APP, encoding="utf-8")
    (folder / "rows.csv").write_text(table, encoding="utf-8")

    def answer(request: Any) -> dict[str, Any]:
        right = request.messages[-1].content.strip() == "a" or request.endpoint.model == "openai/x"
        return {"label": "good" if right else "bad", "name": "n"}

    def make(**members: Any) -> Runtime:
        return Runtime(engine=ScriptedEngine(answer), **members)

    path = str(folder / "app.rllm")
    with Suite(Wanted(paths=(path,), models=("openai/x", "openai/y"), mode="live"), {}, make=make) as suite:
        found = compare(suite, [path], ["app.rllm"], str(folder / "rows.csv"), maps=maps or {})
    return found, suite.notes


def test_a_column_named_like_an_output_is_what_a_row_expects(tmp_path: Path) -> None:
    found, notes = compared_by(tmp_path, "text,Label,id\na,good,1\nb,good,2\nc,bad,3\nd,,4\n")
    assert [side.figures.passed for side in found.sides] == [3, 3]
    assert [one.case.input["text"] for one in found.only_first] == ["b"]
    assert [one.case.input["text"] for one in found.only_second] == ["c"]
    assert notes == [f"{tmp_path / 'rows.csv'}: `label` of a row is what must come"]


def test_rows_are_mapped_and_those_that_cannot_hold_are_left_out_and_told(tmp_path: Path) -> None:
    found, notes = compared_by(tmp_path, "body,n\na,1\nb,much\n", {"text": "body"})
    assert [len(side.tried) for side in found.sides] == [1, 1]
    assert notes[0].startswith(f"1 row of {tmp_path / 'rows.csv'} cannot hold, and is left out: ")
    assert "rows.csv:3:1" in notes[0]
    with pytest.raises(UsageError, match=r"no column .* feeds `text`"):
        compared_by(tmp_path, "body,n\na,1\n")
    with pytest.raises(UsageError, match="no rows that fit"):
        compared_by(tmp_path, "text,n\na,much\n")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-m", "openai/x", "-m", "openai/x"), "two things are compared"),
        (("-m", "a/b", "-m", "a/c", "--map", "text=body"), "`--map` is of the rows of a table"),
        (("-m", "a/b", "-m", "a/c", "--limit", "2"), "`--limit` is of the rows of a table"),
    ],
)
def test_what_compares_nothing_is_refused(
    tmp_path: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.rllm").write_text(APP, encoding="utf-8")
    assert invoke(["compare", str(tmp_path / "app.rllm"), *more]) == 2
    assert said in capsys.readouterr().err


# --- Python that fails otherwise ------------------------------------------------------------------------

RAISED = {
    "SystemExit(0)": "an exception takes one text here",
    "SystemExit": "SystemExit",
    "SystemExit('x')": "SystemExit: x",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "BaseException('z')": "BaseException: z",
    "ValueError('a', 1)": "an exception takes one text here",
    "KeyError(3)": "an exception takes one text here",
    "AssertionError('why')": "why",
    "AssertionError(5)": "an exception takes one text here",
    "StopIteration": "StopIteration",
}


def test_no_exception_in_a_check_passes_or_shows_what_is_inside_the_sandbox(tmp_path: Path) -> None:
    path = tmp_path / "app.rllm"
    cases = "".join(
        f"  - {{name: c{n}, input: {{text: x}}, check: {json.dumps(f'if output: raise {one}')}}}\n"
        for n, one in enumerate(RAISED)
    )
    path.write_text(APP.replace("llm:", f"tests:\n{cases}llm:"), encoding="utf-8")

    def make(**members: Any) -> Runtime:
        return Runtime(engine=ScriptedEngine(lambda _: {"label": "a", "name": "b"}), **members)

    with Suite(Wanted(paths=(str(path),), mode="live"), {}, make=make) as suite:
        tried = list(suite.run(suite.groups()[0]))
    assert [one.misses[0].startswith(f"check: {said}") for one, said in zip(tried, RAISED.values(), strict=True)] == [
        True
    ] * len(RAISED), [one.misses for one in tried]
    assert not any(one.passed for one in tried)
