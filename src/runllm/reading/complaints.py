"""What is wrong with an answer, where, and in words that its writer can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from runllm.diagnostics import Problem
from runllm.errors import OutputSchemaError
from runllm.reading.candidates import MAX_VALUES
from runllm.reading.tolerant import BrokenError
from runllm.schema import Contract

_LONGEST_RECEIVED = 4_000

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
