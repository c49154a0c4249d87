"""Whether a schema is sound enough to be a contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runllm.diagnostics import Problem, clip, did_you_mean, pointer
from runllm.schema import walk
from runllm.schema.walk import mapping_in, places, resolve
from runllm.schema.weigh import intricacy, tractable
from runllm.schema.words import LONGEST

_OBJECTS = frozenset({"properties", "required", "additionalProperties", "patternProperties"})


def schema_problems(schema: Any, *, is_object: bool = True) -> list[Problem]:
    """What is wrong with a schema that is to be a contract, with pointers into the schema.

    It must be valid draft 2020-12, every `$ref` local and resolvable, and some value must satisfy it. One that would
    be too much work to compile or to check values with is refused; whether a value satisfies it is not asked where
    that question alone would be.

    Args:
        schema: what is to be one.
        is_object: whether its values must be objects. Where they need not, a root that only speaks of objects must
            still say so.
    """
    if not isinstance(schema, Mapping):
        return [Problem(message="a schema must be a mapping", keyword="type")]
    try:
        return _problems(cast("dict[str, Any]", schema), is_object=is_object)
    except UnicodeEncodeError:
        return [Problem(message="a text in the schema holds half a character (a lone surrogate)", keyword="schema")]
    except RecursionError:
        return [_intricate("it nests too deeply")]


def _problems(schema: dict[str, Any], *, is_object: bool) -> list[Problem]:
    import jsonschema_rs
    from jsonschema_rs.canonical import CanonicalizationError

    found = list(_reference_problems(schema))
    root = resolve(schema, schema)
    untold = "type" not in root and not _OBJECTS.isdisjoint(root)
    if root.get("type") != "object" and (is_object or untold):
        wants, at = ("must be", "/type") if "type" in schema else ("needs", "")
        found.append(Problem(message=f"the root of the schema {wants} `type: object`", keyword="type", pointer=at))
    if found:
        return [*_metaschema_problems(schema), *found]
    if not jsonschema_rs.meta.is_valid({key: item for key, item in schema.items() if key != "$schema"}):
        return _metaschema_problems(schema)
    if reason := intricacy(schema):
        return [_intricate(reason)]
    try:
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True)
        return list(_unsatisfiable(schema)) if tractable(schema) else []
    except (jsonschema_rs.ValidationError, CanonicalizationError, ValueError) as error:
        message = clip(str(error).split("\n")[0], LONGEST)
        return _metaschema_problems(schema) or [Problem(message=message, keyword="schema")]


def _intricate(reason: str) -> Problem:
    hint = "Say less in one place: split the schema, or give alternatives a property of their own."
    return Problem(message=f"the schema is too intricate: {reason}", keyword="complexity", hint=hint)


def _metaschema_problems(schema: dict[str, Any]) -> list[Problem]:
    import jsonschema_rs

    from runllm.schema import meant  # only needed once something is wrong

    draft = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    found: dict[str, Problem] = {}
    for error in jsonschema_rs.Draft202012Validator(draft, validate_formats=True, offline=True).iter_errors(schema):
        path, message = error.instance_path, clip(error.message, LONGEST)
        hint = meant.fault(path, error.instance)
        if path[-1:] == ["type"] and path[-2:-1] != ["properties"] and isinstance(error.instance, str):
            message, hint = f"`{clip(error.instance, LONGEST)}` is not a JSON Schema type", meant.kind(error.instance)
        at = pointer(path)
        found.setdefault(at, Problem(message=message, keyword=error.kind.name, pointer=at, hint=hint))
    return list(found.values())


def _reference_problems(schema: dict[str, Any]) -> Iterator[Problem]:
    for place, path in places(schema):
        for target in walk.targets(place):
            keyword = "$ref" if place.get("$ref") == target else "$dynamicRef"
            message = hint = ""
            if not target.startswith("#"):
                message = f"`{target}` is remote: only a local reference is followed"
                hint = "Copy the schema under `$defs` and refer to `#/$defs/NAME`."
            elif keyword == "$ref" and walk.referred(schema, target) is None:
                message = f"`{target}` refers to nothing in this schema"
                hint = did_you_mean(target, [f"#/$defs/{name}" for name in mapping_in(schema, "$defs")])
            if message:
                yield Problem(message=message, keyword="$ref", pointer=pointer((*path, keyword)), hint=hint)


def _unsatisfiable(schema: dict[str, Any]) -> Iterator[Problem]:
    import jsonschema_rs
    from jsonschema_rs.canonical import find_unsatisfiable

    reasons = find_unsatisfiable(schema, draft=jsonschema_rs.Draft202012, offline=True)
    at_fault = [place for place, reason in reasons.items() if type(reason).__name__ != "Literal"]  # not written false
    deepest = [p for p in at_fault if not any(q != p and q.startswith(p + "/") for q in reasons)]
    for place in deepest or ([""] if "" in reasons else []):
        yield Problem(
            message="no value satisfies this schema" + ("" if place else ": its parts contradict each other"),
            keyword="unsatisfiable",
            pointer=place,
            hint="Compare its bounds, types and enums: they exclude each other.",
            severity="error" if "" in reasons else "warning",
        )
