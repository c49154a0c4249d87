"""Reading JSON out of model text: what is repaired, what is refused, and what the model is then told."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from runllm.errors import OutputSchemaError
from runllm.reading import Extraction, extract
from runllm.schema import Contract

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "spec" / "extraction.jsonl").read_text("utf-8").splitlines()
]
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["age"],
    "additionalProperties": False,
}
OBJECT: dict[str, Any] = {"type": "object"}
SEVERAL_VALUES = "several values are not made into one array: which of them are the answer is a guess"
NULL_FOR_ABSENT = "expects null for an absent optional property: nothing is filled in"
EXCEPTIONS = {
    "baml-basics-test_multiple_top_level_2": SEVERAL_VALUES,
    "baml-basics-test_multiple_top_level_prefix_suffix_2": SEVERAL_VALUES,
    "jr-son_repair-multiple_jsons-3": SEVERAL_VALUES,
    "jr-son_repair-multiple_jsons-4": SEVERAL_VALUES,
    "jr-son_repair-multiple_jsons-5": SEVERAL_VALUES,
    "jr-arse_object-parse_object_merge_at_the_end-4": SEVERAL_VALUES,
    "baml-basics-test_localization2": NULL_FOR_ABSENT,
    "baml-class-test_optional_foo": NULL_FOR_ABSENT,
    "baml-class-test_multi_fielded_foo": NULL_FOR_ABSENT,
}


def exact(value: Any) -> str:
    """A text that tells 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def refused(text: str, schema: Any = OBJECT, **how: Any) -> OutputSchemaError:
    with pytest.raises(OutputSchemaError) as caught:
        extract(text, schema, **how)
    return caught.value


