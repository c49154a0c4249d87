"""A JSON Schema (draft 2020-12) as a type: check a value, fill defaults, read text, look up a path.

Values typed by their source (YAML, JSON) are never changed. Text sources are read as the declared
type, strictly: see `read_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import Problem, did_you_mean, pointer

if TYPE_CHECKING:
    import jsonschema_rs

Schema = Mapping[str, Any]

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
        return {name: resolve(self.schema, sub) for name, sub in _properties(self.schema, self.schema).items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The root's required properties, in the schema's order."""
        return tuple(resolve(self.schema, self.schema).get("required", ()))

    def read_text(self, name: str, text: str) -> Any:
        """`text` read as the declared type of property `name`: see the function `read_text`."""
        sub = self.properties.get(name)
        return text if sub is None else read_text(text, sub, self.schema)


def resolve(root: Schema, schema: Any) -> Schema:
    """`schema` with a leading local `$ref` followed; `{}` for `true` and for what cannot be followed."""
    for _ in range(64):
        if not isinstance(schema, Mapping):
            return {"not": {}} if schema is False else {}
        current = cast("Schema", schema)
        target = current.get("$ref")
        if not isinstance(target, str):
            return current
        found = _follow(root, target)
        rest = {key: item for key, item in current.items() if key != "$ref"}
        schema = {**cast("Schema", found), **rest} if rest and isinstance(found, Mapping) else found
    return {}


def _follow(root: Schema, reference: str) -> Any:
    if not reference.startswith("#"):
        return {}
    node: Any = root
    if reference not in ("#", "#/"):
        if not reference.startswith("#/"):
            return _anchored(root, reference[1:])
        for step in reference[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~").replace("%25", "%")
            if isinstance(node, Mapping):
                node = cast("Schema", node).get(key, {})
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(cast("list[Any]", node)):
                node = cast("list[Any]", node)[int(key)]
            else:
                return {}
    return node


def _anchored(root: Schema, name: str) -> Any:
    for sub, _ in subschemas(root):
        if isinstance(sub, Mapping) and cast("Schema", sub).get("$anchor") == name:
            return cast("Schema", sub)
    return {}


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


def _properties(root: Schema, schema: Any) -> dict[str, Any]:
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


def inlined(schema: Schema) -> Schema:
    """A schema whose references are replaced by what they refer to, but for those that lead back to themselves."""
    import jsonschema_rs

    return jsonschema_rs.dereference(dict(schema), offline=True)


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
            elif keyword == "$ref" and target != "#" and _follow(schema, target) == {}:
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
    return list(_properties(root, node)) if isinstance(node, Mapping) else []


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


def normal_form(schema: Schema) -> Schema:
    """A simpler schema with the same meaning: `allOf` merged, `if`, `oneOf` and `dependent...` made `anyOf`.

    The schema itself where no simpler one is known. Annotations and `format` are lost.
    """
    import jsonschema_rs

    try:
        found: Any = jsonschema_rs.canonicalize(dict(schema), offline=True).to_json_schema()
    except ValueError:  # the base of all that the library raises for a schema
        return schema
    return cast("Schema", found) if isinstance(found, Mapping) else schema
