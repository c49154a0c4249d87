"""A schema in plain words, for a model that the decoder holds to it: what each key is, its bounds and its form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from runllm.schema import Schema, bounds, declared_types, list_in, listed, resolve

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
}
# A form and no specimen: a small model copies a specimen into its answer.
_FORMS = {
    "date": "date, YYYY-MM-DD",
    "time": "time, HH:MM:SSZ",
    "date-time": "date and time, YYYY-MM-DDTHH:MM:SSZ",
    "duration": "duration as in ISO 8601",
    "email": "email address",
    "uri": "URL with https://",
}
_DEEPEST = 4
_MOST_LINES = 500
_MOST_ALTERNATIVES = 4
_LONGEST_PATTERN = 200


def outline(schema: Schema) -> str:
    """A line for each property of an object, and of the objects inside it; empty where none has a name."""
    return "\n".join(islice(_lines(schema, schema, 0, frozenset({"#"})), _MOST_LINES))


def _lines(root: Schema, schema: Schema, depth: int, around: frozenset[str]) -> Iterator[str]:
    """The lines of an object.

    Args:
        root: the schema that references are followed in.
        schema: of the object.
        depth: how many objects are around this one.
        around: the references that led here: an object inside its like is named, and not listed again.
    """
    for name, sub in resolve(root, schema).get("properties", {}).items():
        node = resolve(root, sub)
        said = f". {node['description']}" if node.get("description") else ""
        yield f"{'  ' * depth}- {name}: {in_words(root, node)}{said}"
        inner = node.get("items", node)
        followed = {reference for part in (sub, inner) if (reference := _reference(part))}
        if depth < _DEEPEST and not followed & around:
            yield from _lines(root, inner, depth + 1, around | followed)


def _reference(schema: Any) -> str:
    return str(cast("Schema", schema).get("$ref", "")) if isinstance(schema, Mapping) else ""


def in_words(root: Schema, node: Schema, depth: int = 0) -> str:
    """What a value is, its bounds and its form, such as `list of 2 to 4 items, each text of at most 60 characters`.

    Args:
        root: the schema that references are followed in.
        node: of the value.
        depth: how many lists, maps and alternatives are around it.
    """
    if values := listed(node):
        return _one_of(values)
    alternatives = list_in(node, "anyOf") or list_in(node, "oneOf")
    if alternatives and "type" not in node and depth < _DEEPEST:
        parts = [resolve(root, one) for one in alternatives]
        if all(map(listed, parts)):
            return _one_of([value for part in parts for value in listed(part) or ()])
        if len(parts) <= _MOST_ALTERNATIVES:
            return " or ".join(dict.fromkeys(in_words(root, part, depth + 1) for part in parts))
    kinds = sorted(declared_types(root, node), key=lambda kind: (kind == "null", kind))
    return " or ".join(_of_kind(kind, root, node, depth) for kind in kinds) or "any value"


def _one_of(values: list[Any]) -> str:
    said = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return said if len(values) == 1 else f"one of {said}"


def _of_kind(kind: str, root: Schema, node: Schema, depth: int) -> str:
    if kind == "string" and isinstance(form := node.get("format"), str):
        return f"text ({_FORMS.get(form, form)})"
    if kind == "string" and isinstance(pattern := node.get("pattern"), str) and len(pattern) <= _LONGEST_PATTERN:
        return f"text that matches {pattern}"
    said = " ".join(filter(None, (_WORDS.get(kind, kind), bounds(kind, node))))
    inside = node.get({"array": "items", "object": "additionalProperties"}.get(kind, ""))
    if not isinstance(inside, Mapping) or "properties" in node or depth >= _DEEPEST:
        return said
    each = in_words(root, resolve(root, cast("Schema", inside)), depth + 1)
    if kind == "object":
        return f"{said}, each value {each}"
    return f"list of {each}" if said == "list" else f"{said}, each {each}"
