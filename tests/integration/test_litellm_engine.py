"""The LiteLLM engine against a real HTTP server on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.apps import NamedEngine
from tests.integration.provider import CUT, HTML, NO_CHOICES, Provider, Reply, answer, failure

from runllm.engines import providers
from runllm.engines.base import Setup
from runllm.engines.litellm import LiteLLMEngine, _close_clients
from runllm.engines.memory import Memory
from runllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    EngineUnavailableError,
    InterruptedRunError,
    MissingCredentialError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from runllm.results import Completion, Endpoint, Message, Request, Usage

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def engine():
    engine = NamedEngine()
    with Provider() as provider:
        engine.complete(asking(provider))  # imports LiteLLM, so that no test's clock counts it
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key, no address of the developer's, and nothing beyond this machine."""
    for provider in map(providers.facts, providers.PROVIDERS):
        for variable in (*provider.keys, *provider.bases, "OLLAMA_HOST"):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RUNLLM_LOOPBACK_ONLY", "1")
    return monkeypatch


@pytest.fixture(params=["sync", "async"])
def ask(request, engine):
    """Both ways to call a model."""
    if request.param == "sync":
        return engine.complete
    return lambda asked: asyncio.run(engine.acomplete(asked))


def allowed(provider: Provider) -> dict[str, Any]:
    """A key of the user's, for an address that the user allows."""
    return {"api_key_env": "MY_GATEWAY", "key_allowed": True, "allowed_bases": (provider.root,)}


def asking(provider: Provider, model: str = "openai/m", **given: Any) -> Request:
    openai_like = model.partition("/")[0] in ("openai", "hosted_vllm", "mistral")
    endpoint = {
        "model": model,
        "engine": "litellm",
        "api_base": provider.base if openai_like else provider.root,
        **given.pop("endpoint", {}),
    }
    return Request(
        endpoint=Endpoint(**endpoint),
        messages=(Message(role="system", content="be brief"), Message(role="user", content="count")),
        **{"timeout": 30.0, **given},
    )


def test_an_answer_comes_with_its_usage_and_price(ask):
    """Text, reason, tokens, cost and latency of the reply are handed on."""
    with Provider(answer('{"n": 1}', finish_reason="length")) as provider:
        got = ask(asking(provider, "openai/gpt-4o", params={"temperature": 0.5, "max_tokens": 9}))
    assert got.text == '{"n": 1}'
    assert got.finish_reason == "length"
    assert got.usage == Usage(prompt_tokens=11, completion_tokens=7, cached_tokens=4, reasoning_tokens=2)
    assert got.cost == pytest.approx(7 * 2.5e-6 + 4 * 1.25e-6 + 7 * 1e-5)
    assert 0 < got.latency < 30
    body = provider.chats[0].body
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)
    assert [m["content"] for m in body["messages"]] == ["be brief", "count"]


FAILURES = {
    "rate limit": (failure(429, "slow down", headers={"Retry-After": "7"}), RateLimitError, 429, "slow down"),
    "server error": (failure(500, "it broke"), ProviderError, 500, "it broke"),
    "overloaded": (failure(503, "busy"), ProviderError, 503, "busy"),
    "gateway page": (Reply(status=502, body="<html>bad</html>"), ProviderError, 502, ""),
    "wrong key": (failure(401, "no such key"), AuthenticationError, 401, "no such key"),
    "forbidden": (failure(403, "not yours"), AuthenticationError, 403, "not yours"),
    "refused": (failure(400, "bad stop"), RequestRefusedError, 400, "bad stop"),
    "unprocessable": (failure(422, "bad seed"), RequestRefusedError, 422, "bad seed"),
    "no money": (failure(402, "pay first"), RequestRefusedError, 402, "pay first"),
    "too large": (failure(413, "too large"), ContextWindowExceededError, 413, "too large"),
    "too long": (failure(400, "maximum context length is 5 tokens"), ContextWindowExceededError, 400, "5 tokens"),
    "request timeout": (failure(408, "too slow"), ProviderTimeoutError, 408, "too slow"),
    "not JSON": (HTML, ProviderError, None, "not a completion"),
    "cut off": (CUT, ProviderConnectionError, None, "closed the connection"),
    "empty": (answer(""), ProviderError, None, "empty answer"),
    "spent": (answer("", finish_reason="length"), ProviderError, None, "`length`"),
}


