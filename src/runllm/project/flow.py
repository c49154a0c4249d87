"""The schema of what a `with`, `for_each` or `output` value gives, as far as it is known before it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from runllm import template
from runllm.schema import (
    ANNOTATIONS,
    Contract,
    Schema,
    Scope,
    Value,
    filling,
    mapping_in,
    reachable,
    resolve,
    side_by_side,
    standalone,
    step_from,
    types_of,
)
from runllm.template.types import infer
from runllm.values import frozen

_SCALARS = {"integer", "number", "boolean", "null"}
_PLAIN_OBJECT = {"type", "properties", "required", "additionalProperties", "$ref", "$defs", "definitions"}
_PLAIN = _PLAIN_OBJECT | {"items", "minItems", "maxItems"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a contract.

    Attributes:
        root: the contract.
        schema: what must hold for a value here.
        filling: the schemas whose defaults are filled in here; none in a contract where nothing is.
        plain: whether nothing else must hold: the contract says no more of the values around this place.
    """

    root: Schema
    schema: Any
    filling: tuple[Any, ...] = ()
    plain: bool = True

    @classmethod
    def of(cls, contract: Schema, *, filled: bool) -> Place:
        """The place of a whole value; `filled` where defaults are filled in before it is held against the contract."""
        return cls(contract, contract, (contract,) if filled else ())

    @property
    def target(self) -> Schema:
        """What must hold here, as a schema of its own."""
        return standalone(self.root, self.schema)

    def inside(self, step: str | int) -> Place:
        """The place at a key or an index of a value that is here."""
        kind = "array" if isinstance(step, int) else "object"
        inner = step_from(self.root, Value({"allOf": [self.schema, {"type": kind}]}), step).schema
        plain = self.plain and _is_plain(resolve(self.root, self.schema))
        filled = tuple(filling(self.root, self.filling, step))
        return Place(self.root, {} if inner is True else inner, filled, plain)

    def takes(self, kind: str) -> bool:
        """Whether a value of this JSON type may fit here."""
        return kind in types_of(self.root, self.schema)

    def reads_text_as(self) -> list[str]:
        """The scalar types that a text with templates is read as here; `string` where it stays a text."""
        types = types_of(self.root, self.schema)
        return ["string"] if "string" in types or not types & _SCALARS else sorted(types & _SCALARS)

    def leaves_out(self, name: str) -> bool:
        """Whether an object here is made without `name` where that is null: it need not be there and cannot be null."""
        inner = step_from(self.root, Value(self.schema), name)
        cannot_be_null = "null" not in types_of(self.root, inner.schema)
        return cannot_be_null and (inner.absent or name in self.filled({}))

    def filled(self, value: Any) -> Any:
        """A value here after defaults are filled in, at every depth."""
        return Contract(standalone(self.root, {"allOf": list(self.filling)})).with_defaults(value)

    def is_simple(self) -> bool:
        """Whether an object here must satisfy no more than its properties must, one by one."""
        node = resolve(self.root, self.schema)
        return node.keys() <= _PLAIN_OBJECT | ANNOTATIONS and node.get("type") in ("object", None)

    def is_settled(self) -> bool:
        """Whether defaults that are filled in here and below never change whether a value fits."""
        nodes = list(reachable(self.root, *self.filling))
        if not any("default" in node for node in nodes):
            return True
        return self.plain and all(_is_plain(node) and _is_harmless(self.root, node) for node in nodes)


def _is_harmless(root: Schema, node: Schema) -> bool:
    """Whether the defaults of an object's properties fit, and are of such as need not be there."""
    found = {name: sub for name, sub in mapping_in(node, "properties").items() if "default" in resolve(root, sub)}
    return found.keys().isdisjoint(node.get("required", ())) and all(
        Contract(standalone(root, sub)).accepts(resolve(root, sub)["default"]) for sub in found.values()
    )


def _is_plain(node: Schema) -> bool:
    return node.keys() <= _PLAIN | ANNOTATIONS


_NULL: Schema = {"type": "null"}
_EXPRESSION = re.compile(r"\s*\{\{[-+]?(.*?)[-+]?\}\}\s*", re.DOTALL)
_READABLE = {"integer": "+-0123456789", "number": "+-.eE0123456789", "boolean": "truefalsTRUEFALS", "null": "nul"}


