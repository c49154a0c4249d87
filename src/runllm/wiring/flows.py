"""The schema of what a `with`, `for_each` or `output` value gives, as far as it is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from runllm import templates
from runllm.schemas import Schema, Scope, standalone
from runllm.templates.inference import Inferred, infer


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a value template gives.

    Attributes:
        schema: of every value it can give, self-contained; `{}` where nothing is known.
        known: False where some part of it could not be told.
        inferred: for a template that is one text, all that is known of it.
    """

    schema: Schema
    known: bool
    inferred: Inferred | None = None


def flow(value: Any, scope: Scope) -> Flow:
    """The flow of a value as it is written, with everything inside it."""
    if _is_literal(value):
        return Flow(schema={"const": value}, known=True)
    if isinstance(value, str):
        inferred = infer(value, scope)
        return Flow(schema=inferred.schema, known=inferred.known, inferred=inferred)
    if isinstance(value, dict):
        return _composed(cast("dict[str, Any]", value), scope)
    found = _composed({str(n): item for n, item in enumerate(cast("list[Any]", value))}, scope)
    parts = list(found.schema["properties"].values())
    schema = {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts), "maxItems": len(parts)}
    definitions = found.schema.get("$defs")
    return Flow(schema={**schema, **({"$defs": definitions} if definitions else {})}, known=found.known)


def _is_literal(value: Any) -> bool:
    """Whether a value holds no template."""
    if isinstance(value, str):
        return templates.form(value) == "literal"
    if isinstance(value, dict | list):
        inside = cast("Any", value.values() if isinstance(value, dict) else value)
        return all(_is_literal(item) for item in inside)
    return True


def _composed(parts: Mapping[str, Any], scope: Scope) -> Flow:
    """An object of exactly these parts; the references of each are kept apart from those of the others."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    known = True
    for number, (name, value) in enumerate(parts.items()):
        inner = flow(value, scope)
        known = known and inner.known
        moved = dict(standalone(inner.schema, inner.schema, f"part{number}"))
        definitions |= moved.pop("$defs", {})
        properties[name] = moved
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": list(properties)}
    schema["additionalProperties"] = False
    return Flow(schema={**schema, **({"$defs": definitions} if definitions else {})}, known=known)
