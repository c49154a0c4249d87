"""A request and what came of it as plain JSON: what a cassette and the cache keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runllm.errors import RunllmError, class_of
from runllm.results import Completion, Request, Usage

_FAILED = "error"
_QUIET = {"finish_reason": "stop", "notes": (), "called": False}
"""What most answers have, and need not say."""


def asked(request: Request) -> dict[str, Any]:
    """What of a request decides its answer: the model, its parameters, the schema and the conversation."""
    said = [{"role": message.role, "content": message.content} for message in request.messages]
    schema = {} if request.schema is None else {"schema": dict(request.schema)}
    return {"model": request.endpoint.model, "params": dict(request.params), **schema, "messages": said}


def key_of(said: Mapping[str, Any]) -> str:
    """What tells such a request from all others: the SHA-256 of its JSON, in hex."""
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def answered(came: Completion | RunllmError) -> dict[str, Any]:
    """An answer, or the failure that came instead."""
    if isinstance(came, RunllmError):
        return {
            _FAILED: type(came).__name__,
            "message": came.message,
            "retryable": came.retryable,
            **({"details": came.details} if came.details else {}),
            "hint": came.recovery_hint,
        }
    usage = {name: count for name, count in asdict(came.usage).items() if count}
    found = {
        "text": came.text, "model": came.model, "finish_reason": came.finish_reason, "usage": usage, "cost": came.cost,
        "latency": round(came.latency, 3), "notes": list(came.notes), "called": came.called,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value != _QUIET.get(name, ...) and value != []}


def completion_of(answer: Mapping[str, Any]) -> Completion:
    """The answer that was kept.

    Raises:
        RunllmError: the failure that was kept.
    """
    if _FAILED in answer:
        error = class_of(answer[_FAILED])(answer["message"], details=answer.get("details"), hint=answer.get("hint"))
        error.retryable = bool(answer.get("retryable"))
        raise error
    known: dict[str, Any] = {
        **answer,
        "usage": Usage(**answer.get("usage", {})),
        "notes": tuple(answer.get("notes", ())),
    }
    return Completion(**known)
