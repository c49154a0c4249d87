"""The direct engine held against LiteLLM: the same request is sent, and the same is read in what comes back.

What differs on purpose: a placeholder for a key that must not be sent is not sent; headers that name LiteLLM are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chances import some
from tests.integration.provider import Provider, Received, Reply, answer, failure

from runllm.engines import make, traits
from runllm.engines.addresses import is_at
from runllm.engines.base import Engine, Setup
from runllm.engines.direct import Row, row
from runllm.engines.providers import PROVIDERS, facts
from runllm.errors import RunllmError
from runllm.results import Completion, Endpoint, Message, Request

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "src" / "runllm" / "engines" / "direct.json").read_text(encoding="utf-8")
)
ROWS: dict[str, Row] = {name: found for name in TABLE if (found := row(name)) is not None}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
VALUES: dict[str, Any] = {
    "temperature": 0.25, "top_p": 0.75, "max_tokens": 40, "max_completion_tokens": 41, "stop": ["x", "y"], "seed": 3,
    "presence_penalty": 0.5, "frequency_penalty": 0.5, "n": 1, "logit_bias": {"7": 2}, "logprobs": True,
    "top_logprobs": 1, "reasoning_effort": "medium", "verbosity": "high", "user": "u", "safety_identifier": "id",
    "service_tier": "flex", "store": True, "prompt_cache_key": "key", "top_k": 3, "format": "json",
    "response_format": {"type": "json_object"},
}  # fmt: skip
KEY = "a-key-of-the-user"


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    both = tuple(make(traits("openai/m", name), Setup()) for name in ("direct", "litellm"))
    yield both[0], both[1]
    for engine in both:
        engine.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as server:
        yield server


@pytest.fixture
def asking(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A request to a model at the loopback address, with a key that may go there."""

    def make_request(model: str, *, schema: Any = None, own: dict[str, Any] | None = None, **params: Any) -> Request:
        monkeypatch.setenv("THE_KEY", KEY)
        endpoint = Endpoint(
            model=model,
            api_base=provider.base,
            api_key_env="THE_KEY",
            allowed_bases=(provider.base,),
            key_allowed=True,
            provider_params=own or {},
        )
        turns = (Message(role="system", content="Be brief."), Message(role="user", content="Zähle „a“\n"),
                 Message(role="assistant", content="{}"), Message(role="user", content="again"))  # fmt: skip
        return Request(endpoint=endpoint, messages=turns, params=params, schema=schema, timeout=60)

    return make_request


def sent(engine: Engine, provider: Provider, request: Request) -> tuple[Received | None, Completion | RunllmError]:
    """The one request that a call makes, and what came of it."""
    before = len(provider.chats)
    try:
        found: Completion | RunllmError = engine.complete(request)
    except RunllmError as error:
        found = error
    made = provider.chats[before:]
    return (made[-1] if made else None), found


def _handed_over(engine: Any, request: Request) -> bool:
    """Whether LiteLLM makes the call, since it is not proven that the same would be sent."""
    return engine._frame(engine.sent(request)) is None


def same(engines: tuple[Engine, Engine], provider: Provider, request: Request) -> bool:
    """Whether both sent the same; they did, or LiteLLM refused."""
    (ours, said), (theirs, heard) = (sent(engine, provider, request) for engine in engines)
    if theirs is None:
        return False
    assert ours is not None, said
    assert ours.path == theirs.path
    assert {**ours.body, "stream": False} == {**theirs.body, "stream": False}  # which is what it is unless it is said
    assert ours.headers["authorization"] == theirs.headers["authorization"] == f"Bearer {KEY}"
    assert isinstance(said, Completion), said
    assert isinstance(heard, Completion), heard
    assert said.engine == ("litellm" if _handed_over(engines[0], request) else "")
    assert (said.text, said.finish_reason, said.usage, said.cost) == (
        heard.text, heard.finish_reason, heard.usage, heard.cost,
    )  # fmt: skip
    return True


# --- the same request -------------------------------------------------------------------------------------------