@frozen
class Flow:
    """What a value template gives.

    Attributes:
        schema: of every value it can give, self-contained; `{}` where nothing is known.
        known: False where some part of it could not be told.
        read: whether it is a text that is read as another type, where that can be.
    """

    schema: Schema
    known: bool = True
    read: bool = False


def flow(value: Any, scope: Scope, place: Place) -> Flow:
    """The flow of a value as it is written, with everything inside it, into a place.

    Args:
        value: as `building` gets it.
        scope: what its templates may read.
        place: what it is made for.
    """
    if _is_literal(value):
        return Flow(schema={"const": place.filled(value)})
    if isinstance(value, str):
        return _of_text(value, scope, place)
    if isinstance(value, dict):
        return _of_object(cast("dict[str, Any]", value), scope, place)
    return _of_list(cast("list[Any]", value), scope, place)


def _is_literal(value: Any) -> bool:
    """Whether a value holds no template."""
    if isinstance(value, str):
        return template.form(value) == "literal"
    if isinstance(value, dict | list):
        inside = cast("Any", value.values() if isinstance(value, dict) else value)
        return all(_is_literal(item) for item in inside)
    return True


def expression(text: str) -> str:
    """One whole `{{ expression }}` as its author would say it: without the braces and the marks that strip space."""
    found = _EXPRESSION.fullmatch(text)
    return found[1].strip() if found else text


def _of_text(text: str, scope: Scope, place: Place) -> Flow:
    inferred = infer(text, scope)
    types = place.reads_text_as()
    if inferred.whole or types == ["string"] or not _may_be_read(inferred.literal, types):
        return Flow(schema=inferred.schema, known=inferred.known)
    return Flow(schema={"anyOf": [inferred.schema, {"type": types}]}, known=inferred.known, read=True)


def _may_be_read(literal: tuple[str, ...], types: list[str]) -> bool:
    """Whether a text with these fixed stretches can be read as one of the types."""
    signs = {sign for part in literal for sign in part if not sign.isspace()}
    return any(signs <= set(_READABLE[kind]) for kind in types)


def _of_list(value: list[Any], scope: Scope, place: Place) -> Flow:
    flows = [flow(item, scope, place.inside(n)) for n, item in enumerate(value)]
    parts, definitions = side_by_side(one.schema for one in flows)
    size = {"minItems": len(parts), "maxItems": len(parts)}
    schema: Schema = {"type": "array", "prefixItems": parts, "items": False, **size, **definitions}
    return Flow(schema=schema, known=all(one.known for one in flows))


def _of_object(value: dict[str, Any], scope: Scope, place: Place) -> Flow:
    """An object of exactly these properties, but for nulls that are left out, and defaults that are filled in."""
    flows = [flow(inner, scope, place.inside(name)) for name, inner in value.items()]
    parts, definitions = side_by_side(one.schema for one in flows)
    filled = {name: {"const": default} for name, default in place.filled({}).items()}
    properties: dict[str, Any] = {name: schema for name, schema in filled.items() if name not in value}
    required = list(properties)
    for (name, inner), schema in zip(value.items(), parts, strict=True):
        can_be_left_out = isinstance(inner, str) and place.leaves_out(name)
        if can_be_left_out and "null" in types_given({**schema, **definitions}):
            others = _without_null(schema)
            properties[name] = {"anyOf": [others, filled[name]]} if name in filled else others
            required += [name] if name in filled else []
        else:
            properties[name] = schema
            required.append(name)
    closed = {"properties": properties, "required": required, "additionalProperties": False}
    return Flow(schema={"type": "object", **closed, **definitions}, known=all(one.known for one in flows))


def types_given(schema: Schema) -> frozenset[str]:
    """The types of the values that a self-contained schema allows; `integer` goes with every `number`."""
    return types_of(schema, schema)


def _without_null(schema: Schema) -> Schema:
    if set(schema) == {"anyOf"}:
        return {"anyOf": [branch for branch in schema["anyOf"] if branch != _NULL] or [False]}
    return {"allOf": [schema, {"not": _NULL}]}
