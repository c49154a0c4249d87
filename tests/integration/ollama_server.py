"""A server on 127.0.0.1 that speaks Ollama's own API, over real HTTP, with models that know only one answer.

It lists and shows its models, downloads those of its registry in a stream of lines, and answers a chat. As the real
one does, it loads a model anew when `num_ctx` changes, and it deals with a prompt that is too long as one of two
versions: `new` refuses it when told to (`truncate: false`), `old` has never heard of that and cuts it.

    with OllamaServer({"llama3.2": Model(window=8192)}, registry={"qwen3": (700, 300)}) as server:
        ...  # ask server.base; look at server.requests and server.loads
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.integration.provider import Received, Reply, send

DEFAULT_WINDOW = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that the server has.

    Attributes:
        window: its `context_length`.
        parameters: what its file sets, as `/api/show` prints it.
        thinks: whether it can think.
        remote: whether the server only passes calls on.
        answer: what it says to everything.
        bytes_per_token: how dense its tokens are.
    """

    window: int = 8192
    parameters: str = ""
    thinks: bool = False
    remote: bool = False
    answer: str = '{"n": 1}'
    bytes_per_token: float = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong in a download once so many bytes came: an `error` line, a quiet end, or else a cut connection."""

    after: int
    error: str | None = None
    quiet: bool = False


class OllamaServer:
    """The server: a context manager, listening from the start of the block to its end.

    Attributes:
        requests: every request so far, in order of arrival.
        loads: the window of each loading of a model.
        trouble: what goes wrong in the next downloads; taken off by each.
        said: what the next chats get instead of the model's answer.
        hung_up: set when a client leaves in the middle of a download.
    """

    def __init__(
        self,
        models: Mapping[str, Model] | None = None,
        *,
        registry: Mapping[str, tuple[int, ...]] | None = None,
        version: Literal["old", "new"] = "new",
        pace: float = 0.0,
    ) -> None:
        self.models = {full(name): model for name, model in (models or {}).items()}
        self.registry = {full(name): layers for name, layers in (registry or {}).items()}
        self.version = version
        self.pace = pace
        self.requests: list[Received] = []
        self.loads: list[int] = []
        self.loaded: dict[str, int] = {}
        self.trouble: list[Trouble] = []
        self.said: Reply | None = None
        self.hung_up = threading.Event()
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def asked(self, path: str) -> list[Any]:
        """The bodies of the requests for this path."""
        return [received.body for received in self.requests if received.path == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- the API ----------------------------------------------------------------------------------

    def answer(self, received: Received) -> tuple[int, Any]:
        match received.path:
            case "/api/tags":
                return 200, {"models": [{"name": name, "model": name} for name in self.models]}
            case "/api/ps":
                return 200, {"models": [{"name": name, "context_length": size} for name, size in self.loaded.items()]}
            case "/api/show":
                return self._show(received.body["model"])
            case "/api/chat":
                return self._chat(received.body)
        return 404, "404 page not found"

    def _show(self, name: str) -> tuple[int, Any]:
        model = self.models.get(full(name))
        if model is None:
            return 404, {"error": f"model '{name}' not found"}
        return 200, {
            "details": {"family": "test"},
            "parameters": model.parameters,
            "model_info": {"general.architecture": "test", "test.context_length": model.window},
            "capabilities": ["completion", *(["thinking"] if model.thinks else [])],
            **({"remote_host": "https://ollama.com"} if model.remote else {}),
        }

    def _chat(self, body: Any) -> tuple[int, Any]:
        name = full(body["model"])
        model = self.models.get(name)
        if model is None:
            return 404, {"error": f"model '{body['model']}' not found"}
        window = min(body["options"].get("num_ctx", DEFAULT_WINDOW), model.window)
        with self._lock:
            if self.loaded.get(name) != window and not model.remote:
                self.loaded[name] = window
                self.loads.append(window)
        size = sum(len(message["content"].encode()) for message in body["messages"])
        tokens = int(size / model.bytes_per_token)
        if tokens > window and not model.remote:
            if self.version == "new" and body.get("truncate") is False:
                words = f"request ({tokens} tokens) exceeds the available context size ({window} tokens)"
                inner = {"error": {"code": 400, "message": words, "type": "exceed_context_size_error"}}
                return 400, {"error": json.dumps(inner)}
            tokens = window if self.version == "old" else window // 2 + 2
        return 200, {
            "model": body["model"],
            "message": {"role": "assistant", "content": model.answer},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": tokens,
            "eval_count": 7,
        }

    def download(self, name: str) -> Any:
        """The lines of a download; None cuts the connection."""
        yield {"status": "pulling manifest"}
        layers = self.registry.get(full(name))
        if layers is None:
            yield {"error": "pull model manifest: file does not exist"}
            return
        trouble = self.trouble.pop(0) if self.trouble else None
        there = 0
        for number, size in enumerate(layers):
            for part in range(5):
                line = {"status": f"pulling {number}", "digest": f"sha256:{number}", "total": size}
                yield line | ({"completed": size * part // 4} if part else {})
                if trouble and there + size * part // 4 >= trouble.after:
                    if not trouble.quiet:
                        yield {"error": trouble.error} if trouble.error else None
                    return
            there += size
        yield {"status": "verifying sha256 digest"}
        self.models[full(name)] = Model()
        yield {"status": "success"}

    def wait(self) -> bool:
        """The time between two lines; True when the server ends."""
        return self.stopped.wait(self.pace)


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _handler(server: OllamaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            """Say nothing: a test's output is the test's."""

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            received = Received(method=self.command, path=self.path, headers=headers, body=body)
            server.requests.append(received)
            if received.path == "/api/pull":
                self.stream(body["model"])
                return
            if received.path == "/api/chat" and server.said is not None:
                send(self, server.said, received, server.stopped)
                return
            status, found = server.answer(received)
            data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the library looks for this name

        def stream(self, name: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            try:
                for line in server.download(name):
                    if line is None:
                        return
                    data = json.dumps(line).encode() + b"\n"
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    if server.wait():
                        return
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                server.hung_up.set()

    return Handler
