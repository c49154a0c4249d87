"""The Ollama engine over real HTTP, against a server on this machine that speaks Ollama's API."""

from __future__ import annotations

import asyncio
import json
import socket
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.integration.ollama_server import Model, OllamaServer, Trouble
from tests.integration.provider import Provider

import runllm
from runllm.engines.base import Setup
from runllm.engines.ollama import OllamaEngine
from runllm.errors import (
    ContextWindowExceededError,
    FileAccessError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RequestRefusedError,
)
from runllm.results import Endpoint, Message, Request

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
MODELS = ["ollama/llama3.2", "ollama_chat/llama3.2:latest"]


@pytest.fixture
def make():
    """A function that makes an engine; each is closed."""
    made: list[OllamaEngine] = []

    def engine(auto_pull: bool = False, progress: Any = None, **options: Any) -> OllamaEngine:
        made.append(OllamaEngine(Setup(ollama_auto_pull=auto_pull, progress=progress), **options))
        return made[-1]

    yield engine
    for each in made:
        each.close()


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """Both ways to call a model."""
    if request.param == "sync":
        return lambda engine, asked: engine.complete(asked)
    return lambda engine, asked: asyncio.run(engine.acomplete(asked))


def asking(server: Any, model: str = "ollama/llama3.2", text: str = "count", **given: Any) -> Request:
    base = server if isinstance(server, str) else server.base
    endpoint = Endpoint(model=model, api_base=base, provider_params=given.pop("provider_params", {}))
    return Request(endpoint=endpoint, messages=(Message(role="user", content=text),), **{"timeout": 30.0, **given})


def words(count: int) -> str:
    return "the house " * (count // 2)


# --- is it there? ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_model_is_looked_for_once_and_the_schema_goes_as_format(make, ask, model):
    """The first call asks about the model, each call decodes by the schema, and the answer costs nothing."""
    engine = make()
    with OllamaServer({"llama3.2": Model()}) as server:
        for _ in range(2):
            got = ask(engine, asking(server, model, schema=SCHEMA, params={"max_tokens": 64, "temperature": 0.5}))
            assert json.loads(got.text) == {"n": 1}
            assert (got.model, got.cost, got.notes) == (model, 0.0, ())
        paths = [received.path for received in server.requests]
        assert paths == ["/api/show", "/api/ps", "/api/chat", "/api/chat"]
        sent = server.asked("/api/chat")[0]
    assert sent["format"] == SCHEMA
    assert (sent["truncate"], sent["shift"]) == (False, False)
    assert sent["options"] == {"num_predict": 64, "temperature": 0.5, "num_ctx": 2048}


def test_a_missing_model_names_the_command_and_what_is_there(make, ask):
    """Nothing is downloaded without consent: the error says what to type, and the nearest model there is."""
    with OllamaServer({"llama3.1:8b": Model(), "qwen3": Model()}, registry={"llama3.2": (5,)}) as server:
        with pytest.raises(OllamaModelMissingError) as caught:
            ask(make(), asking(server))
        error = caught.value
        assert f"{server.base} does not have `llama3.2`; it has `llama3.1:8b`, `qwen3`" in error.message
        assert f"`OLLAMA_HOST={server.base} ollama pull llama3.2`" in error.recovery_hint
        assert "`--model ollama/llama3.1:8b`" in error.recovery_hint
        assert (error.code, error.details["installed"]) == ("RLLM_010", ["llama3.1:8b", "qwen3:latest"])
        assert error.__context__ is None
        assert not server.asked("/api/chat")
        assert not server.asked("/api/pull")


def test_the_users_own_server_needs_no_address_in_the_command(make):
    """`OLLAMA_HOST` says where the server is, to us as to the command; a name from a file is quoted for the shell."""
    with OllamaServer() as server:
        environment = {"OLLAMA_HOST": server.base.removeprefix("http://")}
        request = Request(endpoint=Endpoint(model="ollama/x:~ls"), messages=(Message(role="user", content="hi"),))
        with pytest.raises(OllamaModelMissingError, match="no model yet") as caught:
            make(environment=environment).complete(request)
    assert caught.value.details["command"] == "ollama pull 'x:~ls'"


def test_a_proxy_is_passed_by_on_this_machine(make, monkeypatch):
    """A proxy of the user's knows nothing of a server on 127.0.0.1."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with OllamaServer({"a": Model()}) as server, pytest.raises(OllamaModelMissingError, match="it has `a`"):
        make().complete(asking(server))


def test_a_server_that_is_down(make, ask):
    """A refused connection names the address and how to start the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ProviderConnectionError) as caught:
        ask(make(), asking(base))
    assert caught.value.message == f"no Ollama server answers at {base}: Connection refused"
    assert "`ollama serve`" in caught.value.recovery_hint
    assert caught.value.__context__ is None


