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
_CARD: dict[str, Any] = {
    "type": "object",
    "description": "An app.",
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "description": {"type": "string"},
        "url": {"type": "string"},
        "input_schema": {"type": "object"},
        "output_schema": {"type": "object"},
        "stale": {"type": "boolean", "description": "The file has a problem as it is now; the old one is served."},
    },
    "required": ["name", "version", "description", "url", "input_schema", "output_schema"],
}
_TEXT, _COUNT, _MAYBE = {"type": "string"}, {"type": "integer"}, {"type": ["number", "null"]}
_TEXTS = {"type": "array", "items": _TEXT}
_BATCH: dict[str, Any] = {
    "type": "object",
    "description": "A table, and how far it is.",
    "properties": {
        "id": _TEXT,
        "url": _TEXT,
        "app": _TEXT,
        "file": {"type": "string", "description": "What its sender calls it."},
        "state": {"enum": ["checked", "running", "done", "stopped", "failed"]},
        "rows": _COUNT,
        "unfit": {"type": "integer", "description": "Rows that do not fit, and are not run."},
        "done": {"type": "integer", "description": "Rows that have ended."},
        "failed": {"type": "integer", "description": "Of these, the ones without an output."},
        "tokens": _COUNT,
        "cost": _MAYBE,
        "seconds": {"type": "number"},
        "seconds_left": _MAYBE,
        "expected": {"type": "object", "properties": {"seconds": _MAYBE, "cost": _MAYBE}},
        "columns": _TEXTS,
        "inputs": _TEXTS,
        "feeds": {"type": "object", "description": "The column of each input.", "additionalProperties": _TEXT},
        "misfits": {
            "type": "array",
            "items": {"type": "object", "properties": {"line": _COUNT, "message": _TEXT}},
        },
        "kinds": {
            "type": "array",
            "description": "When it has ended, the rows that failed, by error.",
            "items": {"type": "object", "properties": {"code": _TEXT, "rows": _COUNT, "line": _COUNT}},
        },
        "has_result": {"type": "boolean"},
        "problem": {"$ref": "#/components/schemas/Problem"},
    },
    "required": ["id", "url", "app", "state", "rows", "unfit", "done", "failed", "has_result"],
}
_TABLE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "The table, as CSV or TSV."},
        "columns": {
            "type": "string",
            "description": "A JSON object: the column of each input of another name.",
        },
        "start": {"enum": ["yes", "no"], "default": "yes", "description": "Whether its rows are run at once."},
    },
    "required": ["file"],
}
_REFUSED = {
    "400": "The request cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "The page may not call this service.",
    "404": "There is none of that name.",
    "408": "The body did not arrive in time.",
    "409": "It is not so far, or further.",
    "413": "The body is too long.",
    "415": "The body is of another kind.",
    "421": "The service is not reached under that name.",
    "422": "The input does not fit.",
    "429": "Too much is going on, or the money of the day is spent.",
    "500": "The app itself has a fault.",
    "502": "The model gave no answer that fits.",
    "503": "The service is not ready, or is stopping.",
    "504": "The model did not answer in time.",
}
_ALWAYS = ("401", "403", "421", "500")
_OF_A_BODY = ("400", "408", "413", "415", "422", "429", "503")


def document(served: Mapping[str, Served], *, has_token: bool) -> dict[str, Any]:
    """The OpenAPI document of these apps."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM, "App": _CARD, "Batch": _BATCH}
    paths: dict[str, Any] = {}
    for name, one in served.items():
        schemas |= _schemas(one.app)
        paths |= {f"/apps/{name}": _app(one.app), f"/apps/{name}/batches": _tables(one.app)}
    components: dict[str, Any] = {"schemas": schemas}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "runllm", "version": __version__, "description": "LLM apps, each an endpoint."},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths | _SHARED,
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


def _holds(said: str, kind: str, schema: str | Mapping[str, Any]) -> dict[str, Any]:
    """What a request or an answer holds: of this kind, its schema this one, or the one of this name."""
    named = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    return {"description": said, "content": {kind: {"schema": named}}}


def _operation(key: str, said: str, answers: Mapping[str, Any], *refused: str, **more: Any) -> dict[str, Any]:
    """What can be asked.

    Args:
        key: its name, of which there is one; with a dot, so that it is no app's.
        said: what it does.
        answers: what it gives, by status.
        refused: the statuses with which it may be refused, beside those of every path.
        more: what else there is to say.
    """
    statuses = sorted({*_ALWAYS, *refused})
    failures = {one: _holds(_REFUSED[one], "application/problem+json", "Problem") for one in statuses}
    return {"operationId": key, "summary": said, **more, "responses": {**answers, **failures}}


def _app(app: App) -> dict[str, Any]:
    given = {**_holds("The input.", "application/json", f"{app.name}.input"), "required": True}
    answers = {"200": _holds("The output.", "application/json", f"{app.name}.output")}
    said, refused = app.program.description or app.name, (*_OF_A_BODY, "502", "504")
    page = {"200": _holds("A page.", "text/html", _TEXT)}
    return {
        "post": _operation(app.name, said, answers, *refused, requestBody=given),
        "get": _operation(f"{app.name}.form", f"A form for {app.name}, in a browser.", page),
    }


def _tables(app: App) -> dict[str, Any]:
    given = {**_holds("The table.", "multipart/form-data", _TABLE), "required": True}
    said = f"Run {app.name} on every row of a table."
    return {"post": _operation(f"{app.name}.batches", said, {"201": _SHOWN}, *_OF_A_BODY, requestBody=given)}


_SHOWN = _holds("The table, and how far it is.", "application/json", "Batch")
_KEY = [{"name": "id", "in": "path", "required": True, "schema": _TEXT}]
_RESULT = {"200": _holds("The table.", "text/csv", _TEXT)}
_APPS = _holds("They.", "application/json", {"type": "array", "items": {"$ref": "#/components/schemas/App"}})
_YES, _NO = _holds("Yes.", "text/plain", _TEXT), _holds("Not now.", "text/plain", _TEXT)
_FIGURES = _holds("A line each.", "text/plain", _TEXT)
_SHARED: dict[str, Any] = {
    "/batches/{id}": {
        "parameters": _KEY,
        "get": _operation("batches.show", "How far a table is.", {"200": _SHOWN}, "404"),
        "post": _operation("batches.begin", "Run one that waits.", {"202": _SHOWN}, "404", "409", "429"),
        "delete": _operation(
            "batches.end",
            "Stop one that runs; drop one that does not.",
            {"202": _SHOWN, "204": {"description": "It is gone."}},
            "404",
        ),
    },
    "/batches/{id}/result": {
        "parameters": _KEY,
        "get": _operation("batches.result", "The rows with their outputs, at the end.", _RESULT, "404", "409"),
    },
    "/apps": {"get": _operation("service.apps", "The apps.", {"200": _APPS})},
    "/healthz": {"get": _operation("service.lives", "Whether the service lives.", {"200": _YES}, security=[])},
    "/readyz": {"get": _operation("service.ready", "Whether it can run apps.", {"200": _YES, "503": _NO}, security=[])},
    "/metrics": {"get": _operation("service.metrics", "The figures, for Prometheus.", {"200": _FIGURES})},
}
