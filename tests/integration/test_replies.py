"""Replies as providers and gateways really send them: which are answers, which are refusals, what each costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration import replying
from tests.integration.provider import HTML, Reply, answer, failure
from tests.integration.replying import BOTH, GOOD, Counting

from runllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    RequestRefusedError,
    RetryExhaustedError,
    RunllmError,
)
from runllm.runtime import Runtime

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@pytest.fixture(scope="module")
def runtime():
    with replying.runtime() as made:
        yield made


@pytest.fixture
def go(tmp_path: Path, runtime: Runtime) -> Counting:
    return Counting(tmp_path, runtime)


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
        (
            says({"content": None, "refusal": "I can&#39;t count &quot;that&quot;."}),
            "openai/m",
            'I can\'t count "that".',
        ),
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
        {"content": {"n": 3}},
        {"content": {"type": "text", "text": GOOD}},
        {"content": "Let me count.", "tool_calls": [call(GOOD)]},
        {"content": GOOD, "tool_calls": [call('{"count": 4}')]},
        {"content": '{"n": "many"}', "tool_calls": [call(GOOD)]},
        {"content": f"It is {GOOD}", "tool_calls": [call(GOOD)]},
        {"content": "<think>{}</think>I call.\n<function=output>\n<parameter=n>\n3\n</parameter>\n</function><|im_end|>"},
        *(
            {"content": opening + json.dumps(one) + closing}
            for opening, closing in (("", ""), ("<tool_call>\n", "\n</tool_call>"), ("I call it. <|tool_call|>", ""),
                                     ("[TOOL_CALLS]", ""), ("<|python_tag|>", "<|eom_id|>"))
            for one in ({"name": "output", "arguments": {"n": 3}}, {"name": "output", "arguments": GOOD},
                        {"type": "function", "function": {"name": "output", "arguments": {"n": 3}}},
                        [{"name": "output", "parameters": {"n": 3}, "id": "0"}])
        ),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("engine", BOTH)
def test_the_answer_is_read_wherever_it_stands(go, message, engine):
    result, sent = go(says(message), engine=engine)
    assert result.output == {"n": 3}
    assert len(sent) == 1


BY_NAME = (
    "<function=output>\n<parameter=n>\n3\n</parameter>\n</function>",
    "<tool_call>\n<function=output>\n<parameter=n>\n3\n</parameter>\n</function>\n</tool_call>",
    "<tool_call>output\n<arg_key>n</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
    '<function_calls>\n<invoke name="output">\n<parameter name="n">3</parameter>\n</invoke>\n</function_calls>',
    '<minimax:tool_call>\n<invoke name="output">\n<parameter name="n">3</parameter>\n</invoke>\n</minimax:tool_call>',
)
"""A call whose arguments stand one by one: of Qwen, GLM, Claude and MiniMax."""


@pytest.mark.parametrize("text", BY_NAME)
def test_the_arguments_of_a_call_in_marks_are_the_answer(go, text):
    result, sent = go(says({"content": text}))
    assert (result.output, len(sent)) == ({"n": 3}, 1)
    assert "tool-call" in result.attempts[0].repairs
    other = text.replace("=n>", "=city>").replace('"n"', '"city"').replace("<arg_key>n<", "<arg_key>city<")
    cut = text[: text.index("3") + 1]
    for wrong in (other, cut, f"{text}\n{text.replace('3', '4')}"):
        result, sent = go(says({"content": wrong}), says({"content": '{"n": 5}'}))
        assert (result.output, len(sent)) == ({"n": 5}, 2), wrong


def test_the_arguments_of_a_call_keep_their_texts(go):
    arguments = '<parameter=t>\n a {x}\n[1]\n</parameter>\n<parameter=l>\n["b"]\n</parameter>\n<parameter=b>\ntrue\n'
    output = (
        "{type: object, properties: {t: {type: string}, l: {type: array}, b: {type: boolean}}, required: [t, l, b]}"
    )
    result, _ = go(says({"content": f"<function=output>\n{arguments}</parameter>\n</function>"}), output=output)
    assert result.output == {"t": " a {x}\n[1]", "l": ["b"], "b": True}


# --- a stream that nobody asked for -------------------------------------------------------------------------------


def chunk(delta: dict[str, Any], finish: str | None = None, **beside: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **beside}


def sse(*events: dict[str, Any], end: str = "data: [DONE]\n\n", line: str = "data: {}\n\n") -> Reply:
    text = "".join(line.replace("{}", json.dumps(event)) for event in events) + end
    return Reply(body=text, headers={"Content-Type": "text/event-stream"})


HALVES = (chunk({"role": "assistant", "content": ""}), chunk({"content": '{"n":'}), chunk({"content": " 3}"}))
LAST = (chunk({}, "stop"), {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                            "usage": USAGE})  # fmt: skip
CALLED = [{"index": 0, "id": "c", "type": "function", "function": {"name": "output", "arguments": '{"n":'}}]
STREAMS: dict[str, Reply] = {
    "events": sse(*HALVES, *LAST),
    "no blank lines": sse(*HALVES, *LAST, end="data:[DONE]\n", line="data:{}\n"),
    "carriage returns and comments": sse(*HALVES, *LAST, line=": PROCESSING\r\n\r\nevent: x\r\nid: 1\r\ndata: {}\r\n\r\n"),
    "lines of JSON": sse(*HALVES, *LAST, end="", line="{}\n"),
    "nothing between": sse(*HALVES, *LAST, end="", line="{}"),
    "no end": sse(*HALVES, *LAST, end=""),
    "no reason": sse(*HALVES, LAST[1]),
    "one event": sse(says({"content": GOOD}).body),
    "a comment before all of it": sse(says({"content": GOOD}, "").body, end="", line=": PROCESSING\n\n{}"),
    "a piece alone": Reply(body=chunk({"content": GOOD}, "stop", usage=USAGE)),
    "parts": sse(chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": '{"n": 1}'}]}]}),
                 chunk({"content": [{"type": "text", "text": '{"n":'}]}), chunk({"content": " 3}"}), *LAST),
    "a call": sse(chunk({"role": "assistant", "content": None, "tool_calls": CALLED}),
                  chunk({"tool_calls": [{"index": 0, "function": {"arguments": " 3}", "name": ""}}]}), *LAST),
    "thought": sse(chunk({"reasoning_content": '{"n"'}), chunk({"reasoning_content": ": 1}"}), *HALVES, *LAST),
    "long": sse(chunk({"reasoning_content": "hm " * 5000}), *HALVES, *LAST),
}  # fmt: skip


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("reply", STREAMS.values(), ids=STREAMS)
def test_a_stream_that_nobody_asked_for_is_one_answer(go, reply, engine):
    result, sent = go(reply, engine=engine)
    assert (result.output, len(sent)) == ({"n": 3}, 1)
    assert sent[0].body.get("stream") in (None, False)
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (11, 7)


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (sse(*HALVES[:2], end=""), "broke off its answer (finish reason `incomplete`)"),
        (sse(*HALVES, {"error": {"code": 502, "message": "the upstream is gone"}}), "the upstream is gone"),
        (
            sse(*HALVES, chunk({"content": ""}, "error") | {"error": {"message": "the upstream is gone"}}),
            "the upstream",
        ),
        (sse({"error": {"message": "the upstream is gone", "code": 503}}), "the upstream is gone"),
        (sse(end="data: not JSON\n"), "not a completion"),
    ],
    ids=str,
)
def test_a_stream_that_breaks_off_is_told_and_sent_for_again(go, reply, words, engine):
    error, sent = go(reply, engine=engine)
    assert isinstance(error, ProviderError), error
    assert words in error.message
    assert len(sent) == 3


def test_a_stream_of_ollama_and_of_claude(go):
    half = {"model": "m", "message": {"role": "assistant", "content": '{"n":'}, "done": False}
    last = {"model": "m", "message": {"role": "assistant", "content": " 3}"}, "done": True, "done_reason": "stop",
            "prompt_eval_count": 11, "eval_count": 7}  # fmt: skip
    result, sent = go(sse(half, last, end="", line="{}\n"), model="ollama/m", path="")
    assert (result.output, result.usage.total_tokens, len(sent)) == ({"n": 3}, 18, 1)
    error, sent = go(sse(half, end="", line="{}\n"), model="ollama/m", path="")
    assert ("`incomplete`" in error.message, len(sent)) == (True, 3)
    text = {"type": "content_block_delta", "index": 0}
    events = (
        {"type": "message_start", "message": json.loads(json.dumps(claude("", "end_turn", 1).body))},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {**text, "delta": {"type": "text_delta", "text": '{"n":'}},
        {"type": "ping"},
        {**text, "delta": {"type": "text_delta", "text": " 3}"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    )
    result, sent = go(sse(*events, end=""), model="anthropic/claude-opus-4-7")
    assert (result.output, result.usage.completion_tokens, len(sent)) == ({"n": 3}, 7, 1)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [call(GOOD), call('{"n": 4}')]},
        {"content": GOOD, "tool_calls": [call('{"n": 4}')]},
        {"content": 'So: {"n": 4}', "tool_calls": [call(GOOD)]},
    ],
)
def test_two_calls_that_differ_are_two_answers(go, message):
    error, sent = go(says(message))
    assert isinstance(error, RetryExhaustedError)
    assert error.problems[0].keyword == "ambiguous"
    assert len(sent) == 3


COUNTS: dict[str, tuple[Any, tuple[int, int]]] = {
    "fractions": ({"prompt_tokens": 11.0, "completion_tokens": 7.5, "total_tokens": 18.5}, (11, 7)),
    "list": ([], (0, 0)),
    "null": (None, (0, 0)),
    "number": (18, (0, 0)),
    "words": ({"prompt_tokens": "many", "completion_tokens": None, "total_tokens": {}}, (0, 0)),
    "half": ({"prompt_tokens": 11, "completion_tokens": True, "prompt_tokens_details": [1]}, (11, 0)),
    "details": ({"prompt_tokens": 11, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": "x"}}, (11, 7)),
}  # fmt: skip


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(("usage", "expected"), COUNTS.values(), ids=COUNTS)
def test_what_is_no_count_of_tokens_is_none_and_harms_nothing(go, usage, expected, engine):
    body = {**says({"content": GOOD}).body, "usage": usage}
    result, sent = go(Reply(body=body), engine=engine)
    assert result.output == {"n": 3}
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == expected
    assert len(sent) == 1


# --- no answer, or not all of it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>three, I think</think>"},
        {"content": "", "reasoning_content": "3?"},
        {"content": None, "reasoning": "3?"},
        {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "3?"}]},
        {"content": "<thought>three</thought>\n"},
        {"content": "[THINK]three[/THINK]"},
        {"content": "<scratchpad>three</scratchpad>"},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", BOTH)
def test_a_model_that_only_thought_is_asked_again_with_what_was_wrong(go, message, engine):
    result, sent = go(says(message), says({"content": GOOD}), engine=engine)
    assert result.output == {"n": 3}
    assert "the answer is empty" in sent[1].body["messages"][-1]["content"]
    error, sent = go(says(message), engine=engine)
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
        *({"choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": content},
                        "error": {"code": 502, "message": "quota of the cluster is used up"}}]}
          for content in ("", '{"n": ', GOOD)),
        {**says({"content": '{"n": '}).body, "error": {"message": "quota of the cluster is used up"}},
        {**says({"content": None, "tool_calls": [call(GOOD)]}).body, "error": "quota of the cluster is used up"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("engine", BOTH)
def test_a_failure_inside_a_good_answer_is_told(go, body, engine):
    error, sent = go(Reply(body=body), engine=engine)
    assert "quota of the cluster is used up" in str(error)
    assert len(sent) == 3


@pytest.mark.parametrize("value", [r"C:\temp", r"Save to C:\reports"])
def test_a_path_of_one_step_goes_back_to_the_model(go, value):
    result, sent = go(says({"content": f'{{"n": 3, "path": "{value}"}}'}), says({"content": GOOD}))
    assert (result.output, len(sent)) == ({"n": 3}, 2)


def test_an_answer_that_is_full_and_broken_off_was_cut_whatever_is_said(go):
    usage = {"prompt_tokens": 11, "completion_tokens": 20, "total_tokens": 31}
    error, sent = go(says({"content": '{"n": '}, "stop", usage), params="{max_tokens: 20}")
    assert "max_tokens" in f"{error} {error.recovery_hint}"
    assert len(sent) == 2


# --- why it ended -------------------------------------------------------------------------------------------------

GAVE_UP = (
    "insufficient_system_resource",
    "abort",
    "network_error",
    "error",
    "cancelled",
    "engine_overloaded",
    "TIMEOUT",
)


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("word", GAVE_UP)
def test_an_answer_that_the_server_broke_off_is_asked_for_again(go, word, engine):
    cut = says({"content": '{"n": '}, word)
    result, sent = go(cut, says({"content": GOOD}), engine=engine)
    assert (result.output, len(sent), len(result.attempts)) == ({"n": 3}, 2, 1)
    error, sent = go(cut, engine=engine)
    assert type(error) is ProviderError
    assert f"`{word}`" in error.message
    assert "The server gave up" in error.recovery_hint
    assert len(sent) == 3


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("word", ["abort", "repetition_of_nothing", "some_new_word"])
def test_a_whole_answer_is_taken_with_a_warning_only_where_its_end_does_not_say_that_more_would_follow(
    go, word, engine
):
    result, sent = go(says({"content": GOOD}, word), engine=engine)
    if word.startswith("repetition"):
        assert isinstance(result, RetryExhaustedError)
        return
    assert (result.output, len(sent)) == ({"n": 3}, 1)
    assert result.attempts[0].completion.finish_reason == word
    assert f"ended with `{word}`" in result.warnings[0]


def test_of_a_text_nobody_sees_whether_it_is_whole(go):
    output = "{type: string}"
    error, sent = go(says({"content": "one two"}, "network_error"), output=output)
    assert (type(error), len(sent)) == (ProviderError, 3)
    error, sent = go(says({"content": "one two"}, "some_new_word"), output=output)
    assert (type(error), len(sent)) == (RetryExhaustedError, 2)
    assert "ended with `some_new_word`" in error.message
    error, sent = go(says({"content": "one two"}, "RECITATION"), output=output)
    assert (type(error), len(sent)) == (RequestRefusedError, 1)
    assert "withheld its answer: the content filter stopped it, after: one two" in error.message
    result, _ = go(says({"content": "one two"}, "eos_token"), output=output)
    assert (result.output, result.warnings) == ("one two", ())


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("text", ['{"n": ', GOOD])
def test_a_window_that_is_full_asks_for_a_shorter_input(go, text, engine):
    error, sent = go(says({"content": text}, "model_context_window_exceeded"), engine=engine)
    assert type(error) is ContextWindowExceededError
    assert "Shorten the input" in error.recovery_hint
    assert "max_tokens" not in error.recovery_hint
    assert len(sent) == 1


def test_the_same_of_claude(go):
    error, sent = go(claude('{"n": ', "model_context_window_exceeded"), model="anthropic/claude-sonnet-4-5")
    assert type(error) is ContextWindowExceededError
    assert "Shorten the input" in error.recovery_hint
    assert len(sent) == 1


@pytest.mark.parametrize("word", ["repetition_truncation", "repetition"])
def test_an_answer_that_repeats_itself_is_told_so(go, word):
    error, sent = go(says({"content": '{"n": 1, "m": [1, 1, 1, '}, word))
    assert isinstance(error, RetryExhaustedError)
    assert "repeated itself" in sent[1].body["messages"][-1]["content"]
    assert "maxItems" in error.recovery_hint
    assert "max_tokens" not in error.recovery_hint
    assert len(sent) == 2


def test_a_limit_is_told_with_where_it_comes_from(go):
    cut = answer('{"n": ', finish_reason="length", completion_tokens=10)
    error, sent = go(cut, params="{max_tokens: 50}")
    assert "`max_tokens` is 50" in error.message
    assert error.recovery_hint.startswith("Raise `max_tokens` under `llm_params`")
    error, sent = go(cut)
    assert "max_tokens" not in sent[0].body
    assert "The file sets no `max_tokens`" in error.recovery_hint
    assert "`max_tokens` is" not in error.message
    error, _ = go(answer("", finish_reason="length", completion_tokens=10))
    assert "server allows were spent before the answer began" in error.recovery_hint
    error, _ = go(answer("", finish_reason="length", completion_tokens=50), params="{max_tokens: 50}")
    assert "The 50 of `max_tokens` were spent" in error.recovery_hint


# --- no completion at all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (HTML, "a web page: 502 Bad Gateway"),
        (Reply(body="<!DOCTYPE html><html><head><title>Sign in to the hotel</title></head></html>"), "Sign in to the hotel"),
        (Reply(body="\n<h1>It works!</h1>"), "It works!"),
        (Reply(body="It works!"), "It works!"),
        (Reply(body="OK", headers={"Content-Type": "text/plain"}), "OK"),
        (Reply(body={"hello": "world"}), "hello"),
        (Reply(body=["a"]), ""),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_completion_is_asked_for_once_and_names_the_address(go, reply, words, engine):
    error, sent = go(reply, path="/api", engine=engine)
    assert type(error) is ProviderError
    assert words in error.message
    assert "Check `llm.api_base`, which is http://127.0.0.1:" in error.recovery_hint
    assert "/api/v1" in error.recovery_hint
    assert len(sent) == 1


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("status", "expected", "count"),
    [
        *((status, ProviderError, 3) for status in (408, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529, 598)),
        *((status, ProviderConnectionError, 1) for status in (301, 302, 307, 308, 405, 501, 407, 511)),
        *((status, ProviderError, 1) for status in (401, 403, 406, 410, 418, 421, 426, 451, 505, 508)),
    ],
)
def test_only_what_may_heal_is_sent_again(go, status, expected, count, engine):
    headers = {"Location": "https://elsewhere.example/login?token=abc"} if status in range(300, 400) else {}
    error, sent = go(Reply(status=status, body={"detail": "the words of it"}, headers=headers), engine=engine)
    assert isinstance(error, expected), error
    assert error.retryable is (count == 3)
    assert ("https://elsewhere.example" if headers else "the words of it") in error.message
    assert "token=abc" not in f"{error.payload()}"
    assert len(sent) == count


# --- an answer in text ----------------------------------------------------------------------------------------------

TEXT = "{type: string}"
AS_TEXT = (
    '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>', '[TOOL_CALLS][{"name": "f", "arguments": {}}]',
    '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}', "<function=f>\n<parameter=a>\n1\n</parameter>\n</function>",
    "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>", '<|python_tag|>{"name": "f"}<|eom_id|>',
    "f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>", '<function=f>{"a": 1}</function>',
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "<|tool_calls_section_begin|><|tool_call_begin|>f:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
    '<minimax:tool_call>\n<invoke name="f">\n</invoke>\n</minimax:tool_call>', '<|tool_call|>[{"name": "f"}]',
    'functools[{"name": "f", "arguments": {}}]', '<function_calls>\n<invoke name="f">\n</invoke>\n</function_calls>',
    "```tool_code\nprint(f(1))\n```", 'commentary to=functions.f json{"a": 1}', '<tool_call>[{"name": "f"}]</tool_call>',
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}<|call|>",
    'analysisHm.assistantcommentary to=functions.f json{"a": 1}',
    'I look it up.\n<tool_call>\n{"name": "f"}\n</tool_call><|im_end|>', '<think>f?</think><tool_call>{"name": "f"}</tool_call>',
    '```xml\n<tool_call>{"name": "f"}</tool_call>\n```',
)  # fmt: skip
CALLS: tuple[dict[str, Any], ...] = (
    {"content": None, "tool_calls": [call('{"city": "Rome"}')]},
    {"content": "", "tool_calls": [call('{"city": "Rome"}')]},
    {"content": "I look it up.", "tool_calls": [call('{"city": "Rome"}')]},
    {"content": None, "function_call": {"name": "search", "arguments": "{}"}},
    {"content": None, "tool_calls": [{"function": {"name": "search", "arguments": {}}}]},
)


@pytest.mark.parametrize("message", [*CALLS, *({"content": one} for one in AS_TEXT)], ids=str)
def test_the_call_of_a_tool_is_no_text(go, message):
    result, sent = go(says(message), says({"content": "Sunny."}), output=TEXT)
    assert (result.output, len(sent)) == ("Sunny.", 2)
    assert "the model called a tool" in sent[1].body["messages"][-1]["content"]


def test_the_same_through_litellm_and_of_ollama(go):
    result, sent = go(says(CALLS[0]), says({"content": "Sunny."}), output=TEXT, engine="litellm")
    assert (result.output, len(sent)) == ("Sunny.", 2)
    body = {
        "model": "m",
        "message": {"role": "assistant", **CALLS[4], "content": ""},
        "done": True,
        "done_reason": "stop",
    }
    done = {**body, "message": {"role": "assistant", "content": "Sunny."}}
    result, sent = go(Reply(body=body), Reply(body=done), output=TEXT, model="ollama/m", path="")
    assert (result.output, len(sent)) == ("Sunny.", 2)
    assert "the model called a tool" in sent[1].body["messages"][-1]["content"]


@pytest.mark.parametrize("message", [CALLS[0], CALLS[3], {"content": AS_TEXT[0]}], ids=str)
def test_a_tool_whose_arguments_do_not_fit_is_told_to_be_one(go, message):
    error, sent = go(says(message))
    assert "the model called a tool" in error.message
    assert "the model called a tool" in sent[1].body["messages"][-1]["content"]


STAYS = (
    "The mark <tool_call> opens a call.", "<tool_call> is a mark.\nSee the docs.", "Price: <s>10</s>",
    "```\n<tool_call>{}</tool_call>\n```\nis how it looks.", "A turn ends with <|im_end|> there.", "a</s></s> b",
    "<response><item>1</item></response>", "Hi <reason>a</reason>", "Here is my response: Hi",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>", '<x><reason a="1">b</reason></x>',
)  # fmt: skip
EDGES: dict[str, tuple[str, ...]] = {
    "<think>a</think><answer>Hi</answer>": ("tag",),  # `<think>` is known to the engine
    "<thought>a</thought><answer><b>Hi</b></answer>": ("thinking", "tag"),
    "<thought>a</thought><response><b>Hi</b></response>": ("thinking", "tag"),
    "<response>\nHi\n</response>": ("tag",),
    "<|begin_of_box|>Hi<|end_of_box|>": ("tag",),
    **{
        f"Hi{mark}": ("turn-mark",)
        for mark in ("<|im_end|>", "</s>", "\n<|eot_id|>", "<end_of_turn>\n", "<|im_end|></s>")
    },
    "Hi<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\nNo": ("turn-mark",),
    "Hi<end_of_turn>\n<start_of_turn>user\nMore": ("turn-mark",),
    "<|im_start|>assistant\nHi": ("turn-mark",),
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>": ("turn-mark",),
    "analysisWe think.assistantfinalHi": ("thinking",),
    "<|inner_prefix|>a<|inner_suffix|>Hi": ("thinking",),
    "[unused16]a[unused17]Hi": ("thinking",),
    "Here is my thought process: a\n\nHere is my response: Hi": ("thinking",),
    **{f"<{name}>a</{name}>Hi": ("thinking",) for name in ("analysis", "reason", "inner_monologue", "think_fast")},
    "<|thinking|>a<|/thinking|>Hi": ("thinking",),
}


@pytest.mark.parametrize("text", [*STAYS, *EDGES])
def test_marks_are_taken_off_at_the_edges_of_a_text_alone(go, text):
    result, sent = go(says({"content": text}), output=TEXT)
    named = tuple(EDGES.get(text, ()))
    hi = "<b>Hi</b>" if "<b>" in text else "Hi"
    assert (result.output, result.attempts[0].repairs) == (hi if named else text, named)
    assert len(sent) == 1


@pytest.mark.parametrize("text", [text for text, names in EDGES.items() if names == ("thinking",)])
def test_the_same_reasoning_holds_no_json(go, text):
    result, sent = go(says({"content": text[: -len("Hi")].replace("a<", 'a {"n": 1}<') + GOOD}))
    assert (result.output, len(sent)) == ({"n": 3}, 1)


# --- what a 403 says -----------------------------------------------------------------------------------------------

FORBIDDEN: dict[str, str] = {
    "Country, region, or territory not supported": "does not serve where you are",
    "This service is unavailable to users from blocked countries": "does not serve where you are",
    "User location is not supported for the API use.": "does not serve where you are",
    "Your current plan does not include this model. Please upgrade.": "Your plan or its billing",
    "This API method requires billing to be enabled.": "Your plan or its billing",
    "You must accept the terms of use of this model in the console.": "Accept the terms",
    "Access to model meta-llama/Llama is restricted: it is gated": "Accept the terms",
    "Your organization must be verified to use the model `m`.": "verified",
    "Model access is not enabled for this project": "Have the model enabled",
    "You don't have access to the model with the specified model ID.": "Have the model enabled",
    "Project `p` does not have access to model `m`": "Have the model enabled",
    "Generative Language API has not been used in project 1 before or it is disabled.": "Have the model enabled",
    "Your IP address is not on the allow list": "firewall",
    "Sorry, you have been blocked": "firewall",
    "The input was flagged by moderation": "reword",
    "Your prompt violates our usage policy": "reword",
}


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(("words", "hint"), FORBIDDEN.items())
def test_a_403_is_told_by_what_it_says(go, words, hint, engine):
    error, sent = go(failure(403, words), engine=engine)
    assert type(error) is RequestRefusedError, error
    assert words[:40] in error.message
    assert hint in error.recovery_hint
    assert "the key" not in error.message
    assert "schema" not in error.recovery_hint
    assert len(sent) == 1


@pytest.mark.parametrize("engine", BOTH)
def test_a_403_that_says_nothing_is_not_told_to_be_about_the_key(go, engine):
    error, sent = go(failure(403, "Forbidden"), engine=engine)
    assert "refused access (HTTP 403): Forbidden" in error.message
    assert len(sent) == 1
    error, _ = go(failure(403, "Invalid API key"), engine=engine)
    assert "refused the key" in error.message
    error, sent = go(failure(403, "Rate limit exceeded"), engine=engine)
    assert (type(error), len(sent)) == (RateLimitError, 1)


FILTERS = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "Content Exists Risk", "Input data may contain inappropriate content.", "Output blocked by content filtering policy",
    "Content violates usage guidelines.", "Your request was rejected as a result of our safety system.",
    "PROHIBITED_CONTENT", "Guardrail was enforced", "The prompt was blocked", "data_inspection_failed",
)  # fmt: skip


@pytest.mark.parametrize("words", FILTERS)
def test_a_filter_costs_one_request_and_its_hint_is_not_about_the_schema(go, words):
    error, sent = go(failure(400, words))
    assert type(error) is RequestRefusedError
    assert "reword the prompt" in error.recovery_hint
    assert len(sent) == 1


@pytest.mark.parametrize("reply", [says({"content": None}, "content_filter"), says({"content": '{"n": '}, "SAFETY"),
                                   says({"content": None, "refusal": "No."})])  # fmt: skip
def test_a_refusal_hints_at_the_prompt(go, reply):
    error, _ = go(reply)
    assert "reword the prompt" in error.recovery_hint
    assert "schema" not in error.recovery_hint


# --- a parameter that is refused -----------------------------------------------------------------------------------


def refused_of(message: str, param: str | None = None, status: int = 400) -> Reply:
    return Reply(status=status, body={"error": {"message": message, "type": "invalid_request_error", "param": param}})


IN_A_LIST = (
    "m does not support parameters: ['temperature']", "unsupported parameters: [temperature]",
    "unknown arguments: [top_p, temperature]", "The following parameters are not supported: temperature, top_k",
    "Unrecognized request arguments supplied: temperature", "extra fields not permitted: top_k, temperature",
    "Parameter <temperature> is invalid", "\u00abtemperature\u00bb is not supported", "Invalid field (temperature)",
    "\u2018temperature\u2019 is unknown", "Invalid value at 'generation_config.temperature' (TYPE_FLOAT)",
    "does not support parameters: {'temperature': 0.2}", "not supported with this model: temperature.",
)  # fmt: skip


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("reply", "params", "named"),
    [
        (refused_of("Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"), "{temperature: 0.2}", "temperature"),
        (refused_of("Unsupported value", "temperature"), "{temperature: 0.2}", "temperature"),
        (refused_of("Unsupported value: 'temperature' does not support 0.2 with this model."), "{temperature: 0.2}", "temperature"),
        (refused_of("temperature must be 1 here", status=422), "{temperature: 0.2}", "temperature"),
        (refused_of("max_tokens is too large: 99999", "max_tokens"), "{max_tokens: 99999}", "max_tokens"),
        (refused_of("max_completion_tokens is too large", "max_completion_tokens"), "{max_tokens: 99999}", "max_tokens"),
        (refused_of("bad", "stop[0]"), "{stop: [a]}", "stop"),
        *((refused_of(words), "{temperature: 0.2}", "temperature") for words in IN_A_LIST),
        (Reply(status=422, body={"detail": [{"loc": ["body", "top_p"], "msg": "ensure this value is less than 1"}]}), "{top_p: 0.9}", "top_p"),
    ],
)  # fmt: skip
def test_a_parameter_that_is_refused_is_named_and_costs_no_second_request(go, reply, params, named, engine):
    error, sent = go(reply, params=params, engine=engine)
    assert type(error) is RequestRefusedError
    assert f"refused the parameter `{named}`" in error.message
    assert error.details["parameter"] == named
    assert f"`{named}` under `llm_params`, which is" in error.recovery_hint
    assert len(sent) == 1


@pytest.mark.parametrize("param", ["response_format", "response_format.json_schema.schema", None])
def test_a_form_that_is_refused_is_not_taken_for_a_parameter(go, param):
    reply = refused_of("Invalid value", param)
    result, sent = go(reply, answer(GOOD), params="{temperature: 0.2}")
    assert (result.output, len(sent)) == ({"n": 3}, 2)


# --- errors in other shapes ----------------------------------------------------------------------------------------

SHAPES: list[Any] = [
    {"errors": [{"message": "the words of it"}]}, {"errors": ["the words of it"]}, {"errors": {"model": ["the words of it"]}},
    {"detail": "the words of it"}, {"detail": [{"loc": ["body", "model"], "msg": "the words of it"}]},
    {"message": "the words of it"}, {"Message": "the words of it"}, {"error": "the words of it"},
    {"error": {"message": "the words of it"}}, {"error": {"code": 1, "reason": "the words of it"}},
    [{"error": {"message": "the words of it"}}], {"error_msg": "the words of it", "error_code": 17},
    {"title": "Bad", "detail": "the words of it"}, {"fault": {"faultstring": "the words of it"}},
    {"error": {"errors": [{"message": "the words of it"}]}},
]  # fmt: skip


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("body", SHAPES, ids=str)
def test_the_words_of_an_error_are_told_in_whatever_shape_it_comes(go, body, engine):
    error, sent = go(Reply(status=451, body=body), engine=engine)
    assert type(error) is RequestRefusedError
    assert "(HTTP 451): " in error.message
    assert "the words of it" in error.message
    assert "{" not in error.message
    assert len(sent) == 1


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"error": {"code": 400, "message": "the words of it"}}, 1),
        ({"error": {"code": "403", "message": "the words of it"}}, 1),
        ({"error": "the words of it"}, 3),
        ({"errors": [{"message": "the words of it"}]}, 3),
        ({"message": "the words of it", "status": 404}, 1),
        ({"base_resp": {"status_code": 1004, "status_msg": "the words of it"}, "choices": None}, 3),
        (
            {
                "success": False,
                "errors": [{"code": 7003, "message": "the words of it"}],
                "messages": [],
                "result": None,
            },
            3,
        ),
        ({"error": "Unexpected endpoint or method. (POST /chat/completions): the words of it"}, 1),
    ],
    ids=str,
)
def test_a_failure_inside_a_good_answer_is_judged_by_the_status_that_it_tells(go, body, count, engine):
    error, sent = go(Reply(body=body), engine=engine, output="{type: string}")
    assert isinstance(error, RunllmError)
    assert "the words of it" in error.message
    assert len(sent) == count


def test_a_server_that_is_not_signed_in_is_told_how(go):
    body = {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=host&key=abc"}
    error, sent = go(Reply(status=401, body=body), model="ollama/m:cloud", path="")
    assert (type(error), len(sent)) == (AuthenticationError, 1)
    assert "not signed in" in error.message
    assert error.recovery_hint == "Sign in with `ollama signin`, then run again."
    assert "key=abc" not in f"{error.payload()}"


def test_an_empty_error_beside_an_answer_is_none(go):
    result, _ = go(Reply(body={**says({"content": GOOD}).body, "error": {"message": "", "code": None}}))
    assert result.output == {"n": 3}


# --- what is wrong, in rarer words ----------------------------------------------------------------------------------

TOO_LONG = (
    (400, "The input (9000 tokens) is longer than the model's context length (4096 tokens)."),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000"),
    (400, "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with 4096"),
    (400, "Input is too long for requested model."), (400, "too many tokens: total tokens must be less than 4096"),
    (422, "This model must have less than 4096 tokens"), (400, "This model's maximum prompt length is 4096 but"),
    (400, "Input token count 9000 exceeds the limit of 4096"), (400, "Range of input length should be [1, 4096]"),
    (400, "litellm.ContextWindowExceededError: litellm.BadRequestError: no"), (500, "context shift is disabled"),
    (200, "Prompt exceeds max length"), (413, "Request Entity Too Large"),
)  # fmt: skip


@pytest.mark.parametrize(("status", "words"), TOO_LONG)
def test_a_prompt_that_is_too_long_is_told_in_any_words_and_once(go, status, words):
    body = {"error": {"code": "1261", "message": words}}
    error, sent = go(Reply(status=status, body=body))
    assert (type(error), len(sent)) == (ContextWindowExceededError, 1), error


CODES: tuple[tuple[int, dict[str, Any], type[RunllmError], str], ...] = (
    (400, {"code": "context_length_exceeded"}, ContextWindowExceededError, ""),
    (400, {"type": "context_length_exceeded"}, ContextWindowExceededError, ""),
    (400, {"code": "model_decommissioned"}, ModelNotFoundError, ""), (404, {"code": "model_not_found"}, ModelNotFoundError, ""),
    (400, {"code": "model_not_found"}, ModelNotFoundError, ""), (404, {"code": "DeploymentNotFound"}, ModelNotFoundError, ""),
    (404, {"code": "deployment_not_found"}, ModelNotFoundError, ""), (400, {"code": "model-deprecated"}, ModelNotFoundError, ""),
    (400, {"type": "invalid_model"}, ModelNotFoundError, ""), (403, {"code": "model_not_available"}, ModelNotFoundError, ""),
    (429, {"code": "insufficient_quota"}, RequestRefusedError, "Add credit"),
    (429, {"type": "billing_not_active"}, RequestRefusedError, "Add credit"),
    (400, {"code": "invalid_api_key"}, AuthenticationError, ""), (400, {"status": "API_KEY_INVALID"}, AuthenticationError, ""),
    (400, {"code": "content_policy_violation"}, RequestRefusedError, "reword"),
    (403, {"code": "unsupported_country_region_territory"}, RequestRefusedError, "where you are"),
)  # fmt: skip


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(("status", "code", "kind", "hint"), CODES, ids=str)
def test_the_code_of_an_error_says_it_alone(go, status, code, kind, hint, engine):
    error, sent = go(Reply(status=status, body={"error": {"message": "Please look at it.", **code}}), engine=engine)
    assert (type(error), len(sent)) == (kind, 1), error
    assert hint in (error.recovery_hint or "")
    error, sent = go(Reply(status=status, body={"message": "Please look at it.", **code}))
    assert (type(error), len(sent)) == (kind, 1), error


FINAL = (
    (403, "Your newly created team doesn't have any credits yet.", "Add credit"), (400, "Budget has been exceeded!", "Add credit"),
    (429, "Budget has been exceeded! Current cost: 1", "Add credit"), (400, "Arrearage: Access denied", "Add credit"),
    (429, "you have used up your daily free allocation of 10,000 neurons", "tomorrow"),
    (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000", "Shorten the input"),
    (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000", "raise the limit"),
    (429, "Rate limit exceeded: free-models-per-day", "tomorrow"), (429, "Rate limit reached on requests per day (RPD)", "tomorrow"),
    (500, "model requires more system memory (9 GiB) than is available (4 GiB)", "smaller model"),
    (500, "raise_exception('System role not supported')", "one turn"), (200, "Not authenticated", ""),
    (400, "The model `x` has been decommissioned and is no longer supported.", ""), (400, "No models loaded. Please load one", ""),
    (400, "The requested model 'x' is not supported by any provider you have enabled.", ""),
    (400, "Invocation of model ID x with on-demand throughput isn't supported.", ""),
    (404, "The API deployment for this resource does not exist.", ""),
)  # fmt: skip


@pytest.mark.parametrize(("status", "words", "hint"), FINAL)
def test_what_waiting_does_not_mend_is_asked_for_once(go, status, words, hint):
    error, sent = go(Reply(status=status, body={"detail": words} if status == 200 else {"error": {"message": words}}))
    assert (error.retryable, len(sent)) == (False, 1), error
    assert hint in (error.recovery_hint or "")


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after-ms": "1500"}, "slow", 1.5), ({"Retry-After": "7"}, "try again in 2s", 7),
        ({}, "Please try again in 3.2s.", 3.2), ({}, "Please try again in 7m12s.", 432),
        ({}, 'slow", "retryDelay": "34s', 34), ({}, "Please retry in 250 ms", 0.25), ({}, "Try again in 2 minutes", 120),
    ],
)  # fmt: skip
def test_the_wait_is_read_wherever_it_is_told(go, headers, words, seconds):
    error, _ = go(Reply(status=429, body=f'{{"error": {{"message": "{words}"}}}}', headers=headers))
    assert error.details["retry_after"] == pytest.approx(seconds)


def test_a_parameter_is_known_by_its_other_names(go):
    error, sent = go(
        refused_of("Argument not supported on this model: presencePenalty"), params="{presence_penalty: 0.5}"
    )
    assert (error.details["parameter"], len(sent)) == ("presence_penalty", 1)
    error, sent = go(refused_of('"m" does not support thinking'), params="{reasoning_effort: low}")
    assert (error.details["parameter"], len(sent)) == ("reasoning_effort", 1)


def test_an_answer_of_the_older_endpoint_is_read_and_thought_in_parts_is_told(go):
    body = {"id": "x", "object": "text_completion", "choices": [{"index": 0, "text": GOOD, "finish_reason": "stop"}]}
    result, sent = go(Reply(body=body))
    assert (result.output, len(sent)) == ({"n": 3}, 1)
    error, sent = go(says({"content": [{"type": "thinking", "thinking": "3?"}]}))
    assert "reasoning_effort" in error.recovery_hint


def test_a_refusal_that_echoes_the_prompt_is_cut(go):
    error, _ = go(failure(400, "no: " + "a b c " * 200))
    assert len(error.message) < 300
