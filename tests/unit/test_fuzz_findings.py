"""What fuzzing found, each with what is right instead; that nothing crashes any more is in `fuzz/corpus`."""

import json
import time
from random import Random
from typing import Any

import pytest

from runllm.diagnostics import nearest
from runllm.documents import DocumentError, read
from runllm.parser import parse
from runllm.project.check import analyse
from runllm.schema import Contract, follow, object_of, schema_problems
from runllm.template import findings
from runllm.template.findings import MAX_FINDINGS

DIGITS = "9" * 5000  # more than Python makes an integer of


def place(text: str, word: str) -> tuple[int, int]:
    """Where the one problem stands that names `word`."""
    (found,) = (problem for problem in analyse(parse(text)) if f"`{word}`" in problem.message)
    assert found.span is not None
    return found.span.line, found.span.column


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("recovery_prompt: Fix {{ abc }}", 2, 25),
        ("recovery_prompt: '{{ abc }}'", 2, 22),
        ("recovery_prompt: |\n    x\n    {{ abc }}", 4, 8),
        ("recovery_prompt: |\n\n    {{ abc }}", 4, 8),
        ("recovery_prompt: |2\n    {{ abc }}", 3, 8),
        ("recovery_prompt: >\n    {{ abc }}", 2, 18),
        ('recovery_prompt: "\\t\\u00e9 {{ abc }}"', 2, 18),
        ("recovery_prompt: 'it''s {{ abc }}'", 2, 18),
    ],
    ids=["plain", "quoted", "block", "blank", "indented", "folded", "escaped", "doubled"],
)
def test_a_place_in_a_template_of_the_frontmatter_is_exact_or_that_of_its_beginning(
    written: str, line: int, column: int
) -> None:
    """Lines that do not stand in the file as they are give no place of their own."""
    assert place(f"---\n{written}\n---\nx", "abc") == (line, column)


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"])
def test_only_a_line_feed_ends_a_line(char: str) -> None:
    """As in YAML 1.2: other separators are characters of a text, and shift no place."""
    root, problems = read(f"a: x{char}y {char}\n'k{char}': \"{char}\"\nb: \ue000\nb: 1")
    assert root.value == {"a": f"x{char}y {char}", f"k{char}": char, "b": "\ue000"}
    assert [(problem.mark.line, problem.mark.column) for problem in problems] == [(3, 0)]


@pytest.mark.parametrize("before", ["", "e", "\u00e9\u4e2d", "\x85", "\U0001f600\n\u00e9: "])
def test_the_place_of_a_forbidden_character_counts_characters(before: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(f"{before}\x00")
    mark = caught.value.mark
    assert (mark.line, mark.column) == (before.count("\n"), len(before) - before.rfind("\n") - 1)


def test_a_pointer_that_ends_in_a_slash_leads_to_the_empty_name() -> None:
    """As RFC 6901 has it: `#/` is not the whole schema."""
    inner = {"type": "string"}
    assert follow({"": inner}, "#/") == inner
    (problem,) = schema_problems({"type": "object", "$defs": {"a": {"properties": {"b": {"$ref": "#/"}}}}})
    assert problem.keyword == "$ref"


def test_a_step_with_thousands_of_digits_is_a_name() -> None:
    """It is no index, and Python refuses to make an integer of it."""
    problems = schema_problems({"type": "object", "allOf": [{}], "not": {"$ref": f"#/allOf/{DIGITS}"}})
    assert [problem.keyword for problem in problems] == ["$ref"]
    text = f'---\nmetadata:\n  ? "{DIGITS}"\n  : {{api_key: sk-abcdefghijklmnopqrstuvwxyz}}\n---\nx\n'
    assert place(text, "api_key") == (4, 6)
    fence = f"---\nname: x\n---\n```rllm-python pre memory={DIGITS}\nx\n```"
    assert place(fence, f"memory={DIGITS}") == (4, 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"const": {"$ref": "#/x"}}}},
        {"type": "object", "properties": {"a": {"enum": [{"$ref": "#/properties/b"}]}, "b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"default": {"$ref": "#/a"}}}, "examples": [{"$ref": "http://x/y"}]},
        {"type": "object", "x-note": {"$ref": "#n"}},
    ],
)
def test_a_ref_in_a_constant_is_no_reference(schema: dict[str, Any]) -> None:
    assert schema_problems(schema) == []
    assert object_of({"it": schema})["properties"]["it"] == schema


def test_half_a_character_in_a_schema_is_a_problem() -> None:
    (problem,) = schema_problems({"type": "object", "\ud800": 1})
    assert "half a character" in problem.message


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({"a": float("inf")}, "/a", "inf is not a JSON number"),
        ({"b": [0, {"c": float("nan")}]}, "/b/1/c", "nan is not a JSON number"),
        ({"b": nested(100_000)}, "/b" + "/0" * 199, "deeper than 200 levels"),
    ],
)
def test_what_is_not_json_is_refused_and_not_taken_for_null(value: Any, pointer: str, words: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["number", "null"]}, "c": {"$ref": "#"}}}
    (problem,) = Contract(schema).problems(value)
    assert (problem.pointer, problem.keyword) == (pointer, "json")
    assert words in problem.message


def test_a_value_inside_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    (problem,) = Contract({"type": "object", "properties": {"a": {"$ref": "#"}}}).problems(value)
    assert "deeper" in problem.message


@pytest.mark.parametrize(
    "written",
    ["a:\n " * 50_000, "---\n---\n" + "<<<A>>>\n" * 25_000, "---\n---\n" + "{{ a.b }}\n" * 20_000,
     "---\n---\n" + "\n" * 400_000, "---\n---\n" + "```rllm-python pre\nx\n```\n" * 8_000],
    ids=["keys", "sections", "templates", "blank lines", "blocks"],
)  # fmt: skip
def test_time_grows_with_the_file_and_not_faster(written: str) -> None:
    """200 KB of problems took minutes when each of them split the text again."""
    began = time.process_time()
    found = analyse(parse("---\n" + written.removeprefix("---\n")))
    assert found
    assert time.process_time() - began < 30


