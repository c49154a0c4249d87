"""The parameter table: complete for the installed LiteLLM, up to date, and right about values."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import version
from pathlib import Path

import pytest

from runllm.schema import Contract

ROOT = Path(__file__).parent.parent.parent
COMMITTED = (ROOT / "src" / "runllm" / "llm_params.schema.json").read_text(encoding="utf-8")
SCHEMA = json.loads(COMMITTED)
FORBIDDEN = frozenset(SCHEMA["x-forbidden-provider-params"])


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("gen_llm_params", ROOT / "tools" / "gen_llm_params.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_parameter_that_litellm_takes_has_its_place(generator):
    """It can be set, or the runtime owns it and says what to use instead."""
    taken = generator.accepted()
    assert {"temperature", "reasoning_effort", "timeout"} <= taken, "the source was read"
    assert sorted(taken - set(SCHEMA["properties"]) - set(SCHEMA["x-owned"])) == []


@pytest.mark.soak  # its source is read
def test_every_name_that_steers_litellm_is_forbidden(generator):
    """What LiteLLM reads for itself cannot be passed as a provider's parameter."""
    steering = generator.steering()
    assert {"api_key", "mock_response", "langfuse_secret", "input_cost_per_token"} <= steering, "the source was read"
    assert sorted(steering - FORBIDDEN) == []


@pytest.mark.soak
@pytest.mark.skipif(SCHEMA["x-litellm"] != version("litellm"), reason="written from another LiteLLM")
def test_the_committed_file_is_what_the_generator_writes(generator):
    """Else run `python tools/gen_llm_params.py`."""
    assert generator.render() == COMMITTED


def test_nothing_can_be_both_set_and_owned():
    """A name has one meaning, and each owned one says why."""
    assert not set(SCHEMA["properties"]) & set(SCHEMA["x-owned"])
    assert not set(SCHEMA["properties"]) & FORBIDDEN
    assert all(entry["message"] and entry["use"].endswith(".") for entry in SCHEMA["x-owned"].values())
    assert all(definition["description"] for definition in SCHEMA["properties"].values())


@pytest.mark.parametrize("native", ["num_ctx", "top_k", "keep_alive", "think", "repeat_penalty", "min_p", "options"])
def test_what_a_provider_alone_knows_may_be_passed(native):
    """Ollama's and vLLM's own parameters are not the client's."""
    assert native not in FORBIDDEN


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"temperature": 0, "top_p": 1, "max_tokens": 1, "seed": -1, "n": 1},
        {"stop": "END"},
        {"stop": ["a", "b", "c", "d"]},
        {"response_format": {"type": "json_object"}, "logprobs": True, "top_logprobs": 0},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"format": "json", "reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"logit_bias": {"50256": -100}, "presence_penalty": -2, "frequency_penalty": 2.0, "user": "u1"},
    ],
)
def test_good_values_pass(params):
    """Each value is one that a provider takes."""
    assert Contract(SCHEMA).problems(params) == ()


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"temperature": "hot"}, "/temperature"),
        ({"temperature": 2.1}, "/temperature"),
        ({"temperature": True}, "/temperature"),
        ({"top_p": -0.1}, "/top_p"),
        ({"max_tokens": 0}, "/max_tokens"),
        ({"max_tokens": "5"}, "/max_tokens"),
        ({"stop": 5}, "/stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "/stop"),
        ({"seed": 1.5}, "/seed"),
        ({"n": 2}, "/n"),
        ({"format": "xml"}, "/format"),
        ({"reasoning_effort": "a lot"}, "/reasoning_effort"),
        ({"response_format": {"type": "json_schema"}}, "/response_format"),
        ({"logit_bias": {"1": 101}}, "/logit_bias/1"),
        ({"temprature": 1}, ""),
        ({"timeout": 5}, ""),
    ],
)
def test_bad_values_are_found_where_they_stand(params, pointer):
    """LiteLLM would send each of them."""
    assert [problem.pointer for problem in Contract(SCHEMA).problems(params)] == [pointer]