def tried(text: str, contract: Contract) -> Extraction | None:
    try:
        return extract(text, contract)
    except OutputSchemaError:
        return None


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_case_is_read_right_or_refused(case: dict[str, Any]) -> None:
    """Strict, envelope, syntax and coercion cases are right, the rest never silently wrong."""
    found = tried(case["raw"], Contract(case["schema"]))
    tier = re.search(r"tier: ([\w-]+)", case["note"])
    assert tier
    reason = EXCEPTIONS.get(case["id"])
    if case.get("must_fail") or reason == SEVERAL_VALUES:
        assert found is None
    elif reason == NULL_FOR_ABSENT:
        assert found
        assert found.value == without_nulls(case["expected"])
    elif tier[1] == "guess":
        assert found is None or case.get("disputed") or found.value == case["expected"]
    else:
        assert found
        assert found.value == case["expected"]
        assert bool(found.repairs) == (tier[1] != "strict")


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"a": 1}', {"a": 1}, ()),
        ('{"a": 1, "a": 1}', {"a": 1}, ()),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}, ()),
        ('\ufeff{"a": 1}', {"a": 1}, ("bom",)),
        ('\u00a0{"a":\u00a01}', {"a": 1}, ("unicode-space",)),
        ('Sure:\n{"a": 1}\nDone.', {"a": 1}, ("prose",)),
        ('```json\n{"a": 1}\n```', {"a": 1}, ("fence",)),
        ('Sure:\n~~~\n{"a": 1}\n~~~', {"a": 1}, ("fence", "prose")),
        ('```json\n{"a": 1}', {"a": 1}, ("fence",)),
        ('Here: ```json {"a": 1} ```', {"a": 1}, ("fence", "prose")),
        ('<json>{"a": 1}</json>', {"a": 1}, ("tag",)),
        ('json\n{"a": 1}', {"a": 1}, ("json-prefix",)),
        ('<think>first {"a": 2}?</think>\n{"a": 1}', {"a": 1}, ("thinking",)),
        ('<Think>first {"a": 2}?</Think>{"a": 1}', {"a": 1}, ("thinking",)),
        ('<thought>{"a": 2}</thought>\n{"a": 1}', {"a": 1}, ("thinking",)),
        ('<reasoning>\n{"a": 2}\n</reasoning>\n```json\n{"a": 1}\n```', {"a": 1}, ("thinking", "fence")),
        ('<scratchpad>{"a": 2}</scratchpad>{"a": 1}', {"a": 1}, ("thinking",)),
        ('<seed:think>{"a": 2}</seed:think>{"a": 1}', {"a": 1}, ("thinking",)),
        ('[THINK]maybe {"a": 2}[/THINK]{"a": 1}', {"a": 1}, ("thinking",)),
        (
            '<|channel|>analysis<|message|>{"a": 2}<|end|><|channel|>final <|constrain|>json<|message|>{"a": 1}<|return|>',
            {"a": 1},
            ("thinking",),
        ),
        ('<|channel|>final<|message|>{"a": 1}', {"a": 1}, ("thinking",)),
        ('{"a": "<think>{</think>"}', {"a": "<think>{</think>"}, ()),
        ('{"a": 1, // one\n "b": [2 /* two */], # three\n "c": 3}', {"a": 1, "b": [2], "c": 3}, ("comment",)),
        ('{"a": [1, 2,],}', {"a": [1, 2]}, ("trailing-comma",)),
        ('{"a": 1\n "b": 2}', {"a": 1, "b": 2}, ("missing-comma",)),
        ("{'a': `x`, “b”: ‘y’}", {"a": "x", "b": "y"}, ("quote-style",)),
        ('{"a": """say "hi"!"""}', {"a": 'say "hi"!'}, ("triple-quote",)),
        ('{a: 1, $b_2: 2, "c": 3}', {"a": 1, "$b_2": 2, "c": 3}, ("unquoted-key",)),
        ('{"a": [True, False, None]}', {"a": [True, False, None]}, ("python-literal",)),
        ('{"a": "x\ny\tz"}', {"a": "x\ny\tz"}, ("raw-control",)),
        (r'{"a": "\d+ \n"}', {"a": "\\d+ \n"}, ("unknown-escape",)),
        (r'{"a": "it\'s"}', {"a": "it's"}, ("needless-escape",)),
        ('{"a": [+3, .5, 5.]}', {"a": [3, 0.5, 5.0]}, ("number-form",)),
        (r'{"a": "\ud83d\ude00",}', {"a": "😀"}, ("trailing-comma",)),
        (json.dumps(json.dumps({"a": 'x"y'})), {"a": 'x"y'}, ("double-encoded",)),
        ("```json\n{'a': 1,}\n```", {"a": 1}, ("fence", "quote-style", "trailing-comma")),
    ],
)
def test_what_can_be_read_in_one_way_is_read(text: str, value: Any, repairs: tuple[str, ...]) -> None:
    """Each repair gives the one possible value and is reported by name."""
    found = extract(text, OBJECT)
    assert (exact(found.value), found.repairs) == (exact(value), repairs)


@pytest.mark.parametrize(
    "written",
    [
        r"\frac{1}{2}", r"\bword", r"\begin{x}", r"$\theta$", r"a \times b", r"\text{a}", r"\nabla f", r"\rho", r"\\\frac",
        r"C:\temp\new", r"C:\new\notes.txt", r"D:\tools\build", r"\right)", r"\to\infty", r"\neq",
        r"$p \to q$", r"$\neg p$", r"$x \ne y$", r"$x\ne y$", r"$x \not= y$", r"$a \notin B$", r"so $A \ni x$.", r"$\tan x$", r"$\nexists x$",
        r"$$f: A \to B$$", r"($n \nmid m$)", r"$\alpha \\ \nu$", r"$5 \ne 6$", r"if $x$ and $p \to q$, then",
        r"\not\in", r"a \notin B", r"\newline", r"a\newline b", r"\title{x}", r"\tag{1}", r"\nu", r"\ni", r"\nexists", r"\tan", r"\tan(x)",
        r"\newcommand{x}", r"\ref{a}", r"\renewcommand", r"a\rVert", r"src\test\run", r"app\node\run", r"src\test\new", r"lib\tools\node\x",
        r"..\test\a", r".\tools", r"x\node_modules",
    ],
)  # fmt: skip
def test_the_backslash_of_a_command_or_a_path_is_no_escape(written: str) -> None:
    """What JSON reads as a form feed, a backspace or a tab was hardly meant as one: it goes back to the model."""
    for text in (f'{{"a": "{written}"}}', f'So: {{"a": "{written}"}}', f'{{"a": "{written}",}}'):
        assert "can be read in two ways" in refused(text).problems[0].message


