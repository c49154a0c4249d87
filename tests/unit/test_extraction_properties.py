"""Extraction under any text and any value: bounded, lossless, and never deceived by a cut-off answer."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.errors import OutputSchemaError
from runllm.reading import extract
from runllm.schema import Contract

calm = examples(300, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    "{", "}", "[", "]", ",", ":", '"', "'", "`", "“", "”", "‘", "’", '"""', "'''", "```", "\n```\n", "```json\n", "~~~\n", "//", "/*",
    "*/", "#", "\\", '\\"', "\\u", "\\ud800", "\\n", "\\d", "\n", "\n\n", "\t", " ", "\u00a0", "\ufeff", "\u200b", "\u2028", "\x00",
    "\ud800", "a", "age", '"age"', '"age": ', "age: ", "name", "null", "true", "True", "None", "NaN", "-Infinity", "...", "1", "-", "+",
    ".", "1.0", "1e999", "0", "9" * 30, '"3"', "<think>", "</think>", "<json>", "</json>", "json", "{}", "[]", '{"age": 1}', "é", "𝕏",
    ")", "(1, 2)", "[0, 1)", "yes",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
CONTRACTS = [
    Contract(schema)
    for schema in (
        {},
        {"type": "object", "properties": {"age": {"type": "integer"}, "name": {"type": "string"}}, "required": ["age"],
         "additionalProperties": False},
        {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "boolean"}, {"$ref": "#"}]}},
        {"anyOf": [{"type": "object", "properties": {"age": {"type": "number"}}, "additionalProperties": False},
                   {"type": "object", "properties": {"name": {"$ref": "#"}}, "additionalProperties": False},
                   {"enum": ["Yes", "No", 1]}]},
        {"type": ["string", "null"]},
    )
]  # fmt: skip

CHARACTERS = st.characters(exclude_categories=["Cs"])
STRINGS = st.one_of(
    st.text(CHARACTERS, max_size=12),
    st.lists(st.sampled_from([p for p in PIECES if p != "\ud800"]), max_size=5).map("".join),
)
NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40), st.floats(allow_nan=False, allow_infinity=False), st.integers(-20, 20).map(float)
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, STRINGS)
KEYS = st.one_of(st.sampled_from(["a", "b_2", "$c", "name", "größe"]), STRINGS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(KEYS, VALUES, max_size=4)
PROSE = st.text(st.sampled_from("abcXYZ 09.,;:!?'\"-()<>/#*\n\tüß—’"), max_size=30).filter(
    lambda t: "</think>" not in t
)


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def schema_of(value: Any) -> dict[str, Any]:
    """The narrowest plain schema of a value."""
    if isinstance(value, dict):
        properties = {key: schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": properties, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        first = {"prefixItems": [schema_of(item) for item in value]} if value else {}
        return {"type": "array", **first, "minItems": len(value)}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return {"type": kinds[type(value)]}


class Careless:
    """Writes a value as a careless model would, with the slips that `draw` chooses."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw

    def chance(self) -> bool:
        return self.draw(st.integers(0, 3)) == 0

    def write(self, value: Any) -> str:
        if isinstance(value, dict):
            items = [f"{self.key(key)}{self.gap()}:{self.gap()}{self.write(item)}" for key, item in value.items()]
            return self.enclose("{", items, "}")
        if isinstance(value, list):
            return self.enclose("[", [self.write(item) for item in value], "]")
        if isinstance(value, str):
            return self.string(value)
        if self.chance() and (value is None or isinstance(value, bool)):
            return repr(value)
        return "+" + json.dumps(value) if isinstance(value, int) and value > 1 and self.chance() else json.dumps(value)

    def enclose(self, opening: str, items: list[str], closing: str) -> str:
        text = opening + self.gap()
        for index, item in enumerate(items):
            last = index == len(items) - 1
            # A comma may be missing before a quoted key on a new line.
            following = "" if last else items[index + 1]
            omit = opening == "{" and re.match(r'"(?:[^"\\\r\n]|\\.)+"\s*:', following) and self.chance()
            comma = "\n" if omit else "," if not last or self.chance() else ""
            text += item + self.gap() + comma + self.gap()
        return text + closing

    def gap(self) -> str:
        if not self.chance():
            return ""
        return self.draw(st.sampled_from([" ", "\n", "\t", "\u00a0", " // it's, so {\n", " /* [a], */ ", ' # "no\n']))

    def key(self, key: str) -> str:
        return key if re.fullmatch(r"[a-z$][\w$]*", key) and key not in ("true", "false", "null") else self.string(key)

    def string(self, text: str) -> str:
        opening, closing = self.draw(
            st.sampled_from(['""', '""', "''", "``", "“”", "‘’", ('"""', '"""'), ("'''", "'''")])
        )
        raw = self.chance()
        written = "".join(self.character(c, closing[0], raw) for c in text)
        return f"{opening}{written}{closing}" if len(opening) == 1 or text else '""'

    def character(self, char: str, quote: str, raw: bool) -> str:
        if char in ("\\", quote):
            return "\\" + char
        return json.dumps(char)[1:-1] if char < " " and not raw else char


@calm
@given(TEXTS, st.sampled_from(CONTRACTS))
def test_any_text_gives_a_value_that_fits_or_an_output_schema_error(text: str, contract: Contract) -> None:
    """Nothing else is raised, soon, the same each time, and in characters that can be written."""
    began = time.perf_counter()
    results: list[str] = []
    for _ in range(2):
        try:
            found = extract(text, contract)
        except OutputSchemaError as error:
            results.append(json.dumps(error.payload(), ensure_ascii=False))
        else:
            assert contract.accepts(found.value)
            results.append(json.dumps([found.value, found.repairs], ensure_ascii=False))
    assert results[0] == results[1]
    assert results[0].encode()
    assert time.perf_counter() - began < 20


@calm
@given(st.data(), CONTAINERS)
def test_a_valid_answer_is_never_lost(data: st.DataObject, value: Any) -> None:
    """However carelessly it is written and wrapped, exactly the value comes back."""
    written = Careless(data.draw).write(value)
    before, after = data.draw(PROSE), data.draw(PROSE)
    text = data.draw(
        st.sampled_from([
            written, f"{before}\n{written}\n{after}", f"{before}\n```json\n{written}\n```\n{after}", f"```\n{written}\n```",
            f"<json>{written}</json>", f"json\n{written}", f"\ufeff {written}", f"<think>{before} {{</think>{written}",
        ])
    )  # fmt: skip
    assert exact(extract(text, schema_of(value)).value) == exact(value)


@calm
@given(VALUES)
def test_plain_json_is_read_without_repairs(value: Any) -> None:
    """Standard JSON comes back as it is."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        found = extract(text, schema_of(value))
        assert (exact(found.value), found.repairs) == (exact(value), ())


@calm
@given(st.data(), CONTAINERS, PROSE)
def test_a_cut_off_value_is_never_accepted(data: st.DataObject, value: Any, prose: str) -> None:
    """Wherever an object or array is cut, what is left is no answer."""
    written = data.draw(
        st.sampled_from([json.dumps(value), json.dumps(value, indent=1), Careless(data.draw).write(value)])
    )
    length = data.draw(st.integers(1, len(written) - 1))
    before = ["", "```json\n"]
    if "</think>" not in written:  # behind prose it would end a reasoning
        before += [f"{prose}\n", f"{prose}\n```json\n"]
    wrapped = data.draw(st.sampled_from(before)) + written[:length]
    with pytest.raises(OutputSchemaError):
        extract(wrapped, {"type": ["object", "array"]})
