"""A short contract is the JSON Schema that the table of docs/spec.md gives, and each slip is found where it stands."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.diagnostics import errors_in
from runllm.documents import DocumentError, Mark, read
from runllm.parser.mistakes import in_yaml
from runllm.parser.short import MAX_FAULTS, Expanded, Fault, expand
from runllm.parser.words import TYPES
from runllm.schema import Contract, schema_problems


def expanded(text: str, key: str = "returns") -> Expanded:
    """The expansion of what stands under a key in a YAML text."""
    root, problems = read(text)
    assert problems == []
    return expand(root.children[key], one_type=key == "returns")


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object of these properties alone."""
    needs = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needs, "additionalProperties": False}


SPEC = Path(__file__).parents[2] / "docs/spec.md"
STRING = {"type": "string"}
TABLE: list[tuple[str, dict[str, Any]]] = [
    ("string", STRING),
    ("text", STRING),
    ("integer", {"type": "integer"}),
    ("number", {"type": "number"}),
    ("boolean", {"type": "boolean"}),
    ("date", {"type": "string", "format": "date"}),
    ("date-time", {"type": "string", "format": "date-time"}),
    ("email", {"type": "string", "format": "email"}),
    ("url", {"type": "string", "format": "uri"}),
    ("any", {}),
    ("string[]", {"type": "array", "items": STRING}),
    ("date[]", {"type": "array", "items": {"type": "string", "format": "date"}}),
    ("any[]", {"type": "array", "items": {}}),
    ("string[][]", {"type": "array", "items": {"type": "array", "items": STRING}}),
    ("string[] 2..4", {"type": "array", "items": STRING, "minItems": 2, "maxItems": 4}),
    ("string[][] 2..", {"type": "array", "items": {"type": "array", "items": STRING}, "minItems": 2}),
    ("number 0..1", {"type": "number", "minimum": 0, "maximum": 1}),
    ("number -0.5..1.25", {"type": "number", "minimum": -0.5, "maximum": 1.25}),
    ("number -2..-1", {"type": "number", "minimum": -2, "maximum": -1}),
    ("integer 1..", {"type": "integer", "minimum": 1}),
    ("integer ..-1", {"type": "integer", "maximum": -1}),
    ("integer 5..5", {"type": "integer", "minimum": 5, "maximum": 5}),
    ("string ..60", {"type": "string", "maxLength": 60}),
    ("text 1..60", {"type": "string", "minLength": 1, "maxLength": 60}),
    ("  text   1..60  ", {"type": "string", "minLength": 1, "maxLength": 60}),
    ("calm | upset", {"type": "string", "enum": ["calm", "upset"]}),
    ("calm|upset", {"type": "string", "enum": ["calm", "upset"]}),
    ("in progress | done | won't do", {"type": "string", "enum": ["in progress", "done", "won't do"]}),
    ("yes | no", {"type": "string", "enum": ["yes", "no"]}),
    ("v1.0 | v1.1", {"type": "string", "enum": ["v1.0", "v1.1"]}),
    ("date of birth | name", {"type": "string", "enum": ["date of birth", "name"]}),
    ("list | paragraph | none", {"type": "string", "enum": ["list", "paragraph", "none"]}),
    ("text, the letter, as it came", {"type": "string", "description": "the letter, as it came"}),
    ("calm | upset, how it sounds", {"type": "string", "enum": ["calm", "upset"], "description": "how it sounds"}),
    ("string[] 1.., one | of | many", {"type": "array", "items": STRING, "minItems": 1, "description": "one | of | many"}),
    ("any, whatever", {"description": "whatever"}),
    ("string,", STRING),
    ("string ,  ", STRING),
]  # fmt: skip


@pytest.mark.parametrize(("short", "schema"), TABLE, ids=[short for short, _ in TABLE])
def test_a_type_in_words(short: str, schema: dict[str, Any]) -> None:
    for written in (short, json.dumps(short)):
        assert expanded(f"returns: {written}") == Expanded(schema=schema, places={"": MARK_OF[written]})
        inside = expanded(f"returns:\n  a: {written}")
        assert (inside.schema, inside.faults) == (closed({"a": schema}, "a"), ())