def test_a_server_that_is_silent(make, monkeypatch):
    """A server that accepts and says nothing is given up on."""
    monkeypatch.setattr("runllm.engines.ollama.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ProviderTimeoutError):
        make().complete(asking(f"http://127.0.0.1:{silent.getsockname()[1]}"))


def test_a_server_that_knows_the_chat_alone_is_used_all_the_same(make):
    """A proxy without `/api/show` gets the call, with a window, and its answer is believed."""
    with Provider() as proxy:
        got = make().complete(asking(proxy.root, "ollama/m", words(3000)))
        assert json.loads(got.text) == {"n": 1}
    assert proxy.chats[0].body["options"]["num_ctx"] > 3000


def test_a_model_that_was_removed_is_looked_for_again(make):
    """The server forgot it between two calls: the next call asks anew."""
    engine = make()
    with OllamaServer({"llama3.2": Model()}) as server:
        engine.complete(asking(server))
        server.models.clear()
        for _ in range(2):
            with pytest.raises(OllamaModelMissingError):
                engine.complete(asking(server))
        assert len(server.asked("/api/show")) == 2


def test_other_machines_are_out_of_reach_in_tests(make):
    """`RUNLLM_LOOPBACK_ONLY=1` holds for what is asked before a call as well."""
    with pytest.raises(ProviderConnectionError, match="RUNLLM_LOOPBACK_ONLY"):
        make().complete(asking("http://192.0.2.1:11434"))


# --- the window -----------------------------------------------------------------------------------


def test_the_window_fits_the_prompt_and_is_not_changed_without_need(make):
    """It grows with the prompt, never shrinks, and so the server loads the model as seldom as can be."""
    engine = make()
    with OllamaServer({"llama3.2": Model(window=32768)}) as server:
        for count in (10, 4000, 20, 6000, 6500, 7000):
            engine.complete(asking(server, text=words(count), params={"max_tokens": 100}))
        sent = [body["options"]["num_ctx"] for body in server.asked("/api/chat")]
        assert sent[0] == 2048
        assert all(size % 1024 == 0 for size in sent)
        assert sent == sorted(sent)
        assert len(server.loads) == 3


@pytest.mark.parametrize(
    ("model", "loaded", "expected"),
    [
        (Model(), 8192, 8192),
        (Model(), 512, 3072),
        (Model(parameters="temperature 0.1\nnum_ctx   6000"), None, 6000),
        (Model(window=2500), None, 2500),
        (Model(thinks=True, window=65536), None, 9216),
        (Model(remote=True), None, None),
    ],
    ids=["loaded larger", "loaded smaller", "its own file", "small model", "thinking", "remote"],
)
def test_a_window_that_is_there_already_is_used(make, model, loaded, expected):
    """What is loaded or preset is kept when it is large enough; a remote model has its own."""
    with OllamaServer({"llama3.2": model}) as server:
        if loaded:
            server.loaded["llama3.2:latest"] = loaded
        make().complete(asking(server))
        assert server.asked("/api/chat")[0]["options"].get("num_ctx") == expected


@pytest.mark.parametrize(
    ("params", "given", "window", "count"),
    [({"num_ctx": 2048}, {}, 8192, 3000), ({"num_ctx": 9999}, {}, 2048, 3000), ({}, {"max_tokens": 2000}, 2048, 100)],
    ids=["num_ctx of the file", "num_ctx beyond the model", "the model itself"],
)
def test_what_cannot_fit_is_refused_before_the_call(make, ask, params, given, window, count):
    """Neither the file's `num_ctx` nor the model's own window is exceeded in silence."""
    with OllamaServer({"llama3.2": Model(window=window)}) as server:
        with pytest.raises(ContextWindowExceededError) as caught:
            ask(make(), asking(server, text=words(count), provider_params=params, params=given))
        assert not server.asked("/api/chat")
    assert caught.value.details["window"] == 2048


def test_the_files_num_ctx_is_kept(make):
    """The author's word goes to the server as it is, and is what the guard is told; so is the model's own window."""
    engine = make()
    with OllamaServer({"llama3.2": Model(window=8192)}) as server:
        request = asking(server, provider_params={"num_ctx": 3000})
        assert engine.window(request.endpoint) == 3000
        engine.complete(request)
        assert server.asked("/api/chat")[0]["options"]["num_ctx"] == 3000
        assert engine.window(asking(server).endpoint) == 8192
        assert engine.window(asking(server, "ollama/other").endpoint) is None


@pytest.mark.parametrize("version", ["new", "old"])
def test_a_prompt_with_more_tokens_than_estimated_is_sent_again_with_a_larger_window(make, ask, version):
    """Whether the server refuses or cuts, the app gets an answer to its whole prompt, and a note."""
    with OllamaServer({"llama3.2": Model(bytes_per_token=1.5)}, version=version) as server:
        got = ask(make(), asking(server, text=words(1000), params={"max_tokens": 100}))
        assert [body["options"]["num_ctx"] for body in server.asked("/api/chat")] == [2048, 4096]
        assert got.usage.prompt_tokens == int(len(words(1000)) / 1.5)
    assert any("num_ctx` 4096" in note for note in got.notes)


@pytest.mark.parametrize(("version", "said"), [("new", "does not fit"), ("old", "lost a part")])
def test_a_prompt_that_does_not_fit_after_all_is_an_error(make, ask, version, said):
    """The silent cut is never taken for an answer: not of a new server, nor of an old one."""
    with OllamaServer({"llama3.2": Model(bytes_per_token=1.5)}, version=version) as server:
        asked = asking(server, text=words(1000), provider_params={"num_ctx": 3000}, params={"max_tokens": 100})
        with pytest.raises(ContextWindowExceededError, match=said):
            ask(make(), asked)
        assert len(server.asked("/api/chat")) == 1


# --- downloads ------------------------------------------------------------------------------------


def test_a_missing_model_is_downloaded_with_consent_then_run(make, ask):
    """Layers add up to one progress, the answer comes after it, and the second call asks nothing."""
    steps = []
    engine = make(auto_pull=True, progress=steps.append)
    with OllamaServer(registry={"llama3.2": (4000, 100)}, pace=0.001) as server:
        got = ask(engine, asking(server, timeout=5.0))
        ask(engine, asking(server))
        assert server.asked("/api/pull") == [{"model": "llama3.2", "insecure": False, "stream": True}]
    assert json.loads(got.text) == {"n": 1}
    assert "downloaded `llama3.2` (4.1 kB)" in got.notes[0]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].stage, steps[-1].done, steps[-1].total) == ("success", 4100, 4100)


