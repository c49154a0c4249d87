"""Values made to fit a schema without a guess: absent properties filled from `default`, text read as its type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

from runllm.schemas import Schema, declared_types, resolve

_DEEPEST = 64  # as deep as a file may nest
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SCALARS = {"true": True, "false": False}


def filled(value: Any, root: Schema, schemas: list[Any], depth: int = 0) -> Any:
    """`value` with absent properties filled from the `default`s of `schemas`, which all hold for it; a copy."""
    if depth > _DEEPEST:
        return value
    nodes = list(_together(root, schemas, {}))
    if isinstance(value, Mapping):
        given = dict(cast("Mapping[str, Any]", value))
        declared: dict[str, list[Any]] = {}
        for node in nodes:
            for name, sub in node.get("properties", {}).items():
                declared.setdefault(name, []).append(sub)
        for name, subs in declared.items():
            if name in given:
                given[name] = filled(given[name], root, subs, depth + 1)
                continue
            defaults = [i for i, sub in enumerate(subs) if "default" in resolve(root, sub)]
            if defaults:
                first = defaults[0]
                default = deepcopy(resolve(root, subs[first])["default"])  # whoever gets it may change it
                given[name] = filled(default, root, subs[first + 1 :], depth + 1)
        return given
    items = [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
    if isinstance(value, list) and items:
        return [filled(item, root, items, depth + 1) for item in cast("list[Any]", value)]
    return cast("Any", value)


def _together(root: Schema, schemas: list[Any], seen: dict[int, Any]) -> Iterator[Schema]:
    """The schemas and what they combine by `allOf`, each once however many references lead to it."""
    for schema in schemas:
        node = resolve(root, schema)
        if id(schema) in seen or id(node) in seen:
            continue
        seen |= {id(schema): schema, id(node): node}  # kept, so that no other object gets its identity
        yield from _together(root, list(node.get("allOf", ())), seen)
        yield node


def read_text(text: str, schema: Any, root: Schema) -> Any:
    """`text` as a value of the declared type, strictly; the text itself where it cannot be read so.

    A schema that admits a string takes the text as it is. Otherwise an integer, a number, `true`,
    `false` and `null` are read as written, and an object or array as JSON. What cannot be read
    stays text, so that the schema check can name the type it wanted.
    """
    types = declared_types(root, schema)
    if "string" in types:
        return text
    stripped = text.strip()
    if "integer" in types and _INTEGER.fullmatch(stripped) and len(stripped) <= 4000:  # noqa: PLR2004
        return int(stripped)
    if "number" in types and _NUMBER.fullmatch(stripped):
        return float(stripped) if not _INTEGER.fullmatch(stripped) or len(stripped) > 4000 else int(stripped)  # noqa: PLR2004
    if "boolean" in types and stripped.lower() in _SCALARS:
        return _SCALARS[stripped.lower()]
    if "null" in types and stripped == "null":
        return None
    if types & {"object", "array"} or not types:
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):
            return text
    return text
