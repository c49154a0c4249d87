"""A hub of models on 127.0.0.1 that speaks the download API of Hugging Face, over real HTTP.

    with HubServer() as hub:
        hub.add("org/repo", {"model-Q4_K_M.gguf": data}, licence="mit")
        ...  # HF_ENDPOINT=hub.endpoint; look at hub.requests

Files come from a second server with another host name and port, to which the hub redirects, as the real one does.
Each request to that takes the next of `hub.faults`; when none is left, it serves the file as it should.
Standard library only. Run as a script it serves one tiny model, prints its address, and ends with its standard input.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def text(value: str) -> bytes:
    """A text as a GGUF file writes it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(size: int = 3000, *, window: int = 4096, licence: str = "", seed: int = 0) -> bytes:
    """A file with a sound GGUF header, filled up to `size` bytes with noise that no model could run on."""
    entries = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("llama.context_length") + struct.pack("<II", 4, window),
    ]
    if licence:
        entries.append(text("general.license") + struct.pack("<I", 8) + text(licence))
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)
    noise = b"".join(hashlib.sha256(f"{seed}-{n}".encode()).digest() for n in range(size // 32 + 1))
    return head + noise[: max(1, size - len(head))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request: to `hub` or `files`, with its header names in lower case."""

    to: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request for a file's bytes goes wrong.

    Attributes:
        status: sent instead of the file.
        headers: sent with that status.
        cut: close the connection after so many bytes of the body.
        whole: ignore the range that was asked for.
        shift: begin so many bytes later than asked, and say so.
        body: sent instead of the file's bytes, with a length of its own.
        hold: after the first half of the body, wait for this before the rest.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut: int | None = None
    whole: bool = False
    shift: int = 0
    body: bytes | None = None
    hold: threading.Event | None = None


@dataclass(slots=True, kw_only=True)
class _Repository:
    files: dict[str, bytes]
    licence: str
    gated: bool
    listed: bool


class HubServer:
    """The hub and its file server. A context manager.

    Attributes:
        requests: every one so far, in order of arrival.
        faults: what still goes wrong with requests for bytes, one each.
        api_faults: as `faults`, for the hub's own API.
        token: what gated repositories want.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.faults: list[Fault] = []
        self.api_faults: list[Fault] = []
        self.token = "hf_right_token_of_a_test"
        self.redirect_to = ""
        self._repositories: dict[str, _Repository] = {}
        self._servers = [self._server("hub"), self._server("files")]

    @property
    def endpoint(self) -> str:
        """What `HF_ENDPOINT` is set to."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def _files(self) -> str:
        return self.redirect_to or f"http://localhost:{self._servers[1].server_address[1]}"

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        licence: str = "apache-2.0",
        gated: bool = False,
        listed: bool = True,
    ) -> None:
        """Put a repository there; one that is not `listed` tells checksums in its headers only."""
        self._repositories[repo] = _Repository(files=dict(files), licence=licence, gated=gated, listed=listed)

    def of_files(self) -> list[Received]:
        """The requests for a file's bytes."""
        return [one for one in self.requests if one.to == "files"]

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _server(self, name: str) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing: a test's output is the test's."""

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                received = Received(to=name, method=self.command, path=self.path, headers=headers)
                hub.requests.append(received)
                (hub._answer if name == "hub" else hub._send)(self, received)

            do_HEAD = do_GET  # noqa: N815 - the library looks for this name

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is what some tests are about."""

        return Server(("127.0.0.1", 0), Handler)

    # --- the hub ----------------------------------------------------------------------------------

    def _answer(self, to: BaseHTTPRequestHandler, received: Received) -> None:
        path = unquote(urlsplit(received.path).path)
        if self.api_faults:
            fault = self.api_faults.pop(0)
            _reply(to, fault.status or 200, fault.body or b"", fault.headers)
            return
        found = re.fullmatch(r"/(?:api/models/)?([^/]+/[^/]+)(?:/resolve/([^/]+)/(.+))?", path)
        repository = self._repositories.get(found[1]) if found else None
        if found is None or repository is None:
            _reply(to, 401, b"", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/"):
            _reply(to, 200, json.dumps(self._listing(found[1], repository)).encode())
        elif repository.gated and received.headers.get("authorization") != f"Bearer {self.token}":
            known = "authorization" in received.headers
            _reply(to, 403 if known else 401, b"", {"X-Error-Code": "GatedRepo"})
        elif found[2] not in (COMMIT, "main") or found[3] not in repository.files:
            _reply(to, 404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            data = repository.files[found[3]]
            checksum = hashlib.sha256(data).hexdigest()
            linked = {"X-Linked-Etag": f'"{checksum}"', "X-Linked-Size": str(len(data)), "X-Repo-Commit": COMMIT}
            _reply(to, 302, b"", {"Location": f"{self._files}/{found[1]}/{found[3]}", **linked})

    def _listing(self, name: str, repository: _Repository) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = [{"rfilename": "README.md", "size": 12}]
        for file, data in repository.files.items():
            large = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            siblings.append({"rfilename": file, **({"size": len(data), "lfs": large} if repository.listed else {})})
        card = {"license": repository.licence} if repository.licence else {}
        return {
            "id": name,
            "sha": COMMIT,
            "gated": "auto" if repository.gated else False,
            "cardData": card,
            "siblings": siblings,
        }

    # --- the files --------------------------------------------------------------------------------

    def _send(self, to: BaseHTTPRequestHandler, received: Received) -> None:
        org, repo, file = unquote(received.path).lstrip("/").split("/", 2)
        data = self._repositories[f"{org}/{repo}"].files[file]
        fault = self.faults.pop(0) if self.faults and received.method == "GET" else Fault()
        if fault.status:
            _reply(to, fault.status, b"", fault.headers)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", received.headers.get("range", ""))
        if asked is None or fault.whole:
            body, status, headers = data, 200, {}
        elif int(asked[1]) >= len(data):
            _reply(to, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        else:
            start = int(asked[1]) + fault.shift
            body, status = data[start:], 206
            headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = body if fault.body is None else fault.body
        _reply(to, status, body, {"ETag": '"of-the-storage"', "Accept-Ranges": "bytes", **headers}, fault)


def _reply(
    to: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    fault: Fault | None = None,
) -> None:
    to.send_response(status)
    for name, value in (headers or {}).items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    if to.command == "HEAD":
        return
    if fault is not None and fault.cut is not None:
        to.wfile.write(body[: fault.cut])
        to.wfile.flush()
        to.close_connection = True
        to.connection.close()
        return
    if fault is not None and fault.hold is not None:
        to.wfile.write(body[: len(body) // 2])
        to.wfile.flush()
        fault.hold.wait(60)
        body = body[len(body) // 2 :]
    to.wfile.write(body)


if __name__ == "__main__":
    with HubServer() as server:
        server.add("org/tiny-GGUF", {"tiny-Q4_K_M.gguf": gguf(200_000)})
        sys.stdout.write(f"{server.endpoint}\n")
        sys.stdout.flush()
        sys.stdin.read()
