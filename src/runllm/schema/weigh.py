"""How much work a schema makes, and a value for it, estimated before a library is let near them.

The library that compiles, checks and compares schemas takes minutes, gigabytes or the whole process
on some small ones, so each of its uses is asked for here first. Every limit is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from math import prod
from typing import Any, cast

from runllm.schema.facts import listed, named_types
from runllm.schema.walk import (
    Schema,
    follow,
    list_in,
    mapping_in,
    places,
    reachable,
    resolve,
    subschemas,
    targets,
    type_of,
)

_ENDLESS = 10**6
_MOST_CASES = 2_048  # of all places: at 1,024 `if`s a canonical form takes 0.15 s and 35 MB, at 4,096 0.6 s and 145 MB
_TALLEST = 1_200  # steps down a chain of references: 1,000 take up to 0.6 s; at 6,000 the stack ends, and the process
_MOST_BESIDE = 5_000  # schemas of one place: at 8,000 a list of errors takes 30 MB, at 130,000 2.4 s and 300 MB
_PLAIN = 2_000  # places below which no value makes a schema slow
_OBVIOUS = 200  # places of a schema that needs no counting
_HARMLESS = frozenset({
    "additionalProperties", "const", "default", "deprecated", "description", "enum", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "properties", "required", "title", "type",
})  # fmt: skip
_DEEPEST = 200  # schemas within each other that look at the same value


# --- compiling, and checking any value -----------------------------------------------------------


def intricacy(schema: Schema) -> str:
    """Why it is not safe to compile a schema and check values with it; empty where it is."""
    try:
        if _is_obvious(schema):
            return ""
        weight = _Weight(schema)
        for place in reachable(schema, schema):
            if place is not schema and "$id" in place and any(any(targets(inner)) for inner, _ in places(place)):
                return "a part has an `$id`, which changes what the references inside it mean"
            weight.of(place)
    except _IntricateError as error:
        return str(error)
    except RecursionError:
        return "it nests too deeply"
    return ""


def _is_obvious(schema: Schema) -> bool:
    """Whether a schema is small and only names types, properties and bounds, as nearly every contract does."""
    return all(count < _OBVIOUS and place.keys() <= _HARMLESS for count, (place, _) in enumerate(places(schema)))


def _beside(root: Schema, node: Schema) -> Iterator[Any]:
    """The schemas inside a schema that look at the same value as it does, references followed one step."""
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from list_in(node, keyword)
    yield from (node[keyword] for keyword in ("if", "then", "else", "not") if keyword in node)
    yield from mapping_in(node, "dependentSchemas").values()
    yield from (follow(root, target) for target in targets(node))


class _IntricateError(Exception):
    """A limit is passed; the message says which."""


class _Weight:
    """Counts the schemas that look at one value: a validator tries each, once for every way that leads to it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[int, int] = {}  # by identity: the root keeps every schema alive
        self._open: set[int] = set()

    def of(self, schema: Any) -> int:
        if not isinstance(schema, Mapping):
            return 1
        node = cast("Schema", schema)
        key = id(node)
        if key in self._open:
            raise _IntricateError("a part refers to itself without a step into the value")
        if key not in self._known:
            if len(self._open) > _DEEPEST:
                raise _IntricateError(f"more than {_DEEPEST} of its parts lie within each other")
            self._open.add(key)
            again = 2 if "unevaluatedProperties" in node or "unevaluatedItems" in node else 1
            self._known[key] = 1 + again * sum(map(self.of, _beside(self._root, node)))
            self._open.remove(key)
            if self._known[key] > _MOST_BESIDE:
                raise _IntricateError(f"more than {_MOST_BESIDE:,} of its parts apply to one value")
        return self._known[key]


# --- its canonical form --------------------------------------------------------------------------


def tractable(schema: Schema) -> bool:
    """Whether the canonical form of a schema takes a bounded time and stack."""
    return sum(count for count in _cases_of_places(schema) if count > 1) <= _MOST_CASES


def most_cases(schema: Schema) -> int:
    """The largest number of cases that a place of the schema splits into when its combinations are multiplied out."""
    return max(_cases_of_places(schema), default=1)


def _cases_of_places(schema: Schema) -> list[int]:
    known: dict[str, int] = {}
    try:
        if _is_obvious(schema):
            return []
        if intricacy(schema) or _height(schema) > _TALLEST:
            return [_ENDLESS]
        return [_cases(schema, place, known) for place in reachable(schema, schema)]
    except RecursionError:
        return [_ENDLESS]


def _height(schema: Schema) -> int:
    """The most steps that a way down may have which follows each reference once."""
    named = {target for place in reachable(schema, schema) for target in targets(place) if target != "#"}
    parts = chain([schema], (follow(schema, target) for target in islice(named, _TALLEST + 1)))
    return sum(1 + max(len(path) for _, path in subschemas(part)) for part in parts)


