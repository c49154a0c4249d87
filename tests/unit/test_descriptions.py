"""What a contract declares, as people read it."""

import pytest

from runllm.descriptions import fields
from runllm.schema import Contract

LIST_OF_LISTS = {"type": "array", "items": {"$ref": "#/$defs/again"}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"enum": ["a", True, None, 1.5]}, "a | true | null | 1.5"),
        ({"type": "array"}, "array"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"type": "array", "items": {"$ref": "#/$defs/thing"}}, "list of object"),
        (LIST_OF_LISTS, "list of list of list of list of array"),
        ({}, "any"),
    ],
)
def test_a_type_is_said_in_words(schema: dict, words: str) -> None:
    root = {"type": "object", "properties": {"x": schema}}
    (field,) = fields(Contract({**root, "$defs": {"thing": {"type": "object"}, "again": LIST_OF_LISTS}}))
    assert field["type"] == words
