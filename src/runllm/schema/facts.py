"""What a schema says of a place: the types there, what is declared, and what one step into a value leads to.

There are two readings. What *surely holds* of every value that fits (`types_of`, `step_from`) goes through what a
schema requires, and takes the rest for anything. What its *author meant* (`declared_types`, `declared_properties`,
`enter`) takes an object that declares names to have no others, unless it says so, and counts every alternative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from runllm.schema.walk import Schema, branches, follow, is_named, list_in, mapping_in, resolve, together, type_of

if TYPE_CHECKING:
    import jsonschema_rs


class Unwritten(Enum):
    """A step whose key is not written down."""

    ELEMENT = "[]"
    """What a loop over the value gives: an item of a list, a character of a text, a key of an object."""
    VALUE = "{}"
    """The value of some property."""


Step: TypeAlias = "str | int | Unwritten"
Known: TypeAlias = "Schema | bool"
"""A schema of values: `{}` where they may be anything, False where there are none."""

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that say nothing of which values fit."""
ALL_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_STRING = {"type": "string"}
_MOST_BRANCHES = 32
_MOST_PATTERNS = 100


# --- one schema by itself ------------------------------------------------------------------------


def stated(node: Schema, step: Step) -> Known | None:
    """What a schema, without those that it combines, says of a part of its values; None where it says nothing."""
    if isinstance(step, int):
        longest = node.get("maxItems")
        if isinstance(longest, int) and step >= longest:
            return False
        first = list_in(node, "prefixItems")
        return first[step] if step < len(first) else node.get("items")
    if isinstance(step, str):
        return _property(node, step)
    if step is Unwritten.ELEMENT:
        first, longest = list_in(node, "prefixItems"), node.get("maxItems")
        none_left = isinstance(longest, int) and longest <= len(first)
        return union(*first, False if none_left else node.get("items", True))
    parts = [*mapping_in(node, "properties").values(), *mapping_in(node, "patternProperties").values()]
    return union(*parts, node.get("additionalProperties", not parts))


def _property(node: Schema, name: str) -> Known | None:
    declared = mapping_in(node, "properties")
    if name in declared:
        return declared[name]
    patterns = mapping_in(node, "patternProperties")
    if len(patterns) > _MOST_PATTERNS:
        return {}
    return next((sub for pattern, sub in patterns.items() if _matches(pattern, name)), node.get("additionalProperties"))


def _matches(pattern: str, name: str) -> bool:
    try:
        return _compiled(pattern).is_valid(name)
    except ValueError:
        return False


@lru_cache
def _compiled(pattern: str) -> jsonschema_rs.Validator:
    import jsonschema_rs  # in linear time, which Python's own `re` does not promise

    return jsonschema_rs.Draft202012Validator({"pattern": pattern})


def listed(node: Schema) -> list[Any] | None:
    """The values that a schema lists by `const` or `enum`; None where it lists none."""
    if "const" in node:
        return [node["const"]]
    return cast("list[Any]", node["enum"]) if isinstance(node.get("enum"), list) else None


def named_types(node: Schema) -> list[str]:
    """The types under the `type` of a schema."""
    declared = node.get("type", ())
    return [declared] if isinstance(declared, str) else list(cast("list[str]", declared))


def union(*schemas: Known) -> Known:
    """The schema of all that one of these allows; `{}` where that would have too many branches."""
    found: dict[str, Schema] = {}  # by how they are written: for Python, True is 1
    for schema in schemas:
        if isinstance(schema, bool):
            if schema:
                return {}
            continue
        if ANNOTATIONS.issuperset(schema):
            return {}
        found |= {repr(part): part for part in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])}
    if len(found) > _MOST_BRANCHES:
        return {}
    parts = list(found.values())
    return {"anyOf": parts} if len(parts) > 1 else parts[0] if parts else False


# --- what surely holds ---------------------------------------------------------------------------


class Value(NamedTuple):
    """What may stand somewhere: values of a schema, and, where it may be `absent`, nothing, which is not yet null."""

    schema: Known
    absent: bool = False


def types_of(root: Schema, schema: Known) -> frozenset[str]:
    """The types that values of a schema can have; `integer` goes with every `number`."""
    return _Sure(root).at(schema).types


def step_from(root: Schema, value: Value, step: Step, *, sure: bool = False) -> Value:
    """What a step from a value gives; `sure` where every object has it. From other types it gives nothing."""
    look = _Sure(root, step)
    facts = look.at(value.schema)
    inner = facts.inner if look.kind in facts.types else False
    texts = {"string"} if isinstance(step, int) else {"string", "object"} if step is Unwritten.ELEMENT else set[str]()
    if facts.types & texts:  # characters and keys
        inner = union(inner, _STRING)
    always = facts.types == frozenset({look.kind}) and (facts.there or sure)
    return Value(union(inner), absent=value.absent or not always)


