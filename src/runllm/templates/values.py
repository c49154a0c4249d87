"""A value that a template will have, known by its schema only: its types, and what a step from it gives.

What is said is true of every value that fits the schema. Where nothing is sure, it may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, cast

from runllm.schemas import Schema, follow, resolve, subschemas, type_of
from runllm.templates.paths import list_in, mapping_in
from runllm.templates.reading import Step, Unwritten

Known: TypeAlias = "Schema | bool"
"""A schema of values: `{}` where they may be anything, False where there are none."""


class Value(NamedTuple):
    """What an expression gives where it gives anything; `absent` where it may give nothing, which is not yet null."""

    schema: Known
    absent: bool = False


NULL, STRING, BOOLEAN = {"type": "null"}, {"type": "string"}, {"type": "boolean"}
INTEGER, NUMBER, ARRAY = {"type": "integer"}, {"type": "number"}, {"type": "array"}
UNKNOWN, NOTHING = Value({}, absent=True), Value(False, absent=True)
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"}
)
_MOST_BRANCHES = 32
_ALL_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_NAMES = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef"})
_MOST_VISITS = 500
_DEEPEST = 16
_DEEPEST_CONJUNCTION = 4


# --- made of others ---------------------------------------------------------------------------


def present(value: Value) -> Known:
    """The schema of a value where nothing counts as null."""
    return union(value.schema, NULL) if value.absent else value.schema


def either(left: Value, right: Value) -> Value:
    """What is one of these two values."""
    return Value(union(left.schema, right.schema), absent=left.absent or right.absent)


def union(*schemas: Known) -> Known:
    """The schema of all that one of these allows; `{}` where that would have too many branches."""
    found: dict[str, Schema] = {}  # by how they are written: for Python, True is 1
    for schema in schemas:
        if isinstance(schema, bool):
            if schema:
                return {}
            continue
        if _ANNOTATIONS.issuperset(schema):
            return {}
        found |= {repr(part): part for part in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])}
    if len(found) > _MOST_BRANCHES:
        return {}
    branches = list(found.values())
    return {"anyOf": branches} if len(branches) > 1 else branches[0] if branches else False


def list_of(schema: Known, *, some: bool = False) -> Value:
    """A list of such items, with at least one where `some`."""
    items = {"items": schema} if schema or schema is False else {}
    return Value({**ARRAY, **items, **({"minItems": 1} if some else {})})


def exactly(values: Sequence[Value]) -> Value:
    """A list of these values, one by one."""
    items = {"prefixItems": [present(value) for value in values]} if values else {}
    return Value({**ARRAY, **items, "minItems": len(values), "maxItems": len(values)})


# --- what a schema says ------------------------------------------------------------------------


def types_of(root: Schema, value: Value) -> frozenset[str]:
    """The types that a value can be of where it is not absent; `integer` goes with every `number`."""
    return _Look(root).at(value.schema).types


def step_from(root: Schema, value: Value, step: Step, *, sure: bool = False) -> Value:
    """What a step from a value gives; `sure` where every object has it. From other types it gives nothing."""
    look = _Look(root, step)
    facts = look.at(value.schema)
    inner = facts.inner if look.kind in facts.types else False
    texts = {"string"} if isinstance(step, int) else {"string", "object"} if step is Unwritten.ELEMENT else set[str]()
    if facts.types & texts:  # characters and keys
        inner = union(inner, STRING)
    always = facts.types == frozenset({look.kind}) and (facts.there or sure)
    return Value(union(inner), absent=value.absent or not always)


def defaults(root: Schema, schemas: list[Any], step: str | int) -> tuple[bool, list[Any]]:
    """Whether `Contract.with_defaults` gives every object this property, and the schemas that it then fills by.

    A default is taken as it stands: what it leaves out inside stays out.
    """
    nodes = [node for schema in schemas for node in _conjunction(root, schema)]
    if isinstance(step, int):
        return False, [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
    found = [declared[step] for node in nodes if step in (declared := mapping_in(node, "properties"))]
    if any("default" in resolve(root, sub) for sub in found):
        return True, []
    return False, found


def is_named(root: Schema) -> bool:
    """Whether references may lead elsewhere than from the root, so that none is followed or moved."""
    return any(isinstance(sub, Mapping) and not _NAMES.isdisjoint(cast("Schema", sub)) for sub, _ in subschemas(root))


class _Facts(NamedTuple):
    """What is sure of the values of a schema.

    Attributes:
        types: they are of one of these; `integer` goes with every `number`.
        inner: the schema of what a step leads to, from those that have such a step and where it leads anywhere.
        there: whether it leads somewhere from each of those.
    """

    types: frozenset[str]
    inner: Known = True
    there: bool = False


class _Look:
    """Looks at a schema and the schemas that it combines; `templates.paths.enter` asks what an author meant."""

    def __init__(self, root: Schema, step: Step | None = None) -> None:
        self.root = root
        self.step = step
        self.kind = "object" if isinstance(step, str) else "array"
        self.left = _MOST_VISITS

    @cached_property
    def is_named(self) -> bool:
        return is_named(self.root)

    def at(self, schema: Any, depth: int = 0) -> _Facts:
        self.left -= 1
        if schema is False:
            return _Facts(frozenset(), inner=False, there=True)
        if not isinstance(schema, Mapping) or self.left < 0 or depth > _DEEPEST:
            return _Facts(_ALL_TYPES)
        node = cast("Schema", schema)
        parts = [self.own(node)]
        if isinstance(node.get("$ref"), str) and not self.is_named:
            parts.append(self.at(follow(self.root, node["$ref"]), depth + 1))
        parts += [self.at(sub, depth + 1) for sub in list_in(node, "allOf")]
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                parts.append(_any([self.at(sub, depth + 1) for sub in list_in(node, keyword)]))
        return _all(parts)

    def own(self, node: Schema) -> _Facts:
        types = _types(node)
        if self.kind not in types:
            return _Facts(types, inner=False, there=True)
        if isinstance(self.step, str):
            there = self.step in list_in(node, "required")
            return _Facts(types, _property(node, self.step), there)
        at = self.step if isinstance(self.step, int) else 0
        return _Facts(types, _item(node, self.step), node.get("minItems", 0) > at)


def _all(parts: list[_Facts]) -> _Facts:
    types = _ALL_TYPES.intersection(*(part.types for part in parts))
    there = any(part.there for part in parts)
    said = [part.inner for part in parts if part.inner and part.inner is not True]
    if any(part.inner is False for part in parts):
        return _Facts(types, inner=False, there=there)
    return _Facts(types, {"allOf": said} if len(said) > 1 else said[0] if said else True, there)


def _any(parts: list[_Facts]) -> _Facts:
    types = frozenset[str]().union(*(part.types for part in parts))
    return _Facts(types, union(*(part.inner for part in parts)), all(part.there for part in parts))


def _property(node: Schema, name: str) -> Known:
    declared = mapping_in(node, "properties")
    if name in declared:
        return declared[name]
    return True if "patternProperties" in node else node.get("additionalProperties", True)


def _item(node: Schema, step: Step | None) -> Known:
    first, rest, longest = list_in(node, "prefixItems"), node.get("items", True), node.get("maxItems")
    if isinstance(step, int):
        if longest is not None and step >= longest:
            return False
        return first[step] if step < len(first) else rest
    return union(*first, False if longest is not None and longest <= len(first) else rest)


def _types(node: Schema) -> frozenset[str]:
    declared = node.get("type", _ALL_TYPES)
    types = frozenset[str]({declared} if isinstance(declared, str) else declared)
    for values in ([node["const"]] if "const" in node else None, node.get("enum")):
        if values is not None:
            types &= _with_integer(frozenset(map(type_of, values)))
    return _with_integer(types)


def _with_integer(types: frozenset[str]) -> frozenset[str]:
    return types | {"integer"} if "number" in types else types


def _conjunction(root: Schema, schema: Any, depth: int = 0) -> Iterator[Schema]:
    node = resolve(root, schema)
    yield node
    for sub in list_in(node, "allOf") if depth < _DEEPEST_CONJUNCTION else ():
        yield from _conjunction(root, sub, depth + 1)
