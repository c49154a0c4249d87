"""Subtyping: whether what flows fits what takes it, with a value that does not, and schemas in words."""

import json
import time
from typing import Any

import pytest
from fuzz.specimens import matching, specimens

from runllm.schema import Contract, described, fit

STRING: dict[str, Any] = {"type": "string"}
FILLED: dict[str, Any] = {"type": "string", "minLength": 1}
DATE: dict[str, Any] = {"type": "string", "format": "date"}
INTEGER: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
NULL: dict[str, Any] = {"type": "null"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
ANYTHING: dict[str, Any] = {}


def obj(properties: dict[str, Any] | None = None, *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties or {}, "required": list(required), **more}


def arr(items: Any = True, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def either(*branches: Any, by: str = "anyOf") -> dict[str, Any]:
    return {by: list(branches)}


def tree(value: dict[str, Any], name: str = "node", **more: Any) -> dict[str, Any]:
    """Nodes of nodes; the name of the definition is the same in source and target unless the row says otherwise."""
    kids = arr({"$ref": f"#/$defs/{name}"})
    return {"$ref": f"#/$defs/{name}", "$defs": {name: obj({"value": value, "kids": kids}, "value", **more)}}


def ref(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": "#/$defs/it", "$defs": {"it": schema}}


CLOSED = {"additionalProperties": False}
ROWS: list[tuple[Any, Any, str]] = [
    # types
    (STRING, STRING, "fits"),
    (STRING, ANYTHING, "fits"),
    (ANYTHING, STRING, "maybe"),
    (ANYTHING, ANYTHING, "fits"),
    (STRING, INTEGER, "never"),
    (INTEGER, NUMBER, "fits"),
    (NUMBER, INTEGER, "maybe"),
    (BOOLEAN, INTEGER, "never"),
    (NULL, STRING, "never"),
    (NULL, {"type": ["string", "null"]}, "fits"),
    (STRING, {"type": ["string", "null"]}, "fits"),
    ({"type": ["string", "null"]}, STRING, "maybe"),
    ({"type": ["string", "integer"]}, {"type": ["null", "boolean"]}, "never"),
    (STRING, {"description": "a text", "type": "string", "examples": ["x"]}, "fits"),
    (STRING, {"not": STRING}, "never"),
    (INTEGER, {"not": STRING}, "fits"),
    (STRING, {"not": {}}, "never"),
    # numbers
    ({"type": "integer", "minimum": 5}, {"type": "integer", "minimum": 1}, "fits"),
    ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 1, "maximum": 20}, "maybe"),
    ({"type": "integer", "minimum": 5}, {"type": "integer", "maximum": 3}, "never"),
    ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}, "fits"),
    ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 1}, "maybe"),
    ({"type": "number", "maximum": 1, "minimum": 0}, {"type": "number", "exclusiveMaximum": 1}, "maybe"),
    ({"type": "integer", "multipleOf": 4}, {"type": "integer", "multipleOf": 2}, "fits"),
    ({"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 4}, "maybe"),
    ({"type": "number", "multipleOf": 0.5}, {"type": "number", "multipleOf": 0.25}, "fits"),
    ({"const": 3.0}, INTEGER, "fits"),
    ({"enum": [1, 2]}, {"type": "integer", "minimum": 2}, "maybe"),
    # strings
    (FILLED, STRING, "fits"),
    (STRING, FILLED, "maybe"),
    (STRING, {"type": "string", "maxLength": 5}, "maybe"),
    ({"type": "string", "maxLength": 2}, {"type": "string", "minLength": 3}, "never"),
    ({"type": "string", "pattern": "^[a-z]+$"}, FILLED, "fits"),
    ({"type": "string", "pattern": "^[A-Za-z]+$"}, {"type": "string", "pattern": "^[a-z]+$"}, "maybe"),
    ({"type": "string", "pattern": "^a"}, {"type": "string", "maxLength": 3}, "maybe"),
    ({"enum": ["a", "b"]}, {"type": "string", "pattern": "^[a-z]$"}, "fits"),
    ({"enum": ["a", "B"]}, {"type": "string", "pattern": "^[a-z]$"}, "maybe"),
    # formats, which a contract asserts
    (DATE, STRING, "fits"),
    (STRING, DATE, "maybe"),
    (DATE, FILLED, "fits"),
    (DATE, {"type": "string", "format": "date", "title": "day"}, "fits"),
    (DATE, {"type": "string", "format": "email"}, "maybe"),
    (DATE, INTEGER, "never"),
    ({"const": "2024-02-29"}, DATE, "fits"),
    ({"const": "2023-02-29"}, DATE, "never"),
    ({"enum": ["2024-02-29", "today"]}, DATE, "maybe"),
    (obj({"on": {"const": "2024-02-29"}}, "on"), obj({"on": DATE}, "on"), "fits"),
    (obj({"on": {"const": "today"}}, "on"), obj({"on": DATE}, "on"), "never"),
    (obj({"on": STRING}, "on"), obj({"on": DATE}, "on"), "maybe"),
    (obj({"on": DATE}, "on"), obj({"on": DATE}), "fits"),
    ({"not": DATE}, {"not": STRING}, "maybe"),
    ({"type": "string", "format": "colour"}, {"type": "string", "format": "shade"}, "fits"),
    # lists of values
    ({"enum": ["a", "b"]}, {"enum": ["b", "a", "c"]}, "fits"),
    ({"enum": ["a", "b"]}, {"enum": ["a"]}, "maybe"),
    ({"enum": ["a"]}, {"enum": ["b"]}, "never"),
    (STRING, {"enum": ["a", "b"]}, "maybe"),
    (BOOLEAN, {"enum": [True, False, None]}, "fits"),
    (BOOLEAN, {"const": True}, "maybe"),
    ({"enum": [1, "a"], "type": "string"}, STRING, "fits"),
    ({"const": {"a": 1}}, obj({"a": INTEGER}, "a"), "fits"),
    ({"const": 1}, {"const": True}, "never"),
    # arrays
    (arr(INTEGER), arr(NUMBER), "fits"),
    (arr(INTEGER), arr(STRING), "maybe"),
    (arr(INTEGER, minItems=1), arr(STRING), "never"),
    (arr(), arr(maxItems=5), "maybe"),
    (arr(STRING, maxItems=3), arr(STRING, maxItems=5), "fits"),
    (arr(STRING), arr(STRING, minItems=1), "maybe"),
    (arr(STRING), arr(STRING, maxItems=1), "maybe"),
    (arr(INTEGER), arr(INTEGER, uniqueItems=True), "maybe"),
    (arr(INTEGER, uniqueItems=True), arr(NUMBER, uniqueItems=True), "fits"),
    (arr(INTEGER, prefixItems=[STRING]), arr(INTEGER, prefixItems=[STRING, NUMBER]), "fits"),
    (arr(INTEGER, prefixItems=[STRING]), arr(INTEGER), "maybe"),
    (arr(False, prefixItems=[STRING, STRING]), arr(STRING, maxItems=2), "fits"),
    (arr(INTEGER, minItems=1), arr(contains=INTEGER), "fits"),
    (arr(INTEGER), arr(contains=INTEGER), "maybe"),
    (arr(arr(STRING)), arr(arr(FILLED)), "maybe"),
    (arr(STRING), obj(), "never"),
    # objects
    (obj({"a": STRING}, "a"), obj({"a": STRING}), "fits"),
    (obj({"a": STRING}), obj({"a": STRING}, "a"), "maybe"),
    (obj({"a": STRING}, "a"), obj({"a": INTEGER}, "a"), "never"),
    (obj({"a": STRING}), obj({"a": INTEGER}), "maybe"),
    (obj({"a": STRING}, **CLOSED), obj({"a": STRING, "b": INTEGER}), "fits"),
    (obj({"a": STRING}), obj({"a": STRING, "b": INTEGER}), "maybe"),
    (obj({"a": STRING}, "a"), obj({"a": STRING}, "a", **CLOSED), "maybe"),
    (obj({"a": STRING}, "a", **CLOSED), obj({"a": STRING}, **CLOSED), "fits"),
    (obj({"a": STRING}, "a", **CLOSED), obj({"b": STRING}, "b"), "never"),
    (obj({"a": STRING}, additionalProperties=INTEGER), obj({}, additionalProperties=NUMBER), "maybe"),
    (obj({}, patternProperties={"^x": STRING}, **CLOSED), obj({}, additionalProperties=STRING), "fits"),
    (obj({}, patternProperties={"^x": STRING}, **CLOSED), obj({}, **CLOSED), "maybe"),
    (obj({"xa": FILLED}, "xa", **CLOSED), obj({}, patternProperties={"^x": STRING}), "fits"),
    (obj({"a": STRING}), obj({"a": STRING}, additionalProperties=NUMBER), "maybe"),
    (obj({"xa": INTEGER}, "xa"), obj({}, "xa", patternProperties={"^x": STRING}), "never"),
    (
        obj({}, patternProperties={"^x": STRING}, additionalProperties=INTEGER),
        obj({}, additionalProperties=INTEGER),
        "maybe",
    ),
    (obj({}, minProperties=2), obj({}, minProperties=1), "fits"),
    (obj(), obj({}, minProperties=1), "maybe"),
    (obj(), obj({}, propertyNames={"maxLength": 3}), "maybe"),
    (obj({"a": STRING, "b": STRING}), obj({}, dependentRequired={"a": ["b"]}), "maybe"),
    (obj({"a": obj({"b": INTEGER}, "b")}, "a"), obj({"a": obj({"b": NUMBER})}), "fits"),
    (obj({"a": obj({"b": STRING}, "b")}, "a"), obj({"a": obj({"b": FILLED})}), "maybe"),
    (obj({"a": obj({"b": STRING}, "b")}, "a"), obj({"a": obj({"b": NULL}, "b")}, "a"), "never"),
    (obj({"a": arr(obj({"b": STRING}))}), obj({"a": arr(obj({"b": FILLED}))}), "maybe"),
    # combinations
    (either(STRING, NULL), {"type": ["null", "string"]}, "fits"),
    (either(STRING, NULL), STRING, "maybe"),
    (STRING, either(INTEGER, STRING), "fits"),
    (either(STRING, INTEGER), either(NULL, BOOLEAN), "never"),
    (either(obj({"a": STRING}, "a"), NULL), either(NULL, obj({"a": STRING})), "fits"),
    (either(FILLED, INTEGER, by="oneOf"), either(STRING, NUMBER), "fits"),
    (STRING, either(STRING, FILLED, by="oneOf"), "maybe"),
    (FILLED, {"allOf": [STRING, {"minLength": 1}]}, "fits"),
    ({"allOf": [obj({"a": STRING}, "a"), obj({"b": INTEGER}, "b")]}, obj({"a": STRING}, "b"), "fits"),
    ({"type": "integer", "minimum": 0, "maximum": 9}, either({"maximum": 4}, {"minimum": 5}), "fits"),
    (STRING, {"if": {"maxLength": 3}, "then": FILLED}, "maybe"),
    # references
    (ref(STRING), STRING, "fits"),
    (STRING, ref(FILLED), "maybe"),
    (obj({"a": {"$ref": "#/$defs/x"}}, "a", **{"$defs": {"x": STRING}}), obj({"a": STRING}), "fits"),
    (ref({"enum": ["a"]}), ref({"enum": ["b"]}), "never"),
    (tree(STRING), tree(STRING, title="same"), "fits"),
    (tree(STRING), tree(FILLED), "maybe"),
    (tree(STRING), tree(INTEGER), "never"),
    (tree(STRING), STRING, "never"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [STRING, arr({"$ref": "#/$defs/a"})]}}}, STRING, "maybe"),
    # what fits, and is not decided
    (obj({}, additionalProperties=INTEGER), obj({"a": NUMBER}, additionalProperties=NUMBER), "maybe"),
    (tree(STRING), tree({"type": ["string", "null"]}), "maybe"),
    (tree(STRING), tree({"type": ["string", "null"]}, name="other"), "maybe"),
    # a source without values fits everything
    ({"type": "string", "minLength": 2, "maxLength": 1}, INTEGER, "fits"),
]