MARK_OF = {
    written: Mark(0, 9 + len(written) - len(written.lstrip()), len(written.strip()))
    for short, _ in TABLE
    for written in (short, json.dumps(short))
}


def test_every_type_stands_in_the_table() -> None:
    assert {short for short, _ in TABLE} >= set(TYPES)


def test_the_table_of_the_format_is_what_is_read() -> None:
    rows = re.findall(r"^   \| `(.+)` \| `(.+)` \|$", SPEC.read_text(encoding="utf-8"), re.MULTILINE)
    found = {short.replace("\\|", "|"): schema for short, schema in rows}
    assert set(TYPES) <= set(found)
    for short, schema in found.items():
        assert expanded(f"returns: {short}").schema == read(schema)[0].value, short


def test_maps_and_lists() -> None:
    found = expanded(
        """
returns:
  kind: letter | card
  size?: integer 1..
  people: [{name: string, tags?: [calm | upset]}]
  scores: [number 0..1]
  place:
    city: text, where it was posted
"""
    )
    person = closed(
        {"name": STRING, "tags": {"type": "array", "items": {"type": "string", "enum": ["calm", "upset"]}}}, "name"
    )
    assert found.faults == ()
    assert found.schema == closed(
        {
            "kind": {"type": "string", "enum": ["letter", "card"]},
            "size": {"type": "integer", "minimum": 1},
            "people": {"type": "array", "items": person},
            "scores": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
            "place": closed({"city": {"type": "string", "description": "where it was posted"}}, "city"),
        },
        "kind", "people", "scores", "place",
    )  # fmt: skip
    assert errors_in(schema_problems(found.schema)) == ()


def test_each_part_of_the_schema_has_its_place() -> None:
    found = expanded("returns:\n  people: [{name?: string}]\n  size: integer 1..\n")
    assert found.places == {
        "": Mark(1, 2, 1),
        "/properties/people": Mark(1, 2, 6),
        "/properties/people/items": Mark(1, 11, 1),
        "/properties/people/items/properties/name": Mark(1, 12, 5),
        "/properties/size": Mark(2, 2, 4),
    }


def test_an_app_may_take_nothing_but_must_give_something() -> None:
    assert expanded("input: {}", "input").schema == closed({})
    assert [fault.message for fault in expanded("returns: {}").faults] == [
        "the map is empty: it says nothing of the object"
    ]


# --- slips ---------------------------------------------------------------------------------------

