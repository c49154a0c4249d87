"""How much work a JSON Schema makes, estimated before a library is let near it.

The library that compiles, checks and compares schemas takes minutes, gigabytes or the whole process
on some small ones, so each of its uses is asked for here first. Every limit is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from math import prod
from typing import Any, cast

from runllm.schemas.walking import Schema, follow, subschemas

_ENDLESS = 10**6
_MOST_CASES = 2_048  # of all places: at 1,024 `if`s a canonical form takes 0.15 s and 35 MB, at 4,096 0.6 s and 145 MB
_TALLEST = 1_200  # steps down a chain of references: 1,000 take up to 0.6 s; at 6,000 the stack ends, and the process
_MOST_BESIDE = 5_000  # schemas of one place: at 8,000 a list of errors takes 30 MB, at 130,000 2.4 s and 300 MB
_MOST_UNFOLDED = 20_000  # places of a schema without references
_PLAIN = 2_000  # places below which no value makes a schema slow
_OBVIOUS = 200  # places of a schema that needs no counting
_HARMLESS = frozenset({
    "additionalProperties", "const", "default", "deprecated", "description", "enum", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "properties", "required", "title", "type",
})  # fmt: skip
_DEEPEST = 200  # schemas within each other that look at the same value


def intricacy(schema: Schema) -> str:
    """Why it is not safe to compile a schema and check values with it; empty where it is."""
    if _is_obvious(schema):
        return ""
    beside = _Beside(schema)
    try:
        for place in _places(schema):
            if place is not schema and "$id" in place and any(_places_that_refer(place)):
                return "a part has an `$id`, which changes what the references inside it mean"
            beside.count(place)
    except _IntricateError as error:
        return str(error)
    except RecursionError:
        return "it nests too deeply"
    return ""


def tractable(schema: Schema) -> bool:
    """Whether the canonical form of a schema takes a bounded time and stack."""
    return _is_obvious(schema) or sum(count for count in _all_cases(schema) if count > 1) <= _MOST_CASES


def _is_obvious(schema: Any) -> bool:
    """Whether a schema is small and only names types, properties and bounds, as nearly every contract does."""
    waiting = [schema]
    for count, node in enumerate(waiting):  # which grows as it goes
        if isinstance(node, bool):
            continue
        if count > _OBVIOUS or not isinstance(node, Mapping) or not cast("Schema", node).keys() <= _HARMLESS:
            return False
        known = cast("Schema", node)
        properties = known.get("properties", {})
        if not isinstance(known.get("type", ""), str) or not isinstance(properties, Mapping):
            return False
        waiting += cast("Schema", properties).values()
        waiting += [known[keyword] for keyword in ("items", "additionalProperties") if keyword in known]
    return True


def most_cases(schema: Schema) -> int:
    """The largest number of cases that a place of the schema splits into when its combinations are multiplied out."""
    return max(_all_cases(schema))


def unfolded(schema: Schema) -> int | None:
    """The number of places when every reference is replaced, but for those that lead back.

    None beyond 20,000, and for a schema that is too intricate.
    """
    if intricacy(schema):
        return None
    try:
        count = sum(1 for _ in islice(_unfolding(schema, schema, ()), _MOST_UNFOLDED + 1))
    except RecursionError:
        return None
    return count if count <= _MOST_UNFOLDED else None


def plain(schema: Schema) -> bool:
    """Whether no value takes long to check: no reference leads back, and with all replaced the schema stays small."""
    try:
        return all(place is not None and count < _PLAIN for count, place in enumerate(_unfolding(schema, schema, ())))
    except RecursionError:
        return False


def beside(root: Schema, schema: Any) -> Iterator[Any]:
    """The schemas inside a schema that look at the same value as it does, references followed one step."""
    if not isinstance(schema, Mapping):
        return
    node = cast("Schema", schema)
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from node.get(keyword, ()) if isinstance(node.get(keyword), list) else ()
    yield from (node[keyword] for keyword in ("if", "then", "else", "not") if keyword in node)
    dependent = node.get("dependentSchemas")
    yield from cast("Schema", dependent).values() if isinstance(dependent, Mapping) else ()
    yield from (follow(root, target) for target in _targets(node))


def _places(root: Schema) -> Iterator[Schema]:
    """Every mapping of a schema that may be used as one, also what a reference finds elsewhere, each once."""
    waiting: list[Any] = [root]
    seen: set[int] = set()
    for start in waiting:  # grows on the way
        if id(start) in seen:
            continue
        for sub, _ in subschemas(start):
            if isinstance(sub, Mapping) and id(cast("Schema", sub)) not in seen:
                place = cast("Schema", sub)
                seen.add(id(place))
                yield place
                waiting.extend(follow(root, target) for target in _targets(place))


def _places_that_refer(schema: Schema) -> Iterator[bool]:
    return (isinstance(sub, Mapping) and any(_targets(cast("Schema", sub))) for sub, _ in subschemas(schema))


def _targets(node: Schema) -> Iterator[str]:
    """The local references of one schema."""
    for keyword in ("$ref", "$dynamicRef"):
        target = node.get(keyword)
        if isinstance(target, str):
            yield target


class _IntricateError(Exception):
    """A limit is passed; the message says which."""


class _Beside:
    """Counts the schemas that look at one value: a validator tries each, once for every way that leads to it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[int, int] = {}  # by identity: the root keeps every schema alive
        self._open: set[int] = set()

    def count(self, schema: Any) -> int:
        if not isinstance(schema, Mapping):
            return 1
        key = id(cast("Schema", schema))
        if key in self._open:
            raise _IntricateError("a part refers to itself without a step into the value")
        if key not in self._known:
            if len(self._open) > _DEEPEST:
                raise _IntricateError(f"more than {_DEEPEST} of its parts lie within each other")
            self._open.add(key)
            again = 2 if "unevaluatedProperties" in schema or "unevaluatedItems" in schema else 1
            self._known[key] = 1 + again * sum(self.count(sub) for sub in beside(self._root, schema))
            self._open.remove(key)
            if self._known[key] > _MOST_BESIDE:
                raise _IntricateError(f"more than {_MOST_BESIDE:,} of its parts apply to one value")
        return self._known[key]


