"""Replies as providers and gateways really send them: which are answers, which are refusals, what each costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.provider import Provider, Reply, answer, failure

import runllm
from runllm.errors import (
    RequestRefusedError,
    RetryExhaustedError,
    RunllmError,
)
from runllm.runtime import Runtime

FILE = """---
name: count
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n], additionalProperties: false}}
llm: {{model: {model}, api_base: "{base}", num_retries: 2}}
llm_params: {params}
---
Count: {{{{ input.text }}}}
"""
GOOD = '{"n": 3}'
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@pytest.fixture(scope="module")
def runtime():
    with Runtime(sleep=lambda _: None, jitter=lambda: 0.0) as made:
        yield made


@pytest.fixture
def go(tmp_path: Path, runtime: Runtime):
    """Run the app on a script of replies: its result or its error, and the requests that were made."""

    def run(*replies: Reply, model: str = "openai/m", params: str = "{}") -> tuple[Any, list[Any]]:
        with Provider(*replies) as provider:
            path = tmp_path / "count.rllm"
            path.write_text(FILE.format(base=provider.base, model=model, params=params), encoding="utf-8")
            try:
                return runllm.load(path, runtime=runtime).run({"text": "a b c"}), provider.chats
            except RunllmError as error:
                return error, provider.chats

    return run


def says(message: dict[str, Any], finish: str = "stop", usage: dict[str, Any] | None = None) -> Reply:
    """A completion in OpenAI's shape with this message."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    return Reply(body={"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                       "usage": usage or USAGE})  # fmt: skip


def claude(text: str, stop: str, tokens: int = 7) -> Reply:
    """A message in Anthropic's shape."""
    content = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 11, "output_tokens": tokens}
    return Reply(body={"id": "x", "type": "message", "role": "assistant", "model": "m", "content": content,
                       "stop_reason": stop, "stop_sequence": None, "usage": usage})  # fmt: skip


def call(arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "output", "arguments": arguments}}


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "model", "words"),
    [
        (says({"content": None, "refusal": "I cannot count that."}), "openai/m", "I cannot count that"),
        (says({"content": "", "refusal": "I cannot count that."}), "openai/m", "I cannot count that"),
        (says({"content": None}, "content_filter"), "openai/m", "content filter"),
        (says({"content": "I cannot help with"}, "content_filter"), "openai/m", "I cannot help with"),
        (says({"content": '{"n": '}, "content_filter"), "openai/m", "content filter"),
        (claude("I will not do that.", "refusal"), "anthropic/claude-sonnet-4-5", "I will not do that"),
        (claude("", "refusal"), "anthropic/claude-sonnet-4-5", "content filter"),
    ],
)
def test_a_refusal_is_one_request_and_keeps_its_words(go, reply, model, words):
    error, sent = go(reply, model=model)
    assert type(error) is RequestRefusedError
    assert words in error.message
    assert len(sent) == 1


def test_a_whole_answer_is_taken_although_a_filter_is_said_to_have_stopped_it(go):
    result, sent = go(says({"content": GOOD}, "content_filter"))
    assert result.output == {"n": 3}
    assert "a filter stopped its answer" in result.warnings[0]
    assert len(sent) == 1


def test_a_turn_that_is_paused_is_named(go):
    error, sent = go(claude("Let me look", "pause_turn"), model="anthropic/claude-sonnet-4-5")
    assert type(error) is RequestRefusedError
    assert "paused" in error.message
    assert len(sent) == 1


# --- where the answer stands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [call(GOOD)]},
        {"content": "", "tool_calls": [call(GOOD), call(GOOD)]},
        {"content": None, "function_call": {"name": "output", "arguments": GOOD}},
        {"content": [{"type": "text", "text": GOOD}]},
        {"content": [{"type": "text", "text": '{"n":'}, {"type": "text", "text": " 3}"}]},
        {"content": [{"type": "thinking", "thinking": '{"n": 4}'}, {"type": "text", "text": GOOD}]},
    ],
    ids=["tool", "the same tool twice", "function", "part", "parts", "thinking part"],
)
def test_the_answer_is_read_wherever_it_stands(go, message):
    result, sent = go(says(message))
    assert result.output == {"n": 3}
    assert len(sent) == 1


