"""What servers of the user's own, routers and proxies say when a call cannot be answered: one right error, one way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration import replying
from tests.integration.provider import Provider, Reply, answer, failure
from tests.integration.replying import Counting

import runllm
from runllm.engines.access import Access
from runllm.engines.memory import Memory
from runllm.engines.servers import Servers
from runllm.errors import (
    AuthenticationError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RequestRefusedError,
)
from runllm.models.pulling import Progress
from runllm.runtime import Runtime
from runllm.stats.store import Store

GOOD = answer('{"n": 3}')


@pytest.fixture(scope="module")
def runtime():
    with replying.runtime() as made:
        yield made


@pytest.fixture
def go(tmp_path: Path, runtime: Runtime) -> Counting:
    return Counting(tmp_path, runtime)


# --- which of them is missing: the model, the endpoint, the key, the credit ---------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        failure(400, "/chat/completions: Invalid model name passed in model=m. Call `/v1/models` to view them."),
        failure(400, "m is not a valid model ID"),
        failure(400, "Model Not Exist"),
        failure(400, "The provided model identifier is invalid."),
        failure(404, "The model `m` does not exist or you do not have access to it."),
        failure(404, "model: m"),
        failure(404, "The API deployment for this resource does not exist."),
        failure(404, "No endpoints found for m."),
    ],
)
def test_a_model_that_a_server_does_not_know_is_told_as_that(go, reply):
    error, _ = go(reply)
    assert type(error) is ModelNotFoundError
    assert "openai/m" in error.message


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=404, body={"detail": "Not Found"}),
        Reply(status=404, body="<html><body>404</body></html>"),
        Reply(status=404, body="404 page not found"),
        failure(404, "File Not Found"),
    ],
)
def test_an_address_without_the_endpoint_is_told_as_that_and_asked_once(go, reply):
    error, sent = go(reply, path="")
    assert type(error) is ProviderConnectionError
    assert "no endpoint to chat" in error.message
    assert "/v1" in error.recovery_hint
    assert len(sent) <= 2  # once more without the form, which some refuse so


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=404, body={"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}),
        Reply(status=405, body={"detail": "Method Not Allowed"}),
        Reply(body={"error": "Unexpected endpoint or method. (POST /api/chat)"}),
        Reply(body={"choices": [{"message": {"role": "assistant", "content": "x"}}], "object": "chat.completion"}),
    ],
)
def test_a_server_that_is_no_ollama_names_the_other_way(go, reply):
    error, sent = go(reply, model="ollama/m", path="")
    assert type(error) is ProviderConnectionError
    assert "`openai/m`" in error.recovery_hint
    assert "/v1`" in error.recovery_hint
    assert len(sent) == 1


def test_ollama_that_fails_in_a_good_answer_is_heard(go):
    error, _ = go(Reply(body={"error": "the runner has stopped"}), model="ollama/m", path="")
    assert "the runner has stopped" in error.message
    call = {"function": {"name": "output", "arguments": {"n": 3}}}
    result, _ = go(Reply(body={"message": {"content": "", "tool_calls": [call]}}), model="ollama/m", path="")
    assert result.output == {"n": 3}


def test_a_router_that_has_nobody_for_the_request_lacks_no_model(go):
    reply = failure(404, "No endpoints found that can handle the requested parameters.")
    result, sent = go(reply, GOOD)
    assert (result.output, len(sent)) == ({"n": 3}, 2)
    error, _ = go(failure(404, "No endpoints available matching your guardrail restrictions and data policy."))
    assert type(error) is RequestRefusedError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Your credit balance is too low to access the API", RequestRefusedError),
        ("API key not valid. Please pass a valid API key.", AuthenticationError),
        ("The model `m` does not exist", ModelNotFoundError),
    ],
)
def test_what_is_plainly_not_about_the_form_costs_no_second_request(go, words, expected):
    error, sent = go(failure(400, words))
    assert (type(error), len(sent)) == (expected, 1)


def test_words_about_the_form_cost_one_although_they_name_the_model(go):
    result, sent = go(failure(400, "model `m`: response_format json_schema is not available"), GOOD)
    assert (result.output, len(sent)) == ({"n": 3}, 2)


@pytest.mark.parametrize("model", ["custom_openai/m", "litellm_proxy/m", "hosted_vllm/m"])
def test_a_server_that_wants_a_key_and_got_none_names_its_variable(go, monkeypatch, model):
    variable = f"{model.partition('/')[0].upper()}_API_KEY"
    monkeypatch.delenv(variable, raising=False)
    error, _ = go(failure(401, "No api key passed in."), model=model, allowed=True)
    assert type(error) is AuthenticationError
    assert error.recovery_hint == f"No key was sent: set the environment variable {variable}."
    monkeypatch.setenv(variable, "k-123456789")
    error, sent = go(failure(401, "Incorrect key"), model=model, allowed=True)
    assert sent[0].headers["authorization"] == "Bearer k-123456789"
    assert f"Check the key in {variable}" in error.recovery_hint
    assert "k-123456789" not in str(error.payload())
    result, _ = go(GOOD, model=model)
    assert result.output == {"n": 3}


@pytest.mark.parametrize("model", ["openai_like/m", "text-completion-openai/m", "voyage/m"])
def test_what_cannot_chat_is_refused_before_anything_is_sent(go, model):
    error, sent = go(GOOD, model=model)
    assert type(error) is ModelNotFoundError
    assert "cannot be used" in error.message
    assert sent == []


# --- a server that has yet to load the model ----------------------------------------------------------------------

PATHS = {"openai/m": "/v1", "ollama/m": ""}
LOADING = Reply(status=503, body={"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
OF_HUB = Reply(status=503, body={"error": "Model m/x is currently loading", "estimated_time": 20.0})


@pytest.mark.parametrize("model", ["openai/m", "ollama/m"])
@pytest.mark.parametrize("loading", [LOADING, OF_HUB])
def test_a_server_that_loads_its_model_is_waited_for(go, loading, model):
    told: list[Progress] = []
    with Runtime(progress=told.append) as runtime:
        result, sent = go(loading, loading, GOOD, runtime=runtime, model=model, path=PATHS[model])
    assert (result.output, len(sent)) == ({"n": 3}, 3)
    assert any("for the server to load the model" in note for note in result.attempts[0].completion.notes)
    assert [one.stage for one in told] == ["waiting for the server to load it"] * 2 + ["success"]


@pytest.mark.parametrize("model", ["openai/m", "ollama/m"])
def test_it_is_waited_for_no_longer_than_the_timeout_and_not_again(go, model):
    error, sent = go(LOADING, timeout=0.6, model=model, path=PATHS[model])
    assert type(error) is ProviderTimeoutError
    assert f"has not loaded `{model}` in time" in error.message
    assert len(sent) == 2


@pytest.mark.parametrize("model", ["openai/m", "ollama/m"])
def test_another_503_is_sent_again_as_ever(go, model):
    error, sent = go(failure(503, "overloaded"), model=model, path=PATHS[model])
    assert (error.code, len(sent)) == ("RLLM_011", 3)


# --- counts that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "ollama/m"])
def test_tokens_that_were_not_counted_are_no_count(go, model):
    events: list[Any] = []
    given = answer('{"n": 3}', prompt_tokens=0, completion_tokens=0)
    result, _ = go(given, model=model, path="" if model == "ollama/m" else "/v1", listener=events.append)
    said = " ".join(event.message for event in events if event.step in ("answer", "call"))
    assert "not counted" in said
    assert "0 tokens" not in said
    assert result.cost == (0.0 if model == "ollama/m" else None)
    assert result.attempts[0].completion.notes == ()


# --- in the wire form of those who say it ---------------------------------------------------------------------------


def converse(text: str, stop: str) -> Reply:
    """An answer in the shape of Bedrock's Converse."""
    message = {"role": "assistant", "content": [{"text": text}]}
    return Reply(
        body={
            "output": {"message": message},
            "stopReason": stop,
            "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
            "metrics": {"latencyMs": 5},
        }
    )


