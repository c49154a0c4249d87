"""Any bytes are a program, or problems with places inside the text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from fuzz.harness import HERE
from runllm.diagnostics import Problem, errors_in
from runllm.errors import class_of, problem_as_json
from runllm.notices import excerpt
from runllm.parser import Parsed, parse
from runllm.project.check import analyse

TOKENS = (
    "---\n", "name: x\n", "version: 1.0.0\n", "max_context_window: 100\n", "input_schema: ", "output_schema: ",
    "{type: object}", "{$ref: '#'}", "$defs: ", "properties: ", "llm: {model: m}\n", "llm_params: {}\n",
    "input: ", "returns: ", "text?: ", "string[] 1..2", "number -1..0.5", "a | b", ", said", "any", "strng",
    "uses:\n", "- {name: a, path: ./a.rllm, with: {}}\n", "for_each: ", "output: ", "examples: ", "metadata: ",
    "temperature: 1e400\n", "runllm_compat: ", "recovery_prompt: |\n  ", "{{ input.text }}", "{{", "}}", "{%",
    "%}", "{#", "#}", "{% for x in ", "{% endfor %}", "{% raw %}", "{% endraw %}", "<<<SYSTEM>>>\n",
    "<<<USER>>>\n", "<<<RECOVERY>>>\n", "<<<", ">>>", "```rllm-python pre\n",
    "```rllm-python check inputs=input.text outputs=a\n", "```\n", "~~~\n", "assert ", "&a ", "*a", "<<: *a",
    "!!str ", "!!binary ", "? ", ": ", "- ", "|\n  ", ">-\n  ", "'", '"', '"\\ud800"', '"\\0"', "\\x00", "\x00",
    "\x85", "\u2028", "\ufeff", "\ud800", "\U0001f600", "\r\n", "\r", "\t", "#", "%YAML 1.1\n", "1e400", ".inf",
    "0x", "9", "api_key: sk-abcdefghijklmnopqrstuvwxyz", "[", "{a: ", "- ",
)  # fmt: skip


_ONE_IN = 16


def seeds() -> Iterator[bytes]:
    """The example apps."""
    for path in sorted((HERE.parent / "examples").rglob("*.rllm")):
        yield path.read_bytes()


def check(data: bytes) -> None:
    """A program exactly where there is no error; every problem is catalogued, in order, and inside the text."""
    parsed = parse(data, name="f")
    assert (parsed.program is None) == bool(errors_in(parsed.problems))
    if parsed.program is not None and parsed.blocks and zlib.crc32(data) % _ONE_IN:
        return  # checking the types of a block takes 50 ms
    found = analyse(parsed)
    for problem in found:
        assert problem.message
        assert class_of(problem.kind).code
        json.dumps(problem_as_json(problem), ensure_ascii=False).encode()
        _check_span(problem, parsed)
    places = [(one.span.line, one.span.column) for one in found if one.span]
    assert places == sorted(places)


def _check_span(problem: Problem, parsed: Parsed) -> None:
    span = problem.span
    assert span is not None, problem
    lines = parsed.source.text.split("\n")
    assert 1 <= span.line <= len(lines), problem
    line = lines[span.line - 1]
    assert span.text == line, problem
    assert 1 <= span.column <= len(line) + 1, problem
    assert span.length >= 1, problem
    assert excerpt(span).length >= 1
