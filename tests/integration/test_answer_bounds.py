"""`max_context_window` bounds the answer: what is sent to a provider that must be told how long it may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, answer

import runllm
from runllm.engines.local.planning import plan
from runllm.engines.ollama_request import bounded
from runllm.errors import ContextWindowExceededError
from runllm.results import Endpoint, Message, Request
from runllm.tokens import estimate_messages

APP = """---
name: bound
description: Count.
version: 1.0.0
author: me
max_context_window: {window}
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n], additionalProperties: false}}
llm: {{model: "{model}", api_base: "{base}", num_retries: 0, fallbacks: [{fallbacks}]}}
llm_params: {params}
---
{{{{ input.text }}}}
"""
KEY = "sk-ant-0123456789abcdef"
HAIKU = "anthropic/claude-haiku-4-5"  # answers with 64,000 tokens at the most, thinks within a number of them
SONNET = "anthropic/claude-sonnet-4-6"  # decides by itself how long it thinks


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    monkeypatch.setenv("RUNLLM_LOOPBACK_ONLY", "1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def provider():
    with Provider(answer('{"n": 1}')) as server:
        yield server


@pytest.fixture
def load(tmp_path: Path, provider: Provider):
    def load(model: str, window: int, params: str = "{}", fallbacks: str = "") -> runllm.App:
        base = provider.base if model.startswith(("openai", "databricks")) else provider.root
        path = tmp_path / "bound.rllm"
        given = {"window": window, "model": model, "base": base, "params": params, "fallbacks": fallbacks}
        path.write_text(APP.format(**given), encoding="utf-8")
        return runllm.load(path, stats=False)

    return load


def sent(app: runllm.App, provider: Provider, text: str = "hi") -> Any:
    """The body of the first request; what a dry run shows of it is the same."""
    shown = app.preview({"text": text}).request.params.get("max_tokens")
    app(text=text)
    body = provider.chats[0].body
    assert body.get("max_tokens") == shown
    return body


def room(app: runllm.App, text: str = "hi") -> int:
    found = app.preview({"text": text}).tokens
    return found.window - found.prompt


@pytest.mark.parametrize("model", [HAIKU, SONNET, "anthropic/claude-unheard-of", "azure_ai/claude-haiku-4-5"])
def test_a_claude_model_is_asked_for_no_more_than_the_window_leaves(load, provider, model):
    app = load(model, 4096)
    assert sent(app, provider)["max_tokens"] == room(app)


@pytest.mark.parametrize(
    ("model", "tokens"), [(HAIKU, 64_000), ("anthropic/claude-unheard-of", 128_000), ("openai/gpt-4o", None)]
)
def test_where_the_window_leaves_more_the_models_own_limit_is_asked_for(load, provider, model, tokens):
    assert sent(load(model, 200_000), provider).get("max_tokens") == tokens


@pytest.mark.parametrize("model", ["openai/gpt-4o", "openai/o3-mini", "openai/my-own"])
def test_a_model_that_is_asked_for_no_length_is_sent_none(load, provider, model):
    body = sent(load(model, 4096), provider)
    assert not {"max_tokens", "max_completion_tokens"} & set(body)


@pytest.mark.parametrize("params", ["{max_tokens: 100}", "{max_completion_tokens: 100}"])
def test_what_the_app_says_is_sent_as_it_is(load, provider, params):
    load(HAIKU, 4096, params)(text="hi")
    assert provider.chats[0].body["max_tokens"] == 100


def test_each_attempt_is_given_what_its_own_prompt_leaves(load, provider):
    """A retry quotes the wrong answer, so that less is left."""
    provider.script(answer('{"n": "%s"}' % ("no " * 300)), answer('{"n": 2}'))
    app = load(HAIKU, 4096)
    result = app.run({"text": "hi"})
    first, second = (received.body["max_tokens"] for received in provider.chats)
    texts = [message.content for message in result.attempts[1].request.messages]
    assert second == 4096 - estimate_messages(texts, result.attempts[1].request.schema)
    assert second < first - 300


def test_a_fallback_is_bounded_by_what_it_is(load, provider):
    """What was worked out for one model does not go to the next."""
    from tests.integration.provider import failure

    provider.script(failure(500), answer('{"n": 1}'))
    app = load("anthropic/claude-unheard-of", 100_000, fallbacks=HAIKU)
    app(text="hi")
    assert [received.body["max_tokens"] for received in provider.chats] == [room(app), 64_000]


@pytest.mark.parametrize(
    ("model", "window", "params", "tokens"),
    [
        (HAIKU, 20_000, "{thinking: {type: enabled, budget_tokens: 2000}}", 6096),
        (HAIKU, 4096, "{thinking: {type: enabled, budget_tokens: 2000}}", None),
        (HAIKU, 20_000, "{reasoning_effort: low}", 5120),
        (HAIKU, 4096, "{reasoning_effort: low}", None),
        (SONNET, 4096, "{reasoning_effort: high}", None),
    ],
)
def test_thinking_has_its_place_below_the_bound(load, provider, model, window, params, tokens):
    """No more is asked than LiteLLM would ask beside the thinking, and never less than the thinking takes."""
    app = load(model, window, params)
    body = sent(app, provider)
    assert body["max_tokens"] == (tokens or room(app))
    assert body["thinking"].get("budget_tokens", 0) < body["max_tokens"]


@pytest.mark.parametrize("params", ["{thinking: {type: enabled, budget_tokens: 4000}}", "{reasoning_effort: high}"])
def test_thinking_that_the_window_does_not_leave_room_for_is_refused_unsent(load, provider, params):
    with pytest.raises(ContextWindowExceededError):
        load(HAIKU, 4096, params)(text="hi")
    assert provider.requests == []


def test_the_dry_run_prints_what_is_sent(load, provider):
    app = load(HAIKU, 4096, "{temperature: 0.5}")
    done = command("run", str(app.program.path), "text=hi", "--dry-run")
    assert json.loads(done.stdout)["llm_params"] == {"temperature": 0.5, "max_tokens": room(app)}
    assert provider.requests == []


def asking(window: int | None, **params: Any) -> Request:
    endpoint = Endpoint(model="ollama_chat/m")
    return Request(
        endpoint=endpoint, messages=(Message(role="user", content="word " * 500),), params=params, window=window
    )


@pytest.mark.parametrize(
    ("window", "num_ctx", "params", "bound"),
    [
        (4096, 4096, {}, False),  # the server's window holds it
        (4096, 2048, {}, False),
        (2048, 8192, {}, True),
        (2048, None, {}, True),  # Ollama's cloud has the whole window
        (2048, 8192, {"max_tokens": 9000}, False),
        (None, 8192, {}, False),
    ],
)
def test_ollama_is_bounded_where_its_window_is_larger_than_the_apps(window, num_ctx, params, bound):
    request = asking(window, **params)
    found = bounded(request, num_ctx)
    if bound:
        assert found.params["max_tokens"] == window - estimate_messages([request.messages[0].content])
    else:
        assert found is request


def test_a_local_answer_is_planned_within_the_apps_window():
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    narrow = Request(
        endpoint=Endpoint(model="local/m"), messages=(Message(role="user", content="word " * 100),), schema=schema,
        window=400,
    )  # fmt: skip
    found = plan(narrow, 8192)
    assert found.tokens + estimate_messages(["word " * 100]) <= 400