def _named(row: tuple[Any, Any, str]) -> str:
    return f"{json.dumps(row[0])[:60]} in {json.dumps(row[1])[:60]}"


@pytest.mark.parametrize("row", ROWS, ids=_named)
def test_a_schema_fits_another_or_not(row: tuple[Any, Any, str]) -> None:
    source, target, verdict = row
    assert fit(source, target).verdict == verdict


@pytest.mark.parametrize(
    ("source", "target", "example", "reason"),
    [
        (BOOLEAN, {"const": True}, False, "true was expected"),
        ({"enum": ["a", "B"]}, {"pattern": "^[a-z]$"}, "B", '"B" does not match "^[a-z]$"'),
        ({"const": {"a": [""]}}, obj({"a": arr(FILLED)}), {"a": [""]}, '/a/0: "" is shorter than 1 character'),
        (STRING, FILLED, None, ""),
    ],
)
def test_of_values_that_are_listed_one_that_does_not_fit_is_named(
    source: dict[str, Any], target: dict[str, Any], example: Any, reason: str
) -> None:
    found = fit(source, target)
    assert (found.example, found.reason) == (example, reason)
    assert type(found.example) is type(example)


def nested(depth: int, leaf: dict[str, Any]) -> dict[str, Any]:
    return leaf if depth == 0 else obj({"a": nested(depth - 1, leaf)}, "a")


