"""How an answer is held to its schema, where a provider takes that. Pure, but for what it remembers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from runllm.engines import parameters, providers
from runllm.engines.memory import Memory
from runllm.engines.once import Once
from runllm.results import Endpoint, Request
from runllm.schema import is_text, subschemas

# What these providers take instead of a schema: a JSON object of any form, or nothing at all.
_WEAKER_FORMS: Mapping[str, dict[str, Any] | None] = {
    "deepseek": {"type": "json_object"},
    "cohere": None,
    "cohere_chat": None,
}


class Forms:
    """How each answer is held to its schema: by the schema itself, as any JSON, or by the words of the prompt alone.

    Where a provider refuses the form for a schema, it is words alone from then on.
    """

    def __init__(self, memory: Memory) -> None:
        self._refused = memory
        self._forms = Once({}, _form)

    def of(self, request: Request) -> dict[str, Any]:
        """What to ask for beside the `arguments` of the call: a `response_format`, or nothing."""
        form, identity = self._forms.of(request.endpoint, request.params, request.schema)
        return {} if form is None or self._refused.has(identity) else {"response_format": form}

    def refused(self, request: Request) -> None:
        """Keep in mind that the form for this request is not taken."""
        self._refused.keep(_identity(request.endpoint, request.schema))


def _identity(endpoint: Endpoint, schema: Mapping[str, Any] | None) -> str:
    return json.dumps([endpoint.model, endpoint.api_base, schema], sort_keys=True)


def _form(
    endpoint: Endpoint, params: Mapping[str, Any], schema: Mapping[str, Any] | None, _: object
) -> tuple[Mapping[str, Any] | None, str]:
    """The form that a provider is known to take, None for none; and what its refusal is known by.

    LiteLLM makes a tool of it for those who have no other.
    """
    chosen = {**endpoint.provider_params, **params}
    own = "response_format" in chosen or "format" in chosen  # the author's
    if schema is None or is_text(schema) or own or not parameters.takes_schema(endpoint.model):
        return None, ""
    identity, provider = _identity(endpoint, schema), providers.provider_of(endpoint.model)
    if provider in _WEAKER_FORMS:
        return _WEAKER_FORMS[provider], identity
    strict = {"strict": True} if is_strict(schema) else {}
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": schema, **strict}}, identity


_STRICT_KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
     "description", "title"}
)  # fmt: skip
_SAYS_TYPE = frozenset({"type", "enum", "const", "anyOf", "$ref"})
_MOST_PROPERTIES = 100
_DEEPEST = 12  # path steps: five nested objects


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI's strict mode takes the schema: closed objects, all required, known keywords only."""
    properties = 0
    for sub, path in subschemas(schema):
        if path[-1:] == ("additionalProperties",):
            continue  # false, or its object is found wanting
        if not isinstance(sub, Mapping):
            return False
        node = cast("Mapping[str, Any]", sub)
        if not _STRICT_KEYWORDS.issuperset(node) or _SAYS_TYPE.isdisjoint(node) or len(path) > _DEEPEST:
            return False
        if node.get("type") == "array" and "items" not in node:
            return False
        if "object" in _types(node) or "properties" in node:
            names: Mapping[str, Any] = node.get("properties", {})
            properties += len(names)
            if node.get("additionalProperties") is not False or set(names) != set(node.get("required", ())):
                return False
    return schema.get("type") == "object" and "anyOf" not in schema and properties <= _MOST_PROPERTIES


def _types(node: Mapping[str, Any]) -> list[str]:
    declared: Any = node.get("type", [])
    return cast("list[str]", declared) if isinstance(declared, list) else [declared]
