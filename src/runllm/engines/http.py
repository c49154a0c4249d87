"""One HTTP exchange after another, over connections that are kept: each with a deadline, and a bound on what is read.

`http.client` speaks HTTP. What stands here is what it leaves to others: which proxy, whose certificates, until when,
and how another thread ends it. httpx would do it as well, at 190 ms a start and five milliseconds a call.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from io import BufferedReader, RawIOBase
from threading import Event, Lock, Timer
from typing import TYPE_CHECKING, Any
from weakref import finalize

from runllm.engines.access import PLACEHOLDER_KEY
from runllm.engines.bodies import LONGEST_ANSWER, AnswerTooLargeError, Gauge
from runllm.engines.proxies import Route, UnreachableError, route_to, signed_in
from runllm.values import frozen

if TYPE_CHECKING:
    import ssl

_SLICE = 0.25  # seconds: on Windows, Ctrl-C is noticed between two waits
_SHORTEST = 0.001
_PIECE = 1 << 16
TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_MOST_IDLE = 64  # connections kept for one server


@frozen
class HttpRequest:
    """What is sent.

    Attributes:
        method: of HTTP.
        url: with scheme and host.
        headers: beside those that HTTP itself asks for.
        body: whole; empty for none.
        timeout: seconds until the last byte of the answer, or of one that comes line by line, until the next.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    timeout: float


@frozen
class HttpReply:
    """What came back: a redirection, too, which is not followed.

    Attributes:
        status: of HTTP.
        headers: their names in lower case.
        body: unpacked; of what is no success, its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as a text."""
        return self.body.decode("utf-8", "replace")


def headers(api_key: str | None) -> dict[str, str]:
    """The headers of a request in JSON with a bearer key, unless there is none that may be sent."""
    found = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
    return found if api_key in (None, PLACEHOLDER_KEY) else {**found, "Authorization": f"Bearer {api_key}"}


class NotConnectedError(UnreachableError):
    """Nobody answers at the address."""


class StoppedError(Exception):
    """Another thread ended the exchange."""


class Line:
    """The connection that one exchange goes over, for who wants to end it from another thread."""

    def __init__(self) -> None:
        self._ended = Event()
        self._socket: socket.socket | None = None

    @property
    def ended(self) -> bool:
        """Whether it was ended."""
        return self._ended.is_set()

    def check(self) -> None:
        """Raise if it was ended.

        Raises:
            StoppedError: it was.
        """
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Wait between two exchanges.

        Raises:
            StoppedError: it was ended meanwhile.
        """
        if self._ended.wait(seconds):
            raise StoppedError

    def hold(self, connected: socket.socket | None) -> None:
        """Go over this socket from now on."""
        self._socket = connected
        if self.ended:
            self.end()

    def end(self) -> None:
        """End the exchange: whoever waits for its next byte is told that there is none."""
        self._ended.set()
        if self._socket is not None:
            with suppress(OSError):  # the method of the plain socket: that of one under TLS would take away its state
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Client:
    """Keeps its connections for the next exchange. Thread-safe; a fork begins with none."""

    def __init__(self) -> None:
        self._idle: dict[Route, list[_Connection]] = {}
        self._owner = os.getpid()
        self._lock = Lock()
        finalize(self, _close, self._idle)  # of who forgets it

    def send(self, request: HttpRequest, line: Line) -> HttpReply:
        """Send and wait; once more where a connection turns out to have died while nobody used it.

        Raises:
            TimeoutError: the answer was not whole in time.
            UnreachableError: there is no server, or it went away.
            StoppedError: `line` was ended.
            UnreadableError: the answer is too large, or packed in an unknown way.
            HTTPException: what came is no HTTP.
        """
        deadline = time.monotonic() + request.timeout
        with _told(line, deadline):
            route = route_to(request.url)
            kept = self._take(route)
            if kept is not None:
                with suppress(RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    return self._exchange(kept, request, line, deadline)
            return self._exchange(_Connection(route), request, line, deadline)

    @contextmanager
    def lines(self, request: HttpRequest, line: Line) -> Generator[tuple[int, Iterator[str]]]:
        """The status of an answer, and its lines as they come, for as long as it takes.

        Raises:
            TimeoutError: nothing came for `request.timeout` seconds.
            Exception: as `send`.
        """
        with _told(line, None):
            connection = _Connection(route_to(request.url))
            try:
                response = connection.ask(request, line, time.monotonic() + request.timeout)
                yield response.status, connection.lines(response, request.timeout)
            finally:
                line.hold(None)
                connection.close()

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            _close(self._idle)

    def _exchange(self, connection: _Connection, request: HttpRequest, line: Line, deadline: float) -> HttpReply:
        try:
            response = connection.ask(request, line, deadline)
            reply = _read(response)
        except BaseException:
            connection.close()
            raise
        finally:
            line.hold(None)
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._keep(connection)
        return reply

    def _take(self, route: Route) -> _Connection | None:
        """A connection on the same route that is still there."""
        with self._lock:
            if self._owner != os.getpid():  # those of a parent are its own
                self._owner = os.getpid()
                _close(self._idle)  # its copies alone: a socket lives as long as one of them
            kept = self._idle.get(route, [])
            while kept:
                connection = kept.pop()
                if connection.is_quiet:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            kept = self._idle.setdefault(connection.route, [])
            if len(kept) < _MOST_IDLE:
                kept.append(connection)
                return
        connection.close()


def _close(idle: dict[Route, list[_Connection]]) -> None:
    while idle:
        for connection in idle.popitem()[1]:
            connection.close()


@contextmanager
def _told(line: Line, deadline: float | None) -> Generator[None]:
    """Say of an exchange that broke off why it did."""
    try:
        yield
    except (OSError, HTTPException, UnreachableError) as error:
        if isinstance(error, TimeoutError) or (deadline is not None and time.monotonic() >= deadline):
            raise TimeoutError from None
        if line.ended:
            raise StoppedError from None
        if isinstance(error, RemoteDisconnected | IncompleteRead):
            raise UnreachableError("it closed the connection before its answer was whole") from None
        if isinstance(error, OSError):
            raise UnreachableError(error.strerror or str(error)) from None
        raise


def _read(response: HTTPResponse) -> HttpReply:
    """The answer, as far as it is read."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise HTTPException(f"its length is told as `{length[:30]}`")
    gauge = Gauge(response.status, headers.get("content-encoding", "identity"))
    pieces: list[bytes] = []
    while not gauge.full and (piece := response.read1(_PIECE)):
        pieces.append(gauge.take(piece))
    if not gauge.full:
        unheard = not pieces and response.will_close and "content-length" not in headers  # cut within its head
        if response.length or unheard:
            raise IncompleteRead(b"", response.length)
        response.read()  # what tells the connection that it is free
    return HttpReply(status=response.status, headers=headers, body=b"".join(pieces))