@pytest.mark.parametrize("model", ["openai/m", "anthropic/claude-sonnet-4-5", "ollama/m", "hosted_vllm/m"])
@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_told_apart(ask, model, name):
    """Whatever LiteLLM makes of it, a failure is the error that its cause deserves, after one call."""
    reply, expected, status, words = FAILURES[name]
    with Provider(reply) as provider, pytest.raises((ProviderError, ContextWindowExceededError)) as caught:
        ask(asking(provider, model, schema=SCHEMA))
    error = caught.value
    assert type(error) is expected
    assert words in error.message
    assert "litellm" not in error.message.lower()
    assert (error.details["status"], error.details["model"]) == (status, model)
    assert error.details.get("retry_after") == (7.0 if status == 429 else None)
    assert error.__cause__ is None
    assert error.__context__ is None
    # What is refused may be the schema, which Ollama is sent in another way.
    again = name in ("refused", "unprocessable") and not model.startswith("ollama")
    assert len(provider.chats) == (2 if again else 1)


@pytest.mark.parametrize(
    ("reply", "expected", "words"),
    [
        (failure(404, "model m not found"), ModelNotFoundError, "model m not found"),
        (NO_CHOICES, ProviderError, "without a choice"),
        (answer(None), ProviderError, "empty answer"),
        (answer(None, finish_reason="content_filter"), RequestRefusedError, "content filter"),
    ],
)
def test_failures_in_openai_shape(ask, reply, expected, words):
    """A missing model, no choice, no content and a filtered answer each say so."""
    with Provider(reply) as provider, pytest.raises(expected, match=words):
        ask(asking(provider))


def test_a_model_that_ollama_lacks_names_the_command(engine):
    """The error says what to run."""
    with Provider(failure(404, "model 'm' not found")) as provider, pytest.raises(OllamaModelMissingError) as caught:
        engine.complete(asking(provider, "ollama/m:1b"))
    command = f"OLLAMA_HOST={provider.root} ollama pull m:1b"
    assert caught.value.details["command"] == command
    assert f"`{command}`" in caught.value.recovery_hint
    assert provider.root in caught.value.message


def test_an_address_where_no_ollama_is_lacks_no_model(engine):
    """Any server says 404; what it says of itself stands in the message, with where it is."""
    with Provider(failure(404, "page not found")) as provider, pytest.raises(ProviderConnectionError) as caught:
        engine.complete(asking(provider, "ollama/m:1b"))
    assert "page not found" in caught.value.message
    assert provider.root in caught.value.message


def test_nobody_listens(ask):
    """A refused connection is a connection error that names the address."""
    with Provider() as provider:
        asked = asking(provider)
    with pytest.raises(ProviderConnectionError, match=provider.base):
        ask(asked)


# --- the deadline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [answer("x", delay=60), answer("x" * 200, drip=0.05)], ids=["silent", "dripping"])
def test_a_call_ends_on_time_and_leaves_nothing_behind(ask, reply):
    """The deadline counts from start to last byte, and takes connection and threads with it."""
    with Provider(reply) as provider:
        threads = threading.active_count()
        for _ in range(4):
            start = time.perf_counter()
            with pytest.raises(ProviderTimeoutError, match=r"within 0\.3 s"):
                ask(asking(provider, timeout=0.3))
            assert time.perf_counter() - start < 5
        assert settles(lambda: provider.open_connections == 0)
        assert threading.active_count() <= threads + 8  # the pool of the loop, and the server's own


def test_ctrl_c_ends_the_wait_at_once(engine):
    """A signal is not kept waiting by the model."""
    with Provider(answer("x", delay=60)) as provider:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            engine.complete(asking(provider))
        assert time.perf_counter() - start < 30
        assert settles(lambda: provider.open_connections == 0)


def test_cancelling_a_task_ends_its_call(engine):
    """The server sees the connection close."""

    async def start_and_cancel(provider: Provider) -> None:
        task = asyncio.create_task(engine.acomplete(asking(provider)))
        while not provider.chats:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Provider(answer("x", delay=60)) as provider:
        asyncio.run(start_and_cancel(provider))
        assert settles(lambda: provider.open_connections == 0)


