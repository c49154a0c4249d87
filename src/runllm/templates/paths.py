"""What a JSON Schema says about one step into a value: what is there, or why nothing can be.

A schema is a conjunction: its own keywords, every `allOf`, one of `anyOf`, one of `oneOf`. A step is
possible when some branch allows it and no other part of the conjunction excludes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from runllm.contracts import Contract
from runllm.schemas import resolve, type_of
from runllm.templates.reading import Step, Unwritten

Schema: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True, slots=True)
class Found:
    """The step leads to a value of this schema; `{}` where nothing is known of it."""

    schema: Schema


@dataclass(frozen=True, slots=True)
class Undeclared:
    """The value is an object or array that does not have this; `names` are those it has."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Impossible:
    """The value is of a type that has no such step."""

    types: tuple[str, ...]


Verdict: TypeAlias = "Found | Undeclared | Impossible"
_OPEN = Found({})
_MOST_VISITS = 2000
_MOST_PATTERNS = 100
_DEEPEST = 64


def enter(root: Schema, schema: Any, step: Step) -> Verdict:
    """What the step leads to from a value of `schema`; references are followed in `root`."""
    return _Entry(root, step).enter(schema)


class _Entry:
    def __init__(self, root: Schema, step: Step) -> None:
        self.root = root
        self.step = step
        self.visits = 0

    def enter(self, schema: Any, depth: int = 0) -> Verdict:
        self.visits += 1
        if schema is False:
            return Undeclared()
        node = resolve(self.root, schema)
        if self.visits > _MOST_VISITS or depth > _DEEPEST:  # a schema that refers to itself in every branch
            return _OPEN
        parts = [self.own(node), *(self.enter(sub, depth + 1) for sub in list_in(node, "allOf"))]
        parts += [self.some(list_in(node, keyword), depth) for keyword in ("anyOf", "oneOf") if list_in(node, keyword)]
        conditional = [self.enter(node[keyword], depth + 1) for keyword in ("then", "else") if keyword in node]
        parts += [part for part in conditional if isinstance(part, Found) and part.schema]
        return _all(parts)

    def some(self, branches: list[Any], depth: int) -> Verdict:
        verdicts = [self.enter(branch, depth + 1) for branch in branches]
        found = [verdict.schema for verdict in verdicts if isinstance(verdict, Found)]
        if found:
            return Found({"anyOf": found} if all(found) and len(found) > 1 else min(found, key=len))
        undeclared = [verdict for verdict in verdicts if isinstance(verdict, Undeclared)]
        if undeclared:
            return Undeclared(_union(verdict.names for verdict in undeclared))
        return Impossible(_union(verdict.types for verdict in verdicts if isinstance(verdict, Impossible)))

    def own(self, node: Schema) -> Verdict:
        types = _types(node)
        step = self.step
        if isinstance(step, str) or step is Unwritten.VALUE:
            if types and "object" not in types:
                return Impossible(types)
            return _every_value(node) if step is Unwritten.VALUE else _property(node, str(step))
        if step is Unwritten.ELEMENT and types and not {"array", "object", "string"} & set(types):
            return Impossible(types)
        if isinstance(step, int) and types and not {"array", "string"} & set(types):
            return Impossible(types)
        if types and "array" not in types:
            return Found({"type": "string"})  # a key, or a character
        return _element(node, step) if not types or types == ("array",) else _OPEN


def _all(parts: list[Verdict]) -> Verdict:
    found = [part.schema for part in parts if isinstance(part, Found) and part.schema]
    if found:
        return Found({"allOf": found} if len(found) > 1 else found[0])
    impossible = [part for part in parts if isinstance(part, Impossible)]
    if impossible:
        return impossible[0]
    undeclared = [part for part in parts if isinstance(part, Undeclared)]
    return Undeclared(_union(part.names for part in undeclared)) if undeclared else _OPEN


def _property(node: Schema, name: str) -> Verdict:
    declared = mapping_in(node, "properties")
    if name in declared:
        return _leads_to(declared[name])
    patterns = mapping_in(node, "patternProperties")
    if len(patterns) > _MOST_PATTERNS:
        return _OPEN
    for pattern, sub in patterns.items():
        if _matches(pattern, name):
            return _leads_to(sub)
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        rest = node.get(keyword)
        if rest is True or isinstance(rest, Mapping):
            return _leads_to(rest)
    closed = declared or node.get("additionalProperties") is False
    return Undeclared(tuple(declared)) if closed else _OPEN


def _every_value(node: Schema) -> Verdict:
    parts = [*mapping_in(node, "properties").values(), *mapping_in(node, "patternProperties").values()]
    rest = node.get("additionalProperties", not parts)
    parts += [rest] if rest is not False else []
    return _any_of(parts)


def _element(node: Schema, step: Step) -> Verdict:
    first = list_in(node, "prefixItems")
    rest = node.get("items")
    if isinstance(step, int):
        longest = node.get("maxItems")
        if isinstance(longest, int) and step >= longest:
            return Undeclared()
        if step < len(first):
            return _leads_to(first[step])
        return _OPEN if rest is None else _leads_to(rest)
    parts = [*first, *([] if rest is False else [rest])]
    return _any_of(parts)


def _any_of(parts: list[Any]) -> Verdict:
    typed = [cast("Schema", part) for part in parts if isinstance(part, Mapping) and part]
    return Found({"anyOf": typed}) if typed and len(typed) == len(parts) else _OPEN


def _leads_to(schema: Any) -> Verdict:
    if schema is False:
        return Undeclared()
    return Found(cast("Schema", schema)) if isinstance(schema, Mapping) and schema else _ANYTHING


_ANYTHING = Found({"title": "anything"})
"""What a declared property without a type holds: declared, unlike `_OPEN`, which declares nothing."""


def _types(node: Schema) -> tuple[str, ...]:
    declared = node.get("type")
    if isinstance(declared, str):
        return (declared,)
    if isinstance(declared, list):
        return tuple(str(name) for name in cast("list[Any]", declared) if name != "null") or ("null",)
    if "const" in node:
        return (type_of(node["const"]),)
    values = node.get("enum")
    return _union([type_of(value)] for value in cast("list[Any]", values)) if isinstance(values, list) else ()


def _matches(pattern: str, name: str) -> bool:
    return Contract({"pattern": pattern}).accepts(name)  # in linear time, which Python's own `re` does not promise


def list_in(node: Schema, keyword: str) -> list[Any]:
    """The list under a keyword of a schema; empty where there is none."""
    found = node.get(keyword)
    return cast("list[Any]", found) if isinstance(found, list) else []


def mapping_in(node: Schema, keyword: str) -> Mapping[str, Any]:
    """The mapping under a keyword of a schema; empty where there is none."""
    found = node.get(keyword)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
