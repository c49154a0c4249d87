"""What is wrong with a JSON Schema that is to be a contract, found before any value is held against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runllm.contracts.messages import clip
from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.schemas import Schema, intricacy, leads_nowhere, resolve, subschemas, tractable

if TYPE_CHECKING:
    import jsonschema_rs

_HINT = "Say less in one place: split the schema, or give alternatives a property of their own."


def schema_problems(schema: Any) -> list[Problem]:
    """What is wrong with a schema that is to be a contract, with pointers into the schema.

    It must be valid draft 2020-12, its root an object, every `$ref` local and resolvable, and some
    value must satisfy it. One that would be too much work to compile or to check values with is
    refused; whether a value satisfies it is not asked where that question alone would be.
    """
    try:
        return _problems(schema)
    except UnicodeEncodeError:
        return [Problem(message="a text in the schema holds half a character (a lone surrogate)", keyword="schema")]


def _problems(schema: Any) -> list[Problem]:
    import jsonschema_rs
    from jsonschema_rs.canonical import CanonicalizationError

    if not isinstance(schema, Mapping):
        return [Problem(message="a schema must be a mapping", keyword="type")]
    node = cast("dict[str, Any]", schema)
    try:
        found = _reference_problems(node)
    except RecursionError:
        return [_intricate("it nests too deeply")]
    if resolve(node, node).get("type") != "object":
        found.append(
            Problem(message="the root of the schema must be `type: object`", keyword="type", pointer="/type")
            if "type" in node
            else Problem(message="the root of the schema needs `type: object`", keyword="type")
        )
    if found:
        return [*_metaschema_problems(node), *found]
    if not jsonschema_rs.meta.is_valid({key: item for key, item in node.items() if key != "$schema"}):
        return _metaschema_problems(node)
    intricate = intricacy(node)
    if intricate:
        return [_intricate(intricate)]
    try:
        jsonschema_rs.Draft202012Validator(node, validate_formats=True, offline=True)
        return _unsatisfiable(node) if tractable(node) else []
    except (jsonschema_rs.ValidationError, CanonicalizationError, ValueError) as error:
        return _metaschema_problems(node) or [Problem(message=clip(str(error).split("\n")[0]), keyword="schema")]


def _intricate(reason: str) -> Problem:
    return Problem(message=f"the schema is too intricate: {reason}", keyword="complexity", hint=_HINT)


def _metaschema_problems(schema: dict[str, Any]) -> list[Problem]:
    import jsonschema_rs

    meta = jsonschema_rs.Draft202012Validator(
        {"$ref": "https://json-schema.org/draft/2020-12/schema"}, validate_formats=True, offline=True
    )
    found = [
        Problem(message=_schema_message(error), keyword=error.kind.name, pointer=pointer(error.instance_path))
        for error in meta.iter_errors(schema)
    ]
    seen: set[str] = set()
    return [p for p in found if not (p.pointer in seen or seen.add(p.pointer))]


_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")


def _schema_message(error: jsonschema_rs.ValidationError) -> str:
    if error.instance_path[-1:] == ["type"] and isinstance(error.instance, str):
        hint = did_you_mean(error.instance, _TYPES)
        return f"`{error.instance}` is not a JSON Schema type. {hint}".strip()
    return clip(error.message)


def _reference_problems(schema: dict[str, Any]) -> list[Problem]:
    found: list[Problem] = []
    for sub, path in subschemas(schema):
        if not isinstance(sub, Mapping):
            continue
        for keyword in ("$ref", "$dynamicRef"):
            target = cast("Schema", sub).get(keyword)
            if not isinstance(target, str):
                continue
            at = pointer((*path, keyword))
            if not target.startswith("#"):
                found.append(
                    Problem(
                        message=f"`{target}` is remote: only a local reference is followed",
                        keyword="$ref",
                        pointer=at,
                        hint="Copy the schema under `$defs` and refer to `#/$defs/NAME`.",
                    )
                )
            elif keyword == "$ref" and leads_nowhere(schema, target):
                names = [f"#/$defs/{name}" for name in schema.get("$defs", {})]
                found.append(
                    Problem(
                        message=f"`{target}` refers to nothing in this schema",
                        keyword="$ref",
                        pointer=at,
                        hint=did_you_mean(target, names),
                    )
                )
    return found


def _unsatisfiable(schema: dict[str, Any]) -> list[Problem]:
    import jsonschema_rs
    from jsonschema_rs.canonical import find_unsatisfiable

    reasons = find_unsatisfiable(schema, draft=jsonschema_rs.Draft202012, offline=True)
    written_false = {p for p, reason in reasons.items() if type(reason).__name__ == "Literal"}
    deepest = [
        p for p in reasons if p not in written_false and not any(q != p and q.startswith(p + "/") for q in reasons)
    ]
    whole = "" in reasons
    return [
        Problem(
            message="no value satisfies this schema" + ("" if p else ": its parts contradict each other"),
            keyword="unsatisfiable",
            pointer=p,
            hint="Compare its bounds, types and enums: they exclude each other.",
            severity="error" if whole else "warning",
        )
        for p in deepest or (("",) if whole else ())
    ]