def test_a_download_is_not_a_call(make):
    """It may take longer than `timeout`, which counts for the call alone."""
    with OllamaServer(registry={"llama3.2": (400,)}, pace=0.1) as server:
        began = time.monotonic()
        make(auto_pull=True).complete(asking(server, timeout=0.5))
        assert time.monotonic() - began > 0.7


def test_calls_that_need_the_same_model_download_it_once(make):
    """The others wait for the first."""
    engine = make(auto_pull=True)
    with OllamaServer(registry={"llama3.2": (400,)}, pace=0.02) as server, ThreadPoolExecutor(4) as pool:
        got = list(pool.map(engine.complete, [asking(server)] * 4))
        assert len(server.asked("/api/pull")) == 1
    assert all(completion.text == '{"n": 1}' for completion in got)


NO_ROOM = "write /models/blobs/sha256-0-partial: no space left on device"
FAILURES = {
    "disk full": (Trouble(after=500, error=NO_ROOM), FileAccessError, "no room for `llama3.2` after 500 B of 1.0 kB"),
    "cut": (Trouble(after=250), ProviderConnectionError, "broke off after 250 B of 1.0 kB"),
    "quiet end": (Trouble(after=250, quiet=True), ProviderConnectionError, "broke off after 250 B of 1.0 kB"),
    "its own line": (Trouble(after=250, error="max retries exceeded: EOF"), ProviderConnectionError, "broke off"),
    "too old": (Trouble(after=0, error="412: requires a newer version"), RequestRefusedError, "newer version"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_download_that_fails_says_why_and_how_far_it_came(make, ask, name):
    """Each cause has its own error; the model is not called."""
    trouble, expected, said = FAILURES[name]
    with OllamaServer(registry={"llama3.2": (1000,)}) as server:
        server.trouble.append(trouble)
        with pytest.raises(Exception, match=said) as caught:
            ask(make(auto_pull=True), asking(server))
        assert not server.asked("/api/chat")
    assert type(caught.value) is expected
    assert caught.value.__context__ is None
    if expected is ProviderConnectionError:
        assert "goes on where it stopped" in caught.value.recovery_hint


def test_after_a_broken_download_the_next_call_tries_again(make):
    """Nothing remembers the failure; resuming is the server's affair."""
    engine = make(auto_pull=True)
    with OllamaServer(registry={"llama3.2": (1000,)}) as server:
        server.trouble.append(Trouble(after=250))
        with pytest.raises(ProviderConnectionError):
            engine.complete(asking(server))
        assert engine.complete(asking(server)).text == '{"n": 1}'


def test_a_name_that_the_registry_does_not_know(make):
    """A typing mistake is a model that does not exist, not a connection that failed."""
    with OllamaServer() as server, pytest.raises(ModelNotFoundError, match="there is no model"):
        make(auto_pull=True).complete(asking(server))


def test_cancelling_ends_the_download(make):
    """The server sees the client leave, within moments."""
    with OllamaServer(registry={"llama3.2": (10**9,)}, pace=0.2) as server:
        began = threading.Event()

        async def cancelled() -> None:
            engine = make(auto_pull=True, progress=lambda _: began.set())
            task = asyncio.create_task(engine.acomplete(asking(server)))
            await asyncio.to_thread(began.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert server.hung_up.wait(5)
        assert not server.asked("/api/chat")


def test_the_users_key_goes_to_no_server_that_a_file_names(make, monkeypatch):
    """`OLLAMA_API_KEY` is for the user's own address: neither a question nor a download carries it elsewhere."""
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-of-the-user")
    with OllamaServer(registry={"llama3.2": (10,)}) as server:
        make(auto_pull=True).complete(asking(server))
        assert "secret-of-the-user" not in str(server.requests)
        monkeypatch.setenv("OLLAMA_HOST", server.base)
        make().complete(
            Request(endpoint=Endpoint(model="ollama/llama3.2"), messages=(Message(role="user", content="x"),))
        )
        shown = [r.headers.get("authorization") for r in server.requests if r.path == "/api/show"]
        assert shown[-1] == "Bearer secret-of-the-user"


# --- as a whole -----------------------------------------------------------------------------------


def test_another_model_is_suggested_where_one_is_installed():
    """A recommended model that the user's own server has is named; a server that is down is no trouble."""
    recommended = ["openai/gpt-4o", "ollama/absent", "ollama_chat/qwen3"]
    with OllamaServer({"qwen3": Model()}) as server:
        suggestion = OllamaEngine(environment={"OLLAMA_HOST": server.base}).suggestion
        assert "`--model ollama_chat/qwen3`" in (suggestion(recommended, "openai/gpt-4o") or "")
        assert suggestion(recommended, "ollama/qwen3:latest") is None
        assert suggestion(["openai/gpt-4o"], "openai/gpt-4o") is None
    assert suggestion(recommended, "openai/gpt-4o") is None


def test_an_app_runs_on_a_model_that_is_downloaded_first(make, tmp_path):
    """From the file to its output, the retry in the same window as the first attempt."""
    file = tmp_path / "count.rllm"
    with OllamaServer(registry={"llama3.2": (100,)}) as server:
        text = f"""\
            ---
            name: count
            description: Counts words.
            version: 0.1.0
            author: me
            max_context_window: 8192
            llm_params: {{temperature: 0}}
            input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
            output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n]}}
            llm: {{model: ollama/llama3.2, api_base: "{server.base}"}}
            ---
            Count the words of {{{{ input.text }}}}
            """
        file.write_text(textwrap.dedent(text))
        with runllm.Runtime(engine=make(auto_pull=True)) as runtime:
            result = runllm.load(file, runtime=runtime).run({"text": "one two"})
        assert result.output == {"n": 1}
        assert server.asked("/api/chat")[0]["format"]["required"] == ["n"]
