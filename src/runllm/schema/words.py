"""A schema, and what is wrong with a value, in words for an author or a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import Problem, clip, did_you_mean, told, told_at
from runllm.schema.facts import Found, declared_properties, enter, listed
from runllm.schema.walk import Schema, resolve

if TYPE_CHECKING:
    import jsonschema_rs

LONGEST = 300
"""Characters of a message."""
_DESCRIBED = 80
_UNEXPECTED = 20  # names of one object
LIKE = {
    "date": "2026-11-30", "time": "10:49:00Z", "date-time": "2026-11-30T10:49:00Z", "duration": "P3DT12H",
    "email": "name@example.org", "idn-email": "name@example.org", "hostname": "www.example.org",
    "idn-hostname": "www.example.org", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-12d3-a456-426614174000", "uri": "https://www.example.org/page",
    "iri": "https://www.example.org/page", "uri-reference": "/page", "iri-reference": "/page",
    "uri-template": "https://www.example.org/{page}", "json-pointer": "/a/0", "relative-json-pointer": "1/a",
    "regex": "^[a-z]+$",
}  # fmt: skip
"""A value of each format that is checked: a model that is told that a text is no `date-time` learns nothing from it."""
_OPEN = {"exclusiveMinimum": "above", "exclusiveMaximum": "below"}
_NAMED = 4  # properties, values and alternatives that a description names


def problem_of(error: jsonschema_rs.ValidationError, root: Schema) -> Problem:
    """A violation as a problem; `root` is the schema, for the names that were meant."""
    keyword = error.kind.name
    facts = error.kind.as_dict()
    hint = ""
    if keyword == "required":
        message = f"`{facts['property']}` is required but missing"
    elif keyword == "additionalProperties":
        names: list[str] = facts["unexpected"]
        known = _known_properties(root, error.instance_path)
        more = [f"{len(names) - _UNEXPECTED:,} more"] if len(names) > _UNEXPECTED else []
        message = "unexpected " + ", ".join([*map(told, names[:_UNEXPECTED]), *more])
        hint = did_you_mean(names[0], known)
    elif keyword == "format" and facts.get("format") in LIKE:
        message = f"{clip(error.message, LONGEST)}: write it like `{LIKE[facts['format']]}`"
    elif keyword in _OPEN:
        message = f"{clip(json.dumps(error.instance), LONGEST)} is not {_OPEN[keyword]} {facts['limit']}"
    elif keyword in ("anyOf", "oneOfNotValid"):
        message = _no_branch(error, facts)
    else:
        message = clip(error.message, LONGEST)
    return Problem(message=message, pointer=told_at(error.instance_path), keyword=keyword, hint=hint)


def _no_branch(error: jsonschema_rs.ValidationError, facts: Mapping[str, Any]) -> str:
    """Say what each alternative wanted: the deepest error of a branch is the telling one."""
    wanted: list[str] = []
    for branch in facts.get("context", ()):
        deepest = max(branch, key=lambda e: len(e.instance_path), default=None)
        if deepest is not None and deepest.message not in wanted:
            wanted.append(deepest.message)
    return clip("; ".join(wanted) or error.message, LONGEST)


def _known_properties(root: Schema, path: Iterable[str | int]) -> list[str]:
    """The names that an object at a place of a value may have."""
    node: Schema = root
    for step in path:
        entered = enter(root, node, step)
        node = entered.schema if isinstance(entered, Found) else {}
    return list(declared_properties(root, node))


def described(schema: Schema) -> str:
    """A schema in a few words for a message, such as `a list of strings`; at most 80 characters."""
    return clip(_words(schema, schema, depth=0), _DESCRIBED)


def _words(root: Schema, schema: Any, *, depth: int) -> str:
    node = resolve(root, schema)
    if node == {"not": {}}:
        return "nothing"
    if values := listed(node):
        return _one_of(values)
    if depth > _NAMED:
        return "anything"
    for keyword in ("anyOf", "oneOf"):
        if node.get(keyword):
            return _any_of(_words(root, branch, depth=depth + 1) for branch in node[keyword][: _NAMED + 1])
    if node.get("allOf"):
        rest: dict[str, Any] = {key: item for key, item in node.items() if key != "allOf"}
        for part in node["allOf"]:
            rest = {**resolve(root, part), **rest}
        return _words(root, rest, depth=depth + 1)
    declared = node.get("type", ())
    types = [declared] if isinstance(declared, str) else cast("list[str]", declared)
    return _any_of(_typed(name, root, node, depth) for name in types) or "anything"


def _typed(name: str, root: Schema, node: Schema, depth: int) -> str:
    if name == "string":
        return _text(node)
    if name in ("integer", "number"):
        article = "an integer" if name == "integer" else "a number"
        return " ".join(filter(None, (article, _range(node))))
    if name == "object":
        names = list(dict.fromkeys([*node.get("required", ()), *node.get("properties", {})]))
        shown = [f"`{clip(item, 20)}`" for item in names[:_NAMED]]
        more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        return "an object" + (f" with {_listing([*shown, *more], 'and')}" if names else "")
    if name == "array":
        return _list_of(_words(root, node.get("items", True), depth=depth + 1), node)
    return "null" if name == "null" else f"a {name}"


def _text(node: Schema) -> str:
    if "format" in node:
        return f"a string with the format `{clip(str(node['format']), 20)}`"
    if "pattern" in node:
        return f"a string that matches `{clip(str(node['pattern']), 40)}`"
    said = bounds("string", node)
    if not said and node.get("minLength"):
        return "a non-empty string"
    return f"a string {said}" if said else "a string"


def bounds(kind: str, node: Schema) -> str:
    """Within what a value stays, such as `from 0 to 1`, `of at most 60 characters`, `of 2 to 4 different items`.

    Args:
        kind: a JSON type.
        node: a schema of such values.
    """
    if kind in ("integer", "number"):
        return _range(node)
    if kind == "string":
        most = node.get("maxLength")
        least = node.get("minLength", 0)
        return _so_many(least if least > 1 or most is not None else 0, most, "character")
    if kind == "array":
        thing = "different item" if node.get("uniqueItems") else "item"
        found = _so_many(node.get("minItems", 0), node.get("maxItems"), thing)
        return found or ("of different items" if node.get("uniqueItems") else "")
    return ""


def _so_many(least: int, most: int | None, thing: str) -> str:
    said = _between(least or None, most).replace("from", "of")
    return f"{said} {thing}{'' if said.endswith(' 1') else 's'}" if said else ""


def _range(node: Schema) -> str:
    said = [
        _between(node.get("minimum"), node.get("maximum")),
        f"above {node['exclusiveMinimum']}" if "exclusiveMinimum" in node else "",
        f"below {node['exclusiveMaximum']}" if "exclusiveMaximum" in node else "",
    ]
    step = f"in steps of {node['multipleOf']}" if "multipleOf" in node else ""
    return " ".join(filter(None, (" and ".join(filter(None, said)), step)))


def _between(low: Any, high: Any) -> str:
    if low is not None and high is not None:
        return f"of {low}" if low == high else f"from {low} to {high}"
    return f"of at least {low}" if low is not None else f"of at most {high}" if high is not None else ""


def _list_of(item: str, node: Schema) -> str:
    if item in ("anything", "nothing"):
        return f"a list {said}" if (said := bounds("array", node)) else "a list"
    article, _, rest = item.partition(" ")
    kind = next((word for word in _KINDS if word in rest.split()), "")
    if not kind or article not in ("a", "an") or " or " in item:
        return f"a list, each item {item}"
    return f"a list of {rest.replace(kind, kind + 's', 1)}"


_KINDS = ("list", "string", "integer", "number", "boolean", "object")


def _one_of(values: list[Any]) -> str:
    shown = [clip(json.dumps(value, ensure_ascii=False), 20) for value in values[: _NAMED + 1]]
    if len(values) > len(shown):
        shown.append("…")
    return shown[0] if len(shown) == 1 else "one of " + ", ".join(shown)


def _any_of(parts: Iterable[str]) -> str:
    different = list(dict.fromkeys(parts))
    return "anything" if "anything" in different else _listing(different, "or")


def _listing(parts: list[str], word: str) -> str:
    return f" {word} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
