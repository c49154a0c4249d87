"""From the first connection to the last: uvicorn, told how to begin and how to end."""

from __future__ import annotations

import asyncio
import os
import socket
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runllm.errors import UsageError
from runllm.serve.house import House

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_PATIENCE = 30.0  # seconds in which a connection on which nothing is answered must have sent the headers of a request
_BACKLOG = 2048  # connections that wait to be taken
_ANSWER = 3  # seconds beyond the grace in which clients are still told that the service stops


class _Prompt(H11Protocol):
    """As uvicorn's, but a connection is closed on which something comes, or nothing, and never a whole request.

    The body of one has its time where it is read; what comes of it after the answer counts as any other beginning.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the headers."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the headers of the next request, or no longer."""
        super().data_received(data)
        self._wait()

    def _wait(self) -> None:
        if self._late is not None and self._answers():
            self._late.cancel()
            self._late = None
        elif self._late is None and not self._answers():
            self._late = self.loop.call_later(_PATIENCE, self._close)

    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - before the first

    def _close(self) -> None:
        self._late = None
        if not self._answers() and not self.transport.is_closing():
            self.transport.close()


class Graceful(uvicorn.Server):
    """As uvicorn's, but what runs has its grace, and then is told why it ends."""

    def __init__(self, application: ASGIApp, house: House) -> None:
        """Prepare it; nothing listens yet.

        Args:
            application: what answers.
            house: what it runs apps in.
        """
        config = uvicorn.Config(
            application,
            http=_Prompt,
            ws="none",
            log_config=None,
            log_level="critical",  # what goes wrong is told by the house, without tracebacks
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(house.limits.grace) + _ANSWER,
        )
        super().__init__(config)
        self._house = house

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is told to end."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more connections; told a second time, end what runs at once."""
        again = self.should_exit
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # the service ends as it was told to, with status 0
        self._loop.call_soon_threadsafe(
            self._loop.call_later, 0 if again else self._house.limits.grace, self._house.stop
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Of a socket that does not say that it is of TCP, asyncio leaves the small last part of an answer waiting for
        # the client's acknowledgement: 40 ms. `socket.create_server` makes such.
        found = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two services have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the service cannot listen at {host}, port {port}: {reason}",
            hint="Name another host or port.",
        ) from None
    return found


def address_of(listening: socket.socket) -> str:
    """The URL under which a browser on this machine finds it."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 - as above
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def run(server: Graceful, house: House, listening: socket.socket) -> None:
    """Serve until a signal ends it."""
    try:
        asyncio.run(server.serve([listening]))
    finally:
        house.close()
