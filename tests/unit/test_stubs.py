"""What a JSON Schema becomes as a Python type."""

import ast
import time
from typing import Any

import pytest

from runllm.blocks.stubs import module


def stubs(names: dict[str, Any]) -> str:
    return module(names, {}, {})


def type_of(schema: Any) -> str:
    """The annotation of a local `x` with this schema."""
    return stubs({"x": schema}).rstrip("\n").split("\n")[-1].removeprefix("x: ")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, "_t.Any"),
        ({}, "_t.Any"),
        ({"type": "string"}, "str"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "null"}, "None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": ["integer", "integer"]}, "int"),
        ({"type": "array"}, "list[_t.Any]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "list[list[str]]"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "list[_t.Any]"),
        ({"type": "object"}, "dict[str, _t.Any]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, "dict[str, _t.Any]"),
        ({"type": "object", "patternProperties": {"a": {"type": "string"}}}, "dict[str, _t.Any]"),
        ({"enum": ["a", 1, True, None]}, "_t.Literal['a', 1, True, None]"),
        ({"const": "it's\n"}, '_t.Literal["it\'s\\n"]'),
        ({"enum": [1.5, 2.5]}, "float"),
        ({"enum": ["é", "\ud800"]}, "_t.Literal['\\xe9', '\\ud800']"),
        ({"enum": [f"v{n}" for n in range(100)]}, "str"),
        ({"enum": ["x" * 200, 1]}, "str | int"),
        ({"enum": [{"a": 1}]}, "_t.Any"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "str | None"),
        ({"oneOf": [{"type": "string"}, {"enum": [1]}]}, "str | _t.Literal[1]"),
        ({"anyOf": [{"type": "string"}, {}]}, "_t.Any"),
        ({"type": "string", "anyOf": [{"pattern": "a"}, {"pattern": "b"}]}, "str"),
        ({"type": "object", "required": ["a"], "anyOf": [{"required": ["b"]}]}, "_t.Any"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "str"),
        ({"allOf": [{"type": "string"}], "type": "string"}, "_t.Any"),
        ({"properties": {"a": {"type": "string"}}}, "_t.Any"),
        ({"$ref": "#/$defs/nowhere"}, "_t.Any"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}}, "list[_t.Any]"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}, "_t.Any"),
        ({"type": "array", "items": False}, "list[_t.Any]"),
        ({"type": "nonsense"}, "_t.Any"),
        (True, "_t.Any"),
    ],
)
def test_schema_becomes_a_type(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


def test_object_becomes_a_class_with_optional_and_recursive_properties() -> None:
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert stubs({"person": schema}) == (
        "import typing as _t\n"
        '__all__ = ["person"]\n'
        "class _Person(_t.TypedDict):\n"
        "    name: str\n"
        "    kids: _t.NotRequired[list[_Person]]\n"
        "person: _Person\n"
    )


@pytest.mark.parametrize("key", ["a-b", "class", "", "ключ 1", "x\ny", "'\"\\", "__private", "1a", "\ud800"])
def test_property_of_any_name_is_declared(key: str) -> None:
    text = stubs({"x": {"type": "object", "properties": {key: {"type": "integer"}}}})
    ast.parse(text)
    assert text.isascii()
    assert ascii(key) in text


def test_names_that_hide_types_leave_the_types_alone() -> None:
    text = stubs(
        {"str": {"type": "integer"}, "_X": None, "x": {"type": "object", "properties": {"a": {"type": "string"}}}}
    )
    assert "from builtins import str as _str" in text
    assert "str: int" in text
    assert "class _X2(_t.TypedDict):\n    a: _t.NotRequired[_str]" in text


def test_name_that_is_no_identifier_is_left_out() -> None:
    assert stubs({"a-b": None, "class": None, "ok": None}).endswith('__all__ = ["ok"]\nok: _t.Any\n')


def wide(depth: int) -> dict[str, Any]:
    if depth == 0:
        return {"type": "string"}
    return {"type": "object", "properties": {f"p{n}": wide(depth - 1) for n in range(9)}}


def deep(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        found = {"type": "array", "items": found}
    return found


@pytest.mark.parametrize(
    "schema",
    [
        wide(4),
        deep(200),
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20000)}},
        {"anyOf": [{"type": "object", "properties": {f"p{n}": {}}} for n in range(1000)]},
        {"enum": list(range(100000))},
        {"type": "object", "properties": {"p" * 100000: {"type": "string"}}},
    ],
    ids=["wide", "deep", "many", "union", "enum", "name"],
)
def test_huge_schema_makes_a_bounded_stub(schema: dict[str, Any]) -> None:
    start = time.monotonic()
    text = stubs({"x": schema})
    ast.parse(text)
    assert len(text) < 400_000
    assert time.monotonic() - start < 30
