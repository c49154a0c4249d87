"""The form of a cassette: what is wrong with a file that should be one, with its line."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from runllm.diagnostics import steps
from runllm.documents import DocumentError, Node
from runllm.errors import catalogue
from runllm.results import Usage
from runllm.schema import Contract

FORM = 1
Found = tuple[dict[str, Any], list[dict[str, Any]]]
"""What was asked, and each answer to it, in order."""


def found_in(root: Node) -> tuple[datetime, list[Found]]:
    """The moment and the exchanges of a cassette.

    Raises:
        DocumentError: it is none; a person may have edited it.
    """
    _check(root)
    found: dict[str, Any] = root.value
    try:
        moment = datetime.fromisoformat(found["moment"])
    except ValueError as error:
        raise DocumentError(f"moment: {error}", root.mark_of("/moment")) from None
    exchanges = [_exchange(one, found.get("schemas", {})) for one in found["exchanges"]]
    return moment if moment.tzinfo else moment.astimezone(), exchanges


def _check(root: Node) -> None:
    if root.value is None:
        raise DocumentError("the file is empty", root.mark)
    form = root.mapping.get("cassette", FORM) if root.mapping is not None else FORM
    if form != FORM:
        raise DocumentError(f"its form is {form}, and this runllm reads {FORM}", root.mark_of("/cassette"))
    for problem in _form().problems(root.value):
        where = "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps(problem.pointer)).lstrip(".")
        said = f"{where}: {problem.message}" if where else problem.message
        raise DocumentError(said, root.mark_of(problem.pointer))
    known: dict[str, Any] = root.value.get("schemas", {})
    for number, one in enumerate(root.value["exchanges"]):
        if isinstance(one.get("schema"), int) and str(one["schema"]) not in known:
            said = f"there is no schema {one['schema']} under `schemas`"
            raise DocumentError(said, root.mark_of(f"/exchanges/{number}/schema"))


def _exchange(found: dict[str, Any], schemas: dict[str, Any]) -> Found:
    """An exchange as it is written, with the schema that it names by its number."""
    written = dict(found)
    answers = written.pop("answers")
    if isinstance(written.get("schema"), int):
        written["schema"] = schemas[str(written["schema"])]
    return written, answers


@cache
def _form() -> Contract:
    """What a cassette is."""
    text, texts, number = (
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "number", "minimum": 0},
    )
    answer = {
        "text": text, "model": text, "finish_reason": text, "notes": texts, "called": {"type": "boolean"},
        "usage": {"properties": {one.name: {"type": "integer", "minimum": 0} for one in fields(Usage)},
                  "additionalProperties": False, "type": "object"},
        "cost": {"type": ["number", "null"], "minimum": 0}, "latency": number,
    }  # fmt: skip
    failure = {
        "error": {"enum": [one.__name__ for one in catalogue()]}, "message": text, "retryable": {"type": "boolean"},
        "details": {}, "hint": {"type": ["string", "null"]},
    }  # fmt: skip
    one_answer = {
        "if": {"required": ["error"]},
        "then": {"properties": failure, "additionalProperties": False, "required": ["message"]},
        "else": {"properties": answer, "additionalProperties": False, "required": ["text"]},
        "type": "object",
    }
    message = {"properties": {"role": text, "content": text}, "required": ["role", "content"], "type": "object"}
    exchange = {
        "model": text, "params": {"type": "object"}, "schema": {"type": ["integer", "object"]},
        "messages": {"type": "array", "items": message, "minItems": 1},
        "answers": {"type": "array", "items": one_answer, "minItems": 1},
    }  # fmt: skip
    needed = ["model", "params", "messages", "answers"]
    one = {"type": "object", "properties": exchange, "required": needed, "additionalProperties": False}
    whole = {
        "cassette": {"const": FORM}, "moment": text, "schemas": {"type": "object"},
        "exchanges": {"type": "array", "items": one},
    }  # fmt: skip
    return Contract({"type": "object", "properties": whole, "required": ["cassette", "moment", "exchanges"]})