@pytest.mark.parametrize(
    "written",
    [
        r"one\ntwo", r"a\tb", r"\\frac{1}{2}", r"C:\\temp\\new", r"A:\nfoo", r"Q:\nWhat?\nA:\nThat.", r"k:\tvalue",
        r"\nnot this", r"x\nequal", r"a\nnew line", r"\n\nto do", r"tab\ttext here", r"line\r\nright here", r"\tto", r"a\b",
        r"a:\nb\nc", r"total\nnew line", r"- one\n- two\n- new", r"\tif x:\n\t\treturn y\n", r"name\tage\nbob\t5", r"id\ttype\tnote\n1\ta\tb",
        r"It costs $5\ne $6 domani", r"$5\nor $6", r"5$\ni 6$", r"$HOME\t$PATH", r"$a = 1;\n$i = 2", r"from $x\nto $y", r"in US$\nu ", r"x\r\ny", r"10%\r20%",
        r"\ttext: one\ttwo", r"one\ttest\ttwo", r"what\nexists\nhere", r"^a$\nnot b$", r"\tint x;\n\tint y;", r"for\tnew\n", r"\tfunc(x) {\n", r"\ne poi", r"\u000cage", r"at C:\nthen D:\nthen", r"he said \"no\"",
    ],
)  # fmt: skip
def test_an_escape_that_may_be_meant_is_one(written: str) -> None:
    text = f'{{"a": "{written}"}}'
    assert extract(text, OBJECT) == Extraction(value=json.loads(text), repairs=())


