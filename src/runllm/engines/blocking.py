"""An engine that calls its servers from the thread that asks, over connections that it keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from runllm.engines.base import Engine
from runllm.errors import InterruptedRunError
from runllm.threads import in_thread

if TYPE_CHECKING:
    from runllm.engines.http import Client, Line

T = TypeVar("T")


class BlockingEngine(Engine):
    """What such engines share: the connections, and how a call is ended from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._under_way: set[Line] = set()

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

    @contextmanager
    def _line(self) -> Generator[Line]:
        from runllm.engines.http import Line, StoppedError  # http.client: not for a file that is only checked

        line = Line()
        self._under_way.add(line)
        try:
            yield line
        except StoppedError:
            raise InterruptedRunError("the call was cancelled before it was answered") from None
        finally:
            self._under_way.discard(line)

    def _connections(self) -> Client:
        from runllm.engines.http import Client

        with self._lock:
            self._client = self._client or Client()
        return self._client
