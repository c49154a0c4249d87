"""The seam between runllm and a model: what every engine does, and nothing else."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from runllm import engines
from runllm.results import Completion, Endpoint, Request
from runllm.values import frozen

if TYPE_CHECKING:
    from runllm.engines import Traits
    from runllm.engines.background import Background
    from runllm.errors import RunllmError
    from runllm.models.pulling import Progress
    from runllm.pricing import Price


@frozen
class Setup:
    """What a user allows engines to do, and how they tell of it.

    Attributes:
        pull: fetches a local model by its name; None where that is not allowed.
        ollama_auto_pull: whether an Ollama server may download a model that it lacks: gigabytes.
        progress: told how far a download is, in another thread.
    """

    pull: Callable[[str], object] | None = None
    ollama_auto_pull: bool = False
    progress: Callable[[Progress], None] | None = None


class Engine(Protocol):
    """A way to run models. Thread-safe; made once per runtime, closed once.

    A class that names it as its base is given the first methods. Its constructor takes a `Setup`, or nothing.

    Every failure is a `runllm.errors.RunllmError` raised `from None`: a library's own exception may
    hold a request with a key in it. An engine makes exactly one call per request; trying again and
    falling back belong to `runllm.executor.delivery`.
    """

    def traits(self, endpoint: Endpoint) -> Traits:
        """What runs this endpoint's model is."""
        return engines.traits(endpoint.model)

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """Why the endpoint would be refused, whatever keys are set and servers are up; as little is asked as can be.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        del endpoint
        return iter(())

    def suggestion(self, recommended: Sequence[str], failed: str) -> str | None:
        """What to try instead of the model `failed`: one of those recommended that is known to be here; else None."""
        del recommended, failed
        return None

    def sent(self, request: Request) -> Request:
        """The request with the parameters that `complete` will send: what bounds its answer may be added."""
        return request

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

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait, at most `request.timeout` seconds."""
        ...

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        ...

    def close(self) -> None:
        """Release what is held: connections, a loaded model, threads. Safe to call twice."""
        ...


class Served(Engine):
    """An engine that calls a server, in an event loop of its own, which begins with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._background: Background | None = None

    @abstractmethod
    async def _answer(self, request: Request) -> Completion:
        """Call the model once, within `request.timeout` seconds, in the engine's own loop."""

    async def _close(self) -> None:
        """Close what belongs to the loop, in it."""

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait."""
        return self._calls().run(lambda: self._answer(request))

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        return await self._calls().arun(lambda: self._answer(request))

    def close(self) -> None:
        """Cancel the calls under way, close the connections, end the loop. Safe to call twice."""
        if self._background is not None:
            self._background.close(self._close)

    def _calls(self) -> Background:
        from runllm.engines.background import Background  # concurrent.futures is 10 ms: not for a key that is missing

        with self._lock:
            if self._background is None:
                self._background = Background()
            return self._background
