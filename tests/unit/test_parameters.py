"""Which parameters a model takes, read from the table: what is left out, what is said of it, and what arrives otherwise."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.engines import parameters, providers
from runllm.engines.local.engine import LocalEngine
from runllm.engines.ollama import OllamaEngine
from runllm.results import Endpoint, Request

ROOT = Path(__file__).parents[2]
THINKS = {"type": "enabled", "budget_tokens": 4096}


def fit(model: str, schema: dict[str, Any] | None = None, **params: Any) -> Any:
    return parameters.fit(Request(endpoint=Endpoint(model=model), messages=(), params=params, schema=schema))


@pytest.mark.parametrize(
    ("model", "params", "misfit", "hint"),
    [
        ("openai/gpt-5", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("gpt-5", {"temperature": 0.7}, "temperature", "write `temperature: 1`"),
        ("openai/gpt-5-2025-08-07", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("openai/gpt-5-2027-01-31", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("openai/o3-mini", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("openai/gpt-5.5", {"temperature": 0}, "temperature", "add `reasoning_effort: none`"),
        ("openai/gpt-5", {"reasoning_effort": "none"}, "reasoning_effort", "write minimal or low or medium"),
        ("openai/gpt-5", {"stop": "x"}, "stop", "Leave `stop` out"),
        ("openai/o3", {"stop": ["x"]}, "stop", "Leave `stop` out"),
        ("openai/o4-mini", {"stop": "x"}, "stop", "Leave `stop` out"),
        ("openai/gpt-4o", {"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", "Leave `max_tokens` out."),
        ("openai/o1", {"top_p": 0.5}, "top_p", "Leave `top_p` out"),
        ("azure/gpt-5", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("openai/gpt-4o", {"reasoning_effort": "low"}, "reasoning_effort", "Leave `reasoning_effort` out"),
        ("openai/gpt-4o", {"thinking": THINKS}, "thinking", "Leave `thinking` out"),
        ("openai/gpt-4o", {"top_logprobs": 3}, "top_logprobs", "Add `logprobs: true`"),
        ("anthropic/claude-sonnet-4-5", {"seed": 1}, "seed", "Leave `seed` out"),
        ("claude-sonnet-4-5", {"seed": 1}, "seed", "Leave `seed` out"),
        ("anthropic/claude-opus-4-7", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("bedrock/anthropic.claude-opus-4-7", {"temperature": 0}, "temperature", "write `temperature: 1`"),
        ("xai/grok-4", {"stop": "x"}, "stop", "Leave `stop` out"),
        ("xai/grok-4.5", {"stop": ["x"]}, "stop", "Leave `stop` out"),
        ("gemini/gemini-2.5-flash", {"store": True}, "store", "Leave `store` out"),
        ("mistral/mistral-small-latest", {"frequency_penalty": 1}, "frequency_penalty", "Leave `frequency_penalty`"),
        ("groq/llama-prompt-guard", {"verbosity": "low"}, None, ""),
        # what Anthropic refuses together
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS, "max_tokens": 4096}, "thinking", "above 4,096"),
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS, "max_tokens": 4097}, None, ""),
        ("anthropic/claude-haiku-4-5", {"reasoning_effort": "high", "max_tokens": 1000}, "reasoning_effort", "4,096"),
        ("anthropic/claude-haiku-4-5", {"reasoning_effort": "low", "max_tokens": 1025}, None, ""),
        ("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0", {"thinking": THINKS, "max_tokens": 9}, "thinking", "4,096"),
        ("anthropic/claude-haiku-4-5", {"thinking": {**THINKS, "budget_tokens": 10}}, "thinking", "1024"),
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS, "temperature": 0}, "temperature", "not think"),
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS, "temperature": 1}, None, ""),
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS, "top_p": 0.5}, "top_p", "0.95"),
        ("anthropic/claude-haiku-4-5", {"thinking": {"type": "disabled"}, "temperature": 0}, None, ""),
        ("anthropic/claude-haiku-4-5", {"temperature": 1.5}, "temperature", "from 0 to 1"),
        ("anthropic/claude-haiku-4-5", {"temperature": 0.5, "top_p": 0.5}, "top_p", "one of them"),
        # what they take
        ("openai/gpt-5", {"temperature": 1, "seed": 3, "max_tokens": 10, "verbosity": "low"}, None, ""),
        ("openai/gpt-5.5", {"temperature": 0, "reasoning_effort": "none"}, None, ""),
        ("openai/gpt-5.1", {"temperature": 0}, None, ""),
        ("openai/gpt-4o", {"temperature": 0, "seed": 3, "stop": "x", "logprobs": True, "top_logprobs": 2}, None, ""),
        ("anthropic/claude-sonnet-4-5", {"temperature": 0}, None, ""),
        ("openai/gpt-4o", {"seed": None, "reasoning_effort": None}, None, ""),
        # of which nothing is known
        ("openai/my-own", {"temperature": 0, "thinking": THINKS, "context_management": {}}, None, ""),
        ("anthropic/claude-unheard-of", {"seed": 1}, "seed", "Leave `seed` out for this model."),
        ("anthropic/claude-unheard-of", {"temperature": 2, "thinking": THINKS}, None, ""),
        ("hosted_vllm/m", {"thinking": THINKS}, None, ""),
        ("openrouter/openai/gpt-5", {"temperature": 0}, None, ""),
        ("unheard-of", {"temperature": 0}, None, ""),
        ("unheard/of", {"temperature": 0}, None, ""),
        ("local/../x.gguf", {"temperature": 0}, None, ""),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_left_out(model, params, misfit, hint):
    """With what to write; what it takes, and all of a model that no table knows, is sent as it is."""
    found = fit(model, **params)
    assert [one.name for one in found.misfits] == ([misfit] if misfit else [])
    assert all(hint in one.hint and f"`{model}`" in one.message for one in found.misfits)
    given = {name: value for name, value in params.items() if value is not None and name != misfit}
    assert dict(found.params) == given


@pytest.mark.parametrize(
    ("model", "params", "note"),
    [
        ("mistral/mistral-small-latest", {"reasoning_effort": "low"}, "sent as `reasoning_effort: high`"),
        ("mistral/mistral-small-latest", {"reasoning_effort": "high"}, None),
        ("mistral/magistral-small-latest", {"reasoning_effort": "low"}, "a system prompt of its own before yours"),
        ("mistral/magistral-small-latest", {}, None),
        ("gemini/gemini-2.5-flash", {"reasoning_effort": "low"}, "thinkingBudget: 1024"),
        ("anthropic/claude-haiku-4-5", {"reasoning_effort": "high"}, "budget_tokens: 4096"),
        ("anthropic/claude-haiku-4-5", {"thinking": THINKS}, None),
        ("anthropic/claude-opus-4-7", {"thinking": THINKS}, "adaptive"),
        ("anthropic/claude-haiku-4-5", {"response_format": {"type": "json_object"}}, "is not sent"),
        ("together_ai/openai/gpt-oss-120b", {"reasoning_effort": "max"}, "sent as `reasoning_effort: high`"),
        ("openai/gpt-4o", {"temperature": 0, "seed": 1, "stop": "x", "max_tokens": 1, "user": "u"}, None),
        ("openai/o3-mini", {}, "as if the user said it"),
        ("openai/my-own", {"reasoning_effort": "low"}, None),
    ],
)
def test_what_arrives_otherwise_is_told(model, params, note):
    """And what arrives as it was written is not."""
    found = fit(model, **params)
    assert [note in one for one in found.notes] == ([True] if note else [])
    assert found.misfits == ()


def test_that_a_schema_comes_into_the_prompt_once_more_is_told_where_one_is_sent():
    """Not of a text, and not where the author has a form of their own."""
    model, schema = "zai/glm-4.5", {"type": "object", "properties": {"n": {}}}
    assert "second time" in "".join(fit(model, schema).notes)
    assert fit(model).notes == fit(model, {"type": "string"}).notes == ()
    assert "second time" not in "".join(fit(model, schema, response_format={"type": "json_object"}).notes)


def test_what_the_author_says_of_leaving_out_and_insisting_holds():
    dropped = fit("openai/gpt-5", temperature=0, seed=1, drop_params=True)
    assert (dropped.misfits, dict(dropped.params)) == ((), {"seed": 1, "drop_params": True})
    assert "does not take `temperature: 0`" in dropped.notes[0]
    named = fit("openai/gpt-5", temperature=0, additional_drop_params=["temperature"])
    assert (named.misfits, named.notes, "temperature" in named.params) == ((), (), False)
    insisted = fit("anthropic/claude-sonnet-4-5", seed=1, allowed_openai_params=["seed"])
    assert (insisted.misfits, insisted.params["seed"]) == ((), 1)


def test_the_other_engines_say_it_in_the_same_form():
    for engine, model in ((LocalEngine(), "local/smollm2-135m"), (OllamaEngine(), "ollama/llama3.2")):
        params = {"temperature": 0, "n": 1, "web_search_options": {}}
        found = engine.fit(Request(endpoint=Endpoint(model=model), messages=(), params=params))
        assert [(one.name, one.message) for one in found.misfits] == [
            ("web_search_options", f"`{model}` does not take `web_search_options`")
        ]
        assert dict(found.params) == {"temperature": 0, "n": 1}


def test_whether_a_schema_can_be_sent_is_known_before_it_is():
    assert parameters.takes_schema("openai/gpt-4o")
    assert parameters.takes_schema("openai/my-own")
    assert not parameters.takes_schema("cohere_chat/command-a-03-2025")


def test_nothing_is_imported_for_it():
    code = (
        "import sys\nfrom runllm.engines import parameters\nfrom runllm.results import Endpoint, Request\n"
        "asked = Request(endpoint=Endpoint(model='openai/gpt-5'), messages=(), params={'temperature': 0})\n"
        "assert parameters.fit(asked).misfits\n"
        "assert not {'litellm', 'httpx', 'asyncio', 'openai'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("gen_parameters", ROOT / "tools" / "gen_parameters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
NAMES = st.sets(st.text("ab1-./", min_size=1, max_size=6), min_size=1, max_size=12)


@given(NAMES, st.data())
def test_the_patterns_of_a_row_stand_for_its_models_and_no_others(names, data):
    wanted = data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1))
    patterns = GENERATOR.Names(names).cover(wanted)
    assert {name for name in names if parameters._stands_for(patterns, name)} == wanted


@pytest.mark.parametrize(
    ("refused", "rule"),
    [
        (["0", "0.5", "1", "1.5"], "temperature"),
        (["0", "0.5", "1.5"], "temperature!=1"),
        (["1.5"], "temperature>1"),
        (["0"], "temperature=0"),
    ],
)
def test_values_with_the_same_effect_are_one_rule(refused, rule):
    found = {f"temperature={value}": ("refused" if value in refused else None) for value in ("0", "0.5", "1", "1.5")}
    assert GENERATOR.folded(found) == {rule: "refused"}


def test_what_names_begin_with_is_what_the_table_was_made_of():
    """`gpt-5.4-pro-2026` ends as a snapshot of `gpt-5.4-pro` might, and LiteLLM takes it for a name of its own."""
    assert providers.listed("azure/gpt-5.4-pro-2026") == "gpt-5.4-pro-2026"
    for provider in ("azure", "openai", "anthropic", "xai", "gemini"):
        assert all(providers.listed(f"{provider}/{stem}") == stem for stem in providers.stems(provider)), provider
