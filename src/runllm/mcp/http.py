"""Streamable HTTP as the wire, behind the same guard as `runllm serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from runllm.mcp.server import LEFT
from runllm.serve.access import Access
from runllm.serve.guard import Guard
from runllm.serve.house import House

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

PATH = "/mcp"
_BODY = 30.0  # seconds in which a body must have come
_MOST_SESSIONS = 1_000
_IDLE = 600.0  # seconds after which a session that asks nothing is forgotten
_SENT = [
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "Mcp-Session-Id",
]


def application(
    server: Server[Any], house: House, access: Access, *, log: Callable[[str], None] | None = None
) -> Starlette:
    """The server as an ASGI application.

    Args:
        server: what answers.
        house: whose limits hold.
        access: who may ask.
        log: told of each request; None for no one.
    """
    AppStatus.disable_automatic_graceful_drain()  # the house decides when what runs is stopped
    manager = StreamableHTTPSessionManager(
        server, session_idle_timeout=_IDLE, max_sessions=_MOST_SESSIONS, max_request_body_size=house.limits.body
    )
    middleware = [Middleware(Guard, access=access, log=log)]
    if access.origins:
        allowed = Middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["POST", "DELETE"],
            allow_headers=_SENT,
            expose_headers=["Mcp-Session-Id"],
        )
        middleware.insert(0, allowed)
    return Starlette(
        # `GET` would be a stream for what the server has to say by itself, and it says nothing.
        routes=[Route(PATH, _Heard(manager), methods=["POST", "DELETE"]), Route("/healthz", _alive)],
        middleware=middleware,
        lifespan=lambda _: manager.run(),
    )


async def _alive(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")


class _Heard:
    """The protocol as an application, which knows when a client has left."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        loop = asyncio.get_running_loop()
        left: asyncio.Future[None] = loop.create_future()
        until = loop.time() + _BODY
        is_whole = False

        async def hear() -> Message:
            nonlocal is_whole
            try:
                async with asyncio.timeout_at(None if is_whole else until):
                    message = await receive()
            except TimeoutError:
                message = {"type": "http.disconnect"}
            is_whole = is_whole or not message.get("more_body", False)
            if message["type"] == "http.disconnect" and not left.done():
                left.set_result(None)
            return message

        scope[LEFT] = left
        await self._manager.handle_request(scope, hear, send)
