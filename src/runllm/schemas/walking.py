"""Walk a JSON Schema: follow references, list what is inside, find the schema at a path, name its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

Schema = Mapping[str, Any]
Scope = dict[str, Schema | None]
"""Names that a template or a block may read, each with the schema of what it holds; None for anything."""


def resolve(root: Schema, schema: Any) -> Schema:
    """`schema` with a leading local `$ref` followed; `{}` for `true` and for what cannot be followed."""
    for _ in range(64):
        if not isinstance(schema, Mapping):
            return {"not": {}} if schema is False else {}
        current = cast("Schema", schema)
        target = current.get("$ref")
        if not isinstance(target, str):
            return current
        found = follow(root, target)
        rest = {key: item for key, item in current.items() if key != "$ref"}
        schema = {**cast("Schema", found), **rest} if rest and isinstance(found, Mapping) else found
    return {}


def follow(root: Schema, reference: str) -> Any:
    """What a local reference (`#/$defs/x`, `#name`) refers to; `{}` where it leads nowhere."""
    found = _referred(root, reference)
    return {} if found is None else found


def leads_nowhere(root: Schema, reference: str) -> bool:
    """Whether a reference is not local, or refers to nothing."""
    return _referred(root, reference) is None


def _referred(root: Schema, reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    node: Any = root
    if reference != "#":
        if not reference.startswith("#/"):
            return _anchored(root, reference[1:])
        for step in reference[2:].split("/"):
            key = _unescaped(step)
            if isinstance(node, Mapping) and key in node:
                node = cast("Schema", node)[key]
            elif isinstance(node, list) and _is_index(key, cast("list[Any]", node)):
                node = cast("list[Any]", node)[int(key)]
            else:
                return None
    return node


def _unescaped(step: str) -> str:
    """A step of a JSON Pointer in a fragment as the key that it names."""
    if "%" in step:
        from urllib.parse import unquote  # some milliseconds that hardly any schema needs

        step = unquote(step)
    return step.replace("~1", "/").replace("~0", "~")


def _is_index(key: str, items: list[Any]) -> bool:
    return key.isdecimal() and len(key) <= len(str(len(items))) and int(key) < len(items)


def _anchored(root: Schema, name: str) -> Schema | None:
    for sub, _ in subschemas(root):
        if isinstance(sub, Mapping):
            node = cast("Schema", sub)
            if name in (node.get("$anchor"), node.get("$dynamicAnchor")):
                return node
    return None


_SCHEMA_KEYWORDS = (
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames",
    "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


def subschemas(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """`schema` and every schema inside it, each with its path of keys and indexes."""
    yield schema, path
    if not isinstance(schema, Mapping):
        return
    node = cast("Schema", schema)
    for keyword in _SCHEMA_KEYWORDS:
        if keyword in node:
            yield from subschemas(node[keyword], (*path, keyword))
    for keyword in _SCHEMA_LISTS:
        if isinstance(node.get(keyword), list):
            for index, sub in enumerate(node[keyword]):
                yield from subschemas(sub, (*path, keyword, index))
    for keyword in _SCHEMA_MAPS:
        if isinstance(node.get(keyword), Mapping):
            for name, sub in node[keyword].items():
                yield from subschemas(sub, (*path, keyword, name))


def declared_properties(root: Schema, schema: Any) -> dict[str, Any]:
    """The properties that an object of this schema may declare, through `$ref` and combinations."""
    found: dict[str, Any] = {}
    for branch in branches(root, schema):
        declared = branch.get("properties")
        if isinstance(declared, Mapping):
            found |= {k: v for k, v in cast("Schema", declared).items() if k not in found}
    return found


def branches(root: Schema, schema: Any, depth: int = 0) -> list[Schema]:
    """The schema itself and the alternatives it combines (`anyOf`, `oneOf`, `allOf`, `then`, `else`)."""
    node = resolve(root, schema)
    found = [node]
    if depth < 16:  # noqa: PLR2004 - a recursive combination ends somewhere
        for keyword in ("allOf", "anyOf", "oneOf"):
            for sub in node.get(keyword, ()) if isinstance(node.get(keyword), list) else ():
                found += branches(root, sub, depth + 1)
        for keyword in ("then", "else"):
            if keyword in node:
                found += branches(root, node[keyword], depth + 1)
    return found


def schema_at(root: Schema, path: Sequence[str]) -> Schema | None:
    """The schema of what stands at a path of property names, as a root of its own; None where nothing is known.

    A value that may be absent is also null: that is what a reader of the path gets.
    """
    node: Any = root
    absent = False
    for step in path:
        here = branches(root, node)
        found = [branch["properties"][step] for branch in here if step in branch.get("properties", {})]
        if not found:
            return None
        certain = any(step in branch.get("required", ()) for branch in here)
        absent = absent or not (certain or any("default" in resolve(root, sub) for sub in found))
        node = found[0] if len(found) == 1 else {"anyOf": found}
    kept = {key: root[key] for key in ("$defs", "definitions") if key in root}
    return {"anyOf": [node, {"type": "null"}], **kept} if absent else {**resolve(root, node), **kept}


def standalone(root: Schema, schema: Any, name: str = "root") -> Schema:
    """A part of `root` as a schema of its own, which may stand inside another; its references lead where they did.

    Args:
        root: the schema that the references of `schema` are followed in.
        schema: a part of it.
        name: under which `root` is kept in `$defs`, where a reference needs it.
    """
    if not isinstance(schema, Mapping):
        return {"not": {}} if schema is False else {}
    moved = _moved(cast("Schema", schema), f"#/$defs/{name}")
    kept = {key: item for key, item in moved.items() if key not in ("$defs", "definitions", "$id", "$schema")}
    if not _refers(kept):
        return kept
    return {**kept, "$defs": {name: _moved(root, f"#/$defs/{name}")}}


def _moved(schema: Any, place: str) -> Any:
    """A schema whose root now stands at `place`: every reference from the root begins there."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    moved = {key: _moved(item, place) for key, item in cast("Schema", schema).items()}
    target = moved.get("$ref")
    if isinstance(target, str) and (target == "#" or target.startswith("#/")):
        moved["$ref"] = place + target[1:].rstrip("/")
    return moved


def _refers(schema: Schema) -> bool:
    return any(isinstance(sub, Mapping) and "$ref" in sub for sub, _ in subschemas(schema))


def declared_types(root: Schema, schema: Any) -> set[str]:
    """The JSON types that the schema names, through `$ref`, combinations, `const` and `enum`; empty for any."""
    found: set[str] = set()
    for node in branches(root, schema):
        declared = node.get("type")
        if isinstance(declared, str):
            found.add(declared)
        elif isinstance(declared, list):
            found |= set(cast("list[str]", declared))
        values = node.get("enum", [node["const"]] if "const" in node else [])
        if declared is None:
            found |= {type_of(item) for item in values}
    return found


def type_of(value: Any) -> str:
    """The JSON Schema type of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"
