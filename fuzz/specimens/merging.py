"""JSON Schemas that combine others, made simple: the branches of one, and two that must hold together made one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from runllm.schema import Schema

TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")
_MOST_BRANCHES = 8  # of each of two combinations that must hold together
_MOST_VALUES = 100  # of an enumeration
_MISSING: Any = object()


def branches(node: Schema) -> list[Schema]:
    """The schemas that a combination splits into, each with what stands beside it; none for a plain schema."""
    for keyword in ("anyOf", "oneOf"):
        if isinstance(node.get(keyword), list):
            rest = {key: item for key, item in node.items() if key != keyword}
            return [{"allOf": [rest, branch]} for branch in cast("list[Any]", node[keyword])]
    if "if" in node:
        rest = {key: item for key, item in node.items() if key not in ("if", "then", "else")}
        yes = [rest, node["if"], node.get("then", True)]
        return [{"allOf": yes}, {"allOf": [rest, node.get("else", True)]}]
    return []


def both(one: dict[str, Any], other: Schema) -> dict[str, Any]:
    """A schema whose values probably satisfy both: properties together, the tighter bound, else the latter's word."""
    merged = dict(one)
    for key, item in other.items():
        mine = merged.get(key, _MISSING)
        if mine is _MISSING:
            merged[key] = item
        elif key in _TOGETHER:
            merged[key] = _TOGETHER[key](mine, item)
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(mine, item)
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(mine, item)
        else:
            merged[key] = item
    return merged


def _each_of_both(one: Schema, other: Schema) -> Schema:
    return {**one, **{name: {"allOf": [one[name], sub]} if name in one else sub for name, sub in other.items()}}


def _pairs(one: list[Any], other: list[Any]) -> list[Any]:
    return [{"allOf": [a, b]} for a in one[:_MOST_BRANCHES] for b in other[:_MOST_BRANCHES]]


def _common_types(one: str | list[str], other: str | list[str]) -> list[str]:
    mine, theirs = ({names} if isinstance(names, str) else set(names) for names in (one, other))
    mine |= {"integer"} if "number" in mine else set()
    theirs |= {"integer"} if "number" in theirs else set()
    return [name for name in TYPES if name in mine & theirs and not (name == "integer" and "number" in mine & theirs)]


_TOGETHER: dict[str, Callable[[Any, Any], Any]] = {
    "properties": _each_of_both,
    "patternProperties": _each_of_both,
    "items": lambda one, other: {"allOf": [one, other]},
    "additionalProperties": lambda one, other: {"allOf": [one, other]},
    "propertyNames": lambda one, other: {"allOf": [one, other]},
    "anyOf": _pairs,
    "oneOf": _pairs,
    "required": lambda one, other: [*dict.fromkeys([*one, *other])],
    "enum": lambda one, other: [value for value in one[:_MOST_VALUES] if value in other],
    "type": _common_types,
}
