"""A run sends what `--dry-run` shows, through the real LiteLLM to a server on this machine; what differs is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, answer, failure

import runllm
from runllm.diagnostics import Problem
from runllm.engines import parameters
from runllm.errors import LLMParamValidationError
from runllm.results import Endpoint, Request

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "tools" / "gen_parameters.py"
APP = """---
rllm: "0.2"
name: sent
input: {{ text: text }}
returns: {{ n: integer }}
llm: {{ model: "{model}", api_base: "{base}", num_retries: 0, fallbacks: [{fallbacks}] }}
llm_params: {params}
---
{{{{ input.text }}}}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    monkeypatch.setenv("RUNLLM_LOOPBACK_ONLY", "1")
    for name in ("OPENAI", "ANTHROPIC", "MISTRAL", "XAI"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-0123456789abcdef")


@pytest.fixture
def provider():
    with Provider(answer('{"n": 1}')) as server:
        yield server


@pytest.fixture
def write(tmp_path: Path, provider: Provider):
    def write(model: str, params: dict[str, Any], fallbacks: str = "") -> Path:
        path = tmp_path / "sent.rllm"
        base = provider.root if model.startswith("anthropic") else provider.base
        text = APP.format(model=model, base=base, params=json.dumps(params), fallbacks=fallbacks)
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --- the table and LiteLLM ----------------------------------------------------------------------------------


def expected(model: str, kind: str) -> dict[str, Any]:
    """What the table says of a model, by rule."""
    case = parameters._case(model, {})
    assert case is not None, model
    return {rule: said for rule, said in case.rules(kind) if rule not in ("messages", "schema")}


@pytest.mark.timeout(300)
def test_the_table_says_what_litellm_does():
    """For models of all providers, each parameter and value tried; `make soak` tries every model."""
    done = subprocess.run(
        [sys.executable, str(GENERATOR), "--sample", "8"],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert len(found) >= 4
    for model, rules in found.items():
        refused = {rule: effect for rule, effect in rules.items() if str(effect).startswith("refused")}
        said = {
            rule: f"refused unless {unless}" if unless else "refused"
            for rule, unless in expected(model, "refused").items()
        }
        assert said == refused, model
        assert expected(model, "changed") == {rule: rules[rule] for rule in rules.keys() - refused.keys()}, model


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_committed_table_is_what_the_generator_writes():
    """Else run `python tools/gen_parameters.py`."""
    subprocess.run([sys.executable, str(GENERATOR), "--check"], check=True, timeout=1800)


# --- runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "model", "params", "left_out"),
    [
        ("openai/gpt-4o", "openai/gpt-5", {"temperature": 0, "seed": 7}, {"temperature"}),
        ("openai/gpt-4o", "openai/gpt-5.5", {"temperature": 0, "stop": "x"}, {"temperature", "stop"}),
        ("openai/gpt-4o", "openai/o3-mini", {"temperature": 0, "top_p": 0.5}, {"temperature", "top_p"}),
        ("openai/gpt-5", "openai/gpt-4o", {"reasoning_effort": "low", "seed": 7}, {"reasoning_effort"}),
        ("anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-7", {"temperature": 0, "max_tokens": 50}, {"temperature"}),
        ("xai/grok-3", "xai/grok-4.5", {"stop": "x", "seed": 7}, {"stop"}),
    ],
)  # fmt: skip
def test_another_model_gets_what_it_takes_and_the_run_works(write, provider, own, model, params, left_out):
    """What is left out is a warning; all else arrives, and the dry run shows the same."""
    app = runllm.load(write(own, params), model=model, stats=False)
    shown = app.preview({"text": "hi"})
    result = app.run({"text": "hi"})
    assert result.output == {"n": 1}
    body = provider.chats[-1].body
    for name, value in params.items():
        sent = body.get(name, body.get("max_completion_tokens") if name == "max_tokens" else None)
        assert sent == (None if name in left_out else value), name
    assert {name for name in params if any(f"`{name}` is left out" in said for said in result.warnings)} == left_out
    assert shown.request is not None
    assert {name for name in params if name not in shown.request.params} == left_out
    assert sum("is left out" in note for note in shown.notes) == len(left_out)


def test_a_fallback_gets_what_it_takes(write, provider):
    """The file's own model gets all of it."""
    provider.script(failure(500), answer('{"n": 2}'))
    result = runllm.load(write("openai/gpt-4o", {"temperature": 0, "seed": 7}, "openai/gpt-5"), stats=False).run(
        {"text": "hi"}
    )
    first, second = (chat.body for chat in provider.chats)
    assert (first["temperature"], first["seed"]) == (0, 7)
    assert ("temperature" in second, second["seed"]) == (False, 7)
    assert [said for said in result.warnings if "openai/gpt-5" in said] == [
        "`temperature` is left out: `openai/gpt-5` does not take `temperature: 0`"
    ]


def underlined(problem: Problem) -> tuple[int, str]:
    """The line of a problem, and what its caret marks."""
    span = problem.span
    assert span is not None
    return span.line, span.text[span.column - 1 :][: span.length]


def test_of_its_own_model_the_file_is_told_what_to_write(write, provider):
    """At the parameter's place, before anything is sent; by validate, the dry run and the run."""
    path = write("openai/gpt-5", {"temperature": 0, "stop": "x"})
    app = runllm.load(path, stats=False)
    assert [underlined(one) for one in app.warnings] == [(7, '"temperature"'), (7, '"stop"')]
    with pytest.raises(LLMParamValidationError) as caught:
        app.run({"text": "hi"})
    refused = app.preview({"text": "hi"}).refusal()
    assert isinstance(refused, LLMParamValidationError)
    assert [one.message for one in caught.value.problems] == [one.message for one in refused.problems]
    assert underlined(caught.value.problems[0]) == (7, '"temperature"')
    assert "`temperature: 1`" in caught.value.problems[0].hint
    assert "drop_params" not in str(caught.value.problems)
    assert provider.chats == []


@pytest.mark.parametrize("model", ["openai/my-own", "openai/gpt-5-of-my-own", "hosted_vllm/m"])
def test_to_a_model_that_no_table_knows_all_is_sent(write, provider, model):
    """And nothing is said, though LiteLLM would refuse some of it for its name."""
    params = {"temperature": 0, "seed": 7, "stop": ["x"], "reasoning_effort": "low", "store": True, "max_tokens": 5000}
    app = runllm.load(write(model, params), stats=False)
    result = app.run({"text": "hi"})
    body = json.dumps(provider.chats[-1].body)
    assert result.output == {"n": 1}
    assert (app.warnings, result.warnings, result.attempts[0].notes) == ((), (), ())
    for said in ('"temperature": 0', '"seed": 7', '["x"]', '"store": true', "5000"):
        assert said in body
    assert len(provider.chats) == 1


@pytest.mark.parametrize(
    ("model", "params", "taken"),
    [
        ("anthropic/claude-new-9", {"seed": 7, "temperature": 0, "reasoning_effort": "low"}, {"temperature", "reasoning_effort"}),
        ("anthropic/claude-new-9", {"presence_penalty": 0.5, "logprobs": True, "stop": ["x"]}, {"stop"}),
        ("bedrock/anthropic.claude-new-9", {"seed": 7, "temperature": 0}, {"temperature"}),
        ("vertex_ai/claude-new-9", {"seed": 7}, set()),
        ("deepinfra/new-9", {"seed": 7, "logprobs": True, "thinking": {"type": "enabled"}}, {"thinking"}),
        ("mistral/new-9", {"frequency_penalty": 0.5, "seed": 7}, {"seed"}),
        ("openai/new-9", {"seed": 7, "logit_bias": {"5": 1}, "temperature": 0}, {"seed", "logit_bias", "temperature"}),
        ("openrouter/anthropic/claude-new-9", {"seed": 7}, {"seed"}),
        ("anthropic/claude-new-9", {"seed": 7, "allowed_openai_params": ["seed"]}, {"seed", "allowed_openai_params"}),
    ],
)  # fmt: skip
def test_of_a_model_that_no_table_knows_its_provider_still_takes_what_it_takes(model, params, taken):
    found = parameters.fit(Request(endpoint=Endpoint(model=model), messages=(), params=params))
    assert set(found.params) == taken
    assert {one.name for one in found.misfits} == params.keys() - taken
    assert all(f"`{model}` does not take `{one.name}`" in one.message for one in found.misfits)


@pytest.mark.parametrize(
    ("model", "params", "most"),
    [
        ("openai/gpt-4o", {"max_tokens": 16_385}, 16_384), ("openai/gpt-4o", {"max_completion_tokens": 99_999}, 16_384),
        ("openai/gpt-4o", {"max_tokens": 16_384}, None), ("openai/gpt-4", {"max_tokens": 5_000}, None),
        ("anthropic/claude-haiku-4-5", {"max_tokens": 64_001}, 64_000), ("gemini/gemini-2.5-flash", {"max_tokens": 99_999}, 65_536),
        ("anthropic/claude-haiku-4-5", {"max_tokens": 64_001, "extra_headers": {"anthropic-beta": "more"}}, None),
        ("deepseek/deepseek-chat", {"max_tokens": 10_000}, 8_192), ("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0", {"max_tokens": 10**6}, 64_000),
        ("openai/my-own", {"max_tokens": 10**6}, None), ("openrouter/openai/gpt-4o", {"max_tokens": 10**6}, None),
    ],
)  # fmt: skip
def test_more_tokens_than_a_model_writes_are_told(write, provider, model, params, most):
    """At the place of the parameter; for another model than the file's own they are left out."""
    (name, _), *_ = params.items()
    found = parameters.fit(Request(endpoint=Endpoint(model=model), messages=(), params=params))
    assert [one.hint for one in found.misfits] == ([f"Write `{name}: {most}` or less."] if most else [])
    assert (name in found.params) is (most is None)
    if model == "openai/gpt-4o" and most:
        app = runllm.load(write(model, params), stats=False)
        assert [underlined(one) for one in app.warnings] == [(7, f'"{name}"')]
        assert "answers with 16,384 tokens at the most" in app.warnings[0].message
        result = runllm.load(write("openai/my-own", params), model=model, stats=False).run({"text": "hi"})
        assert (result.output, result.warnings[0][: len(name) + 14]) == ({"n": 1}, f"`{name}` is left out")
        assert name not in provider.chats[-1].body


@pytest.mark.parametrize(
    ("model", "params", "arrives", "note"),
    [
        ("mistral/mistral-small-latest", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}, "sent as"),
        ("mistral/magistral-small-latest", {"reasoning_effort": "low"}, {"reasoning_effort": None}, "system prompt of its own"),
        ("anthropic/claude-haiku-4-5", {"reasoning_effort": "high", "max_tokens": 9000},
         {"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 9000}, "budget_tokens: 4096"),
        ("openai/o3-mini", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, "as if the user said it"),
    ],
)  # fmt: skip
def test_what_litellm_changes_is_told_by_the_dry_run_and_the_result(write, provider, model, params, arrives, note):
    app = runllm.load(write(model, params), stats=False)
    told = app.preview({"text": "hi"}).notes
    result = app.run({"text": "hi"})
    body = provider.chats[-1].body
    assert {name: body.get(name) for name in arrives} == arrives
    assert [note in said for said in told] == [True]
    assert told == result.attempts[0].notes
    contents = [message["content"] for message in body["messages"] if message["role"] == "system"]
    if "magistral" in model:
        assert "draft your thinking process" in contents[0]


def test_the_command_shows_it(write):
    """In the JSON of the dry run, on stderr for what is left out, and for what is changed with `-v`."""
    path = write("mistral/mistral-small-latest", {"reasoning_effort": "low"})
    shown = json.loads(command("run", str(path), "text=hi", "--dry-run").stdout)
    assert shown["notes"] == ["`reasoning_effort: low` is sent as `reasoning_effort: high`"]
    assert "sent as `reasoning_effort: high`" in command("run", str(path), "text=hi", "-v", "--no-stats").stderr
    path = write("openai/gpt-4o", {"temperature": 0})
    done = command("run", str(path), "text=hi", "--model", "openai/gpt-5", "--no-stats")
    assert (done.returncode, done.stdout) == (0, '{\n  "n": 1\n}\n')
    assert "warning: `temperature` is left out: `openai/gpt-5` does not take `temperature: 0`" in done.stderr
    path = write("openai/gpt-5", {"temperature": 0})
    refused = command("run", str(path), "text=hi", "--dry-run")
    assert refused.returncode == LLMParamValidationError.exit_status
    assert "or write `temperature: 1`" in refused.stderr


def test_a_form_that_litellm_would_refuse_is_not_tried():
    """The prompt says it in words."""
    from runllm.engines.forms import Forms
    from runllm.engines.memory import Memory

    asked = Request(endpoint=Endpoint(model="cohere_chat/command-a-03-2025"), messages=(), schema={"type": "object"})
    assert Forms(Memory(None)).of(asked) == {}
