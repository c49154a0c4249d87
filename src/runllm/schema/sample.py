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
_LONGEST, _MOST = 1_000, 10  # characters of a text, elements of a list: a schema may ask for a billion


def sample_of(contract: Contract) -> dict[str, Any]:
    """An input to try an app with; patterns, rules over several values and long lists and texts it may not satisfy."""
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
            one = [_sample(root, node["items"], depth + 1)] if "items" in node else []
            return one * _within(node, "minItems", "maxItems", 1, _MOST)
        case "integer" | "number":
            return _number(node, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            text: str = LIKE.get(node.get("format", ""), "...")
            return text[: _within(node, "minLength", "maxLength", len(text), _LONGEST)].ljust(
                _within(node, "minLength", "maxLength", 0, _LONGEST), "."
            )


def _within(node: Mapping[str, Any], least: str, most: str, usual: int, bound: int) -> int:
    """How many of something are shown: the usual number, or the nearest that a schema allows, and never very many."""
    return int(min(max(usual, node.get(least, 0)), node.get(most, bound), bound))


def _number(node: Mapping[str, Any], *, whole: bool) -> float:
    """The first of some likely numbers that keeps the bounds; 1 where none does."""
    low = max(node.get("minimum", -math.inf), node.get("exclusiveMinimum", -math.inf))
    high = min(node.get("maximum", math.inf), node.get("exclusiveMaximum", math.inf))
    step = node.get("multipleOf", 1)
    tried = [1, low, high, low + 1, high - 1, (low + high) / 2]
    tried += [math.ceil(low / step) * step, (math.floor(low / step) + 1) * step] if math.isfinite(low) else [step, 0]
    exact = [int(one) if one == int(one) else one for one in tried if math.isfinite(one)]
    fitting = (one for one in exact if _keeps(node, one) and (isinstance(one, int) or not whole))
    return next(fitting, 1)


def _keeps(node: Mapping[str, Any], number: float) -> bool:
    within = node.get("minimum", number) <= number <= node.get("maximum", number)
    inside = node.get("exclusiveMinimum", -math.inf) < number < node.get("exclusiveMaximum", math.inf)
    step = node.get("multipleOf")
    return within and inside and (step is None or number % step == 0)


def _said(node: Mapping[str, Any]) -> Iterable[Any]:
    """Values that the schema names itself, the best first."""
    yield from node.get("examples", [])[:1]
    yield from [node["default"]] if "default" in node else []
    yield from (listed(node) or [])[:1]
