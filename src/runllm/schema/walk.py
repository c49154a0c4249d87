"""Walk a JSON Schema: follow references, list what is inside, cut a part out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from runllm.diagnostics import steps

Schema = Mapping[str, Any]
Scope = dict[str, Schema | None]
"""Names that a template or a block may read, each with the schema of what it holds; None for anything."""

_DEEPEST = 16  # as far as a combination is followed: a recursive one ends somewhere
_SCHEMA_KEYWORDS = (
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames",
    "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_VALUES = frozenset({"const", "enum", "default", "examples"})
_NAMES = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef"})
_MEANT = _VALUES | _NAMES | {"$ref", "$schema", "dependentRequired", "pattern", "required"}


# --- one node ----------------------------------------------------------------------------------


def list_in(node: Schema, keyword: str) -> list[Any]:
    """The list under a keyword of a schema; empty where there is none."""
    found = node.get(keyword)
    return cast("list[Any]", found) if isinstance(found, list) else []


def mapping_in(node: Schema, keyword: str) -> Schema:
    """The mapping under a keyword of a schema; empty where there is none."""
    found = node.get(keyword)
    return cast("Schema", found) if isinstance(found, Mapping) else {}


def type_of(value: Any) -> str:
    """The JSON Schema type of a JSON value."""
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "object" if isinstance(value, Mapping) else "array"


# --- references --------------------------------------------------------------------------------


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


def targets(node: Schema) -> Iterator[str]:
    """The references that one schema makes itself."""
    for keyword in ("$ref", "$dynamicRef"):
        if isinstance(node.get(keyword), str):
            yield node[keyword]


def follow(root: Schema, reference: str) -> Any:
    """What a local reference (`#/$defs/x`, `#name`) refers to; `{}` where it leads nowhere."""
    found = referred(root, reference)
    return {} if found is None else found


def referred(root: Schema, reference: str) -> Any:
    """What a reference refers to; None where it is not local, or leads nowhere."""
    if not reference.startswith("#"):
        return None
    if reference != "#" and not reference.startswith("#/"):
        return _anchored(root, reference[1:])
    node: Any = root
    if "%" in reference:
        from urllib.parse import unquote  # some milliseconds that hardly any schema needs

        reference = unquote(reference)
    for key in steps(reference):
        if isinstance(node, Mapping) and key in node:
            node = cast("Schema", node)[key]
        elif isinstance(node, list) and _is_index(key, cast("list[Any]", node)):
            node = cast("list[Any]", node)[int(key)]
        else:
            return None
    return node


def _is_index(key: str, items: list[Any]) -> bool:
    return key.isdecimal() and len(key) <= len(str(len(items))) and int(key) < len(items)


def _anchored(root: Schema, name: str) -> Schema | None:
    found = (place for place, _ in places(root) if name in (place.get("$anchor"), place.get("$dynamicAnchor")))
    return next(found, None)


def is_named(root: Schema) -> bool:
    """Whether references may lead elsewhere than from the root, so that none is followed or moved."""
    return any(not _NAMES.isdisjoint(place) for place, _ in places(root))


# --- what is inside ----------------------------------------------------------------------------


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
        for index, sub in enumerate(list_in(node, keyword)):
            yield from subschemas(sub, (*path, keyword, index))
    for keyword in _SCHEMA_MAPS:
        for name, sub in mapping_in(node, keyword).items():
            yield from subschemas(sub, (*path, keyword, name))


def places(schema: Any) -> Iterator[tuple[Schema, tuple[str | int, ...]]]:
    """Those of `subschemas` that are mappings: all but `true`, `false` and what is no schema."""
    for sub, path in subschemas(schema):
        if isinstance(sub, Mapping):
            yield cast("Schema", sub), path


def reachable(root: Schema, *schemas: Any) -> Iterator[Schema]:
    """Every mapping in these parts of a schema that may be used as one, also what a reference finds, each once."""
    waiting = list(schemas)
    seen: set[int] = set()
    for start in waiting:  # grows on the way
        if id(start) not in seen:
            for place, _ in places(start):
                if id(place) not in seen:
                    seen.add(id(place))
                    yield place
                    waiting.extend(follow(root, target) for target in targets(place))


def together(root: Schema, schema: Any, depth: int = 0) -> Iterator[Schema]:
    """The schema itself and what it combines by `allOf`, references followed: all of these hold for a value."""
    node = resolve(root, schema)
    yield node
    for sub in list_in(node, "allOf") if depth < _DEEPEST else ():
        yield from together(root, sub, depth + 1)


def branches(root: Schema, schema: Any, depth: int = 0) -> list[Schema]:
    """The schema itself and the alternatives it combines (`anyOf`, `oneOf`, `allOf`, `then`, `else`)."""
    node = resolve(root, schema)
    found = [node]
    if depth < _DEEPEST:
        inner = [sub for keyword in ("allOf", "anyOf", "oneOf") for sub in list_in(node, keyword)]
        inner += [node[keyword] for keyword in ("then", "else") if keyword in node]
        found += [branch for sub in inner for branch in branches(root, sub, depth + 1)]
    return found


# --- parts -------------------------------------------------------------------------------------


def standalone(root: Schema, schema: Any, name: str = "root") -> Schema:
    """A part of `root` as a schema of its own, which may stand inside another; its references lead where they did.

    Args:
        root: the schema that the references of `schema` are followed in.
        schema: a part of it.
        name: under which `root` is kept in `$defs`, where a reference needs it.
    """
    if not isinstance(schema, Mapping):
        return {"not": {}} if schema is False else {}
    part = moved(cast("Schema", schema), f"#/$defs/{name}")
    kept = {key: item for key, item in part.items() if key not in ("$defs", "definitions", "$id", "$schema")}
    if not any("$ref" in place for place, _ in places(kept)):
        return kept
    return {**kept, "$defs": {name: moved(root, f"#/$defs/{name}")}}


def side_by_side(schemas: Iterable[Schema]) -> tuple[list[Schema], dict[str, Any]]:
    """Roots as parts of one schema, their references kept apart, and what goes into that schema for them: `$defs`."""
    parts: list[Schema] = []
    definitions: dict[str, Any] = {}
    for number, schema in enumerate(schemas):
        part = dict(standalone(schema, schema, f"part{number}"))
        definitions |= part.pop("$defs", {})
        parts.append(part)
    return parts, {"$defs": definitions} if definitions else {}


def object_of(properties: Mapping[str, Schema | None]) -> Schema:
    """The schema of an object of exactly these properties; each is a root by itself, None for anything."""
    parts, definitions = side_by_side(schema or {} for schema in properties.values())
    named = dict(zip(properties, parts, strict=True))
    return {
        "type": "object", "properties": named, "required": list(named), "additionalProperties": False, **definitions
    }  # fmt: skip


def moved(schema: Any, place: str) -> Any:
    """A schema whose root now stands at `place`: every reference from the root begins there."""
    if isinstance(schema, list):
        return [moved(item, place) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, item in cast("Schema", schema).items():
        if key in _SCHEMA_MAPS and isinstance(item, Mapping):
            found[key] = {name: moved(sub, place) for name, sub in cast("Schema", item).items()}
        else:
            found[key] = item if key in _VALUES else moved(item, place)
    target = found.get("$ref")
    if isinstance(target, str) and (target == "#" or target.startswith("#/")):
        found["$ref"] = place + target[1:].rstrip("/")
    return found


def reworded(schema: Any, change: Callable[[str], str]) -> Any:
    """A schema with every text changed that says nothing of values: descriptions, and words that nobody knows."""
    if isinstance(schema, str):
        return change(schema)
    if isinstance(schema, list):
        return [reworded(item, change) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, item in cast("Schema", schema).items():
        if key in _SCHEMA_MAPS and isinstance(item, Mapping):
            found[key] = {name: reworded(sub, change) for name, sub in cast("Schema", item).items()}
        else:
            found[change(key)] = item if key in _MEANT else reworded(item, change)
    return found