def test_closing_ends_calls_connections_and_threads():
    """After `close` nothing is left of the engine; it can be closed twice and used again."""
    others = {t for t in threading.enumerate() if t.name == "runllm-calls"}
    engine = LiteLLMEngine()
    with Provider(answer("1")) as provider, ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            provider.script(answer("1"), answer("2", delay=60))
            assert engine.complete(asking(provider)).text == "1"
            pending = pool.submit(engine.complete, asking(provider))
            assert settles(lambda: len(provider.chats) % 2 == 0)
            engine.close()
            engine.close()
            with pytest.raises(InterruptedRunError):
                pending.result(60)
            assert settles(lambda: provider.open_connections == 0)
            assert {t for t in threading.enumerate() if t.name == "runllm-calls"} == others


def settles(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


# --- many at once ---------------------------------------------------------------------------------


def test_fifty_calls_at_once_in_threads(engine):
    """Every caller gets an answer, and connections are shared out again."""
    with Provider(answer("1", delay=1.0)) as provider, ThreadPoolExecutor(50) as pool:
        start = time.perf_counter()
        got = list(pool.map(engine.complete, [asking(provider) for _ in range(50)]))
        assert [c.text for c in got] == ["1"] * 50
        assert time.perf_counter() - start < 40, "one after the other, they would take 50 s"


def test_fifty_calls_at_once_in_a_loop(engine):
    """As in threads; failures among them reach their own callers."""

    async def all_at_once(provider: Provider) -> list[Any]:
        calls = [engine.acomplete(asking(provider)) for _ in range(50)]
        return await asyncio.gather(*calls, return_exceptions=True)

    replies = [answer("1", delay=0.1) if number % 5 else failure(500) for number in range(50)]
    with Provider(*replies) as provider:
        got = asyncio.run(all_at_once(provider))
    assert sum(isinstance(each, Completion) for each in got) == 40
    assert sum(type(each) is ProviderError for each in got) == 10


# --- the form of the answer -----------------------------------------------------------------------


@pytest.mark.parametrize(("schema", "strict"), [(SCHEMA, None), (CLOSED, True)])
def test_the_schema_goes_along(engine, schema, strict):
    """As `response_format`; strict only where OpenAI's rules for it are met."""
    with Provider() as provider:
        engine.complete(asking(provider, schema=schema))
    form = provider.chats[0].body["response_format"]["json_schema"]
    assert form["schema"] == schema
    assert form.get("strict") is strict


def test_the_schema_reaches_anthropic_and_ollama(engine):
    """An older Claude is made to call a tool, which is unwrapped; Ollama decodes by the schema itself."""
    with Provider(answer('{"n": 2}')) as provider:
        forced = engine.complete(asking(provider, "anthropic/claude-3-haiku-20240307", schema=SCHEMA))
        native = engine.complete(asking(provider, "ollama/m", schema=SCHEMA))
    assert json.loads(forced.text) == json.loads(native.text) == {"n": 2}
    assert provider.chats[0].body["tools"][0]["input_schema"]["properties"] == SCHEMA["properties"]
    assert provider.chats[1].body["format"] == SCHEMA
    assert native.cost == 0.0


@pytest.mark.parametrize(
    "params", [{"response_format": {"type": "json_object"}}, {"format": "json"}], ids=["response_format", "format"]
)
def test_the_author_chooses_the_form(engine, params):
    """What stands in `llm_params` wins, in either spelling."""
    with Provider() as provider:
        engine.complete(asking(provider, schema=SCHEMA, params=params))
    assert provider.chats[0].body["response_format"] == {"type": "json_object"}
    assert "format" not in provider.chats[0].body


@pytest.mark.parametrize(
    "refusal",
    [
        failure(400, "response_format is not supported"),
        Reply(status=422, body={"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs"}]}),
    ],
    ids=["400", "422"],
)
def test_a_server_without_schemas_is_asked_without(ask, refusal):
    """The same call is sent again plainly, and the next ones are plain from the start."""
    with Provider(refusal, answer("1")) as provider:
        for _ in range(2):
            assert ask(asking(provider, "hosted_vllm/m", schema=SCHEMA)).text == "1"
    assert ["response_format" in chat.body for chat in provider.chats] == [True, False, False]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_schema_may_be_refused_in_any_words(engine, status):
    """So the request is sent once without it; if that is refused as well, the first words are told."""
    words = f"too many states for serving ({status})"
    with Provider(failure(status, words), answer("1")) as provider:
        found = engine.complete(asking(provider, f"openai/m{status}", schema=SCHEMA))
    assert (found.text, found.notes) == ("1", (f"sent again without the schema, which was refused: {words}",))
    assert ["response_format" in chat.body for chat in provider.chats] == [True, False]
    refused = (ProviderError, ModelNotFoundError)
    with Provider(failure(status, words)) as provider, pytest.raises(refused, match=r"too many states"):
        engine.complete(asking(provider, f"openai/n{status}", schema=SCHEMA))
    assert len(provider.chats) == 2


