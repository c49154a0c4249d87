"""A service of `runllm serve` in a thread, over real sockets, for tests."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from runllm import Runtime, load
from runllm.results import Completion, Request
from runllm.serve import Access, House, Limits
from runllm.serve.catalog import Catalog
from runllm.serve.listening import Graceful
from runllm.serve.server import Server, address_of, listen
from runllm.testing import ScriptedEngine

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares each request the reading of certificates, 60 ms, which none of them needs."""


class Waiting(ScriptedEngine):
    """Answers each call when it is let, and counts those that were stopped before.

    Attributes:
        under_way: calls that wait for their answer now.
        most: the most of them at one time.
        stopped: calls that ended without one.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(lambda _: answer)
        self.open = threading.Event()
        self.under_way = self.most = self.stopped = 0

    async def acomplete(self, request: Request) -> Completion:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            while not self.open.is_set():  # noqa: ASYNC110 - another thread lets it
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.under_way -= 1
        return self.complete(request)


class Service:
    """One service. A context manager.

    Attributes:
        url: where it is.
        house: what it serves.
        logged: what it said.
    """

    url: str
    server: Graceful
    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        *paths: Path,
        engine: ScriptedEngine,
        limits: Limits | None = None,
        access: Access | None = None,
        follow: bool = False,
        **options: Any,
    ) -> None:
        self.logged: list[str] = []
        runtime = Runtime(engine=engine)
        catalog = Catalog([str(path) for path in paths], lambda path: load(path, runtime=runtime, **options))
        self.house = House(catalog, runtime, limits or Limits(), self.logged.append)
        self._access, self._follow = access or Access(), follow
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        listening = self._closing.enter_context(listen("127.0.0.1", 0))
        self.url = address_of(listening).rstrip("/")
        begun = threading.Event()

        async def run() -> None:
            self.server = self.made()
            serving = asyncio.ensure_future(self.server.serve([listening]))
            while not self.server.started:  # noqa: ASYNC110 - it says so by a flag alone
                await asyncio.sleep(0.01)
            self.loop = asyncio.get_running_loop()
            begun.set()
            await serving

        self.thread = threading.Thread(target=asyncio.run, args=(run(),))
        self.thread.start()
        assert begun.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        with suppress(RuntimeError):  # it has ended by itself
            self.loop.call_soon_threadsafe(self.house.stop)
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.house.close()
        self._closing.close()

    def made(self) -> Graceful:
        """What is served."""
        return Server(self.house, self._access, follow=self._follow, log=self.logged.append)

    def post(self, name: str, given: Any = None, **more: Any) -> httpx.Response:
        """Run an app."""
        body = {} if given is None else {"json": given}
        return httpx.post(f"{self.url}/apps/{name}", **body, **{"timeout": 30, "verify": PLAIN, **more})

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Ask for a path."""
        return httpx.get(f"{self.url}{path}", timeout=30, verify=PLAIN, **more)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(3000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came about")