# A property under `returns` with the place at fault between « and », words of the message, words of the hint.
SLIPS = [
    ("a: «strng»", "not a type", "Did you mean `string`?"),
    ("a: «String»", "not a type", "small letters: `string`"),
    ("a: «Integer» 1..5", "not a type", "small letters: `integer 1..5`"),
    ("a: «date_time»", "not a type", "Did you mean `date-time`?"),
    ("a: «str»", "not a type", "Write `string`."),
    ("a: «int» 1..5", "not a type", "Write `integer 1..5`."),
    ("a: «int»[]", "not a type", "Write `integer[]`."),
    ("a: «float»", "not a type", "Write `number`."),
    ("a: «bool»", "not a type", "Write `boolean`."),
    ("a: «uri»", "not a type", "Write `url`."),
    ("a: «list»", "not a type", "Write `string[]`"),
    ("a: «array»", "not a type", "Write `string[]`"),
    ("a: «list[string]»", "not a type", "Write `string[]`."),
    ("a: «List<int>»", "not a type", "Write `integer[]`."),
    ("a: «array of numbers»", "not a type", "Write `number[]`."),
    ("a: «object»", "not a type", "An object is a map"),
    ("a: «dict»", "not a type", "written in `output_schema`"),
    ("a: «dict[str, int]»", "not a type", "An object is a map"),
    ("a: «Optional[str]»", "not a type", "Write `a?: string`."),
    ("a: string«?»", "cannot stand after `string`", "Write `a?: string`"),
    ("a: «int?»", "not a type", "Write `a?: integer`."),
    ("a: «enum(calm, upset)»", "not a type", "An enum is written `calm | upset`."),
    ('a: «Literal["x", "y"]»', "not a type", "An enum is written `x | y`."),
    ("a: «enum»", "not a type", "An enum is written `a | b | c`."),
    ("a: «calm», upset", "not a type", "An enum is written `calm | upset`."),
    ("a: «calm or upset»", "not a type", "An enum is written `calm | upset`."),
    ("a: «calm/upset»", "not a type", "An enum is written `calm | upset`."),
    ("a: «calm»", "not a type", "Types are `string`, `text`"),
    ("a: «The text of the letter.»", "not a type", "Types are `string`, `text`"),
    ("a: «0..5»", "not a type", "Write the type before its bounds: `number 0..5`."),
    ('a: "«null»"', "not a type", "Write `a?: string`"),
    ('a: "«,» the text"', "missing before the comma", "Write `string,"),
    # what stands after a type
    ("a: string «the text»", "cannot stand after `string`", "comes before the description: `string, the text`"),
    ("a: string «60»", "cannot stand after `string`", "Write `string ..60` for at most"),
    ("a: string «max 60»", "cannot stand after `string`", "Write `string ..60`."),
    ("a: number «>= -0.5»", "cannot stand after `number`", "Write `number -0.5..`."),
    ("a: string «or null»", "cannot stand after `string`", "Write `a?: string`"),
    ('a: "«[string]»"', "not a type", "Take the quotes away"),
    ("a: string «(60)»", "cannot stand after `string`", "`string 1..60`"),
    ("a: string«..60»", "cannot stand after `string`", "Write a space before the bounds: `string ..60`."),
    ("a: string«[2..4]»", "cannot stand after `string`", "`string[] 2..4`"),
    ("a: string «..60[]»", "cannot stand after `string`", "`[string ..60]`"),
    ("a: number «a..b»", "cannot stand after `number`", "`number 1..60`"),
    ("a: number «1...2»", "cannot stand after `number`", "Write `number 1..2`."),
    ("a: number «0-10»", "cannot stand after `number`", "Write `number 0..10`."),
    ("a: integer «1 to 5 stars»", "cannot stand after `integer`", "Write `integer 1..5, in stars`."),
    ("a: number «between -1 and 1»", "cannot stand after `number`", "Write `number -1..1`."),
    ("a: number «0..100%»", "cannot stand after `number`", "Write `number 0..100, in %`."),
    ("a: text «(max 60 characters)»", "cannot stand after `text`", "Write `text ..60`."),
    ("a: text «(max. 60 words)»", "cannot stand after `text`", "`text 1..60`"),
    ("a: text «at least 3 chars»", "cannot stand after `text`", "Write `text 3..`."),
    ("a: text«*»", "cannot stand after `text`", "A list is written `text[]`."),
    ("a: integer «(optional)»", "cannot stand after `integer`", "Write `a?: integer`"),
    ("a: «optional integer»", "not a type", "Write `a?: integer`: an optional property may be absent."),
    ("a: «b:text»", "behind the colon stands no blank", "Write `b: text`"),
    ("a: «b:\u00a0calm | upset»", "behind the colon stands no blank", "Write `b: calm | upset`"),
    ("a: «“calm”» | “upset”", "cannot stand in a word", "without quotes: `calm`"),
    ("a: «„ruhig“» | „erregt“", "cannot stand in a word", "without quotes: `ruhig`"),
    ("a: number «..»", "cannot stand after `number`", "`number 1..`"),
    ("a: integer «1..5 = 3»", "cannot stand after `integer`", "A default is written in `output_schema`."),
    # bounds
    ("a: number «1..0»", "wrong way round", "Write `number 0..1`."),
    ("a: number «0..-0.5»", "wrong way round", "Write `number -0.5..0`."),
    ("a: boolean «0..1»", "`boolean` takes no bounds", "`string`, `text`, `integer`, `number` and lists"),
    ("a: date «1..2»", "`date` takes no bounds", ""),
    ("a: string «0.5»..1", "a length is a whole number", "without a fraction"),
    ("a: integer 1..«1.5»", "an integer is a whole number", "without a fraction"),
    ("a: number[] 0..«0.5»", "a count of items is a whole number", "To bound the items write `[number ...]`."),
    ("a: string «-1»..5", "a length is not negative", "Begin with 0."),
    ("a: string[] ..«-1»", "a count of items is not negative", "Begin with 0."),
    ("a: integer «9999999999999999999»..", "more than 18 characters", "smaller"),
    ("a: «string[][][][][][][][][]»", "nest deeper than 8 levels", "Nest them less."),
    # enums
    ("a: «string» | integer", "is a type, and an enum is of words", "several types is written in `output_schema`"),
    ("a: calm | «integer[]»", "is a type, and an enum is of words", "`output_schema`"),
    ("a: none | «number 0..1»", "is a type, and an enum is of words", "`output_schema`"),
    ("a: «email» | phone", "is a type, and an enum is of words", "an enum with the word `email`"),
    ("a: «str» | int", "is a type, and an enum is of words", "`output_schema`"),
    ("a: string | «null»", "is a type, and an enum is of words", "Write `a?: string`"),
    ("a: str | «None»", "is a type, and an enum is of words", "Write `a?: str`"),
    ("a: calm | upset | «null»", "is a type, and an enum is of words", "Write `a?: calm | upset`"),
    ("a: «1» | 2", "is a number, and an enum is of words", "`integer 1..3`"),
    ("a: «true» | false", "no word of an enum", "Write `boolean`"),
    ("a: x | y | «x»", "`x` stands twice in the enum", "Keep one of them."),
    ("a: x | «|» y", "a word of the enum is missing", "Write the word"),
    ("a: x «|»", "a word of the enum is missing", "two words or more"),
    ("""a: '«"x"» | "y"'""", "cannot stand in a word", "without quotes: `x`"),
    ("a: x | «y[]»", "cannot stand in a word", "`[a | b]`"),
    ("a: x | «y?»", "cannot stand in a word", "Write `a?` for what may be absent"),
    ("a: x | «y 1..2»", "cannot stand in a word", "An enum takes no bounds."),
    ("a: x | «y=1»", "cannot stand in a word", "`output_schema`"),
    # no words at all
    ("a: «5»", "a number is not a type", "`a: integer`"),
    ("a: «0.5»", "a number is not a type", "`a: number`"),
    ("a: «true»", "a boolean is not a type", "`a: boolean`"),
    ("«a»: ", "`a` has no type", "Write `a: string`"),
    ("«a»: null", "`a` has no type", "Write `a: string`"),
    ("«a»: ''", "`a` has no type", "Write `a: string`"),
    ("a: «[»]", "does not say what it is a list of", "`[string]`"),
    ("a: «{»}", "the map is empty", "`output_schema`"),
    ("a: [string, «integer»]", "a list has one type, and here are 2", "`output_schema`"),
    ("a: [{b: string}, «{»c: string}]", "a list has one type, and here are 2", "`output_schema`"),
    ("a: [calm, «upset»]", "a list has one type, and here are 2", "`calm | upset`, and a list of its words `[calm | upset]`"),
    ("a: [string, «the tags»]", "a list has one type, and here are 2", '`["string, the tags"]`'),
]  # fmt: skip