@pytest.mark.parametrize(
    ("schema", "given", "value", "repairs"),
    [
        ({"type": "integer"}, "3", 3, ("number-from-string at /x",)),
        ({"type": ["integer", "null"]}, "-12", -12, ("number-from-string at /x",)),
        ({"type": "number"}, "2.50", 2.5, ("number-from-string at /x",)),
        ({"type": "number"}, "7", 7, ("number-from-string at /x",)),
        ({"type": "boolean"}, "True", True, ("boolean-from-string at /x",)),
        ({"enum": ["Positive", "Negative"]}, " positive\n", "Positive", ("enum-spelling at /x",)),
        ({"const": "Yes"}, "YES", "Yes", ("enum-spelling at /x",)),
        ({"enum": ["Positive", "Negative"]}, "**positive**", "Positive", ("enum-spelling at /x",)),
        ({"enum": ["Positive", "Negative"]}, "`Positive`", "Positive", ("enum-spelling at /x",)),
        ({"enum": ["Positive", "Negative"]}, "Positive.", "Positive", ("enum-spelling at /x",)),
        ({"type": "integer"}, 3.0, 3, ("integer-from-float at /x",)),
        ({"type": "number"}, 3.0, 3.0, ()),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2, "3"], [1, 2, 3], ("number-from-string at /x/*",)),
        ({"type": "array", "prefixItems": [{"type": "boolean"}]}, ["true", "3"], [True, "3"],
         ("boolean-from-string at /x/*",)),
        ({"allOf": [{"$ref": "#/$defs/count"}]}, "4", 4, ("number-from-string at /x",)),
        ({"additionalProperties": {"$ref": "#/$defs/count"}}, {"p": "4"}, {"p": 4}, ("number-from-string at /x/p",)),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "4", "4", ()),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2], ("json-from-string at /x",)),
        ({"type": ["object", "null"]}, '{"a": 1}', {"a": 1}, ("json-from-string at /x",)),
        ({"type": "array", "items": {"type": "integer"}}, '["1"]', [1],
         ("json-from-string at /x", "number-from-string at /x/*")),
        ({"type": ["array", "string"]}, "[1]", "[1]", ()),
        ({}, "[1]", "[1]", ()),
        ({"enum": ["caf\u00e9", "tea"]}, "cafe\u0301", "caf\u00e9", ("unicode-form at /x",)),
        ({"enum": ["cafe\u0301"]}, "Caf\u00e9", "cafe\u0301", ("enum-spelling at /x",)),
        ({"type": "object", "properties": {"caf\u00e9": {}}, "additionalProperties": False}, {"cafe\u0301": 1},
         {"caf\u00e9": 1}, ("unicode-form at /x/caf\u00e9",)),
        ({"type": "object", "properties": {"caf\u00e9": {}}}, {"cafe\u0301": 1, "caf\u00e9": 2},
         {"cafe\u0301": 1, "caf\u00e9": 2}, ()),
        ({"anyOf": [{"properties": {"k": {"const": "a"}, "v": {"type": "integer"}}, "required": ["k", "v"]},
                    {"properties": {"k": {"const": "b"}, "v": {"type": "boolean"}}, "required": ["k", "v"]}]},
         {"k": "B", "v": "true"}, {"k": "b", "v": True}, ("enum-spelling at /x/k", "boolean-from-string at /x/v")),
        ({"if": {"const": "never"}, "then": {"enum": ["Foo"]}}, "foo", "foo", ()),
    ],
)  # fmt: skip
def test_the_schema_asks_for_a_change(schema: Any, given: Any, value: Any, repairs: tuple[str, ...]) -> None:
    """A value is changed where the schema leaves it one meaning, and nowhere else."""
    whole = {"type": "object", "properties": {"x": schema}, "$defs": {"count": {"type": "integer"}}}
    found = extract(json.dumps({"x": given}), whole)
    assert (exact(found.value), found.repairs) == (exact({"x": value}), repairs)


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"age": 1, "name": null}', {"age": 1}, ("null-dropped at /name",)),
        ('{"age": 1, "why": "I was asked"}', {"age": 1}, ("key-dropped at /why",)),
    ],
)
def test_what_the_schema_forbids_is_dropped(text: str, value: Any, repairs: tuple[str, ...]) -> None:
    """Null for an optional property and a key too many are dropped, and said."""
    found = extract(text, PERSON)
    assert (found.value, found.repairs) == (value, repairs)


def test_alternatives_told_apart_by_a_constant_may_nest() -> None:
    """A tree of tagged nodes is coerced at any depth."""
    kinds = [
        {"type": "object", "properties": {"kind": {"const": kind}, "of": {"$ref": "#/$defs/node"}}, "required": ["kind", "of"]}
        for kind in ("box", "row", "list")
    ]  # fmt: skip
    schema = {"$ref": "#/$defs/node", "$defs": {"node": {"anyOf": [*kinds, {"type": "integer"}]}}}
    given: Any = {"kind": "Row", "of": 3}
    value: Any = {"kind": "row", "of": 3}
    for _ in range(8):
        given, value = {"kind": "box", "of": given}, {"kind": "box", "of": value}
    assert extract(json.dumps(given), schema).value == value