def models_of(provider: str) -> list[str]:
    """A name that nobody knows, and two of the provider's own in the price table."""
    from runllm.engines.providers import _PRICES, source

    table = json.loads(source(_PRICES))
    own = sorted(
        name.removeprefix(f"{provider}/")
        for name, entry in table.items()
        if entry.get("litellm_provider") == provider and entry.get("mode") == "chat"
    )
    return ["m", *own[:: max(1, len(own) // 2)][:2]]


@pytest.mark.parametrize("name", some(sorted(ROWS), 6))
def test_a_request_is_the_one_that_litellm_sends(
    name: str, engines: tuple[Engine, Engine], provider: Provider, asking: Any
) -> None:
    provider.script(answer('{"n": 1}'))
    for model in (f"{name}/{one}" for one in models_of(name)):
        assert same(engines, provider, asking(model))
        same(engines, provider, asking(model, schema=SCHEMA))
        same(engines, provider, asking(model, own={"min_p": 0.1, "chat_template_kwargs": {"a": 1}}))
        for parameter, value in VALUES.items():
            same(engines, provider, asking(model, **{parameter: value}))
        same(engines, provider, asking(model, schema=SCHEMA, temperature=0.5, max_tokens=30, stop=["x"]))


def test_a_call_that_is_handed_to_litellm_says_so(
    engines: tuple[Engine, Engine], provider: Provider, asking: Any
) -> None:
    """As a request to a model that is asked in another form is."""
    provider.script(answer('{"n": 1}'))
    name, other = next((name, row.others[0]) for name, row in ROWS.items() if row.others)
    request = asking(f"{name}/{other}")
    assert _handed_over(engines[0], request)
    found = engines[0].complete(request)
    assert (found.text, found.engine) == ('{"n": 1}', "litellm")


def test_most_providers_of_this_form_are_called_directly() -> None:
    assert len(ROWS) > 80
    assert {"openai", "openrouter", "mistral", "deepseek", "xai", "together_ai", "groq", "cerebras", "nvidia_nim",
            "hosted_vllm", "llamafile", "lm_studio", "litellm_proxy"} <= ROWS.keys()  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_providers_own_address_is_one_of_its_hosts(name: str) -> None:
    url = ROWS[name].url
    assert name in PROVIDERS
    assert url is None or is_at(url, facts(name).hosts), url


# --- the same reading -------------------------------------------------------------------------------------------


def says(message: Any, finish: Any = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return Reply(body={"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                       "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}, **more})  # fmt: skip


def text(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


CALL = {"id": "c", "type": "function", "function": {"name": "output", "arguments": '{"n": 4}'}}
USAGES: dict[str, Any] = {
    "cached": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}},
    "thought": {"prompt_tokens": 9, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 6}},
    "floats": {"prompt_tokens": 9.0, "completion_tokens": 2.0, "total_tokens": 11.0},
    "deepseek": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
    "null details": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None},
    "empty": {},
    "cost": {"prompt_tokens": 9, "completion_tokens": 2, "cost": 0.25},
}  # fmt: skip
REPLIES: dict[str, Reply] = {
    "plain": says(text('{"n": 1}')),
    "cut": says(text('{"n": '), "length"),
    "filtered": says(text(None), "content_filter"),
    "filtered, with words": says(text("I must not"), "content_filter"),
    "empty": says(text("")),
    "null": says(text(None)),
    "blank": says(text(" \n")),
    "refusal": says(text(None, refusal="I will not count.")),
    "tool call": says(text(None, tool_calls=[CALL]), "tool_calls"),
    "function call": says(text(None, function_call=CALL["function"]), "function_call"),
    "parts": says(text([{"type": "text", "text": '{"n": '}, {"type": "text", "text": "1}"}])),
    "thought apart": says(text('{"n": 1}', reasoning_content="one")),
    "thought apart, by another name": says(text('{"n": 1}', reasoning="one")),
    "thought inside": says(text('<think>one?</think>{"n": 1}')),
    "thought only": says(text("<think>one?</think>")),
    "no finish reason": says(text('{"n": 1}'), None),
    "finish reason of others": says(text('{"n": 1}'), "eos"),
    "end of turn": says(text('{"n": 1}'), "end_turn"),
    "most tokens": says(text('{"n": '), "max_tokens"),
    "no usage": says(text('{"n": 1}'), usage=None),
    **{f"it ended with {word}": says(text('{"n": 1}'), word) for word in ("abort", "error", "repetition")},
    "broken off": says(text('{"n": '), "network_error"),
    "content as JSON": says(text({"n": 1})),
    "a plain text": Reply(body="It works!"),
    "forbidden": failure(403, "This model is not available in your country"),
    "no choices": Reply(body={"id": "x", "object": "chat.completion", "choices": []}),
    "no message": Reply(body={"id": "x", "object": "chat.completion", "choices": [{"index": 0}]}),
    "an error in a good answer": Reply(body={"error": {"message": "Provider returned error", "code": 502}}),
    "an error with its reason": Reply(
        body={"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "too many"}}}
    ),
    "a list": Reply(body=[1, 2]),
    "another object": Reply(body={"hello": "world"}),
    "a page": Reply(body="<html>502</html>"),
    "nothing": Reply(body=""),
    "choices that are a number": Reply(body={"choices": 5}),
    "calls that are a number": says(text(None, tool_calls=5)),
    "a message that is a list": says([1]),
    "served otherwise": says(text('{"n": 1}'), service_tier="flex"),
    **{f"usage: {name}": says(text('{"n": 1}'), usage=usage) for name, usage in USAGES.items()},
    **{f"{status}": failure(status, "the model 'm' was told no") for status in (400, 401, 402, 403, 404, 408, 409, 413)},
    **{f"{status}": failure(status, "it failed") for status in (422, 429, 500, 502, 503, 504, 529)},
    "429 with a time": failure(429, "slow down", headers={"Retry-After": "7"}),
    "no credit": failure(429, "You exceeded your current quota", kind="insufficient_quota"),
    "too long": failure(400, "This model's maximum context length is 10 tokens"),
    "failed generation": Reply(
        status=400, body={"error": {"message": "no JSON", "code": "json_validate_failed", "failed_generation": "{"}}
    ),
}  # fmt: skip
# LiteLLM's reading, and why ours differs.
OTHERWISE: dict[str, str] = {}


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "openrouter/m", "hosted_vllm/m"])
def test_a_reply_is_read_as_litellms_is(
    case: str, model: str, engines: tuple[Engine, Engine], provider: Provider, asking: Any
) -> None:
    provider.script(REPLIES[case])
    request = asking(model, max_tokens=50)
    (_, ours), (_, theirs) = (sent(engine, provider, request) for engine in engines)
    if case in OTHERWISE:
        pytest.skip(OTHERWISE[case])
    if isinstance(theirs, RunllmError):
        assert type(ours) is type(theirs), (ours, theirs)
        assert isinstance(ours, RunllmError)
        assert ours.retryable == theirs.retryable
        told = ("retry_after",) if REPLIES[case].status == 200 else ("status", "retry_after")
        assert [ours.details.get(key) for key in told] == [theirs.details.get(key) for key in told]
        return
    assert isinstance(ours, Completion), ours
    assert (ours.text, ours.finish_reason, ours.usage, ours.cost, ours.notes) == (
        theirs.text, theirs.finish_reason, theirs.usage, theirs.cost, theirs.notes,
    )  # fmt: skip


