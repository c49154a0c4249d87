"""A contract as types that have names, in no language yet.

A type holds every value that fits the contract, and often more: what JSON Schema says beyond types and keys (a pattern,
a bound, `not`, `if`) is for the contract to hold. An object that declares keys has no others, unless it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Literal, TypeAlias, cast

from runllm.schema import Schema, follow, list_in, listed, mapping_in, resolve, together, type_of
from runllm.schema.facts import ANNOTATIONS, named_types
from runllm.schema.meant import KEYWORDS
from runllm.values import frozen

Kind = Literal["string", "integer", "number", "boolean", "null", "any", "never"]
_SAYS = KEYWORDS.keys() - ANNOTATIONS - {"$defs", "definitions", "$schema", "$id", "$anchor", "$vocabulary"}
_OBJECT = ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties")
_ARRAY = ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems")
_MOST_MERGED = 8
_DEEPEST = 40
_MOST_STEPS = 20_000  # alternatives in alternatives multiply: what comes later may be anything
_NONE: list[Any] = []


@frozen
class Plain:
    """A scalar, anything, or nothing."""

    kind: Kind


@frozen
class OneOf:
    """One of these values, each a text, an integer, a boolean or null."""

    values: tuple[str | int | bool | None, ...]


@frozen
class ListOf:
    """A list: its first items, how many of these are there for sure, and what all others are; None for no others."""

    first: tuple[Shape, ...] = ()
    sure: int = 0
    others: Shape | None = None


@frozen
class MapOf:
    """An object whose keys are not written down."""

    values: Shape


@frozen
class AnyOf:
    """One of several."""

    parts: tuple[Shape, ...]


@frozen
class Named:
    """A type that is declared under this name."""

    name: str


Shape: TypeAlias = "Plain | OneOf | ListOf | MapOf | AnyOf | Named"
ANY, NEVER = Plain(kind="any"), Plain(kind="never")


@frozen
class Field:
    """A key of an object.

    Attributes:
        key: as it is in JSON.
        shape: of its value.
        required: whether it is there; of an input that has a default, it need not be.
        doc: what the author says of it.
    """

    key: str
    shape: Shape
    required: bool
    doc: str = ""


@frozen
class Declared:
    """A type with a name.

    Attributes:
        name: an identifier in every language.
        doc: what the author says of it.
        fields: of an object; None for another name of `shape`.
        is_open: whether the object may have other keys.
        shape: what it is another name of.
    """

    name: str
    doc: str = ""
    fields: tuple[Field, ...] | None = None
    is_open: bool = False
    shape: Shape = ANY


class Names:
    """Identifiers, each given once."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = {name.lower() for name in reserved}
        self._next: dict[str, int] = {}  # the number of the next of a name

    def new(self, *words: str) -> str:
        """An identifier made of these words: `FirstSecond`, or with a number where it is taken."""
        parts = [part for word in words for part in re.split(r"[^A-Za-z0-9]+", word) if part]
        base = "".join(part[0].upper() + part[1:] for part in parts)[:60] or "Type"
        return self.exactly(base if base[0].isalpha() else f"T{base}")

    def exactly(self, base: str) -> str:
        """This name, or with a number where it is taken; names that differ in capitals alone are the same."""
        tries = ((n, f"{base}{n}" if n > 1 else base) for n in count(self._next.get(base.lower(), 1)))
        number, found = next((number, name) for number, name in tries if name.lower() not in self._taken)
        self._taken.add(found.lower())
        self._next[base.lower()] = number + 1
        return found