def test_what_is_refused_without_a_schema_is_not_sent_again(engine):
    with Provider(failure(400, "stop is too long")) as provider, pytest.raises(RequestRefusedError):
        engine.complete(asking(provider))
    assert len(provider.chats) == 1


def test_a_refused_schema_is_remembered_for_a_day_by_other_processes(tmp_path):
    path = tmp_path / "stats" / "providers.json"
    with Provider(failure(400, "Invalid JSON schema"), answer("1")) as provider:
        for _ in range(2):
            made = LiteLLMEngine(Setup(memory=path))
            assert made.complete(asking(provider, schema=SCHEMA)).text == "1"
            made.close()
    assert ["response_format" in chat.body for chat in provider.chats] == [True, False, False]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "schema" not in path.read_text()
    later = Memory(path, wall=lambda: time.time() + 86_401)
    known = json.loads(path.read_text())
    assert not any(later.has(fact) for fact in known)
    path.write_text("no JSON")
    assert not Memory(path).has("x")


def test_what_only_the_provider_knows_is_sent_as_it_is(engine):
    """And nothing the caller holds is changed."""
    native = {"num_ctx": 4096, "top_k": 5}
    with Provider() as provider:
        engine.complete(asking(provider, "ollama/m", endpoint={"provider_params": native}))
    assert provider.chats[0].body["options"] == native == {"num_ctx": 4096, "top_k": 5}


# --- keys -----------------------------------------------------------------------------------------


def test_a_missing_key_is_found_before_anything_is_sent(ask, environment):
    """The variable is named, whichever way the model names its provider."""
    environment.delenv("RUNLLM_LOOPBACK_ONLY")
    for model, variable in (("openai/gpt-4o", "OPENAI_API_KEY"), ("claude-sonnet-4-5", "ANTHROPIC_API_KEY")):
        with pytest.raises(MissingCredentialError, match=variable):
            ask(Request(endpoint=Endpoint(model=model), messages=()))
    with Provider() as provider, pytest.raises(MissingCredentialError, match="MY_GATEWAY"):
        ask(asking(provider, endpoint=allowed(provider)))
    assert provider.requests == []


def test_a_key_goes_only_where_it_belongs(engine, environment):
    """A named key goes to an address that the user allows, the provider's own only to one of the user's."""
    environment.setenv("OPENAI_API_KEY", "sk-provider-0123456789")
    environment.setenv("MY_GATEWAY", "gateway-0123456789")
    with Provider() as provider:
        engine.complete(asking(provider))
        engine.complete(asking(provider, endpoint={"api_key_env": "MY_GATEWAY", "key_allowed": True}))
        engine.complete(asking(provider, endpoint=allowed(provider)))
        environment.setenv("OPENAI_BASE_URL", provider.base)
        engine.complete(asking(provider, endpoint={"api_base": None}))
    assert [chat.headers["authorization"] for chat in provider.chats] == [
        "Bearer no-key",
        "Bearer no-key",
        "Bearer gateway-0123456789",
        "Bearer sk-provider-0123456789",
    ]