def _cases(root: Schema, schema: Any, known: dict[str, int]) -> int:
    if not isinstance(schema, Mapping):
        return 1
    node = cast("Schema", schema)
    dependent = mapping_in(node, "dependentSchemas")
    factors = [3 ** min(len(dependent) + len(node.get("dependentRequired", ())), 9)]
    factors += [_cases(root, part, known) for part in (*list_in(node, "allOf"), *dependent.values())]
    for keyword, each in (("anyOf", 1), ("oneOf", 2)):
        if keyword in node:
            factors.append(each * sum(_cases(root, part, known) for part in node[keyword]))
    if "if" in node:
        factors.append(2 * max(_cases(root, node.get(keyword), known) for keyword in ("if", "then", "else")))
    if "not" in node:
        parts = sum(1 for _ in subschemas(node["not"]))
        factors.append(max(_cases(root, node["not"], known), parts * parts // 16))
    for target in targets(node):
        if target not in known:
            known[target] = _ENDLESS  # back at itself with no step into the value: the library may never return
            known[target] = _cases(root, follow(root, target), known)
        factors.append(known[target])
    return min(max(prod(factors), len(mapping_in(node, "patternProperties"))), _ENDLESS)


# --- its references replaced ---------------------------------------------------------------------


def plain(schema: Schema) -> bool:
    """Whether no value takes long to check: no reference leads back, and with all replaced the schema stays small."""
    try:
        return all(place is not None and count < _PLAIN for count, place in enumerate(_unfolding(schema, schema, ())))
    except RecursionError:
        return False


def _unfolding(root: Schema, schema: Any, way: tuple[str, ...]) -> Iterator[Any]:
    """Every place of a schema whose references are replaced; None for one that leads back to itself."""
    for sub, _ in subschemas(schema):
        yield sub
        for target in targets(cast("Schema", sub)) if isinstance(sub, Mapping) else ():
            if target in way or target == "#":
                yield None
            else:
                yield from _unfolding(root, follow(root, target), (*way, target))


# --- a value -------------------------------------------------------------------------------------

_Counted = dict[int, tuple[Schema, int]]
"""Schemas by identity, each with how often it applies; what a schema holds lives as long as it does."""


def workload(root: Schema, value: Any, most: int, *, thorough: bool) -> int:
    """How many times a part of a schema meets a part of `value`, an estimate; more than `most` ends the count.

    A schema whose references lead back, or fan out, can make a small value endless work: where two alternatives both
    lead to the same definition, each level of the value doubles it.

    Args:
        root: the schema, one that `intricacy` lets pass.
        value: JSON.
        most: where to stop.
        thorough: whether alternatives that a look at the value rules out are counted too: they are
            left early when a value is only checked, and gone through when every error is listed.
    """
    total, waiting = 0, [(value, _counted([(root, 1)]))]
    while waiting and total <= most:
        part, entering = waiting.pop()
        applying = _applying(root, part, entering, thorough=thorough)
        total += sum(count for _, count in applying.values())
        for key, inner in parts_of(part):
            into = _counted((sub, count) for node, count in applying.values() for sub in schemas_inside(node, key))
            if into:
                waiting.append((inner, into))
    return total


def _counted(schemas: Iterable[tuple[Any, int]], found: _Counted | None = None) -> _Counted:
    found = {} if found is None else found
    for schema, count in schemas:
        if isinstance(schema, Mapping) and schema:
            node = cast("Schema", schema)
            found[id(node)] = (node, count + found.get(id(node), (node, 0))[1])
    return found


def _applying(root: Schema, value: Any, entering: _Counted, *, thorough: bool) -> _Counted:
    """The schemas that apply to a value where these do."""
    found: _Counted = {}
    waiting = list(entering.values())
    while waiting:
        node, count = waiting.pop()
        _counted([(node, count)], found)
        choices = {id(sub) for keyword in ("anyOf", "oneOf") for sub in list_in(node, keyword)}
        tried = (
            sub for sub in _beside(root, node) if thorough or id(sub) not in choices or not rules_out(root, sub, value)
        )
        waiting += [(cast("Schema", sub), count) for sub in tried if isinstance(sub, Mapping) and sub]
    return found


def rules_out(root: Schema, schema: Any, value: Any, depth: int = 0, *, loosely: bool = False) -> bool:
    """Whether a look at `value` shows that it is not of `schema`: its type, its names, the types of its properties.

    `loosely` looks at no types of properties, but at those that tell alternatives apart by the values they list.
    """
    node = resolve(root, schema)
    if _other_type(node, value) or _unlisted(node, value):
        return True
    if isinstance(value, Mapping):
        given, declared = cast("Schema", value), mapping_in(node, "properties")
        if any(name not in given for name in node.get("required", ())):
            return True
        if node.get("additionalProperties") is False and "patternProperties" not in node and given.keys() - declared:
            return True
        for name in declared.keys() & given.keys():
            inner = resolve(root, declared[name])
            if _unlisted(inner, given[name]) or (not loosely and _other_type(inner, given[name])):
                return True
    parts = list_in(node, "allOf") if depth < 8 else ()  # noqa: PLR2004 - deep enough for a look
    return any(rules_out(root, sub, value, depth + 1, loosely=loosely) for sub in parts)


def _other_type(node: Schema, value: Any) -> bool:
    if "type" not in node:
        return False
    types = {"number" if name == "integer" else name for name in named_types(node)}
    kind = type_of(value)
    return ("number" if kind == "integer" else kind) not in types


def _unlisted(node: Schema, value: Any) -> bool:
    allowed = listed(node)
    return allowed is not None and not isinstance(value, dict | list) and value not in allowed[:100]


def parts_of(value: Any) -> Iterator[tuple[str | int, Any]]:
    """The properties or items of a value, each with its name or index; none of a scalar."""
    if isinstance(value, Mapping):
        yield from cast("Mapping[str, Any]", value).items()
    elif isinstance(value, list):
        yield from enumerate(cast("list[Any]", value))


def schemas_inside(node: Schema, key: str | int) -> Iterator[Any]:
    """The schemas for the property or item `key` of a value of this schema, whichever pattern it may match."""
    if isinstance(key, int):
        prefix = list_in(node, "prefixItems")
        yield prefix[key] if key < len(prefix) else node.get("items")
        yield from (node.get(keyword) for keyword in ("contains", "unevaluatedItems"))
        return
    declared = mapping_in(node, "properties")
    yield declared[key] if key in declared else node.get("additionalProperties")
    yield from mapping_in(node, "patternProperties").values()
    yield node.get("unevaluatedProperties")