@pytest.mark.parametrize("written", ["3.0", "3.7", " 3", "03", "3 points", "$3", "50%", "1/4", "three", "1e2", "٣", ""])
def test_a_string_that_is_no_canonical_integer_is_refused(written: str) -> None:
    """A number is never made out of a text that JSON would not write it as."""
    assert refused(json.dumps({"age": written}), PERSON).problems[0].pointer == "/age"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "boolean"}, "yes"),
        ({"type": "boolean"}, 1),
        ({"type": "string"}, 5),
        ({"type": "string"}, {"a": 1}),
        ({"type": "integer"}, 3.7),
        ({"type": "integer"}, 1e20),
        ({"type": "array", "items": {"type": "string"}}, "one"),
        ({"type": "object"}, [{"a": 1}]),
        ({"type": ["object", "string"], "required": ["a"]}, ["a"]),
        ({"enum": ["Positive", "Negative"]}, "pos"),
        ({"enum": ["a", "A"]}, "Ａ"),
        ({"enum": ["on", "ON"]}, "On"),
        ({"type": "object", "properties": {"name": {}}, "additionalProperties": False}, {"result": {"name": 1}}),
        ({"type": "object", "properties": {"name": {}, "b": {}}, "additionalProperties": False}, {"nmae": 1, "b": 2}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": None}),
        ({"anyOf": [{"properties": {"a": {}}, "additionalProperties": False},
                    {"properties": {"b": {}}, "additionalProperties": False}]}, {"a": 1, "b": 2}),
    ],
)  # fmt: skip
def test_a_meaning_is_never_guessed(schema: Any, value: Any) -> None:
    """What would have to be interpreted, wrapped, filled in or chosen goes back to the model."""
    error = refused(json.dumps({"x": value}), {"type": "object", "properties": {"x": schema}})
    assert error.problems[0].pointer.startswith("/x")


