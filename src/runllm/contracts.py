"""A JSON Schema (draft 2020-12) as a type: check a value, fill defaults, read text, look up a path.

Values typed by their source (YAML, JSON) are never changed. Text sources are read as the declared
type, strictly: see `read_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.schemas import Schema, declared_properties, declared_types, follow, resolve, subschemas

if TYPE_CHECKING:
    import jsonschema_rs

MAX_PROBLEMS = 20
_LONGEST_MESSAGE = 300
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SCALARS = {"true": True, "false": False}


class Contract:
    """A schema together with what is known about it; compiled on first use, safe to share.

    The schema must have passed `schema_problems`.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema: dict[str, Any] = dict(schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contract) and self.schema == other.schema

    def __hash__(self) -> int:
        return hash(json.dumps(self.schema, sort_keys=True, default=str))

    def __repr__(self) -> str:
        return f"Contract({self.schema!r})"

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        import jsonschema_rs  # 15 ms: not for a caller who only asks for a version

        return jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True, offline=True)

    def accepts(self, value: Any) -> bool:
        """Whether `value` satisfies the schema; a value that is not JSON does not."""
        try:
            return self._validator.is_valid(value)
        except ValueError:
            return False

    def problems(self, value: Any) -> tuple[Problem, ...]:
        """Every violation in `value`, at most `MAX_PROBLEMS`, in document order; empty when it fits."""
        found: list[Problem] = []
        try:
            for error in self._validator.iter_errors(value):
                found.append(_problem(error, self.schema))
                if len(found) == MAX_PROBLEMS:
                    break
        except ValueError as error:
            return (Problem(message=f"the value is not JSON: {_clip(str(error))}", keyword="json"),)
        return tuple(found)

    def with_defaults(self, value: Any) -> Any:
        """`value` with absent properties filled from `default`, at every depth; never changed in place."""
        return _fill(value, self.schema, self.schema, depth=0)

    @property
    def properties(self) -> dict[str, Schema]:
        """The declared properties of the root object, `$ref` resolved."""
        return {name: resolve(self.schema, sub) for name, sub in declared_properties(self.schema, self.schema).items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The root's required properties, in the schema's order."""
        return tuple(resolve(self.schema, self.schema).get("required", ()))

    def read_text(self, name: str, text: str) -> Any:
        """`text` read as the declared type of property `name`: see the function `read_text`."""
        sub = self.properties.get(name)
        return text if sub is None else read_text(text, sub, self.schema)


# --- checking a schema -------------------------------------------------------------------------


def schema_problems(schema: Any) -> list[Problem]:
    """What is wrong with a schema that is to be a contract, with pointers into the schema.

    It must be valid draft 2020-12, its root an object, every `$ref` local and resolvable, and some
    value must satisfy it.
    """
    import jsonschema_rs
    from jsonschema_rs.canonical import CanonicalizationError

    if not isinstance(schema, Mapping):
        return [Problem(message="a schema must be a mapping", keyword="type")]
    node = cast("dict[str, Any]", schema)
    found = _reference_problems(node)
    if resolve(node, node).get("type") != "object":
        found.append(
            Problem(message="the root of the schema must be `type: object`", keyword="type", pointer="/type")
            if "type" in node
            else Problem(message="the root of the schema needs `type: object`", keyword="type")
        )
    if found:
        return [*_metaschema_problems(node), *found]
    try:
        jsonschema_rs.Draft202012Validator(node, validate_formats=True, offline=True)
        found += _unsatisfiable(node)
    except (jsonschema_rs.ValidationError, CanonicalizationError, ValueError) as error:
        found += _metaschema_problems(node) or [Problem(message=_clip(str(error).split("\n")[0]), keyword="schema")]
    return found


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
    return _clip(error.message)


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
            elif keyword == "$ref" and target != "#" and follow(schema, target) == {}:
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
    from jsonschema_rs.canonical import find_unsatisfiable

    reasons = find_unsatisfiable(schema, offline=True)
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


# --- checking a value --------------------------------------------------------------------------


def _problem(error: jsonschema_rs.ValidationError, root: Schema) -> Problem:
    keyword = error.kind.name
    facts = error.kind.as_dict()
    path: list[str | int] = list(error.instance_path)
    hint = ""
    if keyword == "required":
        message = f"`{facts['property']}` is required but missing"
    elif keyword == "additionalProperties":
        names: list[str] = facts["unexpected"]
        known = _known_properties(root, error.schema_path)
        message = "unexpected " + ", ".join(f"`{name}`" for name in names)
        hint = did_you_mean(names[0], known) if known else ""
    elif keyword in ("anyOf", "oneOfNotValid"):
        message = _no_branch(error, facts)
    else:
        message = _clip(error.message)
    return Problem(message=message, pointer=pointer(path), keyword=keyword, hint=hint)


def _no_branch(error: jsonschema_rs.ValidationError, facts: Mapping[str, Any]) -> str:
    """Say what each alternative wanted: the deepest error of a branch is the telling one."""
    wanted: list[str] = []
    for branch in facts.get("context", ()):
        deepest = max(branch, key=lambda e: len(e.instance_path), default=None)
        if deepest is not None and deepest.message not in wanted:
            wanted.append(deepest.message)
    return _clip("; ".join(wanted) or error.message)


def _known_properties(root: Schema, schema_path: Sequence[str | int]) -> list[str]:
    node: Any = root
    for step in schema_path[:-1]:
        node = resolve(root, node) if isinstance(node, Mapping) else node
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return []
    return list(declared_properties(root, node)) if isinstance(node, Mapping) else []


def _clip(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


# --- filling and reading -----------------------------------------------------------------------


def _fill(value: Any, schema: Any, root: Schema, *, depth: int) -> Any:
    if depth > 64:  # noqa: PLR2004 - as deep as a file may nest
        return value
    node = resolve(root, schema)
    for sub in node.get("allOf", ()):
        value = _fill(value, sub, root, depth=depth + 1)
    if isinstance(value, Mapping):
        filled = dict(cast("Mapping[str, Any]", value))
        for name, sub in node.get("properties", {}).items():
            if name in filled:
                filled[name] = _fill(filled[name], sub, root, depth=depth + 1)
            elif "default" in (target := resolve(root, sub)):
                filled[name] = target["default"]
        return filled
    if isinstance(value, list) and isinstance(node.get("items"), Mapping):
        return [_fill(item, node["items"], root, depth=depth + 1) for item in cast("list[Any]", value)]
    return cast("Any", value)


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