class Shapes:
    """The types of one contract, in the order in which they are met.

    Attributes:
        declared: them.
    """

    def __init__(self, root: Schema, name: str, names: Names, *, defaults: bool) -> None:
        """Make them.

        Args:
            root: the contract.
            name: what it is called.
            names: what is taken.
            defaults: whether a key with a default need not be there.
        """
        self.declared: list[Declared] = []
        self._root, self._names, self._defaults = root, names, defaults
        self._known: dict[int, Named] = {}
        self._steps = 0
        self._kept: list[Any] = []  # so that no identity is given twice
        self.root = self._of_root(name)

    def _of_root(self, name: str) -> Named:
        named = Named(name=self._names.new(name))
        self._known[id(self._root)] = named
        found = self._shape(self._root, (named.name,), named, 0)
        if found != named:
            self.declared.append(Declared(name=named.name, doc=_doc(self._root), shape=found))
        return named

    def _shape(self, schema: Any, way: tuple[str, ...], named: Named | None = None, depth: int = 0) -> Shape:
        """The type of the values of a schema.

        Args:
            schema: it.
            way: the words of which the names inside are made.
            named: the name that it has already.
            depth: how far it is inside.
        """
        self._steps += 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._steps > _MOST_STEPS:
            return NEVER if schema is False else ANY
        node = cast("Schema", schema)
        if named is None and (reference := _reference(node)):
            return self._referred(reference, depth)
        parts = [part for part in together(self._root, node) if not _SAYS.isdisjoint(part)]
        if not parts:
            return ANY
        values = next((found for part in parts if (found := listed(part)) is not None), None)
        if values is not None:
            return _of_values(values, parts)
        types = self._types(parts)
        choices = next((c for part in parts for k in ("anyOf", "oneOf") if (c := list_in(part, k))), _NONE)
        if choices and self._adds(choices) and (not types or types == {"object"}):
            return self._choice(parts, choices, way, depth)
        return self._of_types(types, node, parts, way, named, depth)

    def _of_types(
        self, types: set[str], node: Schema, parts: list[Schema], way: tuple[str, ...], named: Named | None, depth: int
    ) -> Shape:
        if not types:
            return ANY
        found: list[Shape] = []
        for kind in sorted(types, key=["string", "integer", "number", "boolean", "array", "object", "null"].index):
            if kind == "object":
                found.append(self._object(node, parts, way, named if len(types) == 1 else None, depth))
            elif kind == "array":
                found.append(self._list(parts, way, depth))
            elif not (kind == "integer" and "number" in types):
                found.append(Plain(kind=cast("Kind", kind)))
        return either(found)

    def _types(self, parts: list[Schema]) -> set[str]:
        """The types that all parts allow; those that the author meant where none is named, empty for any."""
        found: set[str] | None = None
        for part in parts:
            if "type" in part:
                own = set(named_types(part))
                own |= {"integer"} if "number" in own else set()
                found = own if found is None else found & own
        if found is not None:
            return found
        if any(keyword in part for part in parts for keyword in _OBJECT):
            return {"object"}
        return {"array"} if any(keyword in part for part in parts for keyword in _ARRAY) else set()

    def _adds(self, choices: list[Any]) -> bool:
        """Whether alternatives say more than which keys must be there."""
        return not all(resolve(self._root, one).keys() & _SAYS <= {"required", "not"} for one in choices)

    def _choice(self, parts: list[Schema], choices: list[Any], way: tuple[str, ...], depth: int) -> Shape:
        """One of several, each together with what holds beside them."""
        beside = [{k: v for k, v in part.items() if k not in ("anyOf", "oneOf", "allOf", "$ref")} for part in parts]
        beside = [part for part in beside if not _SAYS.isdisjoint(part)]
        if not beside:
            return either(self._shape(one, (*way, str(place)), None, depth + 1) for place, one in enumerate(choices, 1))
        if len(choices) > _MOST_MERGED:
            return MapOf(values=ANY)
        found: list[Shape] = []
        for place, one in enumerate(choices, 1):
            both: Schema = {"allOf": [*beside, one]}
            self._kept.append(both)
            found.append(self._shape(both, (*way, str(place)), None, depth + 1))
        return either(found)

    def _referred(self, reference: str, depth: int) -> Shape:
        target = follow(self._root, reference)
        if not isinstance(target, Mapping):
            return NEVER if target is False else ANY
        node = cast("Schema", target)
        if id(node) in self._known:
            return self._known[id(node)]
        place = len(self.declared)
        named = Named(name=self._names.new(self.root_name, reference.rpartition("/")[2].lstrip("#") or "Part"))
        self._known[id(node)] = named
        found = self._shape(node, (named.name,), named, depth + 1)
        if found != named:
            self.declared.insert(place, Declared(name=named.name, doc=_doc(node), shape=found))
        return named

    @property
    def root_name(self) -> str:
        """What the whole is called."""
        return self._known[id(self._root)].name

    def _object(
        self, node: Schema, parts: list[Schema], way: tuple[str, ...], named: Named | None, depth: int
    ) -> Shape:
        properties: dict[str, Any] = {}
        for part in (*parts, *self._conditional(parts)):
            for key, sub in mapping_in(part, "properties").items():
                properties.setdefault(key, sub)
        extra = [sub for part in parts for sub in _extra(part)]
        closed = any(part.get("additionalProperties") is False and not part.get("patternProperties") for part in parts)
        if not properties and not closed:
            return MapOf(
                values=either(self._shape(sub, (*way, "Value"), None, depth + 1) for sub in extra) if extra else ANY
            )
        required = {key for part in parts for key in list_in(part, "required")}
        own = named or Named(name=self._names.new(*way))
        place = len(self.declared)
        fields = tuple(
            Field(
                key=key,
                shape=self._shape(sub, (own.name, key), None, depth + 1),
                required=key in required and not (self._defaults and "default" in resolve(self._root, sub)),
                doc=_doc(sub) or _doc(resolve(self._root, sub)),
            )
            for key, sub in properties.items()
        )
        self.declared.insert(
            place, Declared(name=own.name, doc=_doc(node), fields=fields, is_open=bool(extra) and not closed)
        )
        return own

    def _conditional(self, parts: list[Schema]) -> Iterator[Schema]:
        """What may hold beside: its keys may be there."""
        for part in parts:
            for sub in (part.get("then"), part.get("else"), *mapping_in(part, "dependentSchemas").values()):
                if isinstance(sub, Mapping):
                    yield from together(self._root, sub)

    def _list(self, parts: list[Schema], way: tuple[str, ...], depth: int) -> Shape:
        first = next((found for part in parts if (found := list_in(part, "prefixItems"))), _NONE)
        items = next((part["items"] for part in parts if "items" in part), True)
        least = max((part["minItems"] for part in parts if isinstance(part.get("minItems"), int)), default=0)
        most = min((part["maxItems"] for part in parts if isinstance(part.get("maxItems"), int)), default=None)
        ended = items is False or (most is not None and most <= len(first))
        shapes = [self._shape(sub, (*way, str(at)), None, depth + 1) for at, sub in enumerate(first, 1)]
        others = None if ended and first else self._shape(items, (*way, "Item"), None, depth + 1)
        return ListOf(first=tuple(shapes), sure=min(int(least), len(shapes)), others=others)


