"""What holds for every HTTP client that LiteLLM makes: it follows no redirect, and reads no body without end.

LiteLLM's clients follow redirects and take a provider's own key header (`x-api-key`, `x-goog-api-key`) along
to whatever host they are sent to. Each client passes through LiteLLM's cache before its first use; that is
where it is given its guard. Only those that are made in a call of runllm's are: a program may use LiteLLM
beside it, and its clients belong to another event loop, which has others in the cache.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import httpx
import litellm
from litellm.caching.llm_caching_handler import LLMClientCache

from runllm.engines.bodies import ASYNC_HOOKS


class RedirectRefusedError(Exception):
    """The server sent the request elsewhere; nothing was sent there."""


class GuardedClients(LLMClientCache):
    """LiteLLM's cache of clients, which guards each client that is made in a guarded call."""

    def set_cache(self, key: str, value: object, *args: Any, **kwargs: Any) -> None:
        """Keep a client, guarded if it is one of ours."""
        if _guarding.get():
            _guard(value)
        cache: Any = super()
        cache.set_cache(key, value, *args, **kwargs)


_guarding: ContextVar[bool] = ContextVar("guarding", default=False)


def guard_this_call() -> None:
    """Have each client guarded that LiteLLM makes from here on in this task."""
    _guarding.set(True)
    library: Any = litellm
    if not isinstance(library.in_memory_llm_clients_cache, GuardedClients):
        library.in_memory_llm_clients_cache = GuardedClients()


def _guard(holder: Any) -> None:
    """Guard the client that a cached object is, or holds: as its own, or as the SDK's."""
    wrapped = getattr(holder, "client", None)
    held = (holder, wrapped, getattr(holder, "_client", None))
    client = next((found for found in held if isinstance(found, httpx.AsyncClient)), None)
    if client is None:
        return
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], *ASYNC_HOOKS["request"]],
        "response": [_stay, *hooks["response"], *ASYNC_HOOKS["response"]],
    }
    client.follow_redirects = False
    if client is wrapped:  # LiteLLM's own wrapper makes a new one when a connection is lost
        holder.event_hooks, holder.follow_redirects = client.event_hooks, False


async def _stay(response: httpx.Response) -> None:
    if response.has_redirect_location:
        raise RedirectRefusedError(f"to {_place(response)}")


def _place(response: httpx.Response) -> str:
    """Where a redirect leads, without path and query: a server may have put secrets there."""
    try:
        url = response.url.join(response.headers["location"])
    except (httpx.InvalidURL, ValueError):
        return "an address that cannot be read"
    return f"{url.scheme}://{url.netloc.decode()}"
