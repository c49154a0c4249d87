"""HTTP exchanges of an event loop, many of them at a time.

aiohttp costs 150 ms to import and a third of a millisecond a call; a call in a thread of its own costs no import and,
where many threads take turns, two milliseconds. So this is for who has many calls under way.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from runllm.engines.bodies import Gauge
from runllm.engines.http import (
    TRUSTED,
    HttpReply,
    HttpRequest,
    NotConnectedError,
    StoppedError,
    UnreachableError,
    certificates,
)
from runllm.engines.proxies import route_to

_connected: ContextVar[list[bool]] = ContextVar("connected")


class Exchange:
    """One that is under way, for who wants to end it from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._ended = False

    def end(self) -> None:
        """End it."""
        self._ended = True
        if self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    @contextmanager
    def told(self) -> Generator[None]:
        """Tell an end from a cancellation, which is the caller's own.

        Raises:
            StoppedError: it was ended.
        """
        try:
            yield
        except asyncio.CancelledError:
            if not self._ended or self._task is None:
                raise
            self._task.uncancel()
            raise StoppedError from None


class ManyClient:
    """Keeps connections for each event loop that it is used in, and closes them when that ends. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sessions: WeakKeyDictionary[Any, tuple[AsyncGenerator[Any], aiohttp.ClientSession]] = WeakKeyDictionary()

    async def send(self, request: HttpRequest) -> HttpReply:
        """As `Client.send`, with the same errors; cancellation ends it."""
        with _told():
            async with asyncio.timeout(request.timeout):
                session = await self._session()
                while True:
                    settled = list[bool]()  # whether it is over a new connection, or has an answer
                    _connected.set(settled)
                    try:
                        return await _exchange(session, request, settled)
                    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError) as error:
                        if settled or isinstance(error, aiohttp.ClientConnectorError):
                            raise  # else the connection died while nobody used it

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        with self._lock:
            kept = self._sessions.get(loop)
        if kept is None or kept[1].closed:
            opened = _opened()
            kept = opened, await anext(opened)
            with self._lock:
                self._sessions[loop] = kept
        return kept[1]


async def _opened() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session, closed with the generator: a loop that ends closes those that were begun in it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent",),
        timeout=aiohttp.ClientTimeout(),
    )
    async with session:
        yield session


def _socket(address: Any) -> socket.socket:
    """A socket for a new connection, of which its exchange is told."""
    _connected.get()[:] = [True]
    return socket.socket(*address[:3])


async def _exchange(session: aiohttp.ClientSession, request: HttpRequest, settled: list[bool]) -> HttpReply:
    route = route_to(request.url)
    asking = session.request(
        request.method,
        URL(request.url, encoded=True),
        data=request.body or None,
        headers=request.headers,
        allow_redirects=False,
        proxy=route.proxy.geturl() if route.proxy else None,
        ssl=certificates(*map(os.environ.get, TRUSTED)) if route.is_encrypted else True,
    )
    async with asking as response:
        settled[:] = [True]
        headers = {name.lower(): value for name, value in response.headers.items()}
        gauge, pieces = Gauge(response.status, headers.get("content-encoding", "identity")), list[bytes]()
        if not gauge.full:
            async for piece in response.content.iter_any():
                pieces.append(gauge.take(piece))
                if gauge.full:
                    break
        if gauge.full:
            response.close()  # with what nobody reads
        return HttpReply(status=response.status, headers=headers, body=b"".join(pieces))


@contextmanager
def _told() -> Generator[None]:
    """Say of an exchange that broke off why it did, as `Client.send` says it."""
    try:
        yield
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
        raise UnreachableError("it closed the connection before its answer was whole") from None
    except aiohttp.ClientSSLError as error:
        raise UnreachableError(str(error)) from None
    except aiohttp.ClientConnectorError as error:
        raise NotConnectedError(_reason(error.os_error)) from None
    except TimeoutError:
        raise TimeoutError from None
    except OSError as error:
        raise UnreachableError(_reason(error)) from None
    except aiohttp.ClientError as error:
        raise HTTPException(str(error)) from None


def _reason(error: OSError) -> str:
    """The system's own words; asyncio has others for a connection that is refused, which hold the address."""
    number = error.errno or 0  # below zero where it was a look-up
    return os.strerror(number) if number > 0 else error.strerror or str(error)
