"""The seam between runllm and a model: what every engine does, and nothing else."""

from __future__ import annotations

from typing import Protocol

from runllm.exchange import Completion, Endpoint, Request
from runllm.pricing import Price

OLLAMA_PREFIXES = ("ollama/", "ollama_chat/")
"""How the name of a model begins that an Ollama server runs."""


class Engine(Protocol):
    """A way to run models. Thread-safe; made once per runtime, closed once.

    Every failure is a `runllm.errors.RunllmError` raised `from None`: a library's own exception may
    hold a request with a key in it. An engine makes exactly one call per request; trying again and
    falling back belong to `runllm.delivery`.
    """

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless `endpoint` can be called: its key is set, its model and library are here.

        Costs nothing, reaches no network, and imports no client library.
        """
        ...

    def window(self, endpoint: Endpoint) -> int | None:
        """The model's own context window in tokens, None where it is not known offline."""
        ...

    def price(self, endpoint: Endpoint) -> Price | None:
        """What the model costs, None where that is not known."""
        ...

    def sent(self, request: Request) -> Request:
        """The request with the parameters that `complete` will send: what bounds its answer may be added."""
        ...

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait, at most `request.timeout` seconds."""
        ...

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        ...

    def close(self) -> None:
        """Release what is held: connections, a loaded model, threads. Safe to call twice."""
        ...