@pytest.mark.parametrize("model", ["openai/m", "anthropic/claude-sonnet-4-5", "ollama/m", "hosted_vllm/m"])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_no_key_is_in_an_error(ask, environment, model, status):
    """Neither in its words, which the provider chose, nor in anything that hangs on it."""
    secrets = {"MY_GATEWAY": "zq-plain-9876543210", "SOME_API_KEY": "wx-other-1234567890"}
    for name, value in secrets.items():
        environment.setenv(name, value)
    echo = Reply(status=status, body=lambda got: {"error": {"message": f"{dict(got.headers)} {secrets}"}})
    with Provider(echo) as provider, pytest.raises(ProviderError) as caught:
        ask(asking(provider, model, endpoint=allowed(provider)))
    assert secrets["MY_GATEWAY"] in json.dumps(dict(provider.chats[0].headers))
    error: BaseException | None = caught.value
    while error is not None:
        shown = f"{error!s} {error!r} {vars(error)} {''.join(traceback.format_exception(error))}"
        shown += json.dumps(caught.value.payload())
        assert not [value for value in secrets.values() if value in shown]
        error = error.__cause__ or error.__context__


# --- addresses ------------------------------------------------------------------------------------


def test_ollama_is_found_through_its_own_variable(engine, environment):
    """`OLLAMA_HOST` is heard, and the chat endpoint used."""
    with Provider() as provider:
        environment.setenv("OLLAMA_HOST", provider.root.removeprefix("http://"))
        engine.complete(asking(provider, "ollama/m", endpoint={"api_base": None}))
    assert [received.path for received in provider.requests] == ["/api/show", "/api/chat"]


@pytest.mark.parametrize("base", [None, "https://llm.example.com/v1", "http://127.0.0.1.example.com/v1"])
def test_tests_cannot_reach_out(ask, base):
    """With `RUNLLM_LOOPBACK_ONLY=1` every address elsewhere is refused, the provider's own too."""
    with pytest.raises(ProviderConnectionError, match="RUNLLM_LOOPBACK_ONLY"):
        ask(Request(endpoint=Endpoint(model="openai/gpt-4o", api_base=base), messages=()))


def test_litellm_is_not_installed(engine, environment):
    """The error says what to install."""
    environment.setitem(sys.modules, "litellm", None)
    providers.folder.cache_clear()
    try:
        with pytest.raises(EngineUnavailableError, match="not installed"):
            engine.ready(Endpoint(model="openai/gpt-4o", engine="litellm"))
    finally:
        providers.folder.cache_clear()


# --- the whole process ----------------------------------------------------------------------------


