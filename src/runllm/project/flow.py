"""The schema of what a `with`, `for_each` or `output` value gives, as far as it is known before it runs."""

from __future__ import annotations

import re
from typing import Any, cast

from runllm import template
from runllm.project.build import Place
from runllm.schema import Schema, Scope, side_by_side, types_of
from runllm.template.types import infer
from runllm.values import frozen

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