def marked(text: str, fault: Fault) -> str:
    """A text of one line with the place of a fault between « and »."""
    line, start, end = text.split("\n")[fault.mark.line], fault.mark.column, fault.mark.column + fault.mark.length
    return f"{line[:start]}«{line[start:end]}»{line[end:]}"


@pytest.mark.parametrize(("slip", "says", "hint"), SLIPS, ids=[slip[0][:30] for slip in SLIPS])
def test_a_slip_is_found_where_it_stands(slip: str, says: str, hint: str) -> None:
    text = "returns:\n  " + slip.replace("«", "").replace("»", "")
    (fault,) = expanded(text).faults
    assert marked(text, fault) == f"  {slip}"
    assert says in fault.message
    assert hint in fault.hint


# The same of what stands under `input`.
NAMES = [
    ("input: {«the text»: string}", "no name that a template can read", "Write `the_text`"),
    ("input: {«my-text?»: string}", "no name that a template can read", "Write `my_text?`"),
    ("input: {«2nd»: string}", "no name that a template can read", "Write `n2nd`"),
    ("input: {«''»: string}", "no name that a template can read", "Write `name`"),
    ("input: {«'tags[]'»: string}", "no name that a template can read", "Write `tags: string[]`."),
    ("input: {x: string, «x?»: string}", "`x` stands twice", "Keep one of them."),
    ("input: {a: string, «the text»}", "`the text` has no type", '`"string, the text"`'),
    ("input: {a: integer 1.., «the count»}", "`the count` has no type", '`"integer 1.., the count"`'),
    ("input: {a: string, «upset»}", "`upset` has no type", '`"string, upset"`'),
    ("input: {«a»}", "`a` has no type", "Write `a: string`"),
    ("input: {«type»: object, properties: {a: {type: string}}}", "this is JSON Schema", "Call the key `input_schema`."),
    ("input: {«properties»: {a: {type: string}}, required: [a]}", "this is JSON Schema", "`input_schema`"),
    ("input: {«$defs»: {}, a: string}", "this is JSON Schema", "`input_schema`"),
    ("input: {«type»: [string, 'null'], description: x}", "this is JSON Schema", "`input_schema`"),
    ("input: {a: {«type»: string, description: The text.}}", "this is JSON Schema", "Write `a: string, The text.`."),
    ("input: {a: {«type»: string, maxLength: 60}}", "this is JSON Schema", "Write `a: string ..60`."),
    ("input: {a: {«type»: string, pattern: '^x?$'}}", "this is JSON Schema", "as in `a: string`, or the whole contract"),
    ("input: {a: {«type»: text, required: true}}", "this is JSON Schema", "Write `a: text`."),
    ("input: {a: {«type»: int, min: 1, max: 5, optional: true}}", "this is JSON Schema", "Write `a?: integer 1..5`."),
    ("input: {a: {«choices»: [calm, upset], description: The mood}}", "JSON Schema", "Write `a: calm | upset, The mood`."),
    ("input: {a: {«type»: text, options: [calm, upset]}}", "this is JSON Schema", "Write `a: calm | upset`."),
    ("input: {a: {«description»: The mood, example: calm}}", "this is JSON Schema", "Write `a: string, The mood`."),
    ("input: {a: {«type»: array, items: {type: string}}}", "this is JSON Schema", "the whole contract as `input_schema`"),
    ("input: «string»", "`input` must be a map", "Write `text: string`"),
    ("input: «[»string]", "`input` must be a map", "Write `text: string`"),
    ("input: «5»", "`input` must be a map", "Write `text: string`"),
]  # fmt: skip


