"""How long an answer may be, where nobody says so and a number is asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from runllm import tokens
from runllm.engines import providers
from runllm.errors import ContextWindowExceededError
from runllm.results import Endpoint, Request

# A Claude model must be told how long its answer may be. Whoever serves it is told the model's own limit by LiteLLM,
# or takes that itself.
_CLAUDE = re.compile(r"(?i)^anthropic/|claude")
_UNKNOWN_LIMIT = 128_000  # what LiteLLM asks of a Claude model that its table does not know
_ASKED: Mapping[str, int] = {"snowflake": 4096, "oci": 4096}  # of any model there
_BESIDE_THINKING = 4096  # what LiteLLM adds to a budget for thinking
_EFFORTS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16_384}


def bounded(request: Request) -> Request:
    """The request with `max_tokens`, where a number would be asked for without it.

    That is what would be asked, but no more than the window leaves, and no more than the model's own limit.

    Raises:
        ContextWindowExceededError: the model is to think for longer than that, which its provider refuses.
    """
    endpoint = request.endpoint
    params = {**endpoint.provider_params, **request.params}
    asked = _asked(endpoint, params)
    if asked is None or tokens.longest_answer(params) is not None:
        return request
    known = (request.window, providers.window(endpoint))
    window = min((tokens for tokens in known if tokens), default=None)
    if window is None:
        return request
    longest = min(asked, _room(request, window), providers.longest_answer(endpoint) or asked)
    thought = _thought(endpoint, params)
    if thought >= longest:
        raise ContextWindowExceededError(
            f"`{endpoint.model}` is to think for up to {thought:,} tokens, and the window leaves {longest:,}"
            " for thinking and answer",
            details={"thinking_tokens": thought, "room": longest, "window": window},
            hint="Raise `max_context_window`, shorten the input, or let the model think less.",
        )
    return replace(request, params={**request.params, "max_tokens": longest})


def _room(request: Request, window: int) -> int:
    """Tokens that the prompt leaves of the window; a few in every case."""
    found = tokens.check(
        [message.content for message in request.messages],
        schema=request.schema,
        max_tokens=None,
        window=window,
    )
    return max(window - found.prompt, found.answer)


def _asked(endpoint: Endpoint, params: Mapping[str, Any]) -> int | None:
    """The tokens that are asked for where nobody says how many; None for none."""
    provider = endpoint.model.partition("/")[0]
    if not _CLAUDE.search(endpoint.model):
        return _ASKED.get(provider)
    thought = _thought(endpoint, params)
    if thought:
        return thought + _BESIDE_THINKING
    return _ASKED.get(provider) or providers.longest_answer(endpoint) or _UNKNOWN_LIMIT


def _thought(endpoint: Endpoint, params: Mapping[str, Any]) -> int:
    """The tokens set aside for thinking; 0 where there are none, or the model decides by itself."""
    if providers.adapts_thinking(endpoint):
        return 0
    effort = params.get("reasoning_effort")
    if isinstance(effort, dict):
        effort = cast("dict[str, Any]", effort).get("effort")
    thinking = params.get("thinking")
    if isinstance(thinking, dict) and cast("dict[str, Any]", thinking).get("type") == "adaptive":
        effort = effort or "medium"
    return tokens.thinking(params) or _EFFORTS.get(str(effort), 0)