@pytest.mark.parametrize(
    ("leaf", "verdict"), [(STRING, "fits"), (FILLED, "maybe"), (INTEGER, "never")], ids=["fits", "maybe", "never"]
)
def test_what_lies_sixty_four_levels_down_decides(leaf: dict[str, Any], verdict: str) -> None:
    assert fit(nested(64, STRING), nested(64, {**leaf, "title": "other"})).verdict == verdict


def unfolding(leaf: dict[str, Any]) -> dict[str, Any]:
    """Forty definitions that each refer twice to the next: a tree of 2^40 places."""
    pairs = {
        f"n{i}": obj({"x": {"$ref": f"#/$defs/n{i + 1}"}, "y": {"$ref": f"#/$defs/n{i + 1}"}}, "x") for i in range(40)
    }
    return {"$ref": "#/$defs/n0", "$defs": {**pairs, "n40": leaf}}


def conditions(last: int) -> dict[str, Any]:
    """Twenty `if`s side by side: a million cases."""
    return {
        "type": "object",
        "allOf": [{"if": obj({f"a{i}": {"const": last}}), "then": obj({}, f"b{i}")} for i in range(20)],
    }


def chained(length: int) -> dict[str, Any]:
    """Definitions that each refer to the next one, a step deeper into the value."""
    links = {f"n{i}": obj({"a": {"$ref": f"#/$defs/n{i + 1}"}}) for i in range(length)}
    return {"$ref": "#/$defs/n0", "$defs": {**links, f"n{length}": STRING}}


