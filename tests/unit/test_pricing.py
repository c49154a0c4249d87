"""What a call costs: tiers, discounts, services, and what is not known."""

from __future__ import annotations

import pytest

from runllm.engines import providers
from runllm.engines.base import FREE, Price, Rates, flat
from runllm.engines.ollama import OllamaEngine
from runllm.results import Endpoint, Usage

TIERED = Price(
    rates=(
        Rates(prompt=1.0, completion=2.0, cached=0.5, written=1.5, reasoning=3.0),
        Rates(above=100, prompt=10.0, completion=20.0, cached=5.0, written=15.0, reasoning=30.0),
    ),
    services={"flex": (Rates(prompt=0.1, completion=0.2, cached=0.1, written=0.1, reasoning=0.2),)},
)


@pytest.mark.parametrize(("prompt", "cost"), [(0, 2), (99, 99 + 2), (100, 100 + 2), (101, 1010 + 20), (500, 5000 + 20)])
def test_the_higher_rates_hold_for_all_tokens_from_one_above_the_threshold(prompt, cost):
    assert TIERED.cost(Usage(prompt_tokens=prompt, completion_tokens=1)) == cost


def test_each_kind_of_token_has_its_rate():
    """Cached, written and thought tokens are a part of the others, and not paid twice."""
    usage = Usage(prompt_tokens=10, completion_tokens=10, cached_tokens=4, written_tokens=2, reasoning_tokens=3)
    assert TIERED.parts(usage) == (4 * 1.0 + 4 * 0.5 + 2 * 1.5, 7 * 2.0 + 3 * 3.0)


def test_counts_that_contradict_each_other_are_not_paid_back():
    usage = Usage(prompt_tokens=1, cached_tokens=50, written_tokens=50, completion_tokens=1, reasoning_tokens=50)
    assert TIERED.parts(usage) == (0.5, 3.0)


def test_a_service_has_its_own_rates_where_there_are_some():
    usage = Usage(prompt_tokens=10, completion_tokens=10)
    assert TIERED.cost(usage, "flex") == pytest.approx(3.0)
    assert TIERED.cost(usage, "unheard-of") == TIERED.cost(usage) == 30.0


def test_the_most_is_no_less_than_any_call_that_fills_the_window():
    for window, answer in ((50, 10), (150, 150), (150, 40), (1000, 7)):
        calls = [
            TIERED.cost(Usage(prompt_tokens=window - said, completion_tokens=said))
            for said in range(min(answer, window) + 1)
        ]
        assert TIERED.most(window, answer) == max(calls)


def test_each_call_may_cost_beside_its_tokens():
    """Some models that search take so much for each question."""
    price = providers.price(Endpoint(model="perplexity/sonar-small-online"))
    assert price is not None
    assert price.cost(Usage(prompt_tokens=10, completion_tokens=10)) == pytest.approx(0.005 + 10 * 2.8e-7)


def test_what_the_users_own_machine_runs_is_free_and_a_cloud_is_not_known():
    for model in ("ollama/llama3", "ollama_chat/qwen3:8b"):
        assert OllamaEngine().price(Endpoint(model=model)) == FREE
    for endpoint in (
        Endpoint(model="ollama_chat/gpt-oss:120b-cloud"),
        Endpoint(model="ollama/qwen3-coder:cloud"),
        Endpoint(model="ollama_chat/gpt-oss:120b", api_base="https://ollama.com"),
    ):
        assert OllamaEngine().price(endpoint) is None


@pytest.mark.parametrize(
    "model",
    [
        "openai/unheard-of",
        "hosted_vllm/meta-llama",
        "lm_studio/anything",
        "bedrock/twelvelabs.pegasus-1-2-v1:0",  # a price for answers, and one for seconds of video
        "github_copilot/gpt-4o",
    ],
)
def test_a_price_that_no_table_tells_is_none_and_not_zero(model):
    assert providers.price(Endpoint(model=model)) is None


def test_a_route_before_the_name_does_not_hide_the_price():
    bare = providers.price(Endpoint(model="bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"))
    assert bare is not None
    assert providers.price(Endpoint(model="bedrock/converse/us.anthropic.claude-haiku-4-5-20251001-v1:0")) == bare


def test_a_flat_price():
    assert flat(1.0, 2.0).cost(Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=3, reasoning_tokens=4)) == 11
