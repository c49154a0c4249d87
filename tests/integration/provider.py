"""A model provider on 127.0.0.1 that says what a test wants it to say, over real HTTP.

It speaks the chat endpoints of OpenAI (`/chat/completions`), Anthropic (`/messages`) and Ollama
(`/api/chat`), standard library only:

    with Provider(answer('{"n": 1}'), failure(429, headers={"Retry-After": "2"})) as provider:
        ...  # call provider.base; look at provider.requests

Each chat request takes the next reply; the last one repeats. Run as a script, it prints its base and
serves until its standard input closes: that is how the benchmarks keep it in a process of its own.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CHAT_PATHS = (
    "/chat/completions", "/messages", "/api/chat", "/api/generate", ":generateContent", "/chat", "/converse",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One HTTP request as it came in; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    def shape(self) -> str:
        """Whose chat endpoint was called."""
        if self.path.startswith("/api/"):
            return "ollama"
        return "anthropic" if self.path.endswith("/messages") else "openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to send back.

    Attributes:
        status: the HTTP status.
        body: text, JSON, or a function of the request that gives either.
        headers: beside Content-Type and Content-Length.
        delay: seconds of silence before the first byte.
        drip: seconds between one byte of the body and the next; 0 sends it whole.
        cut: whether to close the connection in the middle of the body.
    """

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    drip: float = 0.0
    cut: bool = False


def answer(
    text: str | None,
    *,
    finish_reason: str = "stop",
    prompt_tokens: int = 11,
    completion_tokens: int = 7,
    cached_tokens: int = 4,
    reasoning_tokens: int = 2,
    counted: bool = True,
    delay: float = 0.0,
    drip: float = 0.0,
    cut: bool = False,
) -> Reply:
    """A completion with this text, in the shape of the endpoint that is asked; `counted` tells the tokens."""

    def body(received: Received) -> Any:
        if received.shape() == "ollama":
            return {
                "model": received.body["model"],
                "message": {"role": "assistant", "content": text},
                "done": True,
                "done_reason": finish_reason,
                "prompt_eval_count": prompt_tokens,
                "eval_count": completion_tokens,
            }
        if received.shape() == "anthropic":
            return {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": received.body["model"],
                "content": [] if text is None else [_anthropic_block(received, text)],
                "stop_reason": {"stop": "end_turn", "length": "max_tokens"}.get(finish_reason, finish_reason),
                "usage": {"input_tokens": prompt_tokens, "output_tokens": completion_tokens},
            }
        said = {"role": "assistant", "content": text}
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
        }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": received.body["model"],
            "choices": [{"index": 0, "message": said, "finish_reason": finish_reason}],
            **({"usage": usage} if counted else {}),
        }

    return Reply(body=body, delay=delay, drip=drip, cut=cut)


def _anthropic_block(received: Received, text: str) -> dict[str, Any]:
    """The text, or the call of the tool that the request forces."""
    forced = received.body.get("tool_choice") or {}
    if forced.get("type") == "tool":
        return {"type": "tool_use", "id": "toolu_1", "name": forced["name"], "input": json.loads(text)}
    return {"type": "text", "text": text}


def failure(
    status: int, message: str = "it failed", *, kind: str = "error", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error in OpenAI's shape, which Anthropic's resembles; Ollama's is a plain string."""

    def body(received: Received) -> Any:
        if received.shape() == "ollama":
            return {"error": message}
        return {"type": "error", "error": {"message": message, "type": kind, "code": kind}}

    return Reply(status=status, body=body, headers=headers or {})


HTML = Reply(body="<html><body><h1>502 Bad Gateway</h1></body></html>", headers={"Content-Type": "text/html"})
NO_CHOICES = Reply(body={"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []})
CUT = answer('{"n": 1}', cut=True)


class Provider:
    """The server: a context manager, listening from the start of the block to its end.

    Attributes:
        requests: every request so far, in order of arrival.
        listed: what is said to who asks for the models; None for that there is no such list.
    """

    def __init__(self, *replies: Reply, listed: Reply | None = None) -> None:
        self.requests: list[Received] = []
        self.listed = listed
        self._replies = list(replies) or [answer('{"n": 1}')]
        self._served = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def root(self) -> str:
        """`http://127.0.0.1:PORT`, as Ollama and Anthropic want it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base(self) -> str:
        """`http://127.0.0.1:PORT/v1`, as OpenAI-compatible clients want it."""
        return f"{self.root}/v1"

    @property
    def chats(self) -> list[Received]:
        """The requests for a completion, without what a client asks beside."""
        return [received for received in self.requests if _is_chat(received.path)]

    @property
    def open_connections(self) -> int:
        """How many connections clients hold open now."""
        return sum(_is_open(connection) for connection in list(self._server.connections))

    def script(self, *replies: Reply) -> None:
        """Replace the replies still to come."""
        with self._lock:
            self._replies, self._served = list(replies), 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, received: Received) -> Reply:
        with self._lock:
            self.requests.append(received)
            if self.listed is not None and received.path.endswith("/models"):
                return self.listed
            if not _is_chat(received.path):
                return Reply(status=404, body={"error": "not a chat endpoint"})
            reply = self._replies[min(self._served, len(self._replies) - 1)]
            self._served += 1
            return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take, stopped = self._take, self._stopped

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def log_message(self, *_: Any) -> None:
                """Say nothing: a test's output is the test's."""

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(raw) if raw else None
                received = Received(method=self.command, path=self.path, headers=headers, body=body)
                send(self, take(received), received, stopped)

            do_GET = do_POST  # noqa: N815 - the library looks for this name

        return Handler


class _Server(ThreadingHTTPServer):
    """Knows its open connections, and closes them all when it ends."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):
            _hang_up(connection)


def _is_chat(path: str) -> bool:
    return path.partition("?")[0].endswith(CHAT_PATHS)


def _is_open(connection: socket.socket) -> bool:
    """Whether the client is still there: one that left reads as the end of the stream."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return not readable or connection.recv(1, socket.MSG_PEEK) != b""
    except (OSError, ValueError):
        return False


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def send(handler: BaseHTTPRequestHandler, reply: Reply, received: Received, stopped: threading.Event) -> None:
    """Send a reply, unless the server stops meanwhile."""
    content: Any = reply.body(received) if isinstance(reply.body, Callable) else reply.body
    data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    if stopped.wait(reply.delay):
        return
    handler.send_response(reply.status)
    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if reply.cut:
        handler.wfile.write(data[: len(data) // 2])
        handler.wfile.flush()
        _hang_up(handler.connection)
        handler.close_connection = True
    elif reply.drip:
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if stopped.wait(reply.drip):
                return
    else:
        handler.wfile.write(data)


if __name__ == "__main__":
    with Provider() as provider:
        sys.stdout.write(f"{provider.base}\n")
        sys.stdout.flush()
        sys.stdin.read()
