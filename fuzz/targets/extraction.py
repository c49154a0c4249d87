"""A schema and an answer are a value that fits, or a refusal; an input is the schema, a line `---`, the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from fuzz.harness import HERE, text_of
from fuzz.specimens import specimens
from runllm.diagnostics import errors_in
from runllm.errors import OutputSchemaError
from runllm.reading import Extraction, extract
from runllm.reading.strict import is_doubtful
from runllm.schema import Contract, schema_problems

TOKENS = (
    "\n---\n", '{"type": "object"}', '"properties": ', '"required": ', '"additionalProperties": false',
    '"anyOf": ', '"enum": ', '"const": ', '"$ref": "#"', '"type": "integer"', '"type": "array"', '"items": ',
    '"a"', '"a": ', "a: ", "{", "}", "[", "]", ",", ":", '"', "'", "`", "\u201c", "\u201d", '"""', "'''",
    "```\n", "```json\n", "~~~\n", "//", "/*", "*/", "# ", "\\", '\\"', "\\u", "\\ud800", "\\n", "\\d", "\n",
    "\n\n", "\t", "\u00a0", "\ufeff", "\u200b", "\x00", "\ud800", "null", "true", "True", "None", "NaN",
    "-Infinity", "...", "-", "+", ".5", "1.0", "1e999", "1e15", "9007199254740993.0", "9", '"3"', '"true"',
    "<think>", "</think>", "<json>", "</json>", "json\n", "{}", "[]", "Here you are: ", "\U0001d54f",
)  # fmt: skip

_COATS = ("bom", "thinking", "fence", "prose", "tag", "json-prefix")
_REPAIRS = {
    *_COATS, "double-encoded", "comment", "trailing-comma", "missing-comma", "unquoted-key", "quote-style",
    "triple-quote", "raw-control", "unknown-escape", "needless-escape", "python-literal", "number-form",
    "unicode-space",
}  # fmt: skip
_CHANGES = {
    "number-from-string", "boolean-from-string", "enum-spelling", "null-dropped", "key-dropped", "integer-from-float",
    "json-from-string", "unicode-form",
}  # fmt: skip
_MOST_BRACKETS = 500
_MOST_DEEP = 150
_MOST_SPECIMENS = 10


def seeds() -> Iterator[bytes]:
    """The answers of the conformance cases."""
    for line in (HERE.parent / "tests/spec/extraction.jsonl").read_text(encoding="utf-8").splitlines()[::4]:
        case = json.loads(line)
        text = json.dumps(case["schema"]) + "\n---\n" + str(case["raw"])
        yield text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def _contract(line: str) -> Contract | None:
    try:
        schema = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(schema, dict):
        return None
    # A contract's root is an object; what is not is held as a property is.
    inside = schema if schema.get("type") == "object" else {"type": "object", "properties": {"x": schema}}
    return None if errors_in(schema_problems(inside)) or "$ref" in line != (inside is schema) else Contract(schema)


def check(data: bytes) -> None:
    """The same outcome twice, a value that fits with repairs that are known, and nothing but what the text says."""
    line, _, answer = text_of(data).partition("\n---\n")
    contract = _contract(line)
    if contract is None:
        return
    found = _outcome(answer, contract)
    again = _outcome(answer, contract)
    assert _said(found) == _said(again)
    if isinstance(found, Extraction):
        assert contract.accepts(found.value)
        json.dumps(found.value, ensure_ascii=False, allow_nan=False).encode()
        _check_repairs(found, answer)
    value = _standard(answer)
    if value is not None:
        _check_standard(answer, value[0], found, contract)


def _outcome(answer: str, contract: Contract) -> Extraction | OutputSchemaError:
    try:
        return extract(answer, contract)
    except OutputSchemaError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)
        json.dumps(error.payload(), ensure_ascii=False).encode()
        return error


def _said(found: Extraction | OutputSchemaError) -> str:
    if isinstance(found, Extraction):
        return json.dumps([found.value, found.repairs])
    return json.dumps([str(problem) for problem in found.problems])


def _check_repairs(found: Extraction, answer: str) -> None:
    assert len(set(found.repairs)) == len(found.repairs)
    for name in found.repairs:
        change, _, _ = name.partition(" at ")
        assert name in _REPAIRS or change in _CHANGES or re.fullmatch(r"[0-9]+ more", name), name
    if set(found.repairs) <= set(_COATS):
        assert any(_same(value, found.value) for value in _written(answer)), found


def _written(answer: str) -> Iterator[Any]:
    """Every standard value that begins somewhere in the text."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r'[\[{"\-0-9tfn]', answer):
        try:
            yield decoder.raw_decode(answer, match.start())[0]
        except (ValueError, RecursionError):
            continue


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(name: str) -> None:
    raise ValueError(name)


def _standard(answer: str) -> tuple[Any] | None:
    """The value of a text that is standard JSON beyond doubt."""
    if answer.count("[") + answer.count("{") > _MOST_BRACKETS:
        return None
    try:
        value = json.loads(answer, object_pairs_hook=_unique, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    if _inexact(value) or is_doubtful(answer):  # a backslash that was hardly meant as an escape is refused, rightly
        return None
    depth = deepest = 0
    for char in answer:
        depth += (char in "[{") - (char in "]}")
        deepest = max(deepest, depth)
    return (value,) if deepest < _MOST_DEEP else None


def _inexact(value: Any) -> bool:
    """Whether a number in it was rounded when it was read: an integer that large is refused, rightly."""
    if isinstance(value, dict | list):
        return any(map(_inexact, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and abs(value) > 1 << 53


def _another(value: Any, contract: Contract) -> str:
    """A different object or array that fits, as text; empty where none is known."""
    for other in islice(specimens(contract.schema), _MOST_SPECIMENS):
        if isinstance(other, dict | list) and contract.accepts(other) and other != value:
            return json.dumps(other)
    return ""


def _check_standard(answer: str, value: Any, found: Extraction | OutputSchemaError, contract: Contract) -> None:
    """Standard JSON that fits is the answer, whatever stands around it; a part of it never is."""
    fits = contract.accepts(value)
    if fits:
        assert isinstance(found, Extraction), found
        assert found.value == value
    if not isinstance(value, dict | list):
        return
    body = answer.strip()
    for around in (f"Here you are:\n{body}\nDone.", f"```json\n{body}\n```"):
        other = _outcome(around, contract)
        assert isinstance(other, Extraction) == isinstance(found, Extraction), (around, found, other)
        if isinstance(other, Extraction) and isinstance(found, Extraction):
            assert _same(other.value, found.value)
    if fits and (second := _another(value, contract)):
        both = f"{body}\n\nor\n\n{second}"
        assert isinstance(_outcome(both, contract), OutputSchemaError), both
    for share in (1, 2, 3):
        cut = body[: len(body) * share // 4]
        assert not cut or isinstance(_outcome(cut, contract), OutputSchemaError), cut
