"""What is wrong with an answer, where, and in words that its writer can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from runllm.diagnostics import Problem, pointer
from runllm.errors import OutputSchemaError
from runllm.reading.candidates import MAX_VALUES
from runllm.reading.coerce import Shapes, parts
from runllm.reading.strict import inside
from runllm.reading.tolerant import BrokenError
from runllm.schema import MAX_PROBLEMS, Contract, subschemas

_LONGEST_RECEIVED = 4_000
_LONG = 5_000  # characters
_SMALL = 200  # values

Path = tuple[str | int, ...]

TOKEN_LIMIT = Problem(message="the answer was cut off at the token limit", keyword="truncated")
EMPTY = Problem(message="the answer is empty", keyword="syntax")
NO_JSON = Problem(message="the answer holds no JSON: write the JSON value and nothing else", keyword="syntax")
CROWDED = Problem(
    message=f"the answer holds more than {MAX_VALUES:,} bracketed values: write one JSON value", keyword="ambiguous"
)
SEVERAL = Problem(
    message="the answer holds several different values that fit the schema: write one", keyword="ambiguous"
)
NO_FIT = Problem(message="the answer does not fit the schema", keyword="schema")
HALF_CHARACTER = Problem(
    message="a string holds half of a surrogate pair (`\\ud800` to `\\udfff`), which is not a character",
    keyword="unicode",
)


def cut(text: str, fault: BrokenError) -> Problem:
    """The text ends inside a value."""
    what = "cut off" if fault.cut else "broken, and never closed"
    return Problem(message=f"the JSON is {what}: {_at(text, fault)}", keyword="truncated")


def broken(text: str, fault: BrokenError) -> Problem:
    """A value cannot be read."""
    return Problem(message=f"the JSON is broken: {_at(text, fault)}", keyword="syntax")


def stray(text: str, at: int) -> Problem:
    """Nothing was found, and a bracket of the prose may hide it."""
    message = f"no JSON can be told from the prose: the bracket at {_position(text, at)} is never closed"
    return Problem(message=message, keyword="syntax")


def _at(text: str, fault: BrokenError) -> str:
    return f"{_position(text, fault.at)}: {fault.message}"


def _position(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def nearest(readings: Iterable[Sequence[Problem]]) -> Sequence[Problem]:
    """The problems of the value that comes nearest: the right kind of value, then the fewest violations."""

    def distance(problems: Sequence[Problem]) -> tuple[bool, int]:
        return any(not p.pointer and p.keyword == "type" for p in problems), len(problems)

    return min(readings, key=distance)


def refusal(text: str, contract: Contract, problems: Iterable[Problem]) -> OutputSchemaError:
    """The error for an answer that cannot be used."""
    told = [
        replace(p, message=printable(p.message), pointer=printable(p.pointer), hint=printable(p.hint)) for p in problems
    ]
    received = text[:_LONGEST_RECEIVED]
    if len(text) > len(received):
        received += f" … [{len(text) - len(received):,} more characters]"
    return OutputSchemaError(
        f"the answer cannot be used: {told[0]}",
        problems=told,
        expected_schema=contract.schema,
        received=printable(received),
    )


def printable(text: str) -> str:
    """`text` in characters that can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


# --- where a long value breaks its contract ------------------------------------------------------


def problems(shapes: Shapes, value: Any, length: int) -> tuple[Problem, ...]:
    """What keeps `value` from fitting the contract.

    The validator explains a failed `anyOf` by every violation of every alternative, each with the value
    it belongs to: for a long answer and nested alternatives that takes minutes. So a long value is first
    narrowed down to the small pieces that do not fit.

    Args:
        shapes: the contract and its parts.
        value: a value that does not fit.
        length: characters of the text it was read from.
    """
    schema = shapes.contract.schema
    if length <= _LONG or not any(_is_union(sub) for sub, _ in subschemas(schema)):
        return shapes.contract.problems(value)
    found = (problem for piece in _pieces(shapes, value, schema, ()) for problem in _explain(shapes, *piece))
    return tuple(islice(found, MAX_PROBLEMS))


def _is_union(schema: Any) -> bool:
    return isinstance(schema, dict) and ("anyOf" in schema or "oneOf" in schema)


def _pieces(shapes: Shapes, value: Any, schema: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """The innermost pieces of `value` that do not fit, each with its schema and place."""
    shape = shapes.of(schema)
    inside = False
    if isinstance(value, dict | list):
        for node in shape.together:
            for step, item, part in parts(value, node):
                if part not in (None, True, False) and not shapes.accepts(part, item):
                    inside = True
                    yield from _pieces(shapes, item, part, (*path, step))
    for union in shape.unions if not inside else ():
        alternatives = shapes.admitting(union, value)
        if len(alternatives) == 1 and not shapes.accepts(alternatives[0], value):
            inside = True
            yield from _pieces(shapes, value, alternatives[0], path)
    if not inside:
        yield value, schema, path


def _explain(shapes: Shapes, value: Any, schema: Any, path: Path) -> Iterator[Problem]:
    if shapes.of(schema).unions and _more_than(_SMALL, value):
        yield Problem(message="this fits none of the alternatives", pointer=pointer(path), keyword="anyOf")
        return
    for problem in shapes.contract.part(schema).problems(value):
        yield replace(problem, pointer=pointer(path) + problem.pointer)


def _more_than(count: int, value: Any) -> bool:
    waiting = [value]
    while waiting and count >= 0:
        holder = waiting.pop()
        count -= 1
        if isinstance(holder, dict | list):
            waiting += inside(holder)
    return count < 0