@pytest.mark.parametrize(
    ("text", "keyword", "told"),
    [
        ("", "syntax", "empty"),
        ("I cannot do that.", "syntax", "no JSON"),
        ("The answer is 3.", "syntax", "no JSON"),
        ('{"a": 1', "truncated", "line 1, column 8"),
        ('{"a": "x', "truncated", "line 1, column 7: a string is opened here and never closed"),
        ('{"a": 1, // and so on }', "truncated", "a key"),
        ('{"a": 1 /* and so on', "truncated", "comment"),
        ('[{"a": 1}, {"a": 2}', "truncated", "`]`"),
        ('{"outer": {"a": 1}', "truncated", "`}`"),
        ('[[1], and\n\n{"a": 1}', "truncated", "`and`"),
        ('{"a": "</think> [1]', "truncated", "a string is opened here"),
        ('<think>so</think>{"a": "</think> [1]', "truncated", "a string is opened here"),
        ('["x\n\n{a: 1}', "truncated", "a string is opened here"),
        ('{"a": 1} or rather {"a": 2, "b', "truncated", "never closed"),
        ('```json\n{"a": 1,\n```', "truncated", "line 3"),
        ('<think>it may be {"a": 1}', "truncated", "reasoning"),
        ('{"a": 1}\n{"a": 2}', "ambiguous", "several different values"),
        ('```\n{"a": 1}\n```\n```\n{"a": 2}\n```', "ambiguous", "several different values"),
        ('{"a": 1, "a": 2}', "syntax", "`a` is given twice"),
        ('{"a": 1, "a": true}', "syntax", "`a` is given twice"),
        ('{"a": NaN}', "syntax", "`NaN` is not a JSON number"),
        ('{"a": -Infinity}', "syntax", "`-Infinity` is not"),
        ('{"a": 1e999}', "syntax", "too large"),
        ('{"a": ' + "9" * 5000 + "}", "syntax", "too large"),
        ('{"a": [1, 2, ...]}', "syntax", "ellipsis"),
        ('{"a": "he said "no""}', "syntax", "column 17: `no` stands where a comma"),
        ("{'a': 'it's'}", "syntax", "`s` stands where a comma"),
        ('{"a": maybe}', "syntax", "`maybe` stands where a value"),
        ('{"a" 1}', "syntax", "`1` stands where a colon"),
        ('{"a": 1 "b": 2}', "syntax", "where a comma"),
        ('{"a": ["x"\n"y"]}', "syntax", "where a comma"),
        ('{"a": 1,, "b": 2}', "syntax", "a key"),
        ('{"a": }', "syntax", "where a value"),
        ('{"a": 007}', "syntax", "`007`"),
        ('{"a": 1_000}', "syntax", "`1_000`"),
        ('{"a": 0x1F}', "syntax", "`0x1F`"),
        ('{"a": 1/4}', "syntax", "`1/4`"),
        ('{"a": 50%}', "syntax", "`50%`"),
        ('{5: "x"}', "syntax", "a key in quotes"),
        (r'{"a": "C:\Users\new"}', "syntax", "read in two ways"),
        ('{"b": bad} but perhaps {"a": 1}', "syntax", "`bad`"),
        ('"a": {"x": 1}, "b": 2}', "syntax", "beginning of its object is missing"),
        ('note [see: {"a": 1}', "syntax", "the bracket at line 1, column 6"),
        ('{"a": "\\ud800"}', "unicode", "surrogate"),
        ('{"a": "\ud800"}', "unicode", "surrogate"),
        ("[" * 201 + "]" * 201, "syntax", "deeper than 200"),
        ("[1]", "type", "not of type"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_the_reason(text: str, keyword: str, told: str) -> None:
    """The first problem says what is wrong and where, and everything in the error can be written as UTF-8."""
    error = refused(text)
    assert error.problems[0].keyword == keyword
    assert told in error.problems[0].message
    assert json.dumps(error.payload(), ensure_ascii=False).encode()


def test_a_text_cut_off_at_the_token_limit_is_not_read() -> None:
    """Even a complete value is refused after `length`: more may have followed."""
    assert refused('{"a": 1}', finish_reason="length").problems[0].keyword == "truncated"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('For example {"a": 0} is wrong.\n```json\n{"a": 1}\n```', {"a": 1}),
        ('The set {x}, the interval [0, 1), a list [see below]: {"a": 1}', {"a": 1}),
        ('Note [unfinished.\n\n{"a": 1}', {"a": 1}),
        ('Note [unfinished\n```json\n{"a": 1}\n```\n\nSo {"a": 2} is not.', {"a": 1}),
        ('{"a": 1} is the answer; again: {"a": 1}', {"a": 1}),
        ('```python\nx = {"a": 5}\n```\n{"a": 1}', {"a": 1}),
        ('{"a": "```\\n{}\\n```"}', {"a": "```\n{}\n```"}),
        ('{"a": "```json\n{}\n```",}', {"a": "```json\n{}\n```"}),
        ('{"a": 1, "b": 2} or, in another order, {"b": 2, "a": 1}', {"a": 1, "b": 2}),
        ('```json\n{"a": "</think>"}\n```', {"a": "</think>"}),
        ('<think>{"b": and then</think>{"a": 1}', {"a": 1}),
        ('I would begin with {"b": and then think</think>{"a": 1}', {"a": 1}),
        ('<think>an open { here</think>```json\n{"a": "</think>"}\n```', {"a": "</think>"}),
    ],
)
def test_the_answer_is_told_from_what_stands_around_it(text: str, value: Any) -> None:
    """Fences come before prose, and what looks like a fence, a tag or a value inside a string is text."""
    assert extract(text, OBJECT).value == value


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("```\n5\n```", {"type": "integer"}, 5),
        ("<think>2 + 2</think> 4", {"type": "integer"}, 4),
        ('"1"', {"type": "integer"}, 1),
        ("\ufefftrue", {"type": "boolean"}, True),
        ('"{}"', {"type": "string"}, "{}"),
        ("null", {}, None),
        ("[1, [2]]", {"type": "array"}, [1, [2]]),
    ],
)
def test_a_root_may_be_of_any_type(text: str, schema: Any, value: Any) -> None:
    """A scalar is the whole answer or the whole of a fence."""
    assert exact(extract(text, schema).value) == exact(value)