@pytest.mark.parametrize(("slip", "says", "hint"), NAMES, ids=[slip[0][:30] for slip in NAMES])
def test_a_slip_in_a_map_is_found_where_it_stands(slip: str, says: str, hint: str) -> None:
    text = slip.replace("«", "").replace("»", "")
    (fault,) = expanded(text, "input").faults
    assert marked(text, fault) == slip
    assert says in fault.message
    assert hint in fault.hint


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("returns:", Mark(0, 8, 1)),
        ("returns: |\n  calm\n  | upset\n  | calm\n", Mark(3, 4, 4)),
        ("returns: >\n  calm\n  | calm\n", Mark(0, 9, 1)),
        ('returns: "strng\\t"', Mark(0, 9, 9)),
        ("returns: 'strng 1..2'", Mark(0, 10, 5)),
        ("returns: calm\n  | calm", Mark(0, 9, 4)),
    ],
)
def test_a_place_is_exact_where_the_text_is_as_it_is_written(text: str, mark: Mark) -> None:
    assert [fault.mark for fault in expanded(text).faults] == [mark]


def test_properties_may_be_called_as_the_words_of_json_schema_are() -> None:
    found = expanded(
        "input: {type: string, description: text, items: '[string]', enum: a | b}".replace("'", ""), "input"
    )
    assert found.faults == ()
    assert list(found.schema["properties"]) == ["type", "description", "items", "enum"]


