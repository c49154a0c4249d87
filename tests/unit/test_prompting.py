"""The outline of a schema in words, for a model that is held to it anyway."""

from typing import Any

import pytest

from runllm.executor.prompt import instruction

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "What it says."},
        "count": {"type": ["integer", "null"]},
        "kind": {"enum": ["a", "b"]},
        "yes": {"type": "boolean"},
        "one": {"const": 1},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
        "any": {},
    },
    "$defs": {
        "part": {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/part"}}}
    },
}


def test_an_outline_says_every_key_with_its_kind_and_its_description() -> None:
    lines = instruction(SCHEMA, constrained=True).split("\n")[1:]
    assert lines[:8] == [
        "- title: text. What it says.",
        "- count: whole number or null",
        '- kind: one of "a", "b"',
        "- yes: true or false",
        "- one: 1",
        "- parts: list of object",
        "  - name: text",
        "  - inner: object",
    ]
    assert lines[-1] == "- any: any value"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "maxLength": 60}, "text of at most 60 characters"),
        ({"type": "string", "minLength": 1}, "text"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "text that matches ^[A-Z]{2}$"),
        ({"type": "string", "format": "date"}, "text (date, YYYY-MM-DD)"),
        ({"type": "string", "format": "ipv4"}, "text (ipv4)"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number from 0 to 1"),
        ({"type": "integer", "exclusiveMinimum": 0, "multipleOf": 5}, "whole number above 0 in steps of 5"),
        ({"type": ["null", "integer"], "minimum": 1}, "whole number of at least 1 or null"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "whole number of at least 1 or null"),
        ({"oneOf": [{"const": "a"}, {"enum": ["b", "c"]}]}, 'one of "a", "b", "c"'),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, "list of at least 1 item, each text"),
        (
            {"type": "array", "items": {"$ref": "#/$defs/short"}, "minItems": 2, "maxItems": 4, "uniqueItems": True},
            "list of 2 to 4 different items, each text of 3 characters",
        ),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "list of list of number"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "object, each value true or false"),
    ],
)
def test_an_outline_says_bounds_and_forms(schema: dict[str, Any], said: str) -> None:
    short = {"type": "string", "minLength": 3, "maxLength": 3}
    whole = {"type": "object", "properties": {"x": schema}, "$defs": {"short": short}}
    assert instruction(whole, constrained=True).endswith(f"- x: {said}")


def test_a_schema_that_holds_itself_has_an_end() -> None:
    assert len(instruction(SCHEMA, constrained=True).split("\n")) < 30


def test_an_outline_of_many_properties_that_hold_the_whole_stays_short() -> None:
    """Twenty of them made 72 MB of outline."""
    inside = {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(30)} | {"any": True}}
    assert len(instruction(inside, constrained=True).split("\n")) == 32
    apart = {
        "type": "object",
        "properties": {f"p{n}": {"$ref": "#/$defs/d0"} for n in range(30)},
        "$defs": {
            f"d{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(30)}}
            for n in range(5)
        },
    }
    assert len(instruction(apart, constrained=True)) < 20_000


def test_otherwise_the_schema_stands_there_whole() -> None:
    assert '"$defs":{"part"' in instruction(SCHEMA, constrained=False)