def test_every_violation_is_told_with_its_place() -> None:
    """The problems of valid JSON are the schema violations that are left after coercion."""
    error = refused('{"age": "old", "name": 5}', PERSON)
    assert [(p.pointer, p.keyword) for p in error.problems] == [("/age", "type"), ("/name", "type")]
    assert error.expected_schema == PERSON
    assert error.received == '{"age": "old", "name": 5}'


def test_the_problems_are_those_of_the_value_that_comes_nearest() -> None:
    """A list in the prose is not what the model is told to correct."""
    error = refused('Sources [1] and [2].\n{"name": "Ada"}', PERSON)
    assert [p.message for p in error.problems] == ["`age` is required but missing"]


def test_a_long_answer_is_narrowed_down_to_what_does_not_fit() -> None:
    """Alternatives in a long list are explained by the place and the value at fault."""
    item = {
        "anyOf": [{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}, {"type": "null"}]
    }
    items: list[Any] = [{"n": 1}] * 3000
    items[2000] = {"n": "x"}
    error = refused(json.dumps(items), {"type": "array", "items": item})
    assert [(p.pointer, p.message) for p in error.problems] == [("/2000/n", '"x" is not of type "integer"')]


def test_a_long_answer_is_quoted_in_part() -> None:
    """An error does not carry a whole book."""
    assert len(refused("word " * 10_000).received) < 5_000


def test_many_changes_are_counted() -> None:
    """The list of repairs stays short whatever the answer."""
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    found = extract(json.dumps({str(n): "1" for n in range(100)}), schema)
    assert len(found.repairs) == 51
    assert found.repairs[-1] == "50 more"


UNITS = [
    "{", "[", '"', "'", "`", "```\n", "```json\n", "{} ", "[1] ", "{x} ", '{"a": ', '{"a": 1} ', '{"a": x} ', "{a: x} ",
    "[x\n\n", "/*", "{ /* } ", "//", "\\", "{'", '{"""', "[''' ", "“", "</think>", '</think>{"a": 1}', ' "a": {"b": 1},',
    "\n", " ", "\ud800", "1", "[1,", "{,", '{"a": {"a": ', "[{", "```json\n[1]\n```\n", '{"a": "b"c"}', '{"a": NaN} ', "<think>",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("ending", ["", '\n{"age": 1}', "*/ junk }"])
def test_no_long_answer_hangs(unit: str, ending: str) -> None:
    """100 KB of anything is settled at once (the bound only tells a hang from a busy machine)."""
    text = (unit * (100_000 // len(unit))) + ending
    began = time.perf_counter()
    tried(text, Contract(PERSON))
    assert time.perf_counter() - began < 30


def test_alternatives_inside_alternatives_do_not_multiply() -> None:
    """A recursive schema of many alternatives costs no more than the answer is long."""
    kinds = [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}, "l": {"type": "array", "items": {"$ref": "#/$defs/n"}},
                                          f"k{i}": {"type": "integer"}}, "additionalProperties": False}
        for i in range(5)
    ]  # fmt: skip
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [*kinds, {"type": "integer"}]}}}
    value: Any = {"l": [{"k0": "x"}] * 10_000}
    for _ in range(50):
        value = {"a": value}
    began = time.perf_counter()
    refused(json.dumps(value), schema)
    assert time.perf_counter() - began < 60


@pytest.mark.parametrize(
    "call",
    [
        '{"type": "tool_use", "id": "toolu_1", "name": "output", "input": {"x": 1}}',
        '{"tool": "output", "args": {"x": 1}}',
        '{"action": "output", "action_input": {"x": 1}}',
        '{"function": "output", "arguments": {"x": 1}}',
        '{"tool_calls": [{"id": "c", "type": "function", "function": {"name": "output", "arguments": "{\\"x\\": 1}"}}]}',
    ],
)
def test_a_call_that_is_written_as_text_is_read_in_every_form(call):
    found = tried(call, Contract({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"],
                                  "additionalProperties": False}))  # fmt: skip
    assert found
    assert (found.value, found.repairs[0]) == ({"x": 1}, "tool-call")