# --- cases -------------------------------------------------------------------------------------


def _all_cases(schema: Schema) -> list[int]:
    known: dict[str, int] = {}
    try:
        if intricacy(schema) or _height(schema) > _TALLEST:
            return [_ENDLESS]
        return [_cases(schema, place, known) for place in _places(schema)]
    except RecursionError:
        return [_ENDLESS]


def _height(schema: Schema) -> int:
    """The most steps that a way down may have which follows each reference once."""
    targets = {target for place in _places(schema) for target in _targets(place) if target != "#"}
    parts = chain([schema], (follow(schema, target) for target in islice(targets, _TALLEST + 1)))
    return sum(1 + max(len(path) for _, path in subschemas(part)) for part in parts)


def _cases(root: Schema, schema: Any, known: dict[str, int]) -> int:
    if not isinstance(schema, Mapping):
        return 1
    node = cast("Schema", schema)
    dependent: Schema = node.get("dependentSchemas", {})
    factors = [3 ** min(len(dependent) + len(node.get("dependentRequired", ())), 9)]
    factors += [_cases(root, part, known) for part in (*node.get("allOf", ()), *dependent.values())]
    for keyword, each in (("anyOf", 1), ("oneOf", 2)):
        if keyword in node:
            factors.append(each * sum(_cases(root, part, known) for part in node[keyword]))
    if "if" in node:
        factors.append(2 * max(_cases(root, node.get(keyword), known) for keyword in ("if", "then", "else")))
    if "not" in node:
        parts = sum(1 for _ in subschemas(node["not"]))
        factors.append(max(_cases(root, node["not"], known), parts * parts // 16))
    for target in _targets(node):
        if target not in known:
            known[target] = _ENDLESS  # back at itself with no step into the value: the library may never return
            known[target] = _cases(root, follow(root, target), known)
        factors.append(known[target])
    return min(max(prod(factors), len(node.get("patternProperties", ()))), _ENDLESS)


# --- unfolding ---------------------------------------------------------------------------------


def _unfolding(root: Schema, schema: Any, way: tuple[str, ...]) -> Iterator[Any]:
    """Every place of a schema whose references are replaced; None for one that leads back to itself."""
    for sub, _ in subschemas(schema):
        yield sub
        for target in _targets(cast("Schema", sub)) if isinstance(sub, Mapping) else ():
            if target in way or target == "#":
                yield None
            else:
                yield from _unfolding(root, follow(root, target), (*way, target))
