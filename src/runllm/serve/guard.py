"""What stands before every route: who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from runllm.serve.access import Access
from runllm.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_RAW = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class Guard:
    """Middleware: refuses who may not ask, and marks every answer."""

    def __init__(self, app: ASGIApp, access: Access, log: Callable[[str], None] | None = None) -> None:
        self._app, self._access, self._log = app, access, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        began = time.perf_counter()

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_RAW]
                if self._log is not None:
                    took = (time.perf_counter() - began) * 1000
                    self._log(f"{scope['method']} {scope['path']} {message['status']} {took:.0f} ms")
            await send(message)

        try:
            self._access.check(Headers(scope=scope), scope["path"])
        except Refusal as refusal:
            await refusal.answer()(scope, receive, marked)
            return
        await self._app(scope, receive, marked)
