"""A whole run over real HTTP: the file, LiteLLM, a provider that misbehaves."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.provider import CUT, Provider, Reply, answer, failure

import runllm
from runllm.errors import ProviderTimeoutError, RetryExhaustedError
from runllm.runtime import Runtime

FILE = """---
name: count
description: Count.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {{type: object, properties: {{n: {{type: integer, minimum: 1}}}}, required: [n], additionalProperties: false}}
llm: {{model: openai/m, api_base: "{base}", num_retries: 2, fallbacks: {fallbacks}}}
llm_params: {{temperature: 0}}
---
Count: {{{{ input.text }}}}
"""
GOOD = answer('{"n": 3}')
NOW = {"Retry-After": "0"}


@pytest.fixture(scope="module")
def runtime():
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0) as made:
        yield made


@pytest.fixture
def provider():
    with Provider() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def go(request: pytest.FixtureRequest, runtime: Runtime, provider: Provider, tmp_path: Path):
    """Run the app against a script of replies, with one of the two drivers."""

    def run(*replies: Reply, fallbacks: str = "[]", **options):
        provider.script(*replies)
        path = tmp_path / "count.rllm"
        path.write_text(FILE.format(base=provider.base, fallbacks=fallbacks), encoding="utf-8")
        app = runllm.load(path, runtime=runtime)
        if request.param == "sync":
            return app.run({"text": "a b c"}, **options)
        return asyncio.run(app.arun({"text": "a b c"}, **options))

    return run


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (answer('{"n": 0}'), "minimum of 1"),
        (answer("three"), "JSON"),
        (answer('{"n": 3}', finish_reason="length"), "cut off"),
        (answer('{"n": 3, "m'), "never closed"),
    ],
)
def test_a_wrong_answer_is_asked_again_with_what_was_wrong(go, provider: Provider, wrong: Reply, words: str) -> None:
    result = go(wrong, GOOD)
    assert result.output == {"n": 3}
    assert len(result.attempts) == 2
    assert any(words in problem.message for problem in result.attempts[0].problems), result.attempts[0].problems
    assert words in provider.chats[1].body["messages"][-1]["content"]
    assert result.usage.prompt_tokens == 22


@pytest.mark.parametrize(
    "broken",
    [failure(429, headers=NOW), failure(500, headers=NOW), failure(503, headers=NOW), CUT],
    ids=["429", "500", "503", "cut"],
)
def test_a_failing_transport_is_tried_again_within_one_attempt(go, broken: Reply) -> None:
    result = go(broken, GOOD)
    assert result.output == {"n": 3}
    (attempt,) = result.attempts
    assert len(attempt.notes) == 1


def test_a_silent_server_is_left_on_time(go) -> None:
    with pytest.raises(ProviderTimeoutError) as caught:
        go(answer('{"n": 3}', delay=30), timeout=0.2)
    assert len(caught.value.details["calls"]) == 3


def test_a_server_that_never_fits_costs_what_it_cost(go) -> None:
    with pytest.raises(RetryExhaustedError) as caught:
        go(answer("no"), max_retries=1)
    assert caught.value.result.usage.completion_tokens == 14


def test_a_fallback_answers_when_the_first_model_is_refused(go, provider: Provider) -> None:
    refused = failure(400, "no such thing")
    result = go(refused, refused, GOOD, fallbacks="[openai/other]")
    assert result.model.endswith("other")
    asked = [(chat.body["model"], "response_format" in chat.body) for chat in provider.chats]
    assert asked == [("m", True), ("m", False), ("other", True)]  # what was refused may have been the schema
