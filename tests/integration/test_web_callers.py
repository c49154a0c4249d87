"""Callers of `runllm serve` and of `runllm mcp --http`: pages of other places, and clients that never come to an end."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.apps import leaf
from tests.integration.serving import PLAIN, Service
from tests.integration.test_mcp import HEADERS, HELLO, Tools

import runllm.mcp.http as over_mcp
from runllm.serve import Access, bodies, listening, uploads
from runllm.testing import ScriptedEngine

FRIEND, STRANGER = "https://friend.example", "https://friend.example.evil"
DOORS = pytest.mark.parametrize(("door", "path"), [(Service, "/apps/app"), (Tools, "/mcp")], ids=["serve", "mcp"])


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.rllm"
    path.write_text(leaf("app"), encoding="utf-8")
    return path


def engine() -> ScriptedEngine:
    return ScriptedEngine(lambda _: '{"out": "x"}')


# --- pages of other places ------------------------------------------------------------------------


@DOORS
def test_a_page_that_is_named_may_ask_and_read_and_no_other(app: Path, door: type[Service], path: str) -> None:
    body = HELLO if door is Tools else {"text": "a"}
    access = Access(token="t" * 16, origins=(FRIEND,))
    with door(app, engine=engine(), access=access) as service:
        for origin, method, is_let in (
            (FRIEND, "POST", True), (FRIEND, "DELETE", True), (FRIEND, "PUT", False),
            (STRANGER, "POST", False), (FRIEND.upper(), "POST", False), ("null", "POST", False),
        ):  # fmt: skip
            asked = {"Origin": origin, "Access-Control-Request-Method": method}
            asked["Access-Control-Request-Headers"] = "authorization, content-type"
            told = httpx.options(f"{service.url}{path}", headers=asked, verify=PLAIN)
            assert (told.status_code == 200) is is_let, (origin, method, told.text)
            assert (told.headers.get("access-control-allow-origin") == origin) is (origin == FRIEND)
        own = {**HEADERS, "Authorization": "Bearer " + "t" * 16}
        for origin, status in ((FRIEND, 200), (STRANGER, 403)):
            found = httpx.post(f"{service.url}{path}", json=body, headers={**own, "Origin": origin}, verify=PLAIN)
            assert found.status_code == status
            assert ("access-control-allow-origin" in found.headers) is (status == 200)
            assert "access-control-allow-credentials" not in found.headers


@DOORS
def test_where_no_page_is_named_none_may_ask(app: Path, door: type[Service], path: str) -> None:
    with door(app, engine=engine()) as service:
        asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
        told = httpx.options(f"{service.url}{path}", headers=asked, verify=PLAIN)
    assert told.status_code == 403
    assert "access-control-allow-origin" not in told.headers


# --- clients that never come to an end ------------------------------------------------------------


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


STILL_OPEN = b"the connection is still open"


def dripped(service: Service, begin: bytes) -> bytes:
    """What the service says to this and to a byte from time to time, until it closes the connection."""
    url, found = httpx.URL(service.url), bytearray()
    with socket.create_connection((url.host, url.port or 80), timeout=30) as client:
        client.sendall(begin)
        client.settimeout(0.02)
        for _ in range(3000):
            try:
                part = client.recv(10_000)
            except TimeoutError:
                part = None
            except OSError:
                return bytes(found)
            if part == b"":
                return bytes(found)
            found += part or b""
            try:
                client.sendall(b"x")
            except OSError:
                return bytes(found)
    return STILL_OPEN


JSON, LONG = "Content-Type: application/json", "Content-Length: 900000"
FORM = "Content-Type: multipart/form-data; boundary=b"
ACCEPT = "Accept: application/json, text/event-stream"


ENDLESS: dict[type[Service], dict[str, tuple[bytes, bytes]]] = {
    Service: {
        "json": (head("/apps/app", JSON, LONG) + b'{"text": "', b" 408 "),
        "form": (head("/apps/app", "Content-Type: application/x-www-form-urlencoded", LONG) + b"text=", b" 408 "),
        "multipart": (
            head("/apps/app", FORM, LONG) + b"--b\r\nContent-Disposition: form-data; name=text\r\n\r\n",
            b" 408 ",
        ),
        "chunked": (head("/apps/app", JSON, "Transfer-Encoding: chunked") + b'fffff\r\n{"text": "', b" 408 "),
        "table": (head("/apps/app/batches", FORM, LONG) + b"--b\r\n", b" 408 "),
        "headers": (b"POST /apps/app HTTP/1.1\r\nHost: localhost\r\nX-Long: ", b""),
        "a body that nobody reads": (head("/nope", JSON, LONG), b" 404 "),
        "a second request": (head("/nope", "Content-Length: 0") + b"GET /apps HTTP/1.1\r\nX-Long: ", b" 404 "),
        "after a run": (head("/apps/app", JSON, "Content-Length: 13") + b'{"text": "a"}' + b"GET /", b" 200 "),
    },
    Tools: {"message": (head("/mcp", JSON, ACCEPT, LONG) + b"{", b"")},
}


@pytest.mark.parametrize("door", ENDLESS, ids=["serve", "mcp"])
def test_a_client_that_never_comes_to_an_end_is_not_waited_for(
    app: Path, monkeypatch: pytest.MonkeyPatch, door: type[Service]
) -> None:
    for module, name in ((bodies, "_SECONDS"), (uploads, "_SECONDS"), (over_mcp, "_BODY"), (listening, "_PATIENCE")):
        monkeypatch.setattr(module, name, 0.2)
    cases = ENDLESS[door]
    with door(app, engine=engine()) as service, ThreadPoolExecutor(len(cases)) as at_once:
        found = at_once.map(lambda begin: dripped(service, begin), [begin for begin, _ in cases.values()])
        for (name, (_, said)), told in zip(cases.items(), found, strict=True):
            assert said in told, name
            assert told != STILL_OPEN, name
