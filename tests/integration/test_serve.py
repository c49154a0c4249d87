"""`runllm serve` over real sockets: what it takes, what it answers, what it never tells, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from signal import SIGTERM
from threading import Thread
from typing import Any

import httpx
import jsonschema_rs
import pytest
from tests.integration.serving import Service, Waiting, until

from runllm.errors import EngineUnavailableError, InternalError, RateLimitError, RunllmError, UsageError, catalogue
from runllm.pace import Pace
from runllm.serve import Access, Limits, house
from runllm.serve.access import named
from runllm.serve.catalog import Catalog
from runllm.serve.day import Daily, Ledger
from runllm.serve.refusals import answer_of
from runllm.testing import ScriptedEngine

PARTS = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nab\r\n'
TOKEN = "a-token-of-sixteen-and-more"
APP = """---
name: count
description: Counts what it is given.
input_schema:
  type: object
  properties:
    text: {type: string, maxLength: 2000000}
    often: {type: integer, default: 1}
    loud: {type: boolean, default: false}
    names: {type: array, items: {type: string}, default: []}
  required: [text]
  additionalProperties: false
returns: {n: integer}
llm: openai/gpt-4o-mini
---
Count: {{ input.text }} {{ input.often }} {{ input.loud }} {{ input.names }}
"""


def answers(*given: Any) -> ScriptedEngine:
    """An engine that always answers the same, or these in turn."""
    return ScriptedEngine(list(given)) if given else ScriptedEngine(lambda _: '{"n": 1}')


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "count.rllm"
    path.write_text(APP, encoding="utf-8")
    return path


@pytest.fixture
def service(app: Path) -> Iterator[Service]:
    with Service(app, engine=answers()) as found:
        yield found


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"text": "a", "often": 2, "loud": True, "names": ["x"]}},
        {"content": '{"text": "a", "often": 2, "loud": true, "names": ["x"]}', "headers": {"Content-Type": "application/x+json; charset=utf-8"}},
        {"data": {"text": "a", "often": "2", "loud": "true", "names": '["x"]'}},
        {"files": {"text": ("a.txt", b"a"), "often": (None, "2"), "loud": (None, "true"), "names": (None, '["x"]')}},
        {"params": {"text": "a", "often": "2", "loud": "true", "names": '["x"]'}},
        # what `curl -d` sends is called a form, whatever it is
        {"content": '{"text": "a", "often": 2, "loud": true, "names": ["x"]}', "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
    ids=["json", "like json", "form", "multipart", "query", "curl"],
)  # fmt: skip
def test_an_input_comes_as_json_as_a_form_or_as_a_query(app: Path, sent: dict[str, Any]) -> None:
    engine = answers()
    with Service(app, engine=engine) as service:
        answer = service.post("count", **sent)
    assert (answer.status_code, answer.json()) == (200, {"n": 1}), answer.text
    assert 'Count: a 2 true ["x"]' in engine.requests[0].messages[-1].content


def test_a_text_over_http_names_no_file(app: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hidden", encoding="utf-8")
    engine = answers()
    with Service(app, engine=engine) as service:
        for sent in ({"params": {"text": f"@{tmp_path}/secret.txt"}}, {"data": {"text": f"@{tmp_path}/secret.txt"}}):
            assert service.post("count", **sent).status_code == 200
    assert all("hidden" not in request.messages[-1].content for request in engine.requests)
    assert all("@" in request.messages[-1].content for request in engine.requests)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"content": "{", "headers": {"Content-Type": "application/json"}}, 400, "not valid JSON"),
        ({"content": '{"text": "a", "text": "b"}', "headers": {"Content-Type": "application/json"}}, 400, "twice"),
        ({"content": '{"text": NaN}', "headers": {"Content-Type": "application/json"}}, 400, "NaN"),
        ({"content": b'{"text": "\xff"}', "headers": {"Content-Type": "application/json"}}, 400, "not UTF-8"),
        ({"content": "[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "too deeply"),
        ({"content": '{"text": %s}' % ("9" * 9_999), "headers": {"Content-Type": "application/json"}}, 400, "a number has more than 4,300 digits"),
        ({"content": b"\x1f\x8b", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}}, 415, "compressed"),
        ({"json": ["a"]}, 422, "a JSON object"),
        ({"content": "a", "headers": {"Content-Type": "text/plain"}}, 415, "neither JSON nor a form"),
        ({"content": b"a"}, 415, "neither JSON nor a form"),
        ({"json": {"text": "a"}, "params": {"often": "2"}}, 400, "in the body and in the query"),
        ({"params": [("text", "a"), ("text", "b")]}, 400, "given twice"),
        ({"files": {"text": ("a.bin", b"\xff\xfe\xff")}}, 422, "not UTF-8 text"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "form cannot be read"),
        ({"content": PART + b"--x--\r\n", "headers": PARTS}, 200, ""),
        ({"content": PART + b'--x\r\nContent-Disposition: form-data; name="often"\r\n\r\n2', "headers": PARTS}, 400, "breaks off"),
        ({"content": PART.replace(b"ab", b"\xff") + b"--x--\r\n", "headers": PARTS}, 400, "`text` is not UTF-8"),
        ({"content": b"text=%ff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400, "the form is not UTF-8"),
        ({"content": b"&".join([b"a"] * 1_001), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400, "1,000 fields"),
        ({"url": "?text=%ff"}, 400, "the query is not UTF-8"),
        ({"json": {"text": "a" * 2_000_000}}, 413, "longer than 1,048,576 bytes"),
        ({"content": iter([b'{"text": "', *[b"a" * 100_000] * 20, b'"}']), "headers": {"Content-Type": "application/json"}}, 413, "longer than"),
        ({"json": {}}, 422, "`text` is required"),
        ({}, 422, "`text` is required"),
    ],
)  # fmt: skip
def test_what_is_no_input_is_told(service: Service, sent: dict[str, Any], status: int, said: str) -> None:
    answer = service.post("count" + sent.pop("url", ""), **sent)
    assert answer.status_code == status, answer.text
    if status != 200:
        _is_problem(answer)
        assert said in answer.json()["message"]
    assert service.post("count", {"text": "a"}).status_code == 200


def _is_problem(answer: httpx.Response) -> None:
    found = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(found) <= {"type", "title", "status", "detail", "code", "message", "hint", "problems"}
    assert found["status"] == answer.status_code
    assert found["detail"] == found["message"]


def test_each_fault_of_an_input_is_told_at_its_place(service: Service) -> None:
    answer = service.post("count", {"text": 7, "often": "x", "nmes": ["y"]})
    assert answer.status_code == 422
    found = {one["pointer"]: one["message"] for one in answer.json()["problems"]}
    assert {"/text", "/often"} <= set(found)
    assert answer.json()["code"] == "RLLM_004"
    key = "sk-proj-" + "aB3dE6gH" * 6
    assert key not in service.post("count", {"text": "a", "often": key}).text, "pages and logs of clients hold it too"


def test_a_body_that_says_that_it_is_too_long_is_not_waited_for(service: Service) -> None:
    with _raw(service) as client:
        client.sendall(_head("Content-Type: application/json", "Content-Length: 2000000"))
        assert _status(client) == 413


def test_a_request_of_two_lengths_is_refused(service: Service) -> None:
    for twice in (("Content-Length: 2", "Content-Length: 3"), ("Content-Length: 2", "Transfer-Encoding: chunked, x")):
        with _raw(service) as client:
            client.sendall(_head("Content-Type: application/json", *twice) + b"{}")
            assert _status(client) in (400, 501)


def _raw(service: Service) -> socket.socket:
    url = httpx.URL(service.url)
    return socket.create_connection((url.host, url.port or 80), timeout=30)


def _head(*lines: str) -> bytes:
    return "\r\n".join(["POST /apps/count HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def _status(client: socket.socket) -> int:
    return int(client.recv(1000).split()[1])


# --- what it answers ------------------------------------------------------------------------------


def test_paths_that_are_none_and_methods_that_are_none_are_problems(service: Service) -> None:
    for answer, status in (
        (service.post("nope", {}), 404),
        (service.get("/nope"), 404),
        (service.post("count/", {"text": "a"}), 404),
        (httpx.put(f"{service.url}/apps/count"), 405),
    ):
        assert answer.status_code == status
        _is_problem(answer)
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert "This path takes GET, HEAD, POST." in answer.json()["hint"]


def test_the_openapi_document_names_every_path_and_method_but_pages(app: Path) -> None:
    with Service(app, engine=answers()) as service:
        paths = service.get("/openapi.json").json()["paths"]
        routes: Any = service.server.config.app.routes  # type: ignore[union-attr]
    found = {
        (path.replace("/count", "/{name}"), method.upper())
        for path, said in paths.items()
        for method in said.keys() - {"parameters"}
    }
    wanted = {(route.path.replace("{key}", "{id}"), one) for route in routes for one in route.methods - {"HEAD"}}
    assert wanted - found == {(page, "GET") for page in ("/", "/docs", "/page/{name}", "/openapi.json")}
    assert found <= wanted


SECRET = "/home/me/private/app.rllm"


@pytest.mark.parametrize("kind", [one for one in catalogue() if one.code != "RLLM_004"], ids=lambda one: one.code)
def test_of_an_error_that_is_not_the_clients_only_its_kind_is_told(kind: type[RunllmError]) -> None:
    error = kind(
        f"{SECRET}: it failed", details={"path": SECRET}, received=SECRET, hint=SECRET, expected_schema={"x": SECRET}
    )
    error.trail = ("outer", "inner")
    answer = answer_of(error)
    assert SECRET not in bytes(answer.body).decode()
    assert "outer" not in bytes(answer.body).decode()
    assert answer.status_code >= 429 and HTTPStatus(answer.status_code)  # noqa: PT018


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("ProviderTimeoutError", 504), ("RateLimitError", 503), ("ProviderConnectionError", 502), ("RequestRefusedError", 502),
        ("MissingCredentialError", 503), ("ModelNotFoundError", 503), ("BudgetExceededError", 503), ("InternalError", 500),
    ],
)  # fmt: skip
def test_an_error_of_a_run_has_its_status_and_is_in_the_log(app: Path, error: str, status: int) -> None:
    kind = next(one for one in catalogue() if one.__name__ == error)
    engine = ScriptedEngine(lambda _: kind(f"{SECRET}: it failed"))
    with Service(app, engine=engine, max_retries=0) as service:
        answer = service.post("count", {"text": "a"})
        _is_problem(answer)
        assert (answer.status_code, answer.json()["code"]) == (status, kind.code)
        assert SECRET not in answer.text
        assert any(SECRET in line for line in service.logged)


def test_a_provider_that_asks_for_a_long_pause_keeps_nobody_waiting(app: Path) -> None:
    engine = ScriptedEngine(lambda _: RateLimitError("busy", details={"retry_after": 90.5}))
    with Service(app, engine=engine, pace=Pace(4, patient=False)) as service:
        found = [service.post("count", {"text": "a"}) for _ in range(2)]
    assert [one.status_code for one in found] == [503, 503]
    assert [80 <= int(one.headers["retry-after"]) <= 91 for one in found] == [True, True]
    assert len(engine.requests) == 1  # the second was not even sent


def test_answers_that_do_not_fit_are_a_bad_gateway(app: Path) -> None:
    with Service(app, engine=answers(*["no"] * 3)) as service:
        answer = service.post("count", {"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (502, "RLLM_007")
    assert "attempts" not in answer.text


def test_an_input_that_an_app_makes_for_another_is_the_fault_of_the_app(tmp_path: Path) -> None:
    (tmp_path / "child.rllm").write_text(APP.replace("maxLength: 2000000", "maxLength: 3"), encoding="utf-8")
    outer = (
        APP.replace("name: count", "name: outer")
        .replace("Count:", "{{ uses.inner.n }}")
        .replace(
            "llm: openai", "uses: [{name: inner, path: ./child.rllm, with: {text: '{{ input.text }}'}}]\nllm: openai"
        )
    )
    (tmp_path / "outer.rllm").write_text(outer, encoding="utf-8")
    with Service(tmp_path / "outer.rllm", engine=answers()) as service:
        answer = service.post("outer", {"text": "much too long"})
    assert (answer.status_code, answer.json()["code"]) == (500, "RLLM_004"), answer.text
    assert "inner" not in answer.text


def test_a_fault_of_the_service_itself_is_told_without_its_words(app: Path) -> None:
    def fail(_: object) -> str:
        raise ZeroDivisionError(SECRET)

    with Service(app, engine=ScriptedEngine(fail)) as service:
        answer = service.post("count", {"text": "a"})
        assert (answer.status_code, answer.json()["code"]) == (500, InternalError.code)
        assert SECRET not in answer.text
        assert service.post("count", {}).status_code == 422


def test_apps_with_their_contracts_and_no_path(service: Service, tmp_path: Path) -> None:
    (found,) = service.get("/apps").json()
    assert (found["name"], found["url"], found["description"]) == ("count", "/apps/count", "Counts what it is given.")
    assert found["input_schema"]["required"] == ["text"]
    assert str(tmp_path) not in service.get("/apps").text


def test_the_openapi_document_holds_the_schemas_as_they_are(tmp_path: Path) -> None:
    nested = """---