# --- light ------------------------------------------------------------------------------------------------------

HEAVY = ("litellm", "httpx", "openai", "aiohttp", "asyncio", "runllm.reading.search", "runllm.reading.marks", "difflib")
RUN = """
import sys, runllm
app = runllm.load(sys.argv[1])
assert app.run({"text": "a"}).output == {"n": 1}
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""


def test_a_direct_run_imports_none_of_the_heavy_libraries(provider: Provider, tmp_path: Path) -> None:
    provider.script(answer('{"n": 1}'))
    file = tmp_path / "count.rllm"
    file.write_text(
        f"---\nname: count\ninput: {{text: text}}\nreturns: {{n: integer}}\nllm: {{model: openai/m, api_base: {provider.base}}}\n"
        "---\nCount: {{ input.text }}\n",
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(file), *HEAVY],
        capture_output=True, text=True, timeout=300, env={**os.environ, "RUNLLM_STATS": "off"}, check=False,
    )  # fmt: skip
    assert (run.stdout.strip(), run.returncode) == ("", 0), run.stderr


def test_a_connection_is_used_again_and_a_dead_one_is_not(engines: tuple[Engine, Engine], asking: Any) -> None:
    from dataclasses import replace

    request = asking("openai/m")
    with Provider() as first:
        there = replace(request, endpoint=replace(request.endpoint, api_base=first.base, allowed_bases=(first.base,)))
        for _ in range(5):
            engines[0].complete(there)
        assert first.open_connections == 1
        for connection in list(first._server.connections):
            connection.shutdown(2)
        assert engines[0].complete(there).text == '{"n": 1}'


def test_many_calls_at_once_are_each_answered_by_their_own(engines: tuple[Engine, Engine], asking: Any) -> None:
    def echo(received: Received) -> Any:
        body: Any = answer(received.body["user_number"]).body
        return body(received)

    with Provider(Reply(body=echo, delay=0.05)) as many:
        from dataclasses import replace

        got: dict[int, str] = {}

        def call(number: int) -> None:
            request = asking("hosted_vllm/m", own={"user_number": str(number)})
            there = replace(request, endpoint=replace(request.endpoint, api_base=many.base, allowed_bases=(many.base,)))
            got[number] = engines[0].complete(there).text

        threads = [threading.Thread(target=call, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert got == {number: str(number) for number in range(24)}
