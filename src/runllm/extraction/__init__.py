"""Model text to JSON: what can be read in one way only is read, everything else is asked again.

    text ─▶ strict     the whole text is JSON: done
         ─▶ candidates the values in fences, else at the top level of the prose
         ─▶ tolerant   each by a grammar a little wider than JSON
         ─▶ coercion   what the schema itself asks for, such as 3 for "3"
         ─▶ exactly one value that fits is the answer; none, or two that differ, is an error

Deterministic, no I/O. `docs/extraction.md` lists every repair, and what is never repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from runllm.contracts import Contract
from runllm.diagnostics import Problem
from runllm.errors import OutputSchemaError
from runllm.extraction import candidates, strict
from runllm.extraction.coercion import Coercer
from runllm.extraction.tolerant import BrokenError, Reader

__all__ = ["Extraction", "extract"]

_LONGEST_RECEIVED = 4_000
_MAX_REPAIRS = 50
_COMPARED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """A value read from an answer.

    Attributes:
        value: the value; it fits the schema.
        repairs: the name of each repair and coercion used, without repetition, from the outside in;
            a coercion with its place: `number-from-string at /items/*/price`. Empty for plain JSON.
    """

    value: Any
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One value made to fit as far as it goes: the repairs it took and the problems that are left."""

    value: Any
    repairs: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    fits: bool


def extract(text: str, schema: Mapping[str, Any] | Contract, *, finish_reason: str = "stop") -> Extraction:
    """Read the one value of `schema` that `text` holds.

    Args:
        text: a model's answer.
        schema: a valid JSON Schema of any kind, or its contract, which is then not compiled again.
        finish_reason: why the model stopped; after `length` the text is not read at all.

    Raises:
        OutputSchemaError: there is no such value, there are several, or it would take a guess. Its
            `problems` say what to correct.
    """
    return _Extractor(text, schema if isinstance(schema, Contract) else Contract(schema)).run(finish_reason)


