"""The format's conformance cases: see format.yaml."""

import json
from pathlib import Path

import pytest

from runllm.diagnostics import errors_in
from runllm.documents import read
from runllm.errors import class_of
from runllm.parser import MAX_BYTES, parse
from runllm.project.check import analyse

MINIMAL = {
    "name": "echo",
    "description": "Say it again.",
    "version": "1.0.0",
    "author": "me",
    "max_context_window": 4096,
    "input_schema": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "output_schema": {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
    "llm": {"model": "openai/m"},
    "llm_params": {"temperature": 0},
}
CASES = read(Path(__file__).with_name("format.yaml").read_text(encoding="utf-8"))[0].value


def _file(case: dict) -> str:
    keys = {k: v for k, v in {**MINIMAL, **case.get("set", {})}.items() if k not in case.get("remove", ())}
    lines = [f"{key}: {json.dumps(value)}" for key, value in keys.items()]
    extra = case.get("append", "").replace("{deep}", "[" * 70 + "]" * 70)
    body = case.get("body", "Say {{ input.text }}")
    return "\n".join(["---", *lines, *([extra] if extra else []), "---", body]) + "\n"


def _text(case: dict) -> str:
    text = case["file"].replace("{minimal}", _file({})) if "file" in case else _file(case)
    return text.replace("\n", "\r\n") if case.get("crlf") else text


def _problems(text: str):
    parsed = parse(text, name="app.rllm")
    return parsed.program, analyse(parsed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_format(case: dict) -> None:
    program, problems = _problems(_text(case))
    wanted = case.get("finds", [])
    found = [f"{p.kind}: {p} | {p.hint}" for p in problems]
    assert len(problems) == len(wanted), found
    for problem, want in zip(problems, wanted, strict=True):
        assert problem.kind == want.get("kind", problem.kind), found
        assert class_of(problem.kind)
        assert want.get("says", "") in problem.message, found
        assert want.get("hint", "") in problem.hint, found
        assert problem.span is not None
        if "at" in want:
            assert f"{problem.span.line}:{problem.span.column}" == want["at"], found
        if problem.span.text:
            assert (
                problem.span.text
                == _text(case).removeprefix("\ufeff").replace("\r\n", "\n").split("\n")[problem.span.line - 1]
            )
    for fact, value in case.get("gives", {}).items():
        got = getattr(program, fact)
        got = getattr(got, "text", getattr(got, "schema", got))
        assert (list(got) if isinstance(got, tuple) else got) == value


def test_a_program_is_there_exactly_when_no_problem_is_an_error() -> None:
    for case in CASES:
        parsed = parse(_text(case))
        assert (parsed.program is None) == bool(errors_in(parsed.problems)), case["case"]


def test_a_file_that_is_not_utf8_says_where() -> None:
    parsed = parse(b"---\nname: \xff\n---\n")
    assert [(p.kind, p.span.line) for p in parsed.problems] == [("ParseError", 2)]


def test_a_file_over_a_mebibyte_is_an_error() -> None:
    parsed = parse("x" * (MAX_BYTES + 1))
    assert [p.kind for p in parsed.problems] == ["ParseError"]


def test_blocks_and_dependencies_are_read_into_the_program() -> None:
    """Sections 5 and 6 of the format have their values, whatever this version can run."""
    text = _file(
        {
            "set": {
                "uses": [{"name": "child", "path": "./c.rllm", "with": {"text": "{{ input.text }}"}}],
                "output": {"answer": "{{ uses.child.answer }}"},
            },
            "body": "A {{ input.text }}\n```rllm-python pre words inputs=input.text outputs=n\nn = 1\n```\nB\n"
            "~~~rllm-python check\nassert True\n~~~\n",
        }
    )
    program = parse(text).program
    assert program is not None
    assert program.prompt.text == "A {{ input.text }}\nB"
    assert program.prompt.place(len("A {{ input.text }}\nB") - 1) == (18, 1)
    words, check = program.blocks
    assert (words.phase, words.name, words.inputs, words.outputs, words.code, words.line) == (
        "pre", "words", ("input.text",), ("n",), "n = 1", 16,
    )  # fmt: skip
    assert (check.phase, check.name, check.inputs) == ("check", "check block 1", None)
    assert [(d.name, d.path, d.arguments.value, d.for_each) for d in program.uses] == [
        ("child", "./c.rllm", {"text": "{{ input.text }}"}, None)
    ]
    assert program.output is not None
    assert program.output.value == {"answer": "{{ uses.child.answer }}"}
