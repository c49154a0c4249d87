"""What fuzzing found, each with what is right instead; that nothing crashes any more is in `fuzz/corpus`."""

import json
import time
from typing import Any

import pytest

from runllm.analysis import analyse
from runllm.contracts import Contract, schema_problems
from runllm.documents import DocumentError, read
from runllm.parser import parse
from runllm.schemas import follow, inlined

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
        ("recovery_prompt: !!str\n   |\n   {{ abc }}", 2, 18),
    ],
    ids=["plain", "quoted", "block", "blank", "indented", "folded", "escaped", "doubled", "tagged"],
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
    assert inlined(schema) == schema


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


def test_the_copies_of_a_schema_stay_json() -> None:
    """A schema with references is still replaced where nothing else is called `$ref`."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
    assert json.loads(json.dumps(inlined(schema)))["properties"]["a"] == {"type": "string"}
