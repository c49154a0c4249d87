"""Contracts: checking, defaults, reading text, looking into schemas."""

import json
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.errors import RunllmError
from runllm.inputs import accepted, from_arguments, from_text
from runllm.reading import extract
from runllm.rendering import shortened
from runllm.schema import Contract, object_of, read_text, resolve, schema_at, schema_problems

PERSON = Contract(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 0},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "default": []},
            "kind": {"enum": ["a", "b"], "default": "a"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["name"],
        "additionalProperties": False,
        "$defs": {"tag": {"type": "object", "properties": {"label": {"type": "string"}, "weight": {"default": 1}}}},
    }
)


@pytest.mark.parametrize(
    ("value", "pointer", "keyword", "words"),
    [
        ({}, "", "required", "`name` is required"),
        ({"name": 1}, "/name", "type", 'not of type "string"'),
        ({"name": "x", "age": -1}, "/age", "minimum", "minimum of 0"),
        ({"name": "x", "kind": "c"}, "/kind", "enum", '"c" is not one of'),
        ({"name": "x", "tags": [{}, {"label": 2}]}, "/tags/1/label", "type", "2 is not"),
        ({"name": "x", "either": 3}, "/either", "anyOf", 'not of type "string"; 3 is not of type "null"'),
        ({"name": "x", "nmae": 1}, "", "additionalProperties", "unexpected `nmae`"),
        ({"name": {1, 2}}, "/name", "json", "type set is not JSON"),
        ({"name": "x", "tags": [{"label": b"x"}]}, "/tags/0/label", "json", "type bytes is not JSON"),
        ("text", "", "type", "object"),
    ],
)
def test_a_violation_names_its_place_and_rule(value: object, pointer: str, keyword: str, words: str) -> None:
    (problem,) = PERSON.problems(value)
    assert (problem.pointer, problem.keyword) == (pointer, keyword)
    assert words in problem.message
    assert not PERSON.accepts(value)


@pytest.mark.parametrize("value", [Decimal(1), HTTPStatus.OK])
def test_a_number_that_python_alone_has_is_refused_at_its_place(value: object) -> None:
    """The library takes it, and what writes the prompt could not."""
    (problem,) = PERSON.problems({"name": "x", "age": value})
    assert (problem.pointer, problem.message) == ("/age", f"a value of type {type(value).__name__} is not JSON")


def test_an_unexpected_key_suggests_the_nearest() -> None:
    (problem,) = PERSON.problems({"name": "x", "nmae": 1})
    assert problem.hint == "Did you mean `name`?"


def test_a_long_value_is_not_repeated_whole() -> None:
    (problem,) = PERSON.problems({"name": "x", "kind": "z" * 10_000})
    assert len(problem.message) <= 300


KEY = "k" * 10_000
OPEN = Contract({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}})
LONG_KEYS: dict[str, Callable[[], object]] = {
    "unexpected": lambda: accepted(PERSON, {"name": "x", KEY: 1}),
    "unexpected beside others": lambda: accepted(PERSON, {"name": "x", **{f"{KEY}{n}": 1 for n in range(50)}}),
    "inside": lambda: accepted(PERSON, {"name": "x", "tags": [{KEY: 1, "label": 2}]}),
    "on the way": lambda: accepted(OPEN, {KEY: ["a"]}),
    "half a character": lambda: accepted(OPEN, {KEY: ["\ud800"]}),
    "not a number": lambda: accepted(OPEN, {KEY: [float("nan")]}),
    "twice": lambda: from_text(f'{{"{KEY}": 1, "{KEY}": 2}}', PERSON, form="json", name="in"),
    "twice in YAML": lambda: from_text(f"? {KEY}\n: 1\n? {KEY}\n: 2\n", PERSON, form="yaml", name="in"),
    "an argument": lambda: from_arguments([f"{KEY}=1"], PERSON),
    "an argument twice": lambda: from_arguments([f"{KEY}=1", f"{KEY}=2"], OPEN),
    "an argument without a value": lambda: from_arguments([KEY], PERSON),
    "an answer": lambda: extract(json.dumps({"name": "x", KEY: 1, "age": -1}), PERSON),
    "a key that is given twice": lambda: extract(f'{{"{KEY}": 1, "{KEY}": 2}}', PERSON),
    "a fraction": lambda: extract(json.dumps({KEY: [1e300]}), OPEN),
}
"""A key of a value, in each message that names one."""


@pytest.mark.parametrize("fail", LONG_KEYS.values(), ids=LONG_KEYS)
def test_a_long_key_is_no_more_repeated_whole_than_a_value(fail: Callable[[], object]) -> None:
    with pytest.raises(RunllmError) as raised:
        fail()
    error = raised.value
    told = [error.message, error.recovery_hint, *(f"{one} {one.pointer} {one.hint}" for one in error.problems)]
    assert "k" * 250 not in f"{told} {shortened(error.received)}"
    assert len(error.message) < 5000


