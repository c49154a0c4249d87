"""Whatever a server does, a call ends: in its catalogued error, on time, and without reading what nobody needs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.apps import NamedEngine
from tests.chances import some
from tests.integration import faulty_server as faulty
from tests.integration.faulty_server import MIB, Fault, FaultyServer
from tests.integration.provider import Provider, answer

import runllm
from runllm.engines import bodies, ollama_server
from runllm.engines.base import Engine, Setup
from runllm.engines.ollama import OllamaEngine
from runllm.errors import (
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    RunllmError,
)
from runllm.results import Endpoint, Message, Request

ROOT = Path(__file__).parent.parent.parent
MODELS = ["openai/m", "anthropic/claude-3-haiku-20240307", "ollama_chat/m"]
SHORT = 1.0
LATE = 4 * SHORT
PATIENCE = 60.0  # against hangs: what ends by itself takes a fraction of a second
ON_THE_WAY = 12 * MIB  # what the system's buffers take beside what is read


def asking(base: str, model: str = "openai/m", timeout: float = SHORT) -> Request:
    return Request(
        endpoint=Endpoint(model=model, api_base=base),
        messages=(Message(role="user", content="hello"),),
        params={},
        schema=None,
        timeout=timeout,
    )


def address(server: FaultyServer | Provider, model: str) -> str:
    return server.base if model.startswith("openai/") else server.root


@pytest.fixture(scope="module")
def engine():
    engine = NamedEngine()
    with Provider() as provider:  # so that no test's clock counts the import of LiteLLM
        for model in MODELS:
            engine.complete(asking(address(provider, model), model, timeout=60))
    yield engine
    engine.close()


def fails(engine: Engine, server: FaultyServer, model: str, timeout: float = PATIENCE) -> RunllmError:
    start = time.monotonic()
    with pytest.raises(RunllmError) as caught:
        engine.complete(asking(address(server, model), model, timeout))
    assert time.monotonic() - start < PATIENCE
    assert len(str(caught.value)) < 1000
    assert len(json.dumps(caught.value.payload())) < 3000
    return caught.value


def on_time(call: Callable[[], object]) -> None:
    """Try it up to three times: a busy machine is late now and then, a deadline that does not hold is late always."""
    took: list[float] = []
    while not took or (took[-1] > LATE and len(took) < 3):
        began = time.monotonic()
        call()
        took.append(time.monotonic() - began)
    assert took[-1] < LATE, took


NEVER = (faulty.silent, faulty.dripping_head, faulty.dripping_body, faulty.endless_continue)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", NEVER, ids=lambda fault: fault.__name__)
def test_a_server_that_never_gets_to_the_end_is_left_at_the_deadline(engine, fault: Fault, model: str) -> None:
    def call() -> None:
        with FaultyServer(fault) as server:
            assert type(fails(engine, server, model, SHORT)) is ProviderTimeoutError

    on_time(call)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "fault", [faulty.hung_up, faulty.cut_head, faulty.cut_body, faulty.cut_chunk], ids=lambda fault: fault.__name__
)
def test_a_connection_that_is_cut_is_a_connection_error(engine, fault: Fault, model: str) -> None:
    with FaultyServer(fault) as server:
        assert type(fails(engine, server, model)) is ProviderConnectionError


@pytest.mark.parametrize("model", MODELS)
def test_a_server_that_is_down_is_a_connection_error(engine, model: str) -> None:
    with pytest.raises(ProviderConnectionError, match=r"cannot be reached|no Ollama server answers"):
        engine.complete(asking(faulty.refused_address(), model, PATIENCE))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "fault",
    [
        faulty.page,
        faulty.binary,
        faulty.deep,
        faulty.other_json,
        faulty.gzip_broken,
        faulty.packed_otherwise,
        faulty.tls_garbage,
        faulty.nonsense,
        faulty.endless_header,
        faulty.endless_headers,
        *map(faulty.length_of, ("-5", "99999999999999999999", "abc", "5, 6")),
    ],
    ids=lambda fault: getattr(fault, "__qualname__", "").replace(".<locals>.fault", ""),
)
def test_what_is_no_completion_is_a_provider_error(engine, fault: Fault, model: str) -> None:
    with FaultyServer(fault) as server:
        error = fails(engine, server, model)
        if "closed" in error.message:  # of a length beyond all counting, one client says that the rest is missing
            assert type(error) is ProviderConnectionError
            return
        assert type(error) is ProviderError
        assert "not a completion" in error.message or "not HTTP" in error.message
        assert server.sent < ON_THE_WAY


TOO_LARGE: dict[str, Fault] = {
    "100 MB": faulty.large("200 OK"),
    "endless": faulty.endless_body,
    "4 GiB in gzip": faulty.gzip_bomb(),
    "endless after the end of gzip": faulty.gzip_tail,
    "much text": faulty.full(b"all work and no play ", b'{"choices": [{"message": {"content": "', b'"}}]}'),
    "many lists": faulty.full(b"[],", b'{"choices": [', b"1]}"),
    "many numbers": faulty.full(b"1,", b'{"content": [', b"1]}", mebibytes=1),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", TOO_LARGE.values(), ids=TOO_LARGE)
def test_an_answer_that_is_too_large_is_not_read_to_its_end(engine, fault: Fault, model: str) -> None:
    with FaultyServer(fault) as server:
        error = fails(engine, server, model)
        assert type(error) is ProviderError
        assert "too large to be read" in error.message
        assert server.sent < server.served * (bodies.LONGEST_ANSWER + ON_THE_WAY)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("piece", [b"<p>Error: ", b"-----BEGIN ", b"[", b'{"a": {}, "service_account": '])
def test_a_long_answer_that_is_no_json_goes_no_further(engine, piece: bytes, model: str) -> None:
    """LiteLLM looks for secrets in the text of its errors, which takes it minutes for some megabytes."""
    with FaultyServer(faulty.full(piece, mebibytes=3)) as server:
        message = fails(engine, server, model).message
        assert "not a completion" in message or "too large" in message


REFUSALS = [(500, ProviderError), (503, ProviderError), (400, RequestRefusedError), (429, RateLimitError)]
ERRORS = [
    (make, status, expected, model)
    for make in (faulty.large, faulty.blank, faulty.gzip_bomb)
    for status, expected in REFUSALS
    for model in MODELS
]


@pytest.mark.parametrize(("make", "status", "expected", "model"), some(ERRORS, 12))
def test_of_an_error_only_the_beginning_is_read(engine, make, status: int, expected: type, model: str) -> None:
    with FaultyServer(make(f"{status} Oops")) as server:
        error = fails(engine, server, model)
        assert (type(error), error.details["status"]) == (expected, status)
        assert server.sent < ON_THE_WAY


@pytest.mark.parametrize("model", MODELS)
def test_an_error_that_never_ends_keeps_its_status(engine, model: str) -> None:
    with FaultyServer(faulty.endless_error) as server:
        assert fails(engine, server, model).details["status"] == 500


def test_an_answer_of_the_wrong_shape_writes_nothing_to_the_terminal(engine, capfd) -> None:
    """LiteLLM's types would have a line on stderr for each value that they did not expect."""
    body = b'{"id": "x", "choices": [[], 1, 2]}'

    def fault(line: faulty.Line) -> None:
        line.head(length=len(body))
        line.send(body)

    with FaultyServer(fault) as server, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert type(fails(engine, server, "openai/m")) is ProviderError
    assert [str(one.message) for one in seen if "serializer" in str(one.message)] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["a" * (3 * MIB), "\u4e16" * (MIB // 2), '{"a": [1, 2]} ' * 10_000])
def test_a_long_answer_is_read_whole(engine, text: str) -> None:
    with Provider(answer(text)) as provider:
        assert engine.complete(asking(provider.base, timeout=30)).text == text


def test_a_packed_answer_is_unpacked(engine) -> None:
    import gzip

    body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi " * 9000}, "finish_reason": "stop"}]
    }

    def fault(line: faulty.Line) -> None:
        data = gzip.compress(json.dumps(body).encode())
        line.head("200 OK", "Content-Encoding: gzip", length=len(data))
        line.send(data)

    with FaultyServer(fault) as server:
        assert engine.complete(asking(server.base, timeout=30)).text == "hi " * 9000


@pytest.mark.parametrize("model", MODELS)
def test_no_redirection_is_followed(engine, model: str) -> None:
    with FaultyServer(faulty.redirect_loop) as loop, FaultyServer(faulty.silent) as elsewhere:
        assert type(fails(engine, loop, model)) is ProviderConnectionError
        assert loop.served <= 2  # an Ollama server is asked about the model first
        with FaultyServer(faulty.redirect_to(f"{elsewhere.root}/other?key=1")) as server:
            assert "not followed" in fails(engine, server, model).message
            assert elsewhere.served == 0


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("1e9", 1e9),
        ("-7", 0.0),
        ("nan", None),
        ("inf", None),
        ("Mon, 01 Jan 1900 00:00:00 GMT", 0.0),
        ("Fri, 99 Dec 9999 99:59:59 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 -0000", None),
        ("soon " * 500, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_time_to_wait_is_a_number_of_seconds_or_nothing(engine, asked: str, seconds: float | None) -> None:
    with FaultyServer(faulty.wait_for(asked)) as server:
        error = fails(engine, server, "openai/m")
        assert type(error) is RateLimitError
        assert error.details.get("retry_after") == seconds


APP = """---
name: one
description: d
version: 1.0.0
author: a
max_context_window: 4096
input_schema: {{type: object, properties: {{}}, additionalProperties: false}}
output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n], additionalProperties: false}}
llm: {{model: openai/m, api_base: "{base}"}}
llm_params: {{temperature: 0}}
---
Give a number.
"""


@pytest.mark.parametrize("asked", ["1e9", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_for_years(engine, asked: str, tmp_path: Path) -> None:
    path, pauses = tmp_path / "one.rllm", list[float]()
    with FaultyServer(faulty.wait_for(asked)) as server:
        path.write_text(APP.format(base=server.base), encoding="utf-8")
        with pytest.raises(RateLimitError):
            runllm.run(path, runtime=runllm.Runtime(engine=engine, sleep=pauses.append))
        assert pauses == []
        assert server.served == 1


def test_a_name_that_nobody_knows_is_a_connection_error(engine, monkeypatch) -> None:
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://nonexistent.invalid/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    start = time.monotonic()
    request = replace(asking("", timeout=5), endpoint=Endpoint(model="openai/m"))
    with pytest.raises((ProviderConnectionError, ProviderTimeoutError)):
        engine.complete(request)
    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    "fault", [faulty.tls_garbage, faulty.nonsense, faulty.hung_up], ids=lambda fault: fault.__name__
)
def test_a_server_that_does_not_speak_tls_is_a_connection_error(engine, fault: Fault) -> None:
    with FaultyServer(fault) as server, pytest.raises(ProviderConnectionError):
        engine.complete(asking(server.base.replace("http:", "https:"), timeout=PATIENCE))


def test_after_every_fault_the_next_call_is_answered_and_no_thread_is_left(engine) -> None:
    before = threading.active_count()
    for fault in (*NEVER, *TOO_LARGE.values(), faulty.endless_error, faulty.cut_body):
        with FaultyServer(fault) as server:
            fails(engine, server, "openai/m", 0.3)
    with Provider(answer("good")) as provider:
        assert engine.complete(asking(provider.base, timeout=30)).text == "good"
        for _ in range(100):
            if threading.active_count() <= before + 2:  # the provider's own, in this process
                break
            time.sleep(0.05)
        assert threading.active_count() <= before + 2


# --- an Ollama server, which is asked about its models first ---------------------------------------------------


ODD: dict[str, Fault] = {
    "100 MB": faulty.large("200 OK"),
    "gzip": faulty.gzip_bomb(),
    "endless": faulty.endless_body,
    "a page": faulty.page,
    "deep": faulty.deep,
    "other JSON": faulty.other_json,
    "br": faulty.packed_otherwise,
    "broken gzip": faulty.gzip_broken,
    "redirect": faulty.redirect_loop,
}


@pytest.mark.parametrize("fault", ODD.values(), ids=ODD)
def test_an_ollama_server_that_says_odd_things_of_a_model_leaves_it_to_the_call(fault: Fault) -> None:
    def first(line: faulty.Line) -> None:
        if line.path == "/api/chat":
            body = b'{"message": {"role": "assistant", "content": "ok"}, "done": true}'
            line.head(length=len(body))
            line.send(body)
        else:
            fault(line)

    with FaultyServer(first) as server:
        engine = OllamaEngine(environment={})
        assert engine.complete(asking(server.root, "ollama/m", PATIENCE)).text == "ok"
        engine.close()
        assert server.sent < bodies.LONGEST_ANSWER + ON_THE_WAY


@pytest.mark.parametrize(
    "body",
    [
        b'{"models": 5}',
        b'{"models": ["x", {"name": 3, "details": "y", "size": "z"}]}',
        b'{"models": [{"name": 3, "details": {"parameter_size": "' + b"9" * 400 + b'B"}}]}',
        b'[{"models": []}]',
        b"\xff",
    ],
)
def test_a_list_of_models_that_is_none_is_read_as_far_as_it_goes(body: bytes) -> None:
    def fault(line: faulty.Line) -> None:
        line.head(length=len(body))
        line.send(body)

    with FaultyServer(fault) as server:
        found = ollama_server.available({"OLLAMA_HOST": server.root})
        assert [served.name for served in found] in ([], ["3"])


@pytest.mark.parametrize("fault", [faulty.dripping_head, faulty.dripping_body, faulty.silent], ids=lambda f: f.__name__)
def test_looking_for_models_takes_a_second_however_the_bytes_come(fault: Fault) -> None:
    def call() -> None:
        with FaultyServer(fault) as server:
            assert ollama_server.available({"OLLAMA_HOST": server.root}) == []

    on_time(call)


def test_a_download_whose_progress_is_one_endless_line_is_given_up() -> None:
    def fault(line: faulty.Line) -> None:
        if line.path == "/api/pull":
            line.head("200 OK", "Transfer-Encoding: chunked")
            line.chunks(iter(lambda: b'{"status": "' + b"x" * 65536, b""))
        else:
            body = b'{"error": "model \'m\' not found"}'
            line.head("404 Not Found", length=len(body))
            line.send(body)

    with FaultyServer(fault) as server:
        engine = OllamaEngine(Setup(ollama_auto_pull=True), environment={})
        with pytest.raises((ProviderConnectionError, OllamaModelMissingError)):
            engine.complete(asking(server.root, "ollama/m"))
        engine.close()
        assert server.sent < bodies.LONGEST_ANSWER + ON_THE_WAY


# --- memory --------------------------------------------------------------------------------------------------

_MEMORY = """
import resource, sys
sys.path.insert(0, {root!r})
from tests.integration import test_provider_faults as tests
from tests.integration.provider import Provider
engine = tests.NamedEngine()
with Provider() as provider:
    for model in tests.MODELS:
        engine.complete(tests.asking(tests.address(provider, model), model, timeout=60))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for model, base in zip(tests.MODELS * len(sys.argv), sys.argv[1:]):
    try:
        engine.complete(tests.asking(base, model, timeout=10))
    except tests.RunllmError as error:
        print(error.code)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.soak
@pytest.mark.parametrize("ways", [1, len(MODELS)])
def test_all_of_it_takes_a_process_less_than_100_mib_more(ways: int) -> None:
    """The providers take turns, and each meets each of them."""
    faults = [*TOO_LARGE.values(), faulty.large("500 Oops"), faulty.gzip_bomb("503 Oops"), faulty.endless_error]
    faulty.bomb(4096)
    servers = [FaultyServer(fault) for fault in faults for _ in range(ways)]
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY.format(root=str(ROOT)), *(server.root for server in servers)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )
    for server in servers:
        server.__exit__()
    *codes, grown = done.stdout.split()
    assert codes == ["RLLM_011"] * len(servers), done.stderr
    assert int(grown) < 100
    assert done.stderr == ""


_CANCELLED = """
import asyncio, sys
from tests.integration import test_provider_faults as tests

async def calls(engine, base):
    for seconds in (0.0, 0.2, 1.0):
        tasks = [asyncio.create_task(engine.acomplete(tests.asking(base, timeout=60))) for _ in range(100)]
        for task in tasks:
            await asyncio.sleep(seconds / len(tasks))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

with tests.FaultyServer(tests.faulty.silent) as server:
    engine = tests.NamedEngine()
    with tests.Provider() as provider:  # what a first call imports takes seconds
        engine.complete(tests.asking(provider.base, timeout=60))
    tests.fails(engine, server, "openai/m", timeout=1)
    asyncio.run(calls(engine, server.base))
    print(server.served > 0)
"""


def test_calls_cancelled_at_any_moment_write_nothing_to_the_terminal() -> None:
    """A thread of LiteLLM's prepares the request; cancelled before it is done, what it made is never begun."""
    done = subprocess.run(
        [sys.executable, "-c", _CANCELLED],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
