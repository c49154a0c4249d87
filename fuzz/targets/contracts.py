"""Any schema is refused or can be held against any value, soon; an input is the schema, then values, a line each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from fuzz.harness import text_of
from fuzz.specimens import specimens
from runllm.diagnostics import Problem, errors_in
from runllm.errors import problem_as_json
from runllm.schema import (
    Contract,
    described,
    fit,
    normal_form,
    read_text,
    resolve,
    schema_problems,
    subschemas,
)

TOKENS = (
    '"type": "object"', '"type": ["string", "null"]', '"properties": {"a": ', '"required": ["a"]',
    '"default": ', '"additionalProperties": ', '"patternProperties": {"^a": ', '"propertyNames": ',
    '"unevaluatedProperties": false', '"unevaluatedItems": false', '"items": ', '"prefixItems": [',
    '"contains": ', '"minContains": 2', '"uniqueItems": true', '"allOf": [', '"anyOf": [', '"oneOf": [',
    '"not": ', '"if": ', '"then": ', '"else": ', '"enum": [', '"const": ', '"$ref": "#"', '"$ref": "#/$defs/a"',
    '"$ref": "#a"', '"$dynamicRef": "#a"', '"$dynamicAnchor": "a"', '"$anchor": "a"', '"$id": "x"',
    '"$schema": "http://json-schema.org/draft-07/schema#"', '"$defs": {"a": ', '"dependentRequired": ',
    '"dependentSchemas": ', '"minimum": ', '"maximum": ', '"multipleOf": ', '"multipleOf": 1e-300',
    '"minLength": ', '"maxLength": ', '"pattern": "', '"format": "date"', '"format": "regex"',
    '"contentSchema": ', "(a+)+$", "\\\\p{L}", "(?=a)", "[", "]", "{", "}", ",", ":", "\n", '"a"', "true",
    "false", "null", "0", "-0.0", "1e308", "1e400", "1e-400", "0.1", "1.0", "9007199254740993", "9",
    '"\\ud800"', '"\\u0000"', "NaN", '{"a": 1}', "{}", "[]", '"', '"~1/~0%25"',
)  # fmt: skip

_MOST_VALUES = 8
_MOST_PLACES = 60
_SIMPLE = {"type", "properties", "default", "items", "title", "description", "required", "enum", "const", "minimum"}


def seeds() -> Iterator[bytes]:
    """None but the corpus."""
    return iter(())


@lru_cache(maxsize=256)
def _schema(line: str) -> tuple[dict[str, Any], Contract] | None:
    """The schema of an input with its contract; all that is asked of a schema alone is asked here, once."""
    try:
        schema = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = schema_problems(schema)
    for problem in found:
        _check_problem(problem)
    if errors_in(found) or not isinstance(schema, dict):
        return None
    contract = Contract(schema)
    for value in islice(specimens(schema), 20):
        contract.accepts(value)
    assert fit(schema, copy.deepcopy(schema)).verdict != "never"
    described(schema)
    return schema, contract


def _check_problem(problem: Problem) -> None:
    assert problem.message
    json.dumps(problem_as_json(problem), ensure_ascii=False).encode("utf-8", "surrogatepass")


def check(data: bytes) -> None:
    """A value fits or has problems; its filled copy fits where it does; other forms of the schema say the same."""
    first, *lines = text_of(data).split("\n")[: _MOST_VALUES + 1]
    known = _schema(first)
    if known is None:
        return
    schema, contract = known
    values: list[Any] = []
    for line in lines:
        read_text(line, schema, schema)
        contract.read_text("a", line)
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            values.append(line)
    forms = [] if "format" in first else [Contract(normal_form(schema))]
    for value in values:
        _check_value(value, contract, forms)


def _check_value(value: Any, contract: Contract, forms: list[Contract]) -> None:
    fits, problems = contract.accepts(value), contract.problems(value)
    for problem in problems:
        _check_problem(problem)
    finite = _is_finite(value)
    assert (fits and finite) == (not problems), (value, problems)
    before = copy.deepcopy(value)
    filled = contract.with_defaults(value)
    assert value == before or value != value  # noqa: PLR0124 - NaN is unlike itself
    assert _text(contract.with_defaults(filled)) == _text(filled)
    if fits and _has_fitting_defaults(contract.schema):
        assert contract.accepts(filled), (value, filled)
    if not finite or (problems and problems[0].keyword in ("complexity", "json")):
        return
    for form in forms:
        assert form.accepts(value) == fits, (value, form)


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@lru_cache(maxsize=64)
def _fitting(text: str) -> bool:
    schema = json.loads(text)
    for count, (sub, _) in enumerate(subschemas(schema)):
        if (
            count > _MOST_PLACES
            or not isinstance(sub, dict)
            or not sub.keys() <= _SIMPLE
            or ("default" in sub and sub is schema)
        ):
            return False
        if "default" in sub and not Contract(sub).accepts(sub["default"]):
            return False
        if sub.keys() & {"enum", "const"} and "properties" in resolve(schema, sub):
            return False
    return True


def _has_fitting_defaults(schema: dict[str, Any]) -> bool:
    """Whether every default fits where it stands, in a schema in which nothing else can come of it."""
    try:
        return _fitting(_text(schema))
    except (ValueError, RecursionError):
        return False