def test_a_whole_float_is_an_integer() -> None:
    """As JSON Schema says; the value itself is not changed."""
    assert PERSON.problems({"name": "x", "age": 3.0}) == ()
    assert PERSON.problems({"name": "x", "age": 3.5})


def test_defaults_fill_what_is_absent_at_every_depth_and_change_nothing_in_place() -> None:
    given_value = {"name": "x", "tags": [{"label": "l"}]}
    before = json.dumps(given_value)
    assert PERSON.with_defaults(given_value) == {"name": "x", "tags": [{"label": "l", "weight": 1}], "kind": "a"}
    assert json.dumps(given_value) == before


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "42", 42),
        ({"type": "integer"}, " -7 ", -7),
        ({"type": "integer"}, "4.0", "4.0"),
        ({"type": "integer"}, "4 apples", "4 apples"),
        ({"type": "number"}, "4.5", 4.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "7", 7),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": "string"}, "42", "42"),
        ({"type": ["string", "null"]}, "null", "null"),
        ({"type": "null"}, "null", None),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "array"}, "1, 2", "1, 2"),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"enum": [1, 2]}, "2", 2),
        ({"enum": ["1", "2"]}, "2", "2"),
        ({"$ref": "#/$defs/n"}, "5", 5),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "false", False),
    ],
)
def test_text_is_read_as_the_declared_type_strictly(schema: dict, text: str, value: object) -> None:
    got = read_text(text, schema, {"$defs": {"n": {"type": "integer"}}, **schema})
    assert got == value
    assert type(got) is type(value)


@given(st.integers())
def test_every_integer_is_read_back(number: int) -> None:
    assert read_text(str(number), {"type": "integer"}, {}) == number


def test_the_schema_at_a_path_is_null_too_where_the_value_may_be_absent() -> None:
    """What has a default is there, since defaults are filled in."""
    root = PERSON.schema
    assert schema_at(root, ["name"])["type"] == "string"
    assert schema_at(root, ["kind"])["enum"] == ["a", "b"]
    assert schema_at(root, ["age"])["anyOf"][1] == {"type": "null"}
    assert schema_at(root, ["tags"])["$defs"] == root["$defs"]
    assert schema_at(root, ["nothing"]) is None
    assert schema_at({"anyOf": [root, {"properties": {"name": {"type": "integer"}}}]}, ["name"])["anyOf"]


def test_a_recursive_reference_does_not_hang() -> None:
    loop = {"type": "object", "properties": {"next": {"$ref": "#"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    contract = Contract(loop)
    assert contract.with_defaults({"next": {"next": {}}}) == {"next": {"next": {}}}
    assert resolve(loop, {"$ref": "#/$defs/a"}) == {}


def test_who_changes_a_default_changes_it_for_nobody_else() -> None:
    contract = Contract({"type": "object", "properties": {"a": {"default": {"b": [1]}}, "c": {"default": []}}})
    found = contract.with_defaults({})
    found["a"]["b"].append(2)
    found["c"].append(3)
    assert contract.with_defaults({}) == {"a": {"b": [1]}, "c": []}


@pytest.mark.parametrize(
    ("name", "reference"), [("any", "any"), ("a b", "a%20b"), ("50%", "50%25"), ("a/~b", "a~1~0b"), ("é", "%C3%A9")]
)
def test_a_reference_leads_to_a_schema_of_any_name_and_content(name: str, reference: str) -> None:
    """One that admits anything is empty, and still there."""
    for part in ({}, {"type": "string"}):
        root = {"type": "object", "properties": {"x": {"$ref": f"#/$defs/{reference}"}}, "$defs": {name: part}}
        assert schema_problems(root) == []
        assert resolve(root, root["properties"]["x"]) == part
        assert Contract(root).accepts({"x": 1}) == (part == {})


def test_all_problems_of_a_schema_are_found_at_once() -> None:
    found = schema_problems(
        {"type": "array", "properties": {"a": {"type": "strng"}, "b": {"$ref": "http://x/y"}, "c": {"$ref": "#/no"}}}
    )
    assert sorted(p.pointer for p in found) == [
        "/properties/a/type",
        "/properties/b/$ref",
        "/properties/c/$ref",
        "/type",
    ]


def test_an_impossible_optional_property_is_a_warning() -> None:
    (problem,) = schema_problems(
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}}}
    )
    assert (problem.pointer, problem.severity) == ("/properties/a", "warning")


def test_an_object_of_roots_keeps_their_references_apart() -> None:
    text = {"$ref": "#/$defs/it", "$defs": {"it": {"type": "string"}}}
    number = {"$ref": "#/$defs/it", "$defs": {"it": {"type": "integer"}}}
    whole = Contract(object_of({"a": text, "b": number, "c": None, "d": object_of({"e": text})}))
    assert whole.accepts({"a": "x", "b": 1, "c": [], "d": {"e": "x"}})
    assert [p.pointer for p in whole.problems({"a": "x", "b": "x", "c": [], "d": {"e": 1}})] == ["/b", "/d/e"]
    assert not whole.accepts({"a": "x", "b": 1, "c": [], "d": {"e": "x"}, "f": 1})