def run_alone(code: str, folder: Path, *flags: str, **environment: str) -> dict[str, Any]:
    """Run code in a fresh interpreter; it leaves its findings in `found`, and must print nothing."""
    script, out = folder / "script.py", folder / "found.json"
    script.write_text(
        "import json, os, pathlib, sys\nfound = {}\n"
        + textwrap.dedent(code)
        + "\npathlib.Path(sys.argv[1]).write_text(json.dumps(found))\n"
    )
    # What LiteLLM has put into this process must not help the new one.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LITELLM_", "TIKTOKEN_"))}
    ran = subprocess.run(
        [sys.executable, *flags, str(script), str(out)],
        cwd=folder,
        env={**inherited, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    return json.loads(out.read_text())


def test_looking_is_free(tmp_path):
    """Readiness, window and price import neither LiteLLM nor asyncio."""
    found = run_alone(
        """
        from runllm.engines.litellm import LiteLLMEngine
        from runllm.results import Endpoint
        engine, gpt = LiteLLMEngine(), Endpoint(model="openai/gpt-4o")
        engine.ready(gpt)
        found["known"] = [engine.window(gpt), engine.price(gpt).rates[0].prompt]
        engine.close()
        found["heavy"] = sorted({"litellm", "asyncio", "httpx", "openai"} & set(sys.modules))
        """,
        tmp_path,
        OPENAI_API_KEY="sk-0123456789abcdef",
        RUNLLM_LOOPBACK_ONLY="",
    )
    assert found == {"known": [128000, 2.5e-06], "heavy": []}


CALLS = """
    import gc, socket
    from tests.integration.provider import Provider, answer, failure
    from tests.apps import NamedEngine
    from runllm.errors import RunllmError
    from runllm.results import Endpoint, Message, Request

    before, reached = dict(os.environ), []
    def watch(event, arguments):
        if event == "socket.connect":
            reached.append(arguments[1][1])
        elif event == "socket.getaddrinfo" and arguments[1]:
            reached.append(arguments[1])
    sys.addaudithook(watch)

    engines = [NamedEngine(), NamedEngine()]
    def ask(engine, provider, model, base):
        messages = (Message(role="user", content="count"),)
        try:
            return engine.complete(Request(endpoint=Endpoint(model=model, api_base=base), messages=messages))
        except RunllmError:
            return None

    with Provider(answer("1", counted=False), failure(500), failure(400), answer(None), answer("1")) as provider:
        for turn in range(6):
            ask(engines[turn % 2], provider, "openai/llama-3-8b", provider.base)
            ask(engines[turn % 2], provider, "ollama/unheard-of", provider.root)
            ask(engines[turn % 2], provider, "anthropic/claude-sonnet-4-5", provider.root)
        if CLOSE:
            engines[0].close()
            engines[1].close()
        found["elsewhere"] = [port for port in reached if str(port) not in provider.root]
    found["set"] = sorted(set(os.environ) - set(before))
    found["changed"] = [name for name in before if os.environ.get(name) != before[name]]
    found["collecting"] = gc.isenabled()
"""


@pytest.mark.soak
@pytest.mark.parametrize("close", [True, False])
def test_a_process_that_calls_is_silent_and_keeps_to_itself(tmp_path, close):
    """Good and bad calls print nothing, reach nothing else, load no `.env`; not even a warning at exit."""
    (tmp_path / ".env").write_text("FROM_DOTENV=1\n")
    found = run_alone(CALLS.replace("CLOSE", str(close)), tmp_path, "-W", "always::ResourceWarning")
    assert found["elsewhere"] == []
    assert found["changed"] == []
    found["set"] = [name for name in found["set"] if name != "TIKTOKEN_CACHE_DIR"]  # LiteLLM's own doing
    assert [name for name in found["set"] if not name.startswith("LITELLM_")] == []
    assert found["collecting"]


@pytest.mark.usefixtures("engine")
def test_every_client_is_closed_whatever_its_kind():
    """One that is not asynchronous, or fails to close, keeps no other open."""
    import litellm

    closed = []

    class Client:
        def close(self):
            closed.append("plain")

    class Broken:
        async def aclose(self):
            raise RuntimeError("again")

    class Good:
        async def aclose(self):
            closed.append("good")

    async def scenario():
        for name, client in {"a": Client(), "b": Broken(), "c": Good()}.items():
            litellm.in_memory_llm_clients_cache.set_cache(name, client)
        await _close_clients()

    asyncio.run(scenario())
    assert closed == ["plain", "good"]


@pytest.mark.filterwarnings("ignore:Items? .* on TypedDict")  # of LiteLLM, when it imports what reads streams
def test_a_program_may_use_litellm_beside_it(engine):
    """Its own clients follow redirects and read streams as ever."""
    import litellm

    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
             "choices": [{"index": 0, "delta": {"content": "word " * 40}}]}  # fmt: skip
    end = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = Reply(
        body="".join(f"data: {json.dumps(one)}\n\n" for one in [chunk] * 100 + [end]) + "data: [DONE]\n\n",
        headers={"Content-Type": "text/event-stream"},
    )

    async def own(base: str) -> str:
        reply = await litellm.acompletion(
            model="openai/m", api_base=base, api_key="k", messages=[{"role": "user", "content": "x"}], stream=True
        )
        said = "".join([part.choices[0].delta.content or "" async for part in reply])
        await _close_clients()
        return said

    with Provider() as provider:
        engine.complete(asking(provider))
        provider.script(stream)
        assert asyncio.run(own(provider.base)) == "word " * 4000
        provider.script(Reply(body="<p>" * 5000))
        with pytest.raises(ProviderError, match="a web page"):
            engine.complete(asking(provider))


def test_that_litellm_is_imported_is_told():
    told = []

    @contextmanager
    def doing(what):
        told.append(what)
        yield lambda _: None
        told.append("done")

    LiteLLMEngine(Setup(doing=doing)).warm(Request(endpoint=Endpoint(model="openai/m"), messages=()))
    assert told == ["importing LiteLLM", "done"]
