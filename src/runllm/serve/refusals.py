"""What a client is told when it gets no output: `application/problem+json` (RFC 9457), and never what is ours.

What is wrong with the client's own input is told in full. Of any other error only its kind is: a message may hold a
path, the words of a provider, or a piece of the prompt. It stands in the log of the server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from runllm.errors import (
    BudgetExceededError,
    ContextWindowExceededError,
    InputSchemaError,
    InternalError,
    InterruptedRunError,
    OutputSchemaError,
    ProviderError,
    ProviderTimeoutError,
    PythonBlockExecutionError,
    RateLimitError,
    RetryExhaustedError,
    RunllmError,
    TemplateError,
)
from runllm.redaction import redact
from runllm.serve.day import Daily, seconds_left

_STATUSES: tuple[tuple[type[RunllmError], HTTPStatus], ...] = (
    (InputSchemaError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ContextWindowExceededError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ProviderTimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (RateLimitError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ProviderError, HTTPStatus.BAD_GATEWAY),
    (OutputSchemaError, HTTPStatus.BAD_GATEWAY),
    (RetryExhaustedError, HTTPStatus.BAD_GATEWAY),
    (PythonBlockExecutionError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (TemplateError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (InternalError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The first that fits counts; what is none of these is a service that is not set up, or not yet."""
_OF_THE_CLIENT = (InputSchemaError, ContextWindowExceededError)
_WAIT = 10  # seconds, where the provider names none
_LONGEST = 3_600  # seconds, whatever it names
_SPENT = "What the service may spend in a day is spent."
_TOMORROW = "Ask again when the next day begins, at midnight UTC."
_LATER = "The service's own log says more; whoever runs it can see it."


class Refusal(Exception):  # noqa: N818 - it is no error of the service
    """A request that is answered without a run.

    Attributes:
        status: of the answer.
        message: what is wrong, in one sentence.
        hint: what to do.
        headers: of the answer.
    """

    def __init__(
        self, status: HTTPStatus, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.headers = status, message, hint, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The problem as JSON."""
        return _problem(self.status, f"http_{self.status}", self.status.phrase, self.message, self.hint)

    def answer(self) -> JSONResponse:
        """The answer that says it."""
        return as_answer(self.body(), self.headers)


def is_of_the_client(error: RunllmError) -> bool:
    """Whether it says what is wrong with what the client gave, and not with what an app made of it for another."""
    return isinstance(error, _OF_THE_CLIENT) and not error.trail


def hint_of(error: RunllmError) -> str:
    """What to do, unless that is meant for a command line."""
    return "" if " --" in f" {error.recovery_hint.replace('`', ' ')}" else error.recovery_hint


def body_of(error: RunllmError) -> dict[str, Any]:
    """An error of a run as JSON: its kind, and of the client's own mistakes all there is to say."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE)
    if isinstance(error, _OF_THE_CLIENT) and error.trail:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, InterruptedRunError):
        return _problem(status, error.code, type(error).__name__, "The service is stopping.", "Ask again in a moment.")
    if _is_of_the_day(error):
        return _problem(HTTPStatus.TOO_MANY_REQUESTS, error.code, type(error).__name__, _SPENT, _TOMORROW)
    if not is_of_the_client(error):
        return _problem(status, error.code, type(error).__name__, str(type(error).__doc__), _LATER)
    found = _problem(status, error.code, type(error).__name__, error.message, hint_of(error))
    problems = [{"pointer": one.pointer, "message": one.message} for one in error.problems]
    return redact({**found, "problems": problems} if problems else found)


def answer_of(error: RunllmError) -> JSONResponse:
    """The answer to a run that failed."""
    body = body_of(error)
    if _is_of_the_day(error):
        return as_answer(body, {"Retry-After": str(seconds_left())})
    if body["status"] != HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, BudgetExceededError):
        return as_answer(body, {})  # what reached the bound of one run would reach it again
    asked = error.details.get("retry_after")
    wait = min(max(1, math.ceil(asked)), _LONGEST) if isinstance(asked, int | float) else _WAIT
    return as_answer(body, {"Retry-After": str(wait)})


def _is_of_the_day(error: RunllmError) -> bool:
    return isinstance(error, BudgetExceededError) and isinstance(error.budget, Daily)


def as_answer(body: Mapping[str, Any], headers: Mapping[str, str]) -> JSONResponse:
    """A problem as the answer that holds it."""
    return JSONResponse(body, body["status"], dict(headers), "application/problem+json")


def _problem(status: HTTPStatus, code: str, title: str, message: str, hint: str) -> dict[str, Any]:
    return {
        "type": f"urn:runllm:{code.lower()}",
        "title": title,
        "status": int(status),
        "detail": message,
        "code": code,
        "message": message,
        **({"hint": hint} if hint else {}),
    }