def test_a_guardrail_of_bedrock_withholds_in_its_own_words(go, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test-of-the-loopback")
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    model = "bedrock/amazon.nova-pro-v1:0"
    error, sent = go(converse("I cannot talk of that.", "guardrail_intervened"), model=model, path="", allowed=True)
    assert type(error) is RequestRefusedError
    assert "I cannot talk of that." in error.message
    assert [one.path.rpartition("/")[2] for one in sent] == ["converse"]
    result, _ = go(converse('{"n": 3}', "end_turn"), model=model, path="", allowed=True)
    assert result.output == {"n": 3}


def test_openrouter_that_has_nobody_for_the_form_is_asked_without_it(go):
    said = {"message": "No endpoints found that can handle the requested parameters.", "code": 404}
    result, sent = go(Reply(status=404, body={"error": said}), GOOD, model="openrouter/openai/gpt-4o")
    assert result.output == {"n": 3}
    assert ["response_format" in one.body for one in sent] == [True, False]
    assert "sent again without the schema" in result.attempts[0].completion.notes[0]
    said = {"message": "No endpoints found for openai/gpt-9.", "code": 404}
    error, _ = go(Reply(status=404, body={"error": said}), model="openrouter/openai/gpt-9")
    assert type(error) is ModelNotFoundError


# --- a server that is llama.cpp -------------------------------------------------------------------------------------


def models(params: int | None, owner: str = "llamacpp") -> Reply:
    """The list of models as llama.cpp gives it."""
    meta = {} if params is None else {"meta": {"n_ctx": 4096, "n_params": params}}
    return Reply(body={"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **meta}]})


UNIQUE = """---
name: tags
input: {{text: text}}
output_schema: {{type: object, properties: {{tags: {{type: array, items: {{type: string}}, uniqueItems: true}}}}, required: [tags]}}
llm: {{model: openai/m, api_base: "{base}"}}
---
{{{{ input.text }}}}
"""
TAGS = answer('{"tags": ["a", "b"]}')


@pytest.fixture
def tagged(tmp_path: Path):
    """Run the app of a list against a provider; gives what was sent for the answer."""

    def run(provider: Provider, runtime: Runtime, text: str = "x") -> tuple[runllm.RunResult, list[Any]]:
        path = tmp_path / "tags.rllm"
        path.write_text(UNIQUE.format(base=provider.base), encoding="utf-8")
        before = len(provider.chats)
        return runllm.load(path, runtime=runtime).run({"text": text}), [one.body for one in provider.chats[before:]]

    return run


def asked_for_models(provider: Provider) -> int:
    return sum(one.path.endswith("/models") for one in provider.requests)


def test_a_small_model_behind_llama_cpp_gets_a_grammar_and_an_outline(tagged, runtime):
    with Provider(TAGS, listed=models(135_000_000)) as provider:
        for text in ("x", "y"):
            result, (body,) = tagged(provider, runtime, text)
            assert result.output == {"tags": ["a", "b"]}
            assert body["grammar"].startswith("root ::= ")
            assert body["max_tokens"] > 1024
            assert "response_format" not in body
            assert "JSON Schema" not in body["messages"][0]["content"]
            assert "- tags: list of different items, each text" in body["messages"][0]["content"]
        assert asked_for_models(provider) == 1
        assert [one.headers.get("authorization") for one in provider.requests if one.path.endswith("/models")] == [None]


def test_a_dry_run_shows_what_a_run_has_learnt_and_asks_nobody(tagged, tmp_path):
    with Provider(TAGS, listed=models(135_000_000)) as provider:
        for asked in (0, 1):
            with Runtime(store=Store(tmp_path / "stats" / "stats.db")) as runtime:
                path = tmp_path / "tags.rllm"
                path.write_text(UNIQUE.format(base=provider.base), encoding="utf-8")
                shown = runllm.load(path, runtime=runtime).preview({"text": "x"}).request
                assert shown is not None
                assert ("JSON Schema" in shown.messages[0].content) is (asked == 0)
                assert asked_for_models(provider) == asked
                _, (body,) = tagged(provider, runtime)
                assert "grammar" in body


@pytest.mark.parametrize("listed", [models(7_000_000_000), models(None)])
def test_a_larger_model_is_given_the_schema_and_a_grammar_only_once_it_did_not_fit(tagged, listed):
    with Provider(TAGS, listed=listed) as provider, Runtime() as runtime:
        result, (body,) = tagged(provider, runtime)
        assert "grammar" not in body
        assert "response_format" in body
        provider.script(answer('{"tags": ["a", "a", "a", "a', finish_reason="length"), TAGS)
        result, (first, second) = tagged(provider, runtime)
        assert result.output == {"tags": ["a", "b"]}
        assert ("grammar" in first, "grammar" in second) == (False, True)
        assert "asked a second time, with a grammar" in result.attempts[0].completion.notes[0]
        assert len(result.attempts) == 1


@pytest.mark.parametrize("listed", [models(135_000_000, owner="vllm"), Reply(body="no list"), None])
def test_another_server_is_sent_what_it_ever_was(tagged, listed):
    with Provider(answer('{"tags": ["a", "a"]}'), TAGS, listed=listed) as provider, Runtime() as runtime:
        result, bodies = tagged(provider, runtime)
        assert [("grammar" in body, "response_format" in body) for body in bodies] == [(False, True)] * 2
        assert len(result.attempts) == 2


def test_a_server_that_takes_no_grammar_is_asked_without(tagged, runtime):
    refused = failure(400, "Failed to initialize samplers: failed to parse grammar")
    with Provider(refused, TAGS, listed=models(135_000_000)) as provider:
        result, bodies = tagged(provider, runtime)
        assert ["grammar" in body for body in bodies] == [True, False]
        assert result.output == {"tags": ["a", "b"]}


def test_no_provider_is_asked_what_it_is():
    for base in (None, "https://api.openai.com/v1", "https://llm.example.com/v1"):
        servers = Servers(Memory(None))
        servers.learn(Access(provider="openai", api_base=base, api_key="k"))
        assert servers.kind(Access(provider="openai", api_base=base, api_key="k")) is None


def test_a_dry_run_of_a_provider_that_nobody_knows_ends_as_the_run(tmp_path):
    file = tmp_path / "app.rllm"
    for model, near in (
        ("opnai/gpt-4o", "openai/gpt-4o"),
        ("antropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
    ):
        file.write_text(f"---\nname: a\ninput: {{x: text}}\nreturns: text\nllm: {model}\n---\n{{{{ input.x }}}}\n")
        with Runtime() as runtime:
            app = runllm.load(file, runtime=runtime)
            error = app.preview({"x": "y"}).refusal()
            assert type(error) is ModelNotFoundError
            assert error.recovery_hint == f"Did you mean `{near}`?"
            with pytest.raises(ModelNotFoundError, match=model):
                app.run({"x": "y"})
            assert app.preview({"x": "y"}, model="openai/a-model-of-tomorrow").refusal() is None
