"""Read an answer that is not plain JSON of the right kind: find its values, judge each, and take the only one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from runllm.diagnostics import Problem
from runllm.errors import OutputSchemaError
from runllm.reading import candidates, strict
from runllm.reading.candidates import MAX_VALUES, Candidate, Scan
from runllm.reading.coerce import Coerced, Coercer
from runllm.reading.marks import OPENING, arguments, is_call
from runllm.reading.strict import Extraction
from runllm.reading.tolerant import BrokenError, Reader
from runllm.schema import Contract

_MAX_REPAIRS = 50
_COMPARED = 8
_ENCODED = "double-encoded"
_CALLED = "tool-call"
_NAME_IT = ("name", "tool", "tool_name", "function", "action", "recipient_name")
_HOLD_IT = ("arguments", "parameters", "args", "input", "action_input", "tool_input")
_OF_A_CALL = frozenset({*_NAME_IT, *_HOLD_IT, "id", "type", "index", "call_id"})
_LONGEST_RECEIVED = 4_000

TOKEN_LIMIT = Problem(message="the answer was cut off at the token limit", keyword="truncated")
EMPTY = Problem(message="the answer is empty", keyword="syntax")
CALLED = Problem(
    message="the model called a tool, and there is none here: write the answer itself, and no call", keyword="tool"
)
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


class Reading:
    """One answer that is not plain JSON of the right kind."""

    def __init__(self, text: str, contract: Contract) -> None:
        self._text = text
        self._contract = contract
        self._coercer = Coercer(contract)

    def only(self, value: Any) -> Extraction:
        """The whole text is `value`."""
        judged = self._judge(value)
        if not judged.fits:
            raise self._refusal(self._problems(judged))
        return self._accept(judged)

    def search(self) -> Extraction:
        """Look for the value in the text."""
        scan = candidates.scan(self._text)
        if called := self._called(self._text[scan.start :].lstrip()):
            return self._accept(called)
        if scan.cut:
            raise self._refusal([_cut(self._text, scan.cut)])
        if scan.crowded:
            raise self._refusal([CROWDED])
        pool = scan.pool() or self._scalar(scan)
        judged = self._judge_all(scan, [found for found in pool if not found.fault])
        fitting = {strict.canonical(one.value): one for one in judged if one.fits}
        if len(fitting) > 1:
            raise self._refusal([SEVERAL])
        # A broken attempt at JSON may have been the answer: what stands beside it is not taken for it.
        if broken := [_broken(self._text, found.fault) for found in pool if found.fault]:
            raise self._refusal(broken[:_COMPARED])
        if not fitting:
            near = judged if len(judged) <= _COMPARED else judged[: _COMPARED // 2] + judged[-_COMPARED // 2 :]
            problems = [self._problems(one) for one in near] or [[self._nothing(scan)]]
            raise self._refusal(_nearest(problems))
        return self._accept(next(iter(fitting.values())))

    def _called(self, text: str) -> Coerced | None:
        """What the calls of a tool say that a text is or ends with, where their arguments stand one by one."""
        if OPENING.match(text) or not is_call(text):
            return None
        judged = [self._judge(one, (_CALLED,)) for one in arguments(text)]
        whole = [one for one in judged if one.fits and not any(name.startswith("key-dropped") for name in one.repairs)]
        fitting = {strict.canonical(one.value): one for one in whole}
        if len(fitting) > 1:
            raise self._refusal([SEVERAL])
        return next(iter(fitting.values()), None)

    def _scalar(self, scan: Scan) -> list[Candidate]:
        """The number, string or other scalar that is the whole text but for reasoning and unusual space."""
        rest = self._text[scan.start :].strip().strip("\ufeff\u200b\u2060").strip()
        found = candidates.value_at(rest, 0) if rest else Candidate(start=0, end=-1)
        if found.fault or found.end != len(rest) or (found.syntax and self._contract.accepts(rest)):
            return []  # `None` may be a text as well
        start = self._text.index(rest, scan.start)
        return [replace(found, start=start, end=start + len(rest))]

    def _judge_all(self, scan: Scan, found: Sequence[Candidate]) -> list[Coerced]:
        """Each different value, judged; once two that differ fit, the rest does not matter."""
        seen: set[str] = set()
        judged: list[Coerced] = []
        fitting: set[str] = set()
        for one in found:
            key = strict.canonical(one.value)
            if key in seen or len(fitting) > 1:
                continue
            seen.add(key)
            result = self._judge(one.value, one.syntax)
            if result.fits:
                around = candidates.envelope(self._text, scan.start, one)
                result = replace(result, repairs=(*around, *result.repairs))
                fitting.add(strict.canonical(result.value))
            judged.append(result)
        return judged

    def _judge(self, value: Any, repairs: tuple[str, ...] = ()) -> Coerced:
        """Hold one value against the contract, coerced where that is needed."""
        coerced = self._coercer.coerce(value)
        if coerced.inexact:
            return Coerced(value=value, repairs=repairs, inexact=coerced.inexact)
        fits = self._contract.accepts(value)
        # Where it fits as it is, only the form of a whole number may change.
        if coerced.repairs and (not fits or coerced.value == value) and self._contract.accepts(coerced.value):
            return Coerced(value=coerced.value, repairs=repairs + coerced.repairs, fits=True)
        if fits:
            return Coerced(value=value, repairs=repairs, fits=True)
        if isinstance(value, str) and _ENCODED not in repairs and (inner := _whole(value)):
            again = self._judge(inner.value, (*repairs, _ENCODED, *inner.syntax))
            if again.fits:
                return again
        called = _arguments(value) if _CALLED not in repairs else None
        if called is not None and (again := self._judge(called, (*repairs, _CALLED))).fits:
            return again
        return Coerced(value=coerced.value, repairs=repairs)

    def _accept(self, judged: Coerced) -> Extraction:
        if not strict.is_unicode(self._text, judged.value):
            raise self._refusal([HALF_CHARACTER])
        repairs = [_printable(name) for name in dict.fromkeys(judged.repairs)]
        if len(repairs) > _MAX_REPAIRS:
            repairs[_MAX_REPAIRS:] = [f"{len(repairs) - _MAX_REPAIRS} more"]
        return Extraction(value=judged.value, repairs=tuple(repairs))

    def _problems(self, judged: Coerced) -> Sequence[Problem]:
        return judged.inexact or self._contract.problems(judged.value) or [NO_FIT]

    def _nothing(self, scan: Scan) -> Problem:
        """What to say where no value was found at all."""
        begin = len(self._text) - len(self._text[scan.start :].lstrip())
        if begin == len(self._text):
            return EMPTY
        if self._text[begin] in "{[":
            try:
                Reader(self._text).read(begin)
            except BrokenError as fault:
                return _broken(self._text, fault)
        return _stray(self._text, scan.stray[0]) if scan.stray else NO_JSON

    def _refusal(self, problems: Sequence[Problem]) -> OutputSchemaError:
        return refusal(self._text, self._contract, problems)


def _whole(text: str) -> Candidate | None:
    """The value that a string holds as its whole text."""
    found = candidates.value_at(text.strip(), 0)
    return found if found.end == len(text.strip()) and not found.fault else None


def _arguments(value: Any) -> Any:
    """The arguments of the one call of a tool that a value is, as models write it that were taught to; else None."""
    whole: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    listed: Any = whole["tool_calls"] if set(whole) == {"tool_calls"} else cast("Any", value)
    calls = cast("list[Any]", listed if isinstance(listed, list) else [listed])
    only: Any = calls[0] if len(calls) == 1 else None
    if not isinstance(only, dict) or not _OF_A_CALL.issuperset(cast("dict[str, Any]", only)):
        return None
    call = cast("dict[str, Any]", only)
    inner: Any = call.get("function")
    if isinstance(inner, dict):
        call = cast("dict[str, Any]", inner)
    is_named = any(isinstance(call.get(name), str) for name in _NAME_IT)
    return next((call[name] for name in _HOLD_IT if name in call), None) if is_named else None


# --- what is wrong with an answer, in words that its writer can act on -----------------------------------


def _cut(text: str, fault: BrokenError) -> Problem:
    """The text ends inside a value."""
    what = "cut off" if fault.cut else "broken, and never closed"
    return Problem(message=f"the JSON is {what}: {_at(text, fault)}", keyword="truncated")


def _broken(text: str, fault: BrokenError) -> Problem:
    """A value cannot be read."""
    return Problem(message=f"the JSON is broken: {_at(text, fault)}", keyword="syntax")


def _stray(text: str, at: int) -> Problem:
    """Nothing was found, and a bracket of the prose may hide it."""
    message = f"no JSON can be told from the prose: the bracket at {_position(text, at)} is never closed"
    return Problem(message=message, keyword="syntax")


def _at(text: str, fault: BrokenError) -> str:
    return f"{_position(text, fault.at)}: {fault.message}"


def _position(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _nearest(readings: Iterable[Sequence[Problem]]) -> Sequence[Problem]:
    """The problems of the value that comes nearest: the right kind of value, then the fewest violations."""

    def distance(problems: Sequence[Problem]) -> tuple[bool, int]:
        return any(not p.pointer and p.keyword == "type" for p in problems), len(problems)

    return min(readings, key=distance)


def refusal(text: str, contract: Contract, problems: Iterable[Problem]) -> OutputSchemaError:
    """The error for an answer that cannot be used."""
    told = [
        replace(one, **{name: _printable(getattr(one, name)) for name in ("message", "pointer", "hint")})
        for one in problems
    ]
    received = text[:_LONGEST_RECEIVED]
    if len(text) > len(received):
        received += f" … [{len(text) - len(received):,} more characters]"
    return OutputSchemaError(
        f"the answer cannot be used: {told[0]}",
        problems=told,
        expected_schema=contract.schema,
        received=_printable(received),
    )


def _printable(text: str) -> str:
    """`text` in characters that can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
