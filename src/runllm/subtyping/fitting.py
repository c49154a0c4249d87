"""Whether every value of one JSON Schema is a value of another, and a value that is not.

Three things decide, the quick one first: a proof over the canonical forms of both schemas, part by
part; example values held against both; the library's own containment, where the schemas are small.
`fits` and `never` are proven, and no example may contradict them; all else is `maybe`.
"""

from __future__ import annotations

import json
from itertools import chain, islice
from typing import Any, Final, Literal, cast

from runllm.contracts import Contract
from runllm.schemas import Schema, resolve
from runllm.specimens import specimens
from runllm.subtyping.containment import Forms
from runllm.values import frozen

Verdict = Literal["fits", "never", "maybe"]

_MANY = 500  # values of an enumeration
_FEW = 20  # specimens of the target


class _Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""Stands for an example that was not found: null would be one."""


@frozen
class Fit:
    """How the values of one schema fit another.

    Attributes:
        verdict: `fits` when every value does, `never` when none does, `maybe` when that is not known or some may not.
        example: a value that the source admits and the target refuses; UNKNOWN where none was found.
        reason: what the target says of the example, with the place inside it; empty without one.
    """

    verdict: Verdict
    example: Any = UNKNOWN
    reason: str = ""


def fit(source: Schema, target: Schema) -> Fit:
    """How the values of `source` fit `target`.

    Args:
        source: the schema of what flows; its references are local to it.
        target: the schema that is to admit it; likewise.
    """
    if source == target and json.dumps(source, sort_keys=True) == json.dumps(target, sort_keys=True):
        return Fit(verdict="fits")
    values = _listed(source)
    if values is not None:
        return _fit_of_values(values, Contract(source), Contract(target))
    forms = Forms.of(source, target)
    if forms is not None and forms.proven():
        return Fit(verdict="fits")
    return _searched(source, target, forms)


def _listed(source: Schema) -> list[Any] | None:
    """Every value that a source may have, and perhaps more; None unless it lists them."""
    node = resolve(source, source)
    if "const" in node:
        return [node["const"]]
    if isinstance(node.get("enum"), list):  # a validator looks through a list of objects: many of many take seconds
        return cast("list[Any]", node["enum"]) if len(node["enum"]) <= _MANY else None
    return {"boolean": [False, True], "null": [None]}.get(str(node.get("type")))


def _fit_of_values(values: list[Any], source: Contract, target: Contract) -> Fit:
    admitted = [value for value in values if source.accepts(value)]
    refused = [value for value in admitted if not target.accepts(value)]
    if not refused:
        return Fit(verdict="fits")
    return _explained("never" if len(refused) == len(admitted) else "maybe", refused[0], target)


def _searched(source: Schema, target: Schema, forms: Forms | None) -> Fit:
    """The verdict on schemas of which it is not proven that one fits the other."""
    given, wanted = Contract(source), Contract(target)
    shared, example = False, UNKNOWN
    for value in chain(specimens(source), islice(specimens(target), _FEW)):
        if given.accepts(value):
            fits = wanted.accepts(value)
            shared = shared or fits
            example = value if example is UNKNOWN and not fits else example
        if shared and example is not UNKNOWN:
            break
    if example is UNKNOWN and forms:
        apart = (value for value in forms.difference() if given.accepts(value) and not wanted.accepts(value))
        example = next(apart, UNKNOWN)
    if example is UNKNOWN and forms and forms.covered():
        return Fit(verdict="fits")
    verdict: Verdict = "never" if forms and not shared and forms.disjoint() else "maybe"
    return Fit(verdict=verdict) if example is UNKNOWN else _explained(verdict, _smaller(example, given, wanted), wanted)


def _explained(verdict: Verdict, example: Any, target: Contract) -> Fit:
    return Fit(verdict=verdict, example=example, reason=str(next(iter(target.problems(example)), "")))


def _smaller(example: Any, given: Contract, wanted: Contract) -> Any:
    """An example without the properties that it can do without."""
    if not isinstance(example, dict):
        return example
    kept = cast("dict[str, Any]", example)
    for name in list(kept):
        less = {key: item for key, item in kept.items() if key != name}
        if given.accepts(less) and not wanted.accepts(less):
            kept = less
    return kept