def defaults(root: Schema, schemas: Iterable[Any], step: str | int) -> tuple[bool, list[Any]]:
    """Whether `Contract.with_defaults` gives every object this property, and the schemas that it then fills by.

    A default is taken as it stands: what it leaves out inside stays out.
    """
    found = filling(root, schemas, step)
    given = isinstance(step, str) and any("default" in resolve(root, sub) for sub in found)
    return given, [] if given else found


def filling(root: Schema, schemas: Iterable[Any], step: str | int) -> list[Any]:
    """The schemas whose defaults are filled in at a property or an item of a value for which these fill them in."""
    nodes = [node for schema in schemas for node in together(root, schema)]
    if isinstance(step, int):
        return [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
    return [declared[step] for node in nodes if step in (declared := mapping_in(node, "properties"))]


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


class _Sure:
    """Looks at a schema and those that it combines, within a number of visits."""

    _DEEPEST = 16

    def __init__(self, root: Schema, step: Step | None = None) -> None:
        self.root = root
        self.step = step
        self.kind = "object" if isinstance(step, str) else "array"
        self.left = 500

    @cached_property
    def is_named(self) -> bool:
        return is_named(self.root)

    def at(self, schema: Any, depth: int = 0) -> _Facts:
        self.left -= 1
        if schema is False:
            return _Facts(frozenset(), inner=False, there=True)
        if not isinstance(schema, Mapping) or self.left < 0 or depth > self._DEEPEST:
            return _Facts(ALL_TYPES)
        node = cast("Schema", schema)
        parts = [self.own(node)]
        if isinstance(node.get("$ref"), str) and not self.is_named:
            parts.append(self.at(follow(self.root, node["$ref"]), depth + 1))
        parts += [self.at(sub, depth + 1) for sub in list_in(node, "allOf")]
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                parts.append(self.one_of([self.at(sub, depth + 1) for sub in list_in(node, keyword)]))
        return self.all_of(parts)

    def own(self, node: Schema) -> _Facts:
        types = _sure_types(node)
        if self.step is None or self.kind not in types:
            return _Facts(types, inner=False, there=True)
        said = stated(node, self.step)
        at = self.step if isinstance(self.step, int) else 0
        there = self.step in list_in(node, "required") if self.kind == "object" else node.get("minItems", 0) > at
        return _Facts(types, True if said is None else said, there)

    def all_of(self, parts: list[_Facts]) -> _Facts:
        types = ALL_TYPES.intersection(*(part.types for part in parts))
        there = any(part.there for part in parts)
        if any(part.inner is False for part in parts):
            return _Facts(types, inner=False, there=there)
        said = [part.inner for part in parts if part.inner and part.inner is not True]
        return _Facts(types, {"allOf": said} if len(said) > 1 else said[0] if said else True, there)

    def one_of(self, parts: list[_Facts]) -> _Facts:
        types = frozenset[str]().union(*(part.types for part in parts))
        return _Facts(types, union(*(part.inner for part in parts)), all(part.there for part in parts))


def _sure_types(node: Schema) -> frozenset[str]:
    types = frozenset(named_types(node)) if "type" in node else ALL_TYPES
    for values in ([node["const"]] if "const" in node else None, node.get("enum")):
        if values is not None:
            types &= _with_integer(frozenset(map(type_of, values)))
    return _with_integer(types)


def _with_integer(types: frozenset[str]) -> frozenset[str]:
    return types | {"integer"} if "number" in types else types


# --- what the author meant -----------------------------------------------------------------------


def declared_types(root: Schema, schema: Any) -> set[str]:
    """The JSON types that a schema names, through `$ref`, combinations, `const` and `enum`; empty for any."""
    found: set[str] = set()
    for node in branches(root, schema):
        found.update(named_types(node) if "type" in node else map(type_of, listed(node) or ()))
    return found


def declared_properties(root: Schema, schema: Any) -> dict[str, Any]:
    """The properties that an object of this schema may declare, through `$ref` and combinations."""
    found: dict[str, Any] = {}
    for node in branches(root, schema):
        found = {**mapping_in(node, "properties"), **found}
    return found


def schema_at(root: Schema, path: Sequence[str]) -> Schema | None:
    """The schema of what stands at a path of property names, as a root of its own; None where nothing is known.

    A value that may be absent is also null: that is what a reader of the path gets.
    """
    node: Any = root
    absent = False
    for step in path:
        here = branches(root, node)
        found = [branch["properties"][step] for branch in here if step in mapping_in(branch, "properties")]
        if not found:
            return None
        certain = any(step in branch.get("required", ()) for branch in here)
        absent = absent or not (certain or any("default" in resolve(root, sub) for sub in found))
        node = found[0] if len(found) == 1 else {"anyOf": found}
    kept = {key: root[key] for key in ("$defs", "definitions") if key in root}
    return {"anyOf": [node, {"type": "null"}], **kept} if absent else {**resolve(root, node), **kept}


class Found(NamedTuple):
    """The step leads to a value of this schema; `{}` where nothing is known of it."""

    schema: Schema


class Undeclared(NamedTuple):
    """The value is an object or array that does not have this; `names` are those it has."""

    names: tuple[str, ...] = ()


class Impossible(NamedTuple):
    """The value is of a type that has no such step."""

    types: tuple[str, ...]


Entered: TypeAlias = "Found | Undeclared | Impossible"
_OPEN = Found({})
_ANYTHING = Found({"title": "anything"})
"""What a declared property without a type holds: declared, unlike `_OPEN`, which declares nothing."""


def enter(root: Schema, schema: Any, step: Step) -> Entered:
    """What the step leads to from a value of `schema`, or why nothing can be there.

    A schema is a conjunction: its own keywords, every `allOf`, one of `anyOf`, one of `oneOf`. A step is possible
    when some branch allows it and no other part of the conjunction excludes it.
    """
    return _Meant(root, step).enter(schema)


class _Meant:
    _DEEPEST = 64

    def __init__(self, root: Schema, step: Step) -> None:
        self.root = root
        self.step = step
        self.left = 2000

    def enter(self, schema: Any, depth: int = 0) -> Entered:
        self.left -= 1
        if schema is False:
            return Undeclared()
        if self.left < 0 or depth > self._DEEPEST:  # a schema that refers to itself in every branch
            return _OPEN
        node = resolve(self.root, schema)
        parts = [self.own(node), *(self.enter(sub, depth + 1) for sub in list_in(node, "allOf"))]
        parts += [self.one_of(subs, depth + 1) for word in ("anyOf", "oneOf") if (subs := list_in(node, word))]
        conditional = [self.enter(node[keyword], depth + 1) for keyword in ("then", "else") if keyword in node]
        return self.all_of([*parts, *(part for part in conditional if isinstance(part, Found))])

    def own(self, node: Schema) -> Entered:
        types, step = _meant_types(node), self.step
        if isinstance(step, str) or step is Unwritten.VALUE:
            return Impossible(types) if types and "object" not in types else self.led_to(node)
        if types and not {"array", "string", *(("object",) if step is Unwritten.ELEMENT else ())}.intersection(types):
            return Impossible(types)
        if types and "array" not in types:
            return Found(_STRING)  # a key, or a character
        return self.led_to(node) if types in ((), ("array",)) else _OPEN

    def led_to(self, node: Schema) -> Entered:
        said = stated(node, self.step)
        if isinstance(self.step, Unwritten):
            return Found(said) if isinstance(said, Mapping) else _OPEN
        if isinstance(self.step, str) and not said and said != {}:
            rest, declared = node.get("unevaluatedProperties", False), mapping_in(node, "properties")
            if rest is False and (declared or said is False):
                return Undeclared(tuple(name for name, sub in declared.items() if sub is not False))
            said = None if rest is False else rest
        if said is None:
            return _OPEN
        return Undeclared() if said is False else Found(said) if said and said is not True else _ANYTHING

    def one_of(self, subs: list[Any], depth: int) -> Entered:
        entered = [self.enter(sub, depth) for sub in subs]
        found = [one.schema for one in entered if isinstance(one, Found)]
        if found:
            return Found({"anyOf": found} if all(found) and len(found) > 1 else min(found, key=len))
        undeclared = [one.names for one in entered if isinstance(one, Undeclared)]
        if undeclared:
            return Undeclared(_each_once(undeclared))
        return Impossible(_each_once(one.types for one in entered if isinstance(one, Impossible)))

    def all_of(self, parts: list[Entered]) -> Entered:
        found = [part.schema for part in parts if isinstance(part, Found) and part.schema]
        if found:
            return Found({"allOf": found} if len(found) > 1 else found[0])
        impossible = [part for part in parts if isinstance(part, Impossible)]
        if impossible:
            return impossible[0]
        undeclared = [part.names for part in parts if isinstance(part, Undeclared)]
        return Undeclared(_each_once(undeclared)) if undeclared else _OPEN


def _meant_types(node: Schema) -> tuple[str, ...]:
    """The types that a schema names by itself, null only where it names no other; none where it names none."""
    named = named_types(node) if "type" in node else [type_of(value) for value in listed(node) or ()]
    return tuple(dict.fromkeys(kind for kind in named if kind != "null")) or tuple(named[:1])


def _each_once(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
