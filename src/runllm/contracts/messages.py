"""What a JSON Schema validator says of a value, in words for an author or a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.schemas import Schema, declared_properties, resolve

if TYPE_CHECKING:
    import jsonschema_rs

_LONGEST = 300


def problem_of(error: jsonschema_rs.ValidationError, root: Schema) -> Problem:
    """A violation as a problem; `root` is the schema, for the names that were meant."""
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
        message = clip(error.message)
    return Problem(message=message, pointer=pointer(path), keyword=keyword, hint=hint)


def _no_branch(error: jsonschema_rs.ValidationError, facts: Mapping[str, Any]) -> str:
    """Say what each alternative wanted: the deepest error of a branch is the telling one."""
    wanted: list[str] = []
    for branch in facts.get("context", ()):
        deepest = max(branch, key=lambda e: len(e.instance_path), default=None)
        if deepest is not None and deepest.message not in wanted:
            wanted.append(deepest.message)
    return clip("; ".join(wanted) or error.message)


def _known_properties(root: Schema, schema_path: Sequence[str | int]) -> list[str]:
    node: Any = root
    for step in schema_path[:-1]:
        node = resolve(root, node) if isinstance(node, Mapping) else node
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            return []
    return list(declared_properties(root, node)) if isinstance(node, Mapping) else []


def clip(message: str) -> str:
    """At most 300 characters of a message."""
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
