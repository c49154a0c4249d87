"""A value to try a contract with: what is required, each part of the right type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from runllm.schema.contract import Contract
from runllm.schema.facts import declared_types, listed
from runllm.schema.walk import resolve
from runllm.schema.words import LIKE

_DEEPEST = 4


def sample_of(contract: Contract) -> dict[str, Any]:
    """An input to try an app with; a pattern and rules over several values it may not satisfy."""
    return {name: _sample(contract.schema, contract.properties.get(name, {})) for name in contract.required}


def _sample(root: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    node = resolve(root, schema)
    for found in _said(node):
        return found
    if depth > _DEEPEST:
        return None
    kind = next(iter(sorted(declared_types(root, node) - {"null"}, reverse=True)), "")
    match kind:
        case "object":
            properties = node.get("properties", {})
            return {name: _sample(root, properties.get(name, {}), depth + 1) for name in node.get("required", ())}
        case "array":
            return (
                [_sample(root, node["items"], depth + 1)] * max(1, node.get("minItems", 1)) if "items" in node else []
            )
        case "integer" | "number":
            return _number(node)
        case "boolean":
            return True
        case _:
            text: str = LIKE.get(node.get("format", ""), "...")
            return text.ljust(node.get("minLength", 0), ".")[: node.get("maxLength")]


def _number(node: Mapping[str, Any]) -> float:
    """1, or the number within the bounds that is nearest to its lower one."""
    least = max(node.get("minimum", -math.inf), node.get("exclusiveMinimum", -math.inf) + 1)
    most = min(node.get("maximum", math.inf), node.get("exclusiveMaximum", math.inf) - 1)
    return least if least > -math.inf else min(1, most)


def _said(node: Mapping[str, Any]) -> Iterable[Any]:
    """Values that the schema names itself, the best first."""
    yield from node.get("examples", [])[:1]
    yield from [node["default"]] if "default" in node else []
    yield from (listed(node) or [])[:1]