class _Extractor:
    """One answer and the contract it is read for."""

    def __init__(self, text: str, contract: Contract) -> None:
        self.text = text
        self.contract = contract
        self.coercer = Coercer(contract)

    def run(self, finish_reason: str) -> Extraction:
        if finish_reason == "length":
            self._refuse([Problem(message="the answer was cut off at the token limit", keyword="truncated")])
        try:
            value, unusual = strict.whole(self.text)
        except ValueError:
            return self._search()
        if not unusual and self.contract.accepts(value) and strict.is_unicode(self.text, value):
            return Extraction(value=value, repairs=())
        reading = self._judge(value)
        if not reading.fits:
            self._refuse(self._problems(reading))
        return self._accept(reading)

    # --- one value -----------------------------------------------------------------------------

    def _judge(self, value: Any, repairs: Iterable[str] = ()) -> _Reading:
        """Hold one value against the contract, coerced where that is needed."""
        known = tuple(repairs)
        coerced = self.coercer.coerce(value)
        if coerced.inexact:
            return _Reading(value=value, repairs=known, problems=coerced.inexact, fits=False)
        if self.contract.accepts(coerced.value):
            return _Reading(value=coerced.value, repairs=known + coerced.repairs, fits=True)
        if self.contract.accepts(value):
            return _Reading(value=value, repairs=known, fits=True)
        if isinstance(value, str) and "double-encoded" not in known and (inner := _whole(value)):
            reading = self._judge(inner[0], (*known, "double-encoded", *inner[1]))
            if reading.fits:
                return reading
        return _Reading(value=coerced.value, repairs=known, fits=False)

    def _accept(self, reading: _Reading) -> Extraction:
        if not strict.is_unicode(self.text, reading.value):
            message = "a string holds half of a surrogate pair (`\\ud800` to `\\udfff`), which is not a character"
            self._refuse([Problem(message=message, keyword="unicode")])
        repairs = tuple(_printable(name) for name in dict.fromkeys(reading.repairs))
        if len(repairs) > _MAX_REPAIRS:
            repairs = (*repairs[:_MAX_REPAIRS], f"{len(repairs) - _MAX_REPAIRS} more")
        return Extraction(value=reading.value, repairs=repairs)

    def _problems(self, reading: _Reading) -> tuple[Problem, ...]:
        return reading.problems or self.contract.problems(reading.value)

    # --- a text with values in it --------------------------------------------------------------

    def _search(self) -> Extraction:
        scan = candidates.scan(self.text)
        if scan.cut:
            self._refuse([self._cut(scan.cut)])
        if scan.crowded:
            message = f"the answer holds more than {candidates.MAX_VALUES:,} bracketed values: write one JSON value"
            self._refuse([Problem(message=message, keyword="ambiguous")])
        pool = scan.pool()
        readings = self._readings(scan, [found for found in pool if not found.fault])
        fitting = {strict.canonical(reading.value): reading for reading in readings if reading.fits}
        broken = [found.fault for found in pool if found.fault]
        if len(fitting) > 1:
            self._refuse([self._several(len(fitting))])
        if broken:
            self._refuse([self._broken(fault) for fault in broken[:_COMPARED]])
        if not fitting:
            self._refuse(self._none(scan, readings))
        return self._accept(next(iter(fitting.values())))

    def _readings(self, scan: candidates.Scan, found: Sequence[candidates.Found]) -> list[_Reading]:
        """Each different value, judged; no more are judged once two that differ fit."""
        seen: set[str] = set()
        readings: list[_Reading] = []
        fitting: set[str] = set()
        for one in found:
            key = strict.canonical(one.value)
            if key in seen:
                continue
            seen.add(key)
            reading = self._judge(one.value, one.syntax)
            if reading.fits:
                around = candidates.envelope(self.text, scan.start, one)
                reading = _Reading(value=reading.value, repairs=(*around, *reading.repairs), fits=True)
                fitting.add(strict.canonical(reading.value))
            readings.append(reading)
            if len(fitting) > 1:
                break
        return readings

    def _none(self, scan: candidates.Scan, readings: list[_Reading]) -> Sequence[Problem]:
        """What to say where nothing fits: the violations of the value that comes nearest."""
        if readings:
            near = [self._problems(reading) for reading in (*readings[:_COMPARED], *readings[_COMPARED:][-_COMPARED:])]
            return min(
                near, key=lambda problems: (any(not p.pointer and p.keyword == "type" for p in problems), len(problems))
            )
        first = scan.found[0] if scan.found else None
        if first and first.fault and not self.text[scan.start : first.start].strip():
            return [self._broken(first.fault)]
        if not self.text.strip():
            return [Problem(message="the answer is empty", keyword="syntax")]
        message = "the answer holds no JSON: write the JSON value and nothing else"
        return [Problem(message=message, keyword="syntax")]

    # --- what is wrong, in words ---------------------------------------------------------------

    def _cut(self, fault: BrokenError) -> Problem:
        at = fault.at if fault.cut else len(self.text)
        where = self._position(at)
        detail = fault.message if fault.cut else f"{self._position(fault.at)}: {fault.message}"
        message = f"the JSON is cut off or never closed, {where if fault.cut else 'seen at the end'}: {detail}"
        return Problem(message=message, keyword="truncated")

    def _broken(self, fault: BrokenError) -> Problem:
        return Problem(message=f"broken JSON, {self._position(fault.at)}: {fault.message}", keyword="syntax")

    def _several(self, count: int) -> Problem:
        message = f"the answer holds {count} different values that fit the schema: write one"
        return Problem(message=message, keyword="ambiguous")

    def _position(self, at: int) -> str:
        line = self.text.count("\n", 0, at) + 1
        return f"line {line}, column {at - self.text.rfind(chr(10), 0, at)}"

    def _refuse(self, problems: Sequence[Problem]) -> NoReturn:
        told = [
            Problem(
                message=_printable(p.message), pointer=_printable(p.pointer), keyword=p.keyword, hint=_printable(p.hint)
            )
            for p in problems
        ]
        first = f"`{told[0].pointer}`: {told[0].message}" if told[0].pointer else told[0].message
        received = self.text[:_LONGEST_RECEIVED]
        if len(self.text) > len(received):
            received += f" … [{len(self.text) - len(received):,} more characters]"
        raise OutputSchemaError(
            f"the answer cannot be used: {first}",
            problems=told,
            expected_schema=self.contract.schema,
            received=_printable(received),
        )


def _whole(text: str) -> tuple[Any, tuple[str, ...]] | None:
    """The value that a string holds as its whole text, and the repairs it took."""
    text = text.strip()
    try:
        return strict.whole(text)[0], ()
    except ValueError:
        pass
    reader = Reader(text)
    try:
        value, end = reader.read(0)
    except BrokenError:
        return None
    return (value, tuple(reader.repairs)) if end == len(text) else None


def _printable(text: str) -> str:
    """`text` in characters that can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
