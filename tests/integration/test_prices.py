"""One price for what is predicted, what is shown and what is recorded; and it is LiteLLM's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chances import some
from tests.e2e.test_cli import command
from tests.integration.provider import Provider, Reply, answer

from runllm.engines import litellm, providers
from runllm.results import Endpoint, Usage

APP = """---
name: long
description: Read a long text.
version: 1.0.0
author: me
max_context_window: 1000000
input_schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n], additionalProperties: false}}
llm: {{model: "{model}", api_base: "{base}", num_retries: 0}}
llm_params: {params}
---
{{{{ input.text }}}}
"""
SAYS = '{"n": 1}'
pytestmark = pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")  # LiteLLM's own types


# --- against LiteLLM's own calculator -------------------------------------------------------------------

_OWN_WAY = {
    "perplexity": "LiteLLM forgets the tiers and the price of a question there, which its table lists",
}
_USAGES = ({}, {"cached_tokens": 40, "reasoning_tokens": 5}, {"written_tokens": 30})


def _chats(library: Any) -> Iterator[tuple[str, str]]:
    for name, entry in library.model_cost.items():
        provider = providers.family(entry)
        if entry.get("mode") in ("chat", "completion", "responses") and provider not in _OWN_WAY:
            yield name, provider


def _theirs(library: Any, name: str, provider: str, usage: Usage, service: str | None) -> float | None:
    from litellm.types.utils import Usage as TheirUsage

    given = TheirUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details={"cached_tokens": usage.cached_tokens, "cache_creation_tokens": usage.written_tokens},
        completion_tokens_details={"reasoning_tokens": usage.reasoning_tokens},
    )
    try:
        return sum(
            library.cost_per_token(model=name, custom_llm_provider=provider, usage_object=given, service_tier=service)
        )
    except Exception:
        return None


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize("service", [None, "flex", "priority"])
def test_every_chat_model_costs_what_litellm_says_at_and_around_each_threshold(service, every, monkeypatch):
    """Those without a price, which LiteLLM gives for nothing, are unknown here.

    Of the models with one price alone a third is looked at, but for `make soak`.
    """
    library = litellm._library()
    monkeypatch.setattr(providers, "entry", library.model_cost.get)  # the same table: else it is searched 3,700 times
    wrong, compared, tiered = [], 0, 0
    for number, (name, provider) in enumerate(_chats(library)):
        price = providers.price(Endpoint(model=name))
        if price is None or "off_peak_pricing" in library.model_cost[name]:
            continue
        if service and (service not in price.services or provider == "fireworks_ai"):  # there LiteLLM forgets it
            continue
        steps = len(price.rates) > 1
        if not (every or service or steps or number % 3 == 0):
            continue
        tiered += steps
        for tokens in {max(100, rates.above + beside) for rates in price.rates for beside in (-1, 0, 1, 2)}:
            turn = number % len(_USAGES)
            for beside in _USAGES if every or (steps and not service) else _USAGES[turn : turn + 1]:
                usage = Usage(prompt_tokens=tokens, completion_tokens=17, **beside)
                theirs = _theirs(library, name, provider, usage, service)
                compared += theirs is not None
                if theirs is not None and price.cost(usage, service) != pytest.approx(theirs, rel=1e-9, abs=1e-15):
                    wrong.append((name, usage, price.cost(usage, service), theirs))
    assert wrong == []
    assert compared > (100 if service else 700)
    assert tiered > 10


# --- one prompt: shown, predicted, recorded --------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("RUNLLM_LOOPBACK_ONLY", "1")
    monkeypatch.setenv("RUNLLM_STATS_DB", str(tmp_path / "stats.db"))
    monkeypatch.setenv("RUNLLM_STATS", "on")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef")
    return tmp_path


def written(home: Path, model: str, base: str, params: str = "{max_tokens: 100}") -> str:
    path = home / "long.rllm"
    path.write_text(APP.format(model=model, base=base, params=params), encoding="utf-8")
    return str(path)


def exported(*, form: str = "jsonl") -> str:
    return command("stats", "export", "--format", form).stdout


@pytest.mark.parametrize(
    ("model", "tokens", "first", "then"),
    some(
        [
            ("dashscope/qwen-flash", 256_000, (5e-8, 4e-7), (2.5e-7, 2e-6)),
            ("openai/gpt-5.4", 272_000, (2.5e-6, 1.5e-5), (5e-6, 2.25e-5)),
        ],
        1,
    ),
)
@pytest.mark.parametrize("above", [0, 1])
def test_dry_run_exectime_and_record_say_the_same(home, model, tokens, first, then, above):
    """As many tokens as are estimated are counted: at the threshold the lower price, one above it the higher."""
    prompt, completion = then if above else first
    with Provider() as provider:
        file = written(home, model, provider.base)

        def shown(text: str) -> Any:
            given = home / "input.json"
            given.write_text(json.dumps({"text": text}), encoding="utf-8")
            return json.loads(command("run", file, "-f", str(given), "--dry-run").stdout)

        wanted = tokens + above
        around = shown("7")["tokens"]["prompt"] - 1
        dry = shown("7" * (wanted - around))
        assert dry["tokens"]["prompt"] == wanted
        assert (dry["cost"]["prompt"], dry["cost"]["answer"]) == pytest.approx((wanted * prompt, 100 * completion))
        provider.script(answer(SAYS, prompt_tokens=wanted, completion_tokens=100, cached_tokens=0, reasoning_tokens=0))
        command("run", file, "-f", str(home / "input.json"))
        predicted = json.loads(command("exectime", file, "-f", str(home / "input.json"), "--format", "json").stdout)
    row = json.loads(exported())
    cost = pytest.approx(wanted * prompt + 100 * completion)
    assert row["cost"] == row["attempts"][0]["cost"] == cost
    assert predicted["cost"] == {"p50": cost, "p90": cost}
    assert json.loads(command("stats", "--format", "json").stdout)["total"]["cost"] == cost


def test_an_unknown_price_is_null_everywhere(home):
    """Also where a model runs at home under a name that LiteLLM prices at nothing."""
    with Provider(answer(SAYS)) as provider:
        file = written(home, "openai/my-own", provider.base)
        assert json.loads(command("run", file, "text=hi", "--dry-run").stdout)["cost"] is None
        done = command("run", file, "text=hi", "--verbose")
        predicted = json.loads(command("exectime", file, "text=hi", "--format", "json").stdout)
    assert "price unknown" in done.stderr
    assert (predicted["cost"], predicted["bound"]["cost"]) == (None, None)
    row = json.loads(exported())
    assert (row["cost"], row["unpriced"], row["attempts"][0]["cost"]) == (None, 1, None)
    head, cells = (line.split(",") for line in exported(form="csv").splitlines())
    assert dict(zip(head, cells, strict=False))["cost"] == ""
    found = json.loads(command("stats", "--format", "json").stdout)
    assert [found["total"]["cost"], *(one["cost"] for one in found["models"].values())] == [None, None]
    assert [(bucket["cost"], bucket["unpriced"]) for bucket in found["timeline"]["buckets"]] == [(None, 1)]
    lines = command("stats", "--format", "csv").stdout.splitlines()
    at = lines[0].split(",").index("cost")
    assert {line.split(",")[at] for line in lines[1:]} == {""}
    assert "$0" not in command("stats").stdout
    command("stats", "--format", "html", "-o", str(home / "page.html"))
    page = (home / "page.html").read_text(encoding="utf-8")
    assert "<td>$0" not in page
    assert "<dd>$0" not in page
    with sqlite3.connect(home / "stats.db") as db:
        assert db.execute("SELECT dollars FROM readable").fetchall() == [(None,)]


def told(cost: Any, **more: Any) -> Reply:
    """An answer whose usage says what it costs."""

    def body(received: Any) -> Any:
        found = answer(SAYS, cached_tokens=0).body(received)
        found["usage"]["cost"] = cost
        return found | more

    return Reply(body=body)


@pytest.mark.parametrize(
    ("model", "reply", "cost"),
    [
        ("openrouter/some/model", told(0.25), 0.25),
        ("openrouter/some/model", told("much"), None),
        ("openai/my-own", told(0.25), None),  # anybody's server may say anything
        ("openai/gpt-4o", told(0.25), 11 * 2.5e-6 + 7 * 1e-5),
        ("openai/gpt-5.4", told(None, service_tier="flex"), 11 * 1.25e-6 + 7 * 7.5e-6),
        ("openai/gpt-5.4", told(None, service_tier="default"), 11 * 2.5e-6 + 7 * 1.5e-5),
        ("openai/my-own", told(None, model="gpt-4o"), None),
    ],
)
def test_what_a_provider_says_counts_where_it_says_what_it_charges(monkeypatch, model, reply, cost):
    monkeypatch.setenv("RUNLLM_LOOPBACK_ONLY", "1")
    engine = litellm.LiteLLMEngine()
    with Provider(reply) as provider:
        from runllm.results import Message, Request

        endpoint = Endpoint(model=model, api_base=provider.base)
        asked = Request(endpoint=endpoint, messages=(Message(role="user", content="count"),), timeout=60)
        got = engine.complete(asked)
    engine.close()
    assert got.cost == (None if cost is None else pytest.approx(cost))