def test_two_calls_that_differ_are_two_answers(go):
    error, sent = go(says({"content": None, "tool_calls": [call(GOOD), call('{"n": 4}')]}))
    assert isinstance(error, RetryExhaustedError)
    assert error.problems[0].keyword == "ambiguous"
    assert len(sent) == 3


def test_tokens_that_are_counted_in_fractions_are_read(go):
    result, sent = go(
        says({"content": GOOD}, usage={"prompt_tokens": 11.0, "completion_tokens": 7.5, "total_tokens": 18.5})
    )
    assert result.output == {"n": 3}
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (11, 7)
    assert len(sent) == 1


# --- no answer, or not all of it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", [{"content": "<think>three, I think</think>"}, {"content": "", "reasoning_content": "3?"}]
)
def test_a_model_that_only_thought_is_asked_again_with_what_was_wrong(go, message):
    result, sent = go(says(message), says({"content": GOOD}))
    assert result.output == {"n": 3}
    assert "the answer is empty" in sent[1].body["messages"][-1]["content"]
    error, sent = go(says(message))
    assert isinstance(error, RetryExhaustedError)
    assert "reasoning_effort" in error.recovery_hint
    assert len(sent) == 3


def test_an_answer_that_is_cut_at_its_limit_is_asked_for_again_once(go):
    error, sent = go(answer('{"n": ', finish_reason="length"), params="{max_tokens: 50}")
    assert isinstance(error, RetryExhaustedError)
    assert "`max_tokens` is 50" in error.message
    assert "Raise `max_tokens`" in error.recovery_hint
    assert [chat.body["max_tokens"] for chat in sent] == [50, 50]
    assert "write less" in sent[1].body["messages"][-1]["content"]


def test_where_the_file_sets_no_limit_there_is_more_room(go):
    result, sent = go(answer('{"n": ', finish_reason="length", completion_tokens=100), answer(GOOD))
    assert result.output == {"n": 3}
    assert ["max_tokens" in chat.body for chat in sent] == [False, True]
    assert sent[1].body["max_tokens"] == 200
    assert result.attempts[1].notes == ("more room for the answer: 200 tokens",)


def test_a_cut_answer_that_is_told_to_be_whole_is_not_taken(go):
    """LiteLLM makes a tool of the schema for a Claude model before 4.5, and then says `stop` whatever ended it."""
    tool = {"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {"n": 3}}
    body = json.loads(json.dumps(claude("", "max_tokens", tokens=50).body)) | {"content": [tool]}
    error, sent = go(Reply(body=body), model="anthropic/claude-3-5-haiku-20241022", params="{max_tokens: 50}")
    assert isinstance(error, RetryExhaustedError), error
    assert "`max_tokens` is 50" in error.message
    assert len(sent) == 2


def test_half_a_character_is_an_answer_that_cannot_be_used(go):
    result, sent = go(says({"content": '{"n": "\\ud800"}'}), says({"content": GOOD}))
    assert result.output == {"n": 3}
    assert len(sent) == 2


# --- errors that say more --------------------------------------------------------------------------------------


def test_json_that_a_provider_would_not_pass_on_is_an_answer_like_any_other(go):
    refused = {"error": {"message": "Failed to generate JSON.", "type": "invalid_request_error",
                         "code": "json_validate_failed", "failed_generation": "n is 3"}}  # fmt: skip
    result, sent = go(Reply(status=400, body=refused), answer(GOOD))
    assert result.output == {"n": 3}
    assert sent[1].body["messages"][-2] == {"role": "assistant", "content": "n is 3"}
    near = {"error": {**refused["error"], "failed_generation": "```json\n{'n': 3}\n```"}}
    result, sent = go(Reply(status=400, body=near))
    assert (result.output, len(sent)) == ({"n": 3}, 1)


def test_what_the_provider_behind_a_gateway_said_is_told(go):
    raw = json.dumps({"error": {"message": "temperature must be 1 here"}})
    body = {
        "error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw, "provider_name": "X"}}
    }
    error, _ = go(Reply(status=400, body=body))
    assert "Provider returned error: temperature must be 1 here" in error.message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "You exceeded your current quota, please check your plan and billing details."),
        (402, "Payment Required"),
        (400, "Your credit balance is too low to access the API."),
    ],
)
def test_no_credit_is_final(go, status, words):
    error, sent = go(failure(status, words))
    assert type(error) is RequestRefusedError
    assert "Add credit" in error.recovery_hint
    assert len(sent) == 1


