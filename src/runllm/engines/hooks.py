"""The bounds of `bodies` as hooks of httpx, for the clients of LiteLLM."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import httpx  # 90 ms: imported by those who call a server, when they call it

from runllm.engines.bodies import Gauge
from runllm.engines.replies import checked

_STREAM = re.compile(rb'"stream": ?true')  # some providers of LiteLLM ask for one, and read it as such


class _Body(httpx.AsyncByteStream):
    """A body that is read up to where the gauge is full."""

    def __init__(self, inner: Any, gauge: Gauge, *, streamed: bool) -> None:
        self._inner = inner
        self._gauge = gauge
        self._whole = gauge.whole and not streamed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held: list[bytes] = []
        async with aclosing(aiter(self._inner)) as pieces:
            async for piece in pieces:
                plain = self._gauge.take(piece)
                if self._whole:
                    held.append(plain)
                else:
                    yield plain
                if self._gauge.full:
                    return
        if held:
            yield checked(b"".join(held))

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _measure(response: httpx.Response) -> None:
    gauge = Gauge(response.status_code, response.headers.pop("content-encoding", "identity"))
    response.stream = _Body(response.stream, gauge, streamed=_asks_for_a_stream(response.request))


def _asks_for_a_stream(request: httpx.Request) -> bool:
    try:
        return _STREAM.search(request.content) is not None
    except httpx.RequestNotRead:  # a body that is made as it is sent
        return False


async def _ask(request: httpx.Request) -> None:
    request.headers["Accept-Encoding"] = "gzip, deflate"


Hook = Callable[[Any], Awaitable[None]]

ASYNC_HOOKS: dict[str, list[Hook]] = {"request": [_ask], "response": [_measure]}
"""`event_hooks` of a client."""