@pytest.mark.parametrize(
    "types",
    ["{a: {type: text, description: text}}", "{a: {min: number, max: number}}", "size:s | size:l", "don’t know | it’s ok",
     "{a: {options: [text], values: 'number[]'}}", "10:30 | 11:30"],
)  # fmt: skip
def test_what_is_like_another_language_and_right_is_left_alone(types: str) -> None:
    assert expanded(f"returns: {types}").faults == ()


def test_all_faults_are_found_in_the_order_of_the_text() -> None:
    found = expanded("returns:\n  a: strng\n  b: {c: int, d: string}\n  e: [bool]\n  the f: string\n")
    assert [fault.mark.line for fault in found.faults] == [1, 2, 3, 4]


# What stops YAML, and words of the hint; nothing is said of another key.
NO_YAML = [
    ("input: {tags: string[]}", 'quote the type, `"string[]"`'),
    ("name: x\ninput:\n  a: string\n  tags: [integer[]]", 'quote the type, `"integer[]"`'),
    ("input: {a: string,\n  tags: list[string]}", 'quote the type, `"string[]"`'),
    ("returns: {a: string: the text}", "quote a type whose description contains `: `"),
    ("returns:\n  a: string, the text: all of it", "quote a type whose description contains `: `"),
    ('returns: "calm" | "upset"', "An enum is written without quotes"),
    ("input:\n  tags: []string", "A list is written `string[]`"),
    ("input:\n  a string\n  b: string", "In the line before, the colon is missing: `a: string`."),
    ("name = x\ninput: {a: text}", "In the line before, the colon is missing: `name: x`."),
    ("name\uff1a x\ninput: {a: text}", "In the line before, the colon is missing: `name: x`."),
    ("a: x\n\tb: y", ""),
    ("input:\n\ta: text", "indented with a tab"),
    ("d: {a: 'The customer's mood'}", 'put the other quotes around all of it, `"The customer\'s mood"`'),
    ('d: {p: "^\\d+$"}', "put single quotes around the text"),
    ("d: {a: @b}", "starts with `@`"),
    ("d: {a: >-\n  b}", "does not stand in braces"),
    ("d: {{type: string}}", "A mapping has one brace on each side: `{type: string}`."),
    ("d: 'calm' | 'upset'", "`enum: [a, b]`"),
    ("d: {a: b\nc: d", "the `{` is not closed"),
    ("d: [a, b\nc: d", "the `[` is not closed"),
    ("d: {a: see #12}\nc: d", "begins a comment"),
    ("input: {a: {b: string}", ""),
    ("x:\n  a b: c\n d: e", ""),
    ("input: {a: string}\ntags: [a[]]", ""),
    ("tags: [a[]]", ""),
]