def test_a_limit_of_a_minute_is_waited_for(go):
    slow = failure(429, "You exceeded your current quota. Please retry in 3.5s.")
    result, sent = go(slow, answer(GOOD))
    assert (result.output, len(sent)) == ({"n": 3}, 2)


# --- what a stranger's gateways sent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [{"function": {"name": "output", "arguments": {"n": 3}}}]},
        {"content": [{"type": "reasoning", "text": '{"n": 1}'}, {"type": "text", "text": GOOD}]},
        {"content": [{"type": "text", "thought": True, "text": '{"n": 1}'}, {"type": "text", "text": GOOD}]},
        *(
            {"content": f'{opening}maybe {{"n": 1}}{closing}{GOOD}'}
            for opening, closing in (
                ("◁think▷", "◁/think▷"), ("<|START_THINKING|>", "<|END_THINKING|>"), ("<antThinking>", "</antThinking>"),
                ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<mm:think>", "</mm:think>"),
                ("<|channel>thought\n", "<channel|>"), ("<unused94>thought\n", "<unused95>"),
                ('<details type="reasoning" done="true">', "</details>"), ("<reflection>", "</reflection>"),
            )
        ),
    ],
)  # fmt: skip
def test_an_answer_is_found_beside_what_was_thought(go, message):
    result, sent = go(says(message))
    assert (result.output, len(sent)) == ({"n": 3}, 1)


@pytest.mark.parametrize(
    "reply",
    [
        says({"content": [{"type": "refusal", "refusal": "I cannot count that."}]}),
        says({"content": "Sorry.", "refusal": "I cannot count that."}),
        failure(400, "I cannot count that: your input triggered the content management policy"),
        failure(403, "I cannot count that: your input was flagged"),
        failure(403, "I cannot count that: country, region or territory not supported"),
    ],
)
def test_a_refusal_is_final_and_in_the_providers_words(go, reply):
    error, sent = go(reply)
    assert isinstance(error, RequestRefusedError)
    assert "cannot count that" in error.message
    assert len(sent) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error": "quota of the cluster is used up"},
        {"detail": "quota of the cluster is used up"},
        {"choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""},
                      "error": {"code": 502, "message": "quota of the cluster is used up"}}]},
    ],
)  # fmt: skip
def test_a_failure_inside_a_good_answer_is_told(go, body):
    error, _ = go(Reply(body=body))
    assert "quota of the cluster is used up" in str(error)


@pytest.mark.parametrize("value", [r"C:\temp", r"Save to C:\reports"])
def test_a_path_of_one_step_goes_back_to_the_model(go, value):
    result, sent = go(says({"content": f'{{"n": 3, "path": "{value}"}}'}), says({"content": GOOD}))
    assert (result.output, len(sent)) == ({"n": 3}, 2)


def test_an_answer_that_is_full_and_broken_off_was_cut_whatever_is_said(go):
    usage = {"prompt_tokens": 11, "completion_tokens": 20, "total_tokens": 31}
    error, sent = go(says({"content": '{"n": '}, "stop", usage), params="{max_tokens: 20}")
    assert "max_tokens" in f"{error} {error.recovery_hint}"
    assert len(sent) == 2