LOOP = {"if": {"unevaluatedProperties": False, "allOf": [{"$ref": "#/$defs/it"}]}, "then": NUMBER, "else": NULL}
MANY = [f"v{i}" for i in range(10_000)]
HOSTILE = {
    "a list of 10,000 values": ({"enum": MANY}, {"enum": MANY[::-1]}, "fits"),
    "two such lists": ({"enum": MANY}, {"enum": ["x"]}, "never"),
    "half of such a list": (obj({"a": {"enum": MANY}}, "a"), obj({"a": {"enum": MANY[:5000]}}, "a"), "maybe"),
    "10,000 objects": ({"enum": [{"a": i} for i in range(10_000)]}, obj({"a": INTEGER}), "fits"),
    "two hundred properties": (
        obj({f"p{i}": STRING for i in range(200)}, *(f"p{i}" for i in range(200))),
        obj({f"p{i}": FILLED for i in range(200)}, *(f"p{i}" for i in range(200))),
        "maybe",
    ),
    "a tree of 2^40 places": (unfolding(STRING), unfolding(FILLED), "maybe"),
    "a million cases": (conditions(1), conditions(2), "maybe"),
    "a definition that is itself": (ref({"$ref": "#/$defs/it"}), STRING, "maybe"),
    "a definition in its own condition": (ref(LOOP), STRING, "maybe"),
    "a root that is itself": ({"$ref": "#"}, STRING, "maybe"),
    "a long text": ({"type": "string", "minLength": 10**15}, {"type": "string", "minLength": 10**9}, "fits"),
    "a long array": (arr(INTEGER, minItems=10**12), arr(STRING, minItems=3), "never"),
    "numbers that no float holds": (
        {"type": "integer", "minimum": 10**400},
        {"type": "integer", "multipleOf": 7},
        "maybe",
    ),
    "large multiples": (
        {"type": "number", "multipleOf": 0.5},
        {"type": "number", "minimum": -1e300, "multipleOf": 1e-8},
        "maybe",
    ),
    "a long chain of references": (chained(5_000), STRING, "maybe"),
    "a broken pattern": (STRING, {"type": "string", "pattern": "["}, "maybe"),
    "a reference to nowhere": (STRING, {"$ref": "#/$defs/none"}, "maybe"),
}


