"""What the service takes and gives, as OpenAPI 3.1, whose schemas are the apps' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runllm._version import __version__
from runllm.app import App
from runllm.schema import moved
from runllm.serve.catalog import Served

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why there is no output, after RFC 9457.",
    "properties": {
        "type": {"type": "string", "description": "What kind of problem it is, as a URN."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong; the same as `message`."},
        "code": {"type": "string", "description": "Stable for ever."},
        "message": {"type": "string"},
        "hint": {"type": "string", "description": "What to do."},
        "problems": {
            "type": "array",
            "description": "Each fault of the input, and where it is.",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
                "required": ["pointer", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "message"],
}
_REFUSED = {
    "400": "The request cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "The page may not call this service.",
    "408": "The body did not arrive in time.",
    "413": "The body is too long.",
    "415": "The body is neither JSON nor a form.",
    "421": "The service is not reached under that name.",
    "422": "The input does not fit.",
    "429": "Too much is going on, or the money of the day is spent.",
    "500": "The app itself has a fault.",
    "502": "The model gave no answer that fits.",
    "503": "The service is not ready, or is stopping.",
    "504": "The model did not answer in time.",
}


def document(served: Mapping[str, Served], *, has_token: bool) -> dict[str, Any]:
    """The OpenAPI document of these apps."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for name, one in served.items():
        schemas |= _schemas(one.app)
        paths[f"/apps/{name}"] = {"post": _operation(one.app)}
    components: dict[str, Any] = {"schemas": schemas}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "runllm", "version": __version__, "description": "LLM apps, each an endpoint."},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": components,
    }
    if has_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _schemas(app: App) -> dict[str, Any]:
    """The contracts of an app under names of their own, their references led there."""
    contracts = {f"{app.name}.input": app.program.input, f"{app.name}.output": app.program.output_contract}
    return {name: moved(contract.schema, f"#/components/schemas/{name}") for name, contract in contracts.items()}


def _operation(app: App) -> dict[str, Any]:
    def content(kind: str, name: str) -> dict[str, Any]:
        return {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    problem = content("application/problem+json", "Problem")
    return {
        "operationId": app.name,
        "summary": app.program.description or app.name,
        "requestBody": {"required": True, "content": content("application/json", f"{app.name}.input")},
        "responses": {
            "200": {"description": "The output.", "content": content("application/json", f"{app.name}.output")},
            **{status: {"description": said, "content": problem} for status, said in _REFUSED.items()},
        },
    }