def _reference(node: Schema) -> str | None:
    """What a schema refers to, if it says no more: `{"$ref": ...}`, also as the only part of an `allOf` or the like."""
    while len(said := node.keys() & _SAYS) == 1 and said <= {"allOf", "anyOf", "oneOf"}:
        parts = list_in(node, *said)
        if len(parts) != 1 or not isinstance(parts[0], Mapping):
            return None
        node = cast("Schema", parts[0])
    return node["$ref"] if said == {"$ref"} and isinstance(node["$ref"], str) else None


def _extra(part: Schema) -> Iterator[Any]:
    """The schemas of keys that are not written down, where there may be any."""
    yield from mapping_in(part, "patternProperties").values()
    if part.get("additionalProperties", False) is not False:
        yield part["additionalProperties"]


def _doc(schema: Any) -> str:
    node: Schema = cast("Schema", schema) if isinstance(schema, Mapping) else {}
    said = (node.get(keyword) for keyword in ("description", "title"))
    return next((text for text in said if isinstance(text, str) and text.strip()), "")


def _of_values(values: list[Any], parts: list[Schema]) -> Shape:
    """The type of listed values; those of other types than are named beside are none."""
    types = {kind for part in parts for kind in named_types(part)}
    kept = [
        one for one in values if not types or type_of(one) in types or (type_of(one) == "integer" and "number" in types)
    ]
    plain: list[str | int | bool | None] = []
    others: list[Shape] = []
    for one in kept:
        if isinstance(one, float):
            others.append(Plain(kind="number"))
        elif one is None or isinstance(one, str | int):
            plain += [] if any(type(one) is type(known) and one == known for known in plain) else [one]
        else:
            others.append(ListOf(others=ANY) if isinstance(one, list) else MapOf(values=ANY))
    return either([*([OneOf(values=tuple(plain))] if plain else []), *others])


def either(shapes: Iterable[Shape]) -> Shape:
    """One of these types: each once, none inside another."""
    parts: list[Shape] = []
    for shape in shapes:
        for part in shape.parts if isinstance(shape, AnyOf) else (shape,):
            if part == ANY:
                return ANY
            parts += [] if part in parts or part == NEVER else [part]
    return AnyOf(parts=tuple(parts)) if len(parts) > 1 else parts[0] if parts else NEVER