HEADER = """name: a
description: d
version: 1.0.0
author: x
max_context_window: 4000
input_schema: {type: object, properties: {%s}}
output_schema: {type: object, properties: {y: {type: string}}}
llm: {model: openai/m}
llm_params: {}
"""


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("", "<<<" + " " * 100_000 + "x"),
        ("", "```rllm-python pre " + " " * 100_000 + "x\npass\n```\nx"),
        ("", "{% set a = input.x %}" + "{% set a = a.x %}" * 5_000),
        pytest.param(
            "", "".join(f"{{% set a{n} = input.x %}}{{{{ a{n} }}}}" for n in range(20_000)), marks=pytest.mark.soak
        ),
        (", ".join(f"a{n}: {{}}" for n in range(5_000)), "".join(f"{{{{ input.b{n} }}}}" for n in range(5_000))),
    ],
    ids=["marker", "fence", "a name made of itself", "names", "near names"],
)  # fmt: skip
def test_a_right_header_takes_no_longer(header: str, body: str) -> None:
    """What is only looked at where the frontmatter is sound: each of these took minutes, or for ever."""
    began = time.process_time()
    analyse(parse(f"---\n{HEADER % header}---\n{body}\n"))
    assert time.process_time() - began < 10


def test_a_fence_may_name_many_inputs() -> None:
    fence = f"```rllm-python pre inputs={','.join(f'a{n}' for n in range(60_000))}"
    began = time.process_time()
    assert len(parse(f"---\n{HEADER % ''}---\n{fence}\npass\n```\nx\n").blocks) == 1
    assert time.process_time() - began < 10


def test_long_names_are_not_compared_letter_by_letter() -> None:
    letters = Random(1).choices([chr(0x4E00 + n) for n in range(150)], k=120_000)  # noqa: S311 - no secret
    one, other = "".join(letters[:60_000]), "".join(letters[60_000:])
    began = time.process_time()
    assert nearest(one, [other]) is None
    assert nearest(f"B-{one}", [f"b_{one}"]) == f"b_{one}"
    assert time.process_time() - began < 3


def test_many_apps_are_wired_in_time_that_grows_with_their_number() -> None:
    uses = "".join(f"  - {{name: u{n}, path: ./a.rllm, with: {{}}}}\n" for n in range(8_000))
    began = time.process_time()
    analyse(parse(f"---\n{HEADER % ''}uses:\n{uses}---\nx\n"))
    assert time.process_time() - began < 10


def test_one_pattern_of_thousands_may_mean_any_name() -> None:
    """Each was tried for each name that a template reads."""
    patterns = ", ".join(f'"^q{n}$": {{type: string}}' for n in range(5_000))
    header = HEADER.replace("properties: {%s}", f"patternProperties: {{{patterns}}}")
    began = time.process_time()
    found = analyse(parse(f"---\n{header}---\n{''.join(f'{{{{ input.q{n} }}}}' for n in range(5_000))}\n"))
    assert [problem.keyword for problem in found] == ["window"]
    assert time.process_time() - began < 10


def test_a_file_of_thousands_of_blocks_is_refused_before_each_is_checked() -> None:
    parsed = parse("---\nname: x\n---\n" + "```rllm-python pre\nx = 1\n```\n" * 5000)
    (found,) = (problem for problem in parsed.problems if problem.keyword == "fence")
    assert (found.message, found.span.line) == ("there are more than 100 Python blocks", 304)
    assert len(parsed.blocks) == 100


def test_a_template_full_of_mistakes_is_told_the_first_hundred() -> None:
    found = findings("{{ a.b }}\n" * 20_000, {"a": {"type": "string"}})
    assert len(found) == MAX_FINDINGS
    assert [finding.offset for finding in found] == [10 * n + 5 for n in range(MAX_FINDINGS)]


def test_long_keys_of_many_values_are_refused_before_they_fill_the_memory() -> None:
    """Every value has a place, in which the keys around it are written out."""
    with pytest.raises(DocumentError, match="keys of the document are too long"):
        read(f'? "{"k" * 100_000}"\n: [{"0, " * 50_000}0]')
    with pytest.raises(DocumentError, match="keys of the document are too long"):
        read(f"a: &a [{'0, ' * 5_000}0]\n" + "".join(f"b{n}{'k' * 1000}: *a\n" for n in range(15)))
    assert read(f"a: &a [{'0, ' * 5_000}0]\n" + "".join(f"b{n}: *a\n" for n in range(15)))[1] == []


def test_aliases_nest_no_deeper_than_what_is_written_out() -> None:
    def levels(n: int, inner: str = "") -> str:
        return "[" * n + inner + "]" * n

    before = f"a: &x {levels(40)}\nb: &y [*x]\n"
    assert read(f"{before}c: {levels(20, '*y')}\nd: {levels(60)}")[1] == []
    for deep in (f"{before}c: {levels(30, '*y')}", f"{before}c: {levels(30, '*x')}"):
        with pytest.raises(DocumentError, match="deeper than 64 levels"):
            read(deep)


def test_the_copies_of_a_schema_stay_json() -> None:
    """A reference is still moved where a property is called as a keyword is."""
    schema = {"type": "object", "properties": {"const": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
    whole = Contract(json.loads(json.dumps(object_of({"it": schema}))))
    assert whole.accepts({"it": {"const": "a"}})
    assert not whole.accepts({"it": {"const": 1}})
