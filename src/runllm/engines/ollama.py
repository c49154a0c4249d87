"""Models of an Ollama server: there before they are called, in a window that holds the prompt.

LiteLLM makes the call itself. Before the first one of a model, the server is asked whether it has it, and how
long a prompt it takes; a model that is missing is downloaded only with the user's consent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from runllm.engines import ollama_window, table
from runllm.engines.access import reach
from runllm.engines.base import Engine, Setup
from runllm.engines.litellm import LiteLLMEngine
from runllm.engines.ollama_server import Server, full, name_of, root, suggestion
from runllm.engines.ollama_window import Facts
from runllm.errors import ContextWindowExceededError, OllamaModelMissingError, RunllmError
from runllm.pricing import Price
from runllm.quantities import size
from runllm.results import Completion, Endpoint, Request

if TYPE_CHECKING:
    import asyncio

    from runllm.engines.background import Background

_Key: TypeAlias = tuple[str, str]
_SHORTEST_CALL = 0.1


class OllamaEngine(Engine):
    """Runs `ollama/...` and `ollama_chat/...` models. An `Engine`: see `runllm.engines.base`."""

    def __init__(
        self,
        setup: Setup | None = None,
        *,
        inner: Engine | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            setup: whether a model that is missing is downloaded.
            inner: makes the calls.
            environment: the process's variables.
        """
        setup = setup or Setup()
        self._inner = inner or LiteLLMEngine()
        self._auto_pull = setup.ollama_auto_pull
        self._progress = setup.progress
        self._environment = environment
        self._facts: dict[_Key, Facts | None] = {}
        self._windows: dict[_Key, int] = {}
        self._turns: dict[tuple[_Key, int], asyncio.Lock] = {}
        self._background: Background | None = None
        self._lock = threading.Lock()

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless the call can be made, as far as that is known without asking the server."""
        self._inner.ready(endpoint)
        ollama_window.asked(endpoint)

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """What the endpoint asks for and the user has not allowed."""
        return self._inner.refusals(endpoint)

    def suggestion(self, recommended: Sequence[str], failed: str) -> str | None:
        """One of those recommended that the user's own server has; it is asked, for a second at the most."""
        return suggestion(recommended, failed, self._environment)

    def window(self, endpoint: Endpoint) -> int | None:
        """The file's `num_ctx`; the model's own window as well, once the server was asked."""
        try:
            facts = self._facts.get(self._key(endpoint))
        except RunllmError:  # it cannot be reached: that is for `ready` to say
            facts = None
        known = (ollama_window.asked(endpoint), facts.window if facts else None)
        return min((limit for limit in known if limit is not None), default=None)

    def price(self, endpoint: Endpoint) -> Price | None:
        """Nothing where the server is the user's own; None where Ollama's cloud runs the model."""
        return table.price(endpoint)

    def complete(self, request: Request) -> Completion:
        """Call the model, once it is known to be there; a download takes none of `request.timeout`."""
        known = self._key(request.endpoint) in self._facts
        notes = () if known else self._calls().run(lambda: self._find(request.endpoint))
        steps = self._steps(request, notes)
        try:
            asked = next(steps)
            while True:
                try:
                    completion = self._inner.complete(asked)
                except RunllmError as error:
                    asked = steps.throw(error)
                else:
                    asked = steps.send(completion)
        except StopIteration as end:
            return end.value

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call, and a download."""
        known = self._key(request.endpoint) in self._facts
        notes = () if known else await self._calls().arun(lambda: self._find(request.endpoint))
        steps = self._steps(request, notes)
        try:
            asked = next(steps)
            while True:
                try:
                    completion = await self._inner.acomplete(asked)
                except RunllmError as error:
                    asked = steps.throw(error)
                else:
                    asked = steps.send(completion)
        except StopIteration as end:
            return end.value

    def close(self) -> None:
        """Stop what is asked or downloaded, and close the engine that makes the calls. Safe to call twice."""
        if self._background is not None:
            self._background.close()
        self._turns.clear()
        self._inner.close()

    def _steps(self, request: Request, notes: tuple[str, ...]) -> Generator[Request, Completion, Completion]:
        """Yield the request as it is to be sent, and be sent the completion; a second time with a larger window."""
        key = self._key(request.endpoint)
        facts = self._facts.get(key)
        trusted = facts is not None and not facts.remote
        window = ollama_window.choose(request, facts, self._windows.get(key) or (facts and facts.loaded))
        started = time.monotonic()
        try:
            completion = yield self._in_window(key, request, window)
            return _noted(ollama_window.judge(completion, request, window if trusted else None), notes)
        except ContextWindowExceededError:
            wider = ollama_window.larger(window, request, facts)
            if wider is None:
                raise
        except OllamaModelMissingError:
            self._facts.pop(key, None)  # it was removed since it was found
            raise
        left = max(_SHORTEST_CALL, request.timeout - (time.monotonic() - started))
        completion = yield self._in_window(key, replace(request, timeout=left), wider)
        again = f"sent again with `num_ctx` {wider}: the prompt has more tokens than were estimated"
        return _noted(ollama_window.judge(completion, request, wider if trusted else None), (*notes, again))

    def _in_window(self, key: _Key, request: Request, window: int | None) -> Request:
        if window is not None:
            self._windows[key] = window
        return ollama_window.with_window(ollama_window.bounded(request, window), window)

    # --- before the first call -----------------------------------------------------------------

    async def _find(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Learn what the server knows about the model, and download it if need be; what there is to note about that.

        Those who ask for the same model at the same time wait for the first, so that it is downloaded once.
        """
        async with self._turn(key := self._key(endpoint)):
            if key in self._facts:
                return ()
            server = Server(endpoint, self._environment)
            try:
                self._facts[key] = await server.facts()
            except OllamaModelMissingError:
                if not self._auto_pull:
                    raise
            else:
                return ()
            return await self._download(server, key)

    async def _download(self, server: Server, key: _Key) -> tuple[str, ...]:
        from runllm.engines.ollama_pull import pull  # only for who asked for it

        loaded = await pull(server, self._progress)
        self._facts[key] = await server.facts()
        return (f"downloaded `{server.name}` ({size(loaded.total or 0)}) to {server.base}",)

    def _turn(self, key: _Key) -> asyncio.Lock:
        import asyncio

        return self._turns.setdefault((key, os.getpid()), asyncio.Lock())  # a fork holds no lock of its parent

    def _calls(self) -> Background:
        from runllm.engines.background import Background  # asyncio is 30 ms: not for a file that is only checked

        with self._lock:
            if self._background is None:
                self._background = Background()
            return self._background

    def _key(self, endpoint: Endpoint) -> _Key:
        """Which model at which server."""
        return root(reach(endpoint, self._environment)), full(name_of(endpoint.model))


def _noted(completion: Completion, notes: tuple[str, ...]) -> Completion:
    return replace(completion, notes=(*completion.notes, *notes)) if notes else completion