@pytest.mark.parametrize(("source", "target", "verdict"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_schemas_take_bounded_work(source: dict[str, Any], target: dict[str, Any], verdict: str) -> None:
    """Without its bounds the library takes minutes, or ends the process, on some of these."""
    started = time.monotonic()
    assert fit(source, target).verdict == verdict
    assert len(described(source)) <= 80
    assert time.monotonic() - started < 60


# --- specimens ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "telling"),
    [
        (STRING, ["", "a"]),
        ({"type": "string", "minLength": 2, "maxLength": 4}, ["aa", "aaa", "aaaa"]),
        (DATE, ["2024-02-29"]),
        ({"type": "integer", "minimum": 1, "maximum": 20}, [1, 20]),
        ({"type": "number", "exclusiveMinimum": 0}, [1, 0.5]),
        ({"type": "number", "multipleOf": 0.1}, [0, 0.1]),
        (arr(INTEGER), [[], [0], [0, 0]]),
        (arr(INTEGER, minItems=2, uniqueItems=True), [[0, 1]]),
        (arr(contains={"const": "x"}), [["x"]]),
        (obj({"a": STRING, "b": NULL}, "a"), [{"a": ""}, {"a": "", "b": None}, {"a": "", "other": ""}]),
        (obj({}, patternProperties={"^x-[0-9]$": INTEGER}, **CLOSED), [{"x-0": 0}]),
        (either(STRING, NULL, obj()), ["", None, {}]),
        ({"allOf": [obj({"a": STRING}, "a"), obj({"a": FILLED}, "a")]}, [{"a": "a"}]),
        (tree(STRING), [{"value": ""}, {"value": "", "kids": [{"value": ""}]}]),
        ({"type": "string", "pattern": "(?=x)", "examples": ["x1"]}, ["x1"]),
        ({"if": {"type": "string"}, "then": FILLED, "else": {"type": "integer"}}, ["a", 0]),
    ],
    ids=json.dumps,
)
def test_specimens_test_the_boundaries(schema: dict[str, Any], telling: list[Any]) -> None:
    found = list(specimens(schema))
    assert [value for value in telling if value not in found or not Contract(schema).accepts(value)] == []
    assert len(found) <= 100
    assert max(len(json.dumps(value)) for value in found) <= 200


@pytest.mark.parametrize(
    "pattern",
    [
        r"^INV-\d{6}$",
        "^[a-z]+$",
        r"^(a|bc)*[^x]\.\w{2,}$",
        r"[\w.-]+@[a-z]",
        "^$",
        "^[A-Z]{2}[0-9]{2,4}$",
        "a?b|c",
        "^[^\\s]$",
    ],
)
def test_a_text_is_found_for_a_common_pattern(pattern: str) -> None:
    found = list(matching(pattern))
    assert found
    assert all(Contract({"pattern": pattern}).accepts(text) for text in found)


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(", "[a-", "a{3", "*", "a{100000}{100000}", "\\"])
def test_no_text_is_guessed_for_another_pattern(pattern: str) -> None:
    assert list(matching(pattern)) == []


# --- in words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (STRING, "a string"),
        (FILLED, "a non-empty string"),
        ({"type": "string", "minLength": 3}, "a string of at least 3 characters"),
        ({"type": "string", "maxLength": 20}, "a string of at most 20 characters"),
        ({"type": "string", "minLength": 1, "maxLength": 20}, "a string of 1 to 20 characters"),
        ({"type": "string", "pattern": "^a+$"}, "a string that matches `^a+$`"),
        (DATE, "a string with the format `date`"),
        ({"type": "integer", "minimum": 1, "maximum": 20}, "an integer from 1 to 20"),
        ({"type": "number", "minimum": 0}, "a number of at least 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "a number of at most 1 and above 0"),
        ({"type": "integer", "multipleOf": 5}, "an integer in steps of 5"),
        (BOOLEAN, "a boolean"),
        (NULL, "null"),
        ({"const": "a"}, '"a"'),
        ({"enum": ["a", "b"]}, 'one of "a", "b"'),
        ({"enum": list(range(100))}, "one of 0, 1, 2, 3, 4, …"),
        (arr(STRING), "a list of strings"),
        (arr(arr(INTEGER)), "a list of lists of integers"),
        (arr(FILLED), "a list of non-empty strings"),
        (arr({"type": "integer", "minimum": 1, "maximum": 5}), "a list of integers from 1 to 5"),
        (arr(obj({"a": STRING})), "a list of objects with `a`"),
        (arr(either(STRING, NULL)), "a list, each item a string or null"),
        (arr({"enum": ["a", "b"]}), 'a list, each item one of "a", "b"'),
        (arr(), "a list"),
        (arr(False), "a list"),
        (arr(minItems=1), "a list of at least 1 item"),
        (arr(False, prefixItems=[STRING, INTEGER], minItems=2, maxItems=2), "a list of 2 items"),
        (arr(minItems=1, maxItems=3), "a list of 1 to 3 items"),
        (arr(arr(minItems=2, maxItems=2)), "a list of lists of 2 items"),
        (obj(), "an object"),
        (obj({"a": STRING, "b": STRING}, "b"), "an object with `b` and `a`"),
        (obj(dict.fromkeys("abcdef", STRING)), "an object with `a`, `b`, `c`, `d` and 2 more"),
        ({"type": ["string", "null"]}, "a string or null"),
        (either(STRING, INTEGER, NULL), "a string, an integer or null"),
        (either(STRING, STRING), "a string"),
        ({"allOf": [STRING, {"minLength": 1}]}, "a non-empty string"),
        (ref(FILLED), "a non-empty string"),
        (tree(STRING), "an object with `value` and `kids`"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": arr({"$ref": "#/$defs/a"})}},
            "a list of lists of lists of lists of lists",
        ),
        (ANYTHING, "anything"),
        ({"not": {}}, "nothing"),
        ({"$ref": "#"}, "anything"),
    ],
    ids=json.dumps,
)
def test_a_schema_in_words(schema: dict[str, Any], words: str) -> None:
    assert described(schema) == words


def test_words_are_few_whatever_the_schema() -> None:
    """A long name, value or pattern is cut, and the whole too."""
    long = obj({"n" * 300: STRING, "m" * 300: either(*[{"const": "v" * 300}] * 3)})
    assert len(described(arr(either(long, {"const": "c" * 500}, {"type": "string", "pattern": "p" * 500})))) <= 80