@pytest.mark.parametrize(("text", "hint"), NO_YAML)
def test_what_is_no_yaml_in_a_contract_has_a_hint_of_its_own(text: str, hint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(text)
    found = in_yaml(text, caught.value)
    assert hint in found
    assert bool(found) is bool(hint)


# --- the same values -----------------------------------------------------------------------------

# A shape is what a short contract means, written without it: (kind, low, high), ("enum", words),
# ("list", shape, low, high) and ("map", {name: (shape, optional)}).

WORDS = st.sampled_from(["calm", "upset", "in progress", "x-1", "né", "no"])
NAMED = st.sampled_from(["a", "b", "text", "größe", "type", "_c"])


@st.composite
def bounds(draw: st.DrawFn, ends: st.SearchStrategy[Any]) -> tuple[Any, Any]:
    """Two ends, either of them open."""
    low, high = sorted([draw(ends), draw(ends)])
    return draw(st.sampled_from([(low, high), (low, None), (None, high), (None, None)]))


FRACTIONS = st.integers(-8, 8).map(lambda n: n / 4)
SIZES = bounds(st.integers(0, 4))
SCALARS = st.one_of(
    st.tuples(st.just("string"), SIZES),
    st.tuples(st.just("integer"), bounds(st.integers(-5, 5))),
    st.tuples(st.just("number"), bounds(FRACTIONS)),
    st.tuples(st.just("boolean"), st.just((None, None))),
    st.tuples(st.just("enum"), st.lists(WORDS, min_size=2, max_size=4, unique=True)),
)
PLAIN_LISTS = st.tuples(st.just("plain list"), st.sampled_from(["string", "integer", "number", "boolean"]), SIZES)
SHAPES = st.recursive(
    SCALARS | PLAIN_LISTS,
    lambda inner: (
        st.tuples(st.just("list"), inner)
        | st.tuples(st.just("map"), st.dictionaries(NAMED, st.tuples(inner, st.booleans()), min_size=1, max_size=4))
    ),
    max_leaves=8,
)


def in_words(shape: Any) -> Any:
    """A shape as what stands in the file."""
    kind, detail, *more = shape
    if kind == "enum":
        return " | ".join(detail)
    if kind == "list":
        return [in_words(detail)]
    if kind == "map":
        return {f"{name}?" if optional else name: in_words(inner) for name, (inner, optional) in detail.items()}
    name, (low, high) = (f"{detail}[]", more[0]) if kind == "plain list" else (kind, detail)
    ends = ["" if end is None else f"{end:g}" for end in (low, high)]
    return name if ends == ["", ""] else f"{name} {'..'.join(ends)}"


def fits(shape: Any, value: Any) -> bool:
    """Whether a shape is meant to take a value."""
    kind, detail, *more = shape
    if kind == "enum":
        return isinstance(value, str) and value in detail
    if kind == "list":
        return isinstance(value, list) and all(fits(detail, item) for item in value)
    if kind == "map":
        needed = {name for name, (_, optional) in detail.items() if not optional}
        return (
            isinstance(value, dict)
            and needed <= value.keys() <= detail.keys()
            and all(fits(detail[name][0], item) for name, item in value.items())
        )
    if kind == "plain list":
        whole = isinstance(value, list) and all(fits((detail, (None, None)), item) for item in value)
        return whole and within(more[0], len(value))
    if kind == "string":
        return isinstance(value, str) and within(detail, len(value))
    if kind == "boolean":
        return isinstance(value, bool)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and within(detail, value) and (kind == "number" or value == int(value))


def within(ends: tuple[Any, Any], size: float) -> bool:
    low, high = ends
    return (low is None or low <= size) and (high is None or size <= high)


def near(shape: Any) -> st.SearchStrategy[Any]:
    """Values that fit a shape, or nearly do."""
    kind, detail, *_ = shape
    if kind == "map":
        fields = {name: near(inner) for name, (inner, _) in detail.items()}
        return st.fixed_dictionaries({}, optional={**fields, "extra": st.none()}) | st.fixed_dictionaries(fields)
    if kind in ("list", "plain list"):
        return st.lists(near(detail) if kind == "list" else near((detail, (None, None))), max_size=5)
    if kind == "enum":
        return st.sampled_from(detail) | WORDS
    return {
        "string": st.text(max_size=6),
        "integer": st.integers(-6, 6) | FRACTIONS,
        "number": FRACTIONS,
        "boolean": st.booleans(),
    }[kind]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-6, 6) | FRACTIONS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMED, inner, max_size=3),
    max_leaves=5,
)


