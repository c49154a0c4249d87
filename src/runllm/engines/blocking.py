"""An engine that calls its servers from the thread that asks, over connections that it keeps.

In an event loop it asks in threads, since that takes no import and few calls cost little; those that come while some
are under way are sent from the loop itself, where aiohttp is installed, as it is with LiteLLM.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from runllm.engines.base import Engine
from runllm.errors import InterruptedRunError
from runllm.threads import in_thread

if TYPE_CHECKING:
    from runllm.engines.exchanges import Steps
    from runllm.engines.http import Client, Line
    from runllm.engines.many import Exchange, ManyClient

T = TypeVar("T")


class BlockingEngine(Engine):
    """What such engines share: the connections, and how a call is ended from another thread.

    Attributes:
        few: how many calls of event loops are under way at a time in threads of their own.
    """

    few: ClassVar[int] = 4

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._many: ManyClient | None = None
        self._under_way: set[Line | Exchange] = set()

    def close(self) -> None:
        """End the calls under way, and close the connections. Safe to call twice."""
        for line in list(self._under_way):
            line.end()
        if self._client is not None:
            self._client.close()

    def _wait(self, call: Callable[[Line], T]) -> T:
        """What a call gives, over a line that `close` ends."""
        with self._line() as line:
            return call(line)

    async def _await(self, call: Callable[[Line], T]) -> T:
        """The same in a thread; cancellation ends the call."""
        with self._line() as line:
            try:
                return await in_thread(lambda: call(line))
            finally:
                line.end()

    def _through(self, steps: Steps[T]) -> T:
        """What steps come to, from this thread."""
        from runllm.engines.exchanges import through  # http.client: not for a file that is only checked

        return self._wait(lambda line: through(steps, self._connections(), line))

    async def _athrough(self, steps: Steps[T]) -> T:
        """The same in an event loop: in threads until there are many at a time, and from the loop from then on."""
        from runllm.engines.exchanges import athrough, through

        client = self._for_many() if self._many or len(self._under_way) >= self.few else None
        if client is None:
            return await self._await(lambda line: through(steps, self._connections(), line))
        from runllm.engines.many import Exchange

        exchange = Exchange()
        with self._held(exchange), exchange.told():
            return await athrough(steps, client)

    @contextmanager
    def _line(self) -> Generator[Line]:
        from runllm.engines.http import Line

        line = Line()
        with self._held(line):
            yield line

    @contextmanager
    def _held(self, call: Line | Exchange) -> Generator[None]:
        """Have `close` end a call."""
        from runllm.engines.http import StoppedError

        self._under_way.add(call)
        try:
            yield
        except StoppedError:
            raise InterruptedRunError("the call was cancelled before it was answered") from None
        finally:
            self._under_way.discard(call)

    def _connections(self) -> Client:
        from runllm.engines.http import Client

        with self._lock:
            self._client = self._client or Client()
        return self._client

    def _for_many(self) -> ManyClient | None:
        """What sends from event loops; None where it cannot be had."""
        with self._lock:
            if self._many is None:
                try:
                    from runllm.engines.many import ManyClient
                except ImportError:
                    return None
                self._many = ManyClient()
        return self._many