name: tree
description: A tree.
input_schema:
  type: object
  properties: {root: {$ref: "#/$defs/node"}}
  required: [root]
  $defs:
    node: {type: object, properties: {name: {type: string}, of: {type: array, items: {$ref: "#/$defs/node"}}}}
output_schema: {type: integer}
llm: openai/gpt-4o-mini
---
{{ input.root }}
"""
    (tmp_path / "tree.rllm").write_text(nested, encoding="utf-8")
    with Service(tmp_path / "tree.rllm", engine=answers("3")) as service:
        document = service.get("/openapi.json").json()
        assert service.post("tree", {"root": {"name": "a", "of": [{"name": "b"}]}}).json() == 3
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/apps/tree"]["post"]
    assert (
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/tree.input"
    )
    validator = jsonschema_rs.validator_for({**document, "$ref": "#/components/schemas/tree.input"})
    assert validator.is_valid({"root": {"name": "a", "of": [{"name": "b", "of": []}]}})
    assert not validator.is_valid({"root": {"name": "a", "of": [{"name": 3}]}})


def test_steps_come_as_they_happen_and_hold_no_content(app: Path) -> None:
    with Service(app, engine=answers('{"n": "many words"}', '{"n": 2}')) as service:
        answer = service.post("count", {"text": "private"}, headers={"Accept": "text/event-stream"})
        events = _events(answer.text)
        wrong = _events(service.post("count", {}, headers={"Accept": "text/event-stream"}).text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in events][-1] == "result"
    steps = [data["step"] for name, data in events if name == "step"]
    assert steps.count("call") == 2
    assert "problem" in steps
    assert events[-1][1]["output"] == {"n": 2}
    assert events[-1][1]["run"]["attempts"] == 2
    assert "private" not in answer.text
    assert "many words" not in answer.text
    assert (wrong[-1][0], wrong[-1][1]["status"]) == ("error", 422)


@pytest.mark.parametrize(
    ("accept", "events"),
    [("Text/Event-Stream", True), ("application/json, text/event-stream; q=0.5", True), ("text/event-stream;q=0", False), ("text/event-streams", False)],
)  # fmt: skip
def test_steps_come_to_who_asks_for_them(service: Service, accept: str, *, events: bool) -> None:
    answer = service.post("count", {"text": "a"}, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/event-stream") is events


def _events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_figures_are_those_of_the_runs(app: Path) -> None:
    with Service(app, engine=answers('{"n": "x"}', '{"n": 2}')) as service:
        service.post("count", {"text": "a"})
        service.post("count", {})
        figures = service.get("/metrics").text
    for line in (
        'runllm_runs_total{app="count",ended="ok"} 1.0',
        'runllm_runs_total{app="count",ended="RLLM_004"} 1.0',
        'runllm_attempts_total{app="count"} 2.0',
        'runllm_run_seconds_count{app="count"} 2.0',
        "runllm_in_flight 0.0",
        "runllm_waiting 0.0",
    ):
        assert line in figures


# --- who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"Host": "localhost:80"}, 200), ({"Host": "[::1]:80"}, 200), ({"Host": "192.168.0.7"}, 200),
        ({"Host": "evil.example"}, 421), ({"Host": "localhost.evil.example"}, 421), ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "named.example:9"}, 200), ({"Host": ""}, 421), ({"Host": "["}, 421),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://["}, 403),
        ({"Host": "localhost:80", "Origin": "http://localhost:80"}, 200), ({"Host": "localhost:80", "Origin": "http://localhost:81"}, 403),
        ({"Origin": "https://friend.example"}, 200),
    ],
)  # fmt: skip
def test_a_page_of_another_place_cannot_call_it(app: Path, headers: dict[str, str], status: int) -> None:
    access = Access(hosts=("named.example",), origins=("https://friend.example",))
    with Service(app, engine=answers(), access=access) as service:
        answer = service.post("count", {"text": "a"}, headers=headers)
        assert answer.status_code == status, answer.text
        allowed = headers.get("Origin") == "https://friend.example"
        assert (answer.headers.get("access-control-allow-origin") is not None) is allowed


def test_answers_let_a_browser_do_nothing_with_them(service: Service) -> None:
    for answer in (service.get("/apps"), service.post("count", {}), service.get("/nope"), service.get("/metrics")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("host", "origin", "kept"),
    [
        ("Apps.example", "https://Page.example/", "https://page.example"), ("a", "http://p:80", "http://p"), ("a", "http://p:81/x", "http://p:81"),
        ("a", "http://[::1]:9", "http://[::1]:9"), ("a", "*", None), ("a", "https://*.example", None), ("a", "page.example", None), ("a", "null", None),
        ("a", "http://p:x", None), ("http://a", "http://p", None), ("a:80", "http://p", None), ("", "http://p", None),
    ],
)  # fmt: skip
def test_hosts_and_origins_are_kept_as_browsers_write_them_or_refused(host: str, origin: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(UsageError, match=r"is no name of a host|is no address of a page"):
            named((host,), (origin,))
    else:
        assert named((host,), (origin,)) == ((host,), (kept,))


def _basic(password: str) -> str:
    return "Basic " + b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401), ("", 401), (f"Bearer {TOKEN}", 200), (f"bearer {TOKEN}", 200), (_basic(TOKEN), 200), (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401), (TOKEN, 401), ("Bearer", 401), ("Basic !!", 401), (_basic(""), 401), ("Bearer \xe9", 401),
    ],
)  # fmt: skip
def test_without_the_token_nothing_is_told(app: Path, authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    with Service(app, engine=answers(), access=Access(token=TOKEN)) as service:
        for path in ("/apps", "/openapi.json", "/metrics"):
            answer = service.get(path, headers=headers)
            assert answer.status_code == status
        assert service.post("count", {"text": "a"}, headers=headers).status_code == status
        assert service.get("/nope", headers=headers).status_code == (404 if status == 200 else 401)
        assert service.get("/healthz").status_code == 200
        assert TOKEN not in "".join(service.logged)
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            asked = service.get("/apps", headers={**headers, "Accept": "text/html,*/*;q=0.8"})
            assert asked.headers["www-authenticate"].startswith("Basic"), "a browser asks its user"


# --- its limits -----------------------------------------------------------------------------------


def test_no_more_run_than_may_and_the_rest_are_told_when_to_come_again(app: Path) -> None:
    engine = Waiting('{"n": 1}')

    async def ask(url: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            asked = [asyncio.create_task(client.post(f"{url}/apps/count", json={"text": "a"})) for _ in range(60)]
            await asyncio.wait_for(_all_but(28, asked), 60)
            engine.open.set()
            return await asyncio.gather(*asked)

    with Service(app, engine=engine, limits=Limits(running=8, waiting=20)) as service:
        found = asyncio.run(ask(service.url))
    statuses = [answer.status_code for answer in found]
    assert (statuses.count(200), statuses.count(429)) == (28, 32)
    assert engine.most == 8
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in found if answer.status_code == 429)


async def _all_but(number: int, tasks: list[asyncio.Task[Any]]) -> None:
    done: set[Any] = set()
    while len(done) < len(tasks) - number:
        done, _ = await asyncio.wait(set(tasks) - done, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
        done = {task for task in tasks if task.done()}


@pytest.mark.soak
def test_a_thousand_clients_on_a_limit_of_eight(app: Path) -> None:
    engine = Waiting('{"n": 1}')
    engine.open.set()

    async def ask(url: str) -> list[int]:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=120) as client:
            found = await asyncio.gather(*(client.post(f"{url}/apps/count", json={"text": "a"}) for _ in range(1000)))
        return [answer.status_code for answer in found]

    with Service(app, engine=engine, limits=Limits(running=8, waiting=100)) as service:
        statuses = asyncio.run(ask(service.url))
        assert set(statuses) <= {200, 429}
        assert service.post("count", {"text": "a"}).status_code == 200
        assert "runllm_in_flight 0.0" in service.get("/metrics").text
    assert engine.most <= 8


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_client_that_leaves_stops_its_call_and_frees_its_place(app: Path, accept: str) -> None:
    engine = Waiting('{"n": 1}')
    with Service(app, engine=engine, limits=Limits(running=1, waiting=5)) as service:
        body = b'{"text": "a"}'
        with _raw(service) as client:
            head = _head("Content-Type: application/json", f"Content-Length: {len(body)}", f"Accept: {accept}")
            client.sendall(head + body)
            until(lambda: engine.under_way == 1)
        until(lambda: engine.stopped == 1)
        engine.open.set()
        assert service.post("count", {"text": "a"}).status_code == 200
        assert 'runllm_runs_total{app="count",ended="left"} 1.0' in service.get("/metrics").text
    assert len(engine.requests) == 1


def test_a_client_that_leaves_while_it_waits_is_no_longer_waited_for(app: Path) -> None:
    engine = Waiting('{"n": 1}')
    body = b'{"text": "a"}'
    head = _head("Content-Type: application/json", f"Content-Length: {len(body)}")
    with Service(app, engine=engine, limits=Limits(running=1, waiting=1)) as service, _raw(service) as first:
        first.sendall(head + body)
        until(lambda: engine.under_way == 1)
        with _raw(service) as second:
            second.sendall(head + body)
            until(lambda: "runllm_waiting 1.0" in service.get("/metrics").text)
        until(lambda: "runllm_waiting 0.0" in service.get("/metrics").text)
        engine.open.set()
        assert _status(first) == 200
    assert len(engine.requests) == 1


def test_what_runs_has_its_grace_and_is_then_told_that_the_service_stops(app: Path) -> None:
    engine = Waiting('{"n": 1}')
    found: list[httpx.Response] = []
    with Service(app, engine=engine) as service:
        asking = Thread(target=lambda: found.append(service.post("count", {"text": "a"})))
        asking.start()
        until(lambda: engine.under_way == 1)
        until(lambda: service.get("/readyz").status_code == 200)
    asking.join(30)
    assert (found[0].status_code, found[0].json()["code"], engine.stopped) == (503, "RLLM_024", 1)


def test_what_waits_when_the_time_to_end_is_over_does_not_begin(app: Path) -> None:
    engine = Waiting('{"n": 1}')
    found: list[httpx.Response] = []
    with Service(app, engine=engine, limits=Limits(running=1)) as service:
        asking = [Thread(target=lambda: found.append(service.post("count", {"text": "a"}))) for _ in range(2)]
        for thread in asking:
            thread.start()
        until(lambda: "runllm_waiting 1.0" in service.get("/metrics").text)
        service.loop.call_soon_threadsafe(service.house.stop)
        for thread in asking:
            thread.join(30)
        assert service.post("count", {"text": "a"}).status_code == 503
        assert service.get("/readyz").status_code == 503
    assert ([one.status_code for one in found], engine.stopped, engine.under_way) == ([503, 503], 1, 0)


def test_told_twice_it_ends_what_runs_at_once_and_says_so(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What MCP streams with hears of the end of any server, and would then cut those of later tests in this process.
    monkeypatch.setattr("sse_starlette.sse.AppStatus.should_exit", False)
    engine = Waiting('{"n": 1}')
    found: list[httpx.Response] = []
    with Service(app, engine=engine, limits=Limits(grace=600)) as service:
        asking = Thread(target=lambda: found.append(service.post("count", {"text": "a"})))
        asking.start()
        until(lambda: engine.under_way == 1)
        for _ in range(2):
            assert not found
            service.server.handle_exit(SIGTERM, None)
        asking.join(30)
        assert (found[0].status_code, found[0].json()["code"], engine.stopped) == (503, "RLLM_024", 1)
        assert "the time to end is over; runs that are stopped: 1" in service.logged
        service.thread.join(30)
        assert not service.thread.is_alive()


def test_what_is_not_there_is_looked_for_until_it_is(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "_TRY_AGAIN", (0.01,))
    asked = []

    class Late(ScriptedEngine):
        def warm(self, *_: Any) -> None:
            asked.append(1)
            if len(asked) < 4:
                raise EngineUnavailableError("no server" if len(asked) < 3 else "no model")

    with Service(app, engine=Late(lambda _: '{"n": 1}')) as service:
        until(lambda: service.get("/readyz").status_code == 200)
        said = [one.rpartition(": ")[2] for one in service.logged if "ready" in one and "/readyz" not in one]
    assert said == ["no server", "no model", "ready"]  # each once, though it was looked for more often


def test_the_money_of_a_day_holds_over_restarts_and_the_next_day_begins_anew(tmp_path: Path, app: Path) -> None:
    day = ["2026-11-30"]
    answer = {"n": 1}

    def budget() -> Daily:
        return Daily(0.01, Ledger(tmp_path / "kept" / "served.db", lambda: day[0]))

    class Dear(ScriptedEngine):
        async def acomplete(self, request: Any) -> Any:
            from dataclasses import replace

            return replace(self.complete(request), cost=0.006)

    def statuses(number: int) -> list[int]:
        engine = Dear(lambda _: json.dumps(answer))
        with Service(app, engine=engine, budget=budget()) as service:
            found = [service.post("count", {"text": "a"}) for _ in range(number)]
            for one in found:
                if one.status_code == 429:
                    assert 1 <= int(one.headers["retry-after"]) <= 86_400
                    assert "in a day" in one.json()["message"]
            return [one.status_code for one in found]

    assert statuses(1) == [200]
    assert statuses(3) == [200, 429, 429]
    day[0] = "2026-12-01"
    assert statuses(3) == [200, 200, 429]
    with sqlite3.connect(tmp_path / "kept" / "served.db") as file:
        assert [round(cost, 3) for (cost,) in file.execute("SELECT cost FROM spent ORDER BY day")] == [0.012, 0.012]
    assert (tmp_path / "kept" / "served.db").stat().st_mode & 0o077 == 0


# --- its files ------------------------------------------------------------------------------------


def test_a_file_is_read_again_and_one_that_is_wrong_leaves_the_old_one(app: Path) -> None:
    engine = answers()
    with Service(app, engine=engine, follow=True) as service:
        app.write_text(APP.replace("Count:", "Weigh:"), encoding="utf-8")
        until(lambda: any("read again" in line for line in service.logged))
        service.post("count", {"text": "a"})
        assert "Weigh: a" in engine.requests[-1].messages[-1].content
        app.write_text(APP.replace("returns:", "retruns:"), encoding="utf-8")
        until(lambda: any("as it is now it cannot be served" in line for line in service.logged))
        assert service.post("count", {"text": "a"}).status_code == 200
        assert service.get("/apps").json()[0]["stale"] is True
        app.write_text(APP, encoding="utf-8")
        until(lambda: "stale" not in service.get("/apps").json()[0])


def test_two_apps_of_one_name_and_no_app_are_refused(tmp_path: Path, app: Path) -> None:
    from runllm import load

    (tmp_path / "other.rllm").write_text(APP, encoding="utf-8")
    with pytest.raises(UsageError, match=r"two apps are called `count`: `.*count.rllm` and `.*other.rllm`"):
        Catalog([str(tmp_path)], load)
    assert list(Catalog([str(app), str(app)], load)) == ["count"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no `\.rllm` file to serve"):
        Catalog([str(tmp_path / "empty")], load)
