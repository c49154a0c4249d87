"""How much work a value makes for a schema: how often a part of one is held against a part of the other.

A schema whose references lead back, or fan out, can make a small value endless work: where two
alternatives both lead to the same definition, each level of the value doubles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runllm.schemas.complexity import beside
from runllm.schemas.walking import Schema, resolve, type_of

_Places = dict[int, tuple[Any, int]]
"""Schemas by identity, each with how often it applies; what a schema holds lives as long as it does."""


def workload(root: Schema, value: Any, most: int, *, thorough: bool) -> int:
    """How many times a part of a schema meets a part of `value`, an estimate; more than `most` ends the count.

    Args:
        root: the schema, one that `intricacy` lets pass.
        value: JSON.
        most: where to stop.
        thorough: whether alternatives that a look at the value rules out are counted too: they are
            left early when a value is only checked, and gone through when every error is listed.
    """
    total, waiting = 0, [(value, _once(root))]
    while waiting and total <= most:
        part, entering = waiting.pop()
        places = _all_beside(root, part, entering, thorough=thorough)
        total += sum(count for _, count in places.values())
        for key, inner in parts_of(part):
            into: _Places = {}
            for node, count in places.values():
                for sub in schemas_inside(node, key):
                    _add(into, sub, count)
            if into:
                waiting.append((inner, into))
    return total


def rules_out(root: Schema, schema: Any, value: Any, depth: int = 0) -> bool:
    """Whether a look at `value` shows that it is not of `schema`: its type, its names, its constant properties."""
    node = resolve(root, schema)
    if _differs(node, value):
        return True
    if isinstance(value, Mapping):
        given, declared = cast("Schema", value), cast("Schema", node.get("properties", {}))
        if any(name not in given for name in node.get("required", ())):
            return True
        if node.get("additionalProperties") is False and "patternProperties" not in node and given.keys() - declared:
            return True
        if any(name in given and _differs(resolve(root, sub), given[name]) for name, sub in declared.items()):
            return True
    return depth < 8 and any(rules_out(root, sub, value, depth + 1) for sub in node.get("allOf", ()))  # noqa: PLR2004 - deep enough for a look


def _differs(node: Schema, value: Any) -> bool:
    kind, declared = type_of(value), node.get("type")
    if declared is not None:
        types = {declared} if isinstance(declared, str) else set(cast("list[str]", declared))
        if kind not in types and not (kind in ("integer", "number") and types & {"integer", "number"}):
            return True
    allowed: list[Any] = [node["const"]] if "const" in node else node.get("enum", [value])
    return kind not in ("object", "array") and not any(value == item for item in allowed[:100])


def _once(schema: Any) -> _Places:
    return {id(schema): (schema, 1)}


def _add(places: _Places, schema: Any, count: int) -> None:
    if isinstance(schema, Mapping) and schema:
        node = cast("Schema", schema)
        known = places.get(id(node))
        places[id(node)] = (node, count + (known[1] if known else 0))


def _all_beside(root: Schema, value: Any, entering: _Places, *, thorough: bool) -> _Places:
    """The schemas that apply to a value where these do."""
    found: _Places = {}
    waiting = list(entering.values())
    while waiting:
        node, count = waiting.pop()
        _add(found, node, count)
        choices = {id(sub) for keyword in ("anyOf", "oneOf") for sub in node.get(keyword, ())}
        for sub in beside(root, node):
            if thorough or id(sub) not in choices or not rules_out(root, sub, value):
                more: _Places = {}
                _add(more, sub, count)
                waiting.extend(more.values())
    return found


def parts_of(value: Any) -> Iterator[tuple[str | int, Any]]:
    """The properties or items of a value, each with its name or index; none of a scalar."""
    if isinstance(value, Mapping):
        yield from cast("Mapping[str, Any]", value).items()
    elif isinstance(value, list):
        yield from enumerate(cast("list[Any]", value))


def schemas_inside(node: Schema, key: str | int) -> Iterator[Any]:
    """The schemas for the property or item `key` of a value of this schema, whichever pattern it may match."""
    if isinstance(key, int):
        prefix = node.get("prefixItems", ())
        yield prefix[key] if key < len(prefix) else node.get("items")
        yield from (node.get(keyword) for keyword in ("contains", "unevaluatedItems"))
        return
    declared = node.get("properties", {})
    yield declared[key] if key in declared else node.get("additionalProperties")
    yield from node.get("patternProperties", {}).values()
    yield node.get("unevaluatedProperties")
