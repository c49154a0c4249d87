"""Outputs of any type: how each is asked for, read, and given back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.errors import OutputSchemaError
from runllm.executor.prompt import instruction
from runllm.reading import Extraction, read_answer
from runllm.schema import Contract, asked_as, given_as, is_object, is_text

TEXT = {"type": "string"}
MOOD = {"type": "string", "enum": ["calm", "upset"]}
TAGS = {"type": "array", "items": {"type": "string"}, "maxItems": 3}


def read(text: str, schema: dict, reason: str = "stop") -> Extraction:
    contract, asked = Contract(schema), asked_as(schema)
    return read_answer(text, contract, contract if asked is schema else Contract(asked), finish_reason=reason)


@pytest.mark.parametrize(
    ("answer", "value", "repairs"),
    [
        ("It is fine.", "It is fine.", ()),
        ("\n  It is fine. \n\n", "It is fine.", ()),
        ('{"a": 1}', '{"a": 1}', ()),
        ('"quoted"', '"quoted"', ()),
        ("```\nIt is fine.\n```", "It is fine.", ("fence",)),
        ("```text\nOne.\n\nTwo.\n```\n", "One.\n\nTwo.", ("fence",)),
        ("~~~~\n  indented\n~~~~", "  indented", ("fence",)),
        ("```\na\n```\nand\n```\nb\n```", "```\na\n```\nand\n```\nb\n```", ()),
        ("Use:\n```\na\n```", "Use:\n```\na\n```", ()),
        ("```\nno end", "```\nno end", ()),
        ("<think>\nhm </thin\n</think>\n\nFine.", "Fine.", ("thinking",)),
        ("it goes on </think>Fine.", "Fine.", ("thinking",)),
        ("<think>a</think><think>b</think>\n```\nFine.\n```", "Fine.", ("thinking", "fence")),
        ("Write <think> and </think> around it.", "Write <think> and </think> around it.", ()),
        ("\ufeffFine.", "Fine.", ("bom",)),
    ],
)
def test_a_text_is_the_answer_as_it_is(answer, value, repairs):
    assert read(answer, TEXT) == Extraction(value=value, repairs=repairs)


@pytest.mark.parametrize(
    ("answer", "schema", "value", "repairs"),
    [
        ("calm", MOOD, "calm", ()),
        (" Calm\n", MOOD, "calm", ("enum-spelling",)),
        ("**Calm**", MOOD, "calm", ("enum-spelling",)),
        ("calm.", MOOD, "calm", ("enum-spelling",)),
        ("True", {"type": "boolean"}, True, ("python-literal", "unwrapped")),
        ('"upset"', MOOD, "upset", ("quotes",)),
        ('"Upset"', MOOD, "upset", ("quotes", "enum-spelling")),
        ('"2026-11-30"', {"type": "string", "format": "date"}, "2026-11-30", ("quotes",)),
        ("```\n2026-11-30\n```", {"type": "string", "format": "date"}, "2026-11-30", ("fence",)),
        ('"a"', {"$ref": "#/$defs/t", "$defs": {"t": {"type": "string", "maxLength": 1}}}, "a", ("quotes",)),
    ],
)
def test_a_text_with_rules_is_read_in_the_way_that_fits_them(answer, schema, value, repairs):
    assert read(answer, schema) == Extraction(value=value, repairs=repairs)


@pytest.mark.parametrize(
    ("answer", "schema", "reason", "keyword"),
    [
        ("sad", MOOD, "stop", "enum"),
        ("not calm.", MOOD, "stop", "enum"),
        ("a**", {"type": "string", "enum": ["a", "a*"]}, "stop", "enum"),
        ("None", {"type": ["string", "null"]}, "stop", "syntax"),
        ("5 EUR", {"type": "number"}, "stop", "syntax"),
        ("calm, upset", MOOD, "stop", "enum"),
        ("too long", {"type": "string", "maxLength": 3}, "stop", "maxLength"),
        ("Fine.", TEXT, "length", "truncated"),
        ("<think>hm", TEXT, "stop", "truncated"),
        ("<think>hm</think>\n", TEXT, "stop", "syntax"),
        ("half \ud800", TEXT, "stop", "unicode"),
        ('{"value": ["a", "b", "c", "d"]}', TAGS, "stop", "maxItems"),
        ('{"value": ["a"', TAGS, "stop", "truncated"),
        ('["a"]', TAGS, "length", "truncated"),
        ('["a"] or ["b"]', TAGS, "stop", "ambiguous"),
        ('["a", "b", "c", "d"]', TAGS, "stop", "maxItems"),
    ],
)
def test_what_does_not_fit_is_said(answer, schema, reason, keyword):
    with pytest.raises(OutputSchemaError) as caught:
        read(answer, schema, reason)
    assert [problem.keyword for problem in caught.value.problems] == [keyword]


@pytest.mark.parametrize(
    ("answer", "schema", "value", "repairs"),
    [
        ('{"value": ["a"]}', TAGS, ["a"], ()),
        ('["a"]', TAGS, ["a"], ("unwrapped",)),
        ('```json\n["a"]\n```', TAGS, ["a"], ("fence", "unwrapped")),
        ('{"value": "3"}', {"type": "integer"}, 3, ("number-from-string at /value",)),
        ("3", {"type": "integer"}, 3, ("unwrapped",)),
        ("false", {"type": "boolean"}, False, ("unwrapped",)),
        ('{"value": null}', {"type": ["integer", "null"]}, None, ()),
        ('{"value": {"a": 1}}', {}, {"a": 1}, ()),
        ('{"value": 5, "b": 1}', {}, {"value": 5, "b": 1}, ("unwrapped",)),
        ('{"a": 1}', {}, {"a": 1}, ("unwrapped",)),
        ('{"value": "calm"}', {"enum": ["calm", 1]}, "calm", ()),
    ],
)
def test_another_value_is_taken_out_of_the_object_it_was_asked_for_in(answer, schema, value, repairs):
    found = read(answer, schema)
    assert (found.value, type(found.value), found.repairs) == (value, type(value), repairs)


def test_a_schema_asks_for_text_for_an_object_or_for_an_object_around_the_value():
    assert [is_text(schema) for schema in (TEXT, MOOD, TAGS, {"type": ["string", "null"]}, {})] == [
        True, True, False, False, False,
    ]  # fmt: skip
    person = {"$ref": "#/$defs/p", "$defs": {"p": {"type": "object"}}}
    assert is_object(person)
    assert asked_as(person) is person
    assert asked_as(MOOD) is MOOD
    assert asked_as(TAGS) == {
        "type": "object", "properties": {"value": TAGS}, "required": ["value"], "additionalProperties": False,
    }  # fmt: skip
    nested = {
        "type": "array",
        "items": {"$ref": "#/$defs/n"},
        "$defs": {"n": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert Contract(asked_as(nested)).accepts({"value": [[[[]]]]})
    assert not Contract(asked_as(nested)).accepts({"value": [[[1]]]})


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab"), st.lists, max_leaves=5))
def test_what_a_model_would_answer_is_read_as_the_value(value):
    for schema in ({"enum": [value]}, {"const": value, "type": ["array", "string", "integer", "boolean", "null"]}, {}):
        assert read(json.dumps(given_as(value, schema)), schema).value == value


def test_the_words_of_the_prompt_ask_for_that_form():
    assert "JSON" not in instruction(TEXT, constrained=True).replace("no JSON", "")
    assert "calm, upset" in instruction(MOOD, constrained=False)
    assert '"maxLength":5' in instruction({"type": "string", "maxLength": 5}, constrained=False)
    assert '"value"' in instruction(TAGS, constrained=False)
    assert "- value: list of at most 3 items, each text" in instruction(TAGS, constrained=True)
    assert "text of 3 to 60 characters" in instruction(
        {"type": "string", "minLength": 3, "maxLength": 60}, constrained=True
    )
    dated = {"type": "object", "properties": {"d": {"type": "string", "format": "date"}}}
    assert "- d: text (date, YYYY-MM-DD)" in instruction(dated, constrained=True)
    assert "JSON Schema" in instruction({"type": "object"}, constrained=True)  # it has no keys to list


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "object", "properties": {"l": {"$ref": "#/$defs/l"}}, "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}}}},
        {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/b"}}, "b": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
    ],
)  # fmt: skip
def test_a_list_within_its_like_is_outlined(schema):
    for constrained in (True, False):
        assert len(instruction(schema, constrained=constrained)) < 1000
    assert "The text is: one line" in instruction({"type": "string", "description": "one line"}, constrained=True)