# --- one connection -----------------------------------------------------------------------------------


class _Connection(HTTPConnection):
    """A connection all of whose waits have one end."""

    def __init__(self, route: Route) -> None:
        proxy = route.proxy
        super().__init__(proxy.hostname or "" if proxy else route.host, proxy.port or 80 if proxy else route.port)
        self.route = route
        self._wire: _Wire | None = None
        self._line = Line()
        self._deadline = 0.0
        if proxy and route.is_encrypted:
            self.set_tunnel(route.host, route.port, signed_in(proxy))

    def ask(self, request: HttpRequest, line: Line, deadline: float) -> HTTPResponse:
        """Send a request, and wait for the head of its answer; `line` may end both, and what follows."""
        self._line, self._deadline = line, deadline
        if self._wire is not None:
            self._wire.deadline = deadline
            line.hold(self._wire.socket)
        target, given = self.route.target(request.url), {**request.headers, **self.route.headers}
        self.request(request.method, target, request.body or None, given)
        if self._wire is not None:
            self._wire.send()
        return self.getresponse()

    def lines(self, response: HTTPResponse, silence: float) -> Iterator[str]:
        """The lines of an answer, each waited for so many seconds."""
        while True:
            if self._wire is not None:
                self._wire.deadline = time.monotonic() + silence
            found = response.readline(LONGEST_ANSWER + 1)
            if len(found) > LONGEST_ANSWER:
                raise AnswerTooLargeError(f"a line of it has more than {LONGEST_ANSWER >> 20} MiB")
            if not found:
                return
            yield found.decode("utf-8", "replace")

    def connect(self) -> None:
        """Connect, through a proxy where there is one, and encrypt."""
        self.timeout = max(_SHORTEST, self._deadline - time.monotonic())
        try:
            super().connect()
        except TimeoutError:
            raise
        except OSError as error:
            raise NotConnectedError(error.strerror or str(error)) from None
        connected: Any = self.sock
        self._line.hold(connected)
        if self.route.is_encrypted:
            clock = Timer(max(_SHORTEST, self._deadline - time.monotonic()), self._line.end)  # it may drip as well
            clock.daemon = True
            clock.start()
            try:
                context = certificates(*map(os.environ.get, TRUSTED))
                connected = context.wrap_socket(connected, server_hostname=self.route.host)
            finally:
                clock.cancel()
            self._line.hold(connected)
        self.sock = self._wire = _Wire(connected, self._deadline)

    @property
    def is_quiet(self) -> bool:
        """Whether the server has said nothing since, as it does when it closes."""
        try:
            return self._wire is not None and not select.select([self._wire.socket], [], [], 0)[0]
        except (OSError, ValueError):
            return False


class _Wire(RawIOBase):
    """A connected socket, to `http.client`: each wait ends at the deadline, or before."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self.socket = connected
        self.deadline = deadline
        self._waiting = b""

    def makefile(self, *_: object) -> BufferedReader:
        """What an answer is read from."""
        return BufferedReader(_Reading(self, self.socket.makefile("rb", 0)))

    def sendall(self, data: bytes) -> None:
        """Have it sent with what comes after it."""
        self._waiting += data

    def send(self) -> None:
        """Send what waits: head and body in one piece, where `http.client` would send two."""
        waiting, self._waiting = self._waiting, b""
        self.socket.settimeout(max(_SHORTEST, self.deadline - time.monotonic()))
        self.socket.sendall(waiting)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class _Reading(RawIOBase):
    """The bytes that come over a wire, until the answer that they make is closed."""

    def __init__(self, wire: _Wire, held: RawIOBase) -> None:
        self._wire = wire
        self._held = held  # a socket that is closed stays open for those who still read it

    def close(self) -> None:
        self._held.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wire = self._wire
        while (left := wire.deadline - time.monotonic()) > 0:
            wire.socket.settimeout(min(left, _SLICE))
            with suppress(TimeoutError):
                return wire.socket.recv_into(buffer)
        raise TimeoutError


@cache
def certificates(*named: str | None) -> ssl.SSLContext:
    """Whom to trust: whom the environment names, else those of the package that LiteLLM uses, else the system's."""
    import ssl  # a server of this machine needs none

    if any(named):
        return ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())