@examples(300)
@given(SHAPES, st.data())
def test_a_contract_and_its_expansion_take_the_same_values(shape: Any, data: st.DataObject) -> None:
    found = expanded("returns: " + json.dumps(in_words(shape)))
    assert found.faults == ()
    assert errors_in(schema_problems({"type": "object", "properties": {"value": found.schema}})) == ()
    contract = Contract(found.schema)
    for value in data.draw(st.lists(near(shape) | ANYTHING, min_size=1, max_size=8)):
        assert contract.accepts(value) == fits(shape, value), value


# --- whatever is written -------------------------------------------------------------------------

PIECES = [
    *TYPES, "[]", "[", "]", "{", "}", "(", ",", ", ", " ", "|", " | ", "..", "1", "-2.5", "?", "a", "list", "enum", "of", "or", "null",
    ": ", "\n  ", "'", '"', "type: string", "é", "😀", "\t", "*x", "&x ", "- ", "> ", "1e9", ".",
]  # fmt: skip


@example("{type: [], description: 1}", "returns")
@example("{? a, b}", "input")
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=14).map("".join),
    st.sampled_from(["input", "returns"]),
)
def test_whatever_is_written_is_a_schema_or_faults_inside_the_text(written: str, key: str) -> None:
    text = f"{key}: {written}"
    try:
        root, _ = read(text)
    except DocumentError:
        return
    if key not in root.children:
        return
    found = expand(root.children[key], one_type=key == "returns")
    if not found.faults:
        assert errors_in(schema_problems({"type": "object", "properties": {"value": found.schema}})) == ()
    for fault in found.faults:
        assert fault.message
        assert fault.hint.endswith((".", "?"))
        assert 0 <= fault.mark.line <= text.count("\n") + 1
        assert fault.mark.length >= 1


@pytest.mark.parametrize(
    "text",
    [
        "returns: " + "a | " * 200_000 + "b",
        "returns: string" + "[]" * 400_000,
        "returns: string " + "1" * 800_000 + "..",
        "returns: string " + "." * 800_000,
        "returns: string " + "x " * 400_000 + "y",
        "returns: " + "x" * 800_000,
        "returns: list[" + "x[" * 300_000,
        "returns: " + "(" * 800_000,
        "returns: a |" + " " * 800_000 + "b?",
        "returns: {" + "".join(f"x{n}: any, " for n in range(25_000)) + "y: any}",
        "a: &a {b: any, c: any, d: any, e: any}\nb: &b {f: *a, g: *a, h: *a, i: *a, j: *a, k: *a}\nc: &c [*b]\n"
         "returns: {" + "".join(f"x{n}: *c, " for n in range(500)) + "y: any}",
        "returns: string," + " x" * 400_000,
        "returns: [" + "strng, " * 15_000 + "x]",
        "returns: {" + "".join(f"x{n}: strng, " for n in range(15_000)) + "y: string}",
        "input: {" + "".join(f"x {n}: string, " for n in range(15_000)) + "y: string}",
        "big: &b '" + "a | b" + "x" * 500_000 + "'\nreturns: {" + "".join(f"x{n}: *b, " for n in range(30_000)) + "y: string}",
        "big: &b {type: string, description: 'string, " + "x" * 500_000 + "'}\nreturns: {"
        + "".join(f"x{n}: *b, " for n in range(15_000)) + "y: string}",
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_contracts_take_no_long(text: str) -> None:
    root, _ = read(text)
    (node,) = (root.children[key] for key in ("input", "returns") if key in root.children)
    start = time.monotonic()
    found = expand(node, one_type=True)
    assert errors_in(schema_problems(found.schema, is_object=False)) == ()
    assert time.monotonic() - start < 3
    assert len(found.faults) <= MAX_FAULTS
    assert all(len(fault.message) < 300 and len(fault.hint) < 400 for fault in found.faults)
