"""`runllm mcp` as a command that a client starts: what stands on its output, how it begins and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp
import pytest
from tests.apps import at, leaf
from tests.integration.provider import Provider, answer
from tests.integration.serving import until
from tests.integration.test_mcp import HELLO, request, text_of
from tests.warm import RUNLLM

from runllm.serve.day import Ledger

READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
PING = request("ping", 99)
CALL = request("tools/call", 7, name="app", arguments={"text": "x"})
ENVIRONMENT = {"RUNLLM_STATS": "off", "OPENAI_API_KEY": "k", "NO_COLOR": "1"}


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(answer('{"out": "x"}')) as found:
        (tmp_path / "app.rllm").write_text(leaf("app", llm=at(found.base)), encoding="utf-8")
        yield found


@contextmanager
def started(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    command = [RUNLLM, "mcp", *(words or ("app.rllm",))]
    pipe = subprocess.PIPE
    environment = {**os.environ, **ENVIRONMENT, **(environment or {})}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def say(process: subprocess.Popen[bytes], *messages: Any) -> None:
    assert process.stdin is not None
    for message in messages:
        process.stdin.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def told(folder: Path, *messages: Any, words: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], str, int]:
    """What it says to these messages, when they are all that comes; its log and its status."""
    with started(folder, *words) as process:
        lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in messages]
        out, log = process.communicate(b"\n".join(lines) + b"\n", timeout=60)
    return [json.loads(line) for line in out.splitlines()], log.decode(), process.returncode


def test_a_client_starts_it_and_calls_the_apps(tmp_path: Path, provider: Provider) -> None:
    async def ask() -> None:
        own = mcp.StdioServerParameters(command=RUNLLM, args=["mcp", str(tmp_path)], env={**os.environ, **ENVIRONMENT})
        async with mcp.Client(mcp.stdio_client(own)) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["app"]
            found = await asyncio.gather(*(client.call_tool("app", {"text": str(number)}) for number in range(4)))
            assert [json.loads(text_of(one)) for one in found] == [{"out": "x"}] * 4

    asyncio.run(asyncio.wait_for(ask(), 120))
    assert len(provider.chats) == 4


def test_what_was_asked_before_the_input_ended_is_answered(tmp_path: Path, provider: Provider) -> None:
    del provider
    said, log, status = told(tmp_path, HELLO, READY, request("tools/list", 1))
    assert ([one["id"] for one in said], log, status) == ([0, 1], "", 0)
    assert said[1]["result"]["tools"][0]["name"] == "app"


GARBAGE: list[tuple[bytes, Any]] = [
    (b"{", None),
    (b"\x00\xff\xfe", None),
    (b"[]", None),
    (b"[" * 100_000, None),
    (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"app","arguments":' + b'{"a":' * 500, 5),
    (b'{"method":"tools/call","params":{"name":"app","arguments":' + b"[" * 5_000 + b"]" * 5_000 + b'},"jsonrpc":"2.0","id":"b"}', "b"),
    (b'{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"app","arguments":{"text":"' + b"x" * 3_000_000 + b'"}}}', 6),
    (b'{"params":{"text":"' + b"x" * 3_000_000 + b'"},"method":"tools/call","id":8}', 8),
    (b'{"jsonrpc":"1.0","id":4,"method":"ping"}', 4),
]  # fmt: skip


def test_garbage_is_refused_with_its_id_and_the_rest_goes_on(tmp_path: Path, provider: Provider) -> None:
    del provider
    with started(tmp_path) as process:
        say(process, HELLO, READY)
        hear(process)
        for line, about in GARBAGE:
            say(process, line)
            found = hear(process)
            assert ("error" in found, found.get("id")) == (True, about), line[:80]
        say(process, b"", b"   ", PING)
        assert hear(process) == {"jsonrpc": "2.0", "id": 99, "result": {}}
        out, log = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", 0)
    assert b"Traceback" not in log


@pytest.mark.parametrize(
    "arguments", [[], "x", 3, {"text": "\ud800"}, {"text": {"a": [{}] * 1000}}, {"\x00": 1}], ids=ascii
)
def test_wrong_arguments_are_answered(tmp_path: Path, provider: Provider, arguments: Any) -> None:
    with started(tmp_path) as process:
        say(process, HELLO, READY, request("tools/call", 1, name="app", arguments=arguments), PING)
        found = {one["id"]: one for one in (hear(process), hear(process), hear(process))}
    assert found[99]["result"] == {}
    assert "error" in found[1] or found[1]["result"]["isError"]
    assert not provider.chats


@pytest.mark.parametrize("how", ["its input ends", "its output is read no more", "SIGTERM", "SIGINT"])
def test_it_ends_at_once_and_stops_what_runs(tmp_path: Path, how: str) -> None:
    with Provider(answer('{"out": "x"}', delay=50)) as slow:
        (tmp_path / "app.rllm").write_text(leaf("app", llm=at(slow.base)), encoding="utf-8")
        with started(tmp_path) as process:
            say(process, HELLO, READY, CALL)
            until(lambda: slow.chats)
            if how.startswith("SIG"):
                process.send_signal(getattr(signal, how))
            elif "output" in how:
                assert process.stdout is not None
                process.stdout.close()
                say(process, PING)
            else:
                assert process.stdin is not None
                process.stdin.close()
            assert process.wait(20) == 0
            assert process.stderr is not None
            log = process.stderr.read()
            assert b"Traceback" not in log
            assert b"RLLM_099" not in log


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("app.rllm", "wrong.rllm"), "nowhere"),
        (("app.rllm", "twin.rllm"), "two apps are called `app`"),
        (("none.rllm",), "there is no file `none.rllm`"),
        (("app.rllm", "--token-env", "T"), "`--token-env` is for `--http`"),
        (("--http", "0.0.0.0:0", "app.rllm"), "others would reach the service"),
        (("--http", "[::]:0", "app.rllm"), "others would reach the service"),
        (("--http", "0.0.0.0:0", "app.rllm", "--no-auth", "--trust-python"), "is for this machine alone"),
        (("--http", "app.rllm", "--max-body", "0"), "--max-body"),
        (("--http", "127.0.0.1:0", "wrong.rllm"), "nowhere"),
    ],
)
def test_what_is_unsafe_or_cannot_be_is_refused_at_the_start(
    tmp_path: Path, provider: Provider, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "wrong.rllm").write_text(leaf("wrong") + "{{ input.nowhere }}\n", encoding="utf-8")
    (tmp_path / "twin.rllm").write_text(leaf("app", llm=at(provider.base)), encoding="utf-8")
    found, log, status = told(tmp_path, HELLO, words=words)
    assert (found, status != 0) == ([], True)
    assert said in log
    assert "Traceback" not in log


def test_the_money_of_a_day_is_bounded_and_shared_with_other_services(tmp_path: Path, provider: Provider) -> None:
    priced = at(provider.base).replace("openai/m", "openai/gpt-4o-mini")
    (tmp_path / "app.rllm").write_text(leaf("app", llm=priced, params="{max_tokens: 10}"), encoding="utf-8")
    kept = tmp_path / "kept" / "served.db"
    ledger = Ledger(kept)
    ledger.add(4.99)
    environment = {"RUNLLM_STATS_DB": str(kept.with_name("stats.db"))}
    with started(tmp_path, "app.rllm", "--max-cost-per-day", "5", environment=environment) as process:
        say(process, HELLO, READY, CALL)
        assert (hear(process)["id"], hear(process)["result"]["isError"]) == (0, False)
        assert 4.99 < ledger.today() < 5
        ledger.add(1.0)
        say(process, CALL)
        refused = hear(process)["result"]
        _, log = process.communicate(timeout=60)
    ledger.close()
    assert refused["isError"]
    assert refused["content"][0]["text"].startswith("RLLM_028")
    assert len(provider.chats) == 1
    assert b"Traceback" not in log


def test_it_speaks_over_http_until_it_is_told_to_end(tmp_path: Path, provider: Provider) -> None:
    async def ask(url: str) -> None:
        async with mcp.Client(url) as client:
            assert not (await client.call_tool("app", {"text": "x"})).is_error
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 0

    with started(tmp_path, "--http", ":0", "app.rllm") as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        asyncio.run(ask(line.partition(" at ")[2].partition(";")[0]))
    assert len(provider.chats) == 1


NOISY = """
import os, sys
def noisy(event, given):
    if event == "open" and str(given[0]).endswith(".rllm"):
        os.write(1, b"one\\n")
        print("two", os.read(0, 9))
sys.addaudithook(noisy)
from runllm.cli import invoke
invoke(["mcp", "app.rllm"])
print(*sys.modules, file=sys.stderr)
"""


def test_standard_output_is_the_protocol_alone_and_listing_loads_nothing_that_calls(
    tmp_path: Path, provider: Provider
) -> None:
    del provider
    messages = b"\n".join(json.dumps(one).encode() for one in (HELLO, READY, request("tools/list", 1))) + b"\n"
    done = subprocess.run(
        [sys.executable, "-c", NOISY], input=messages, cwd=tmp_path, capture_output=True, timeout=120, check=True
    )
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [0, 1]
    said = done.stderr.decode()
    assert "one" in said
    loaded = {name.partition(".")[0] for name in said.split()}
    assert "mcp" in loaded
    assert not loaded & {"litellm", "rich", "prometheus_client", "xllamacpp", "pydantic_monty", "aiohttp"}
