"""The outline of a schema in words, for a model that is held to it anyway."""

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
