"""Hold what a run gave against what a case expects: every miss in words, with what was expected and what came."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from runllm.cases import steps_to
from runllm.diagnostics import Problem, clip
from runllm.parser.cases import error_named
from runllm.parser.conditions import (
    NOTHING,
    Difference,
    contains,
    differences,
    is_near,
    is_one_of,
    matches,
    several,
)
from runllm.program import Block, Case
from runllm.quantities import count, dollars, seconds
from runllm.results import RunResult

Checker = Callable[[Block, Any], Problem | None]
"""Runs the Python of a case over an output; the problem that it found."""
_LONGEST = 300
_MOST_LINES = 20


def misses(case: Case, result: RunResult, took: float, check: Checker) -> list[str]:
    """What does not hold; empty where all does.

    Args:
        case: what was expected.
        result: what came.
        took: seconds from start to end.
        check: runs `case.check`.
    """
    expected = case.expect.get("error")
    if result.error is not None:
        wanted = error_named(str(expected)) if expected is not None else None
        if wanted is not None and result.error.of_input and isinstance(result.error, wanted):
            return list(_bounds(case, result, took))
        came = f"{result.error.code} {type(result.error).__name__}: {result.error.message}"
        if result.error.stops_all:  # what no change of the prompt helps against
            came += f"\n{result.error.recovery_hint}"
        return [f"expected the error {expected}, and it failed with {came}" if expected else f"it failed: {came}"]
    if expected is not None:
        return [f"expected the error {expected}, and it gave {_shown(result.output)}"]
    found = [*_output(case, result.output), *_bounds(case, result, took)]
    if case.check is not None and (problem := check(case.check, result.output)) is not None:
        found.append(f"check: {problem.message}")
    return found


def _output(case: Case, output: Any) -> Iterator[str]:
    if "output" in case.expect:
        yield from map(told, differences(case.expect["output"], output))
    if "partial" in case.expect:
        yield from map(told, differences(case.expect["partial"], output, whole=False))
    for condition, miss in _AT_PLACES.items():
        for place, said in case.at_places(condition).items():
            value = at(output, place)
            yield from (f"{_named(place)}{found}" for found in miss(value, said))


def _lacking(value: Any, said: Any) -> Iterator[str]:
    for one in several(said):
        if not contains(value, one):
            yield f"does not contain {_shown(one)}: {_shown(value)}"


def _unmatched(value: Any, pattern: str) -> Iterator[str]:
    if not matches(value, pattern):
        yield f"does not match {pattern}: {_shown(value)}"


def _far(value: Any, said: Mapping[str, float]) -> Iterator[str]:
    if not is_near(value, said):
        yield f"expected {_shown(said['value'])} ± {_shown(said['within'])}, got {_shown(value)}"


def _other(value: Any, choices: list[Any]) -> Iterator[str]:
    if not is_one_of(value, choices):
        yield f"expected one of {', '.join(map(_shown, choices))}, got {_shown(value)}"


_AT_PLACES: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "contains": _lacking,
    "matches": _unmatched,
    "near": _far,
    "one_of": _other,
}


def _bounds(case: Case, result: RunResult, took: float) -> Iterator[str]:
    most: Mapping[str, float] = case.expect.get("most") or {}
    if took > most.get("seconds", took):
        yield f"it took {seconds(took)}, and may take {seconds(most['seconds'])}"
    if result.usage.total_tokens > most.get("tokens", result.usage.total_tokens):
        yield f"it took {count(result.usage.total_tokens)} tokens, and may take {count(most['tokens'])}"
    if len(result.attempts) > most.get("attempts", len(result.attempts)):
        yield f"it took {len(result.attempts)} answers, and may take {count(most['attempts'])}"
    if "cost" in most:
        if result.cost is None and any(result.completions()):
            yield f"what it cost is not known, and it may cost {dollars(most['cost'])}"
        elif (result.cost or 0.0) > most["cost"]:
            yield f"it cost {dollars(result.cost)}, and may cost {dollars(most['cost'])}"


def at(value: Any, place: str) -> Any:
    """What stands at a place; nothing (`NOTHING`) where there is none."""
    for step in steps_to(place) or ():
        if isinstance(step, int):
            found = cast("list[Any]", value) if isinstance(value, list) else []
            value = found[step] if step < len(found) else NOTHING
        else:
            value = cast("dict[str, Any]", value).get(step, NOTHING) if isinstance(value, dict) else NOTHING
    return value


def told(found: Difference, first: str = "expected", second: str = "got") -> str:
    """A difference in words; texts of several lines are compared line by line."""
    named, expected, came = _named(found.place), found.expected, found.came
    if isinstance(expected, str) and isinstance(came, str) and "\n" in expected + came:
        lines = difflib.unified_diff(expected.split("\n"), came.split("\n"), n=1, lineterm="")
        shown = [clip(line, _LONGEST) for line in list(lines)[2:] if not line.startswith("@@")][:_MOST_LINES]
        return "\n".join([f"{named}{first} (-), {second} (+):", *(f"  {line}" for line in shown)])
    return f"{named}{first} {_shown(expected)}, {second} {_shown(came)}"


def _named(place: str) -> str:
    return f"{place}: " if place else ""


def _shown(value: Any) -> str:
    return "nothing" if value is NOTHING else clip(json.dumps(value, ensure_ascii=False), _LONGEST)
