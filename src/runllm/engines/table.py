"""LiteLLM's table of models, read without importing it: their windows, their longest answers, their prices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from runllm.pricing import Price, Rates
from runllm.results import Endpoint

_PRICES = "model_prices_and_context_window_backup.json"


def window(endpoint: Endpoint) -> int | None:
    """The model's context window in tokens, None where it is not known."""
    found = _facts(endpoint.model).get("max_input_tokens")
    return found if isinstance(found, int) and found > 0 else None


def longest_answer(endpoint: Endpoint) -> int | None:
    """The most tokens that the model answers with, None where it is not known."""
    found = _facts(endpoint.model)
    longest = found.get("max_output_tokens") or found.get("max_tokens")
    return longest if isinstance(longest, int) and longest > 0 else None


def adapts_thinking(endpoint: Endpoint) -> bool:
    """Whether the model itself decides how long it thinks, and takes no number of tokens for it."""
    return _facts(endpoint.model).get("supports_adaptive_thinking") is True


# --- prices -------------------------------------------------------------------------------------------

_PROMPT, _COMPLETION = "input_cost_per_token", "output_cost_per_token"
_CACHED, _WRITTEN = "cache_read_input_token_cost", "cache_creation_input_token_cost"
_REASONING = "output_cost_per_reasoning_token"
_THRESHOLD = re.compile(rf"(?:{_PROMPT}|{_COMPLETION}|{_CACHED}|{_WRITTEN})(_above_(\d+)(k?)_tokens)")
_SERVICES = {"flex": "flex", "balanced": "balanced", "priority": "priority", "fast": "priority"}
_FROM_THE_THRESHOLD_ON = frozenset({"xai"})  # the others: from one token above it
_CACHED_SHARE = {"fireworks_ai": 0.5}  # of the price of a prompt token, where the table lists no other


def price(endpoint: Endpoint) -> Price | None:
    """What the model costs, None where that is not known."""
    found = _facts(endpoint.model)
    share, prompt = _CACHED_SHARE.get(family(found)), _number(found, _PROMPT)
    if share is not None and prompt is not None and _CACHED not in found:
        found = {**found, _CACHED: share * prompt}
    rates = _tiers(found) if found.get("tiered_pricing") else _thresholds(found, "")
    if rates is None:
        return None
    services = {name: _thresholds(found, f"_{key}") for name, key in _SERVICES.items() if f"{_PROMPT}_{key}" in found}
    return Price(
        rates=rates,
        request=_number(found, "input_cost_per_request") or 0.0,
        services={name: special for name, special in services.items() if special},
    )


def _thresholds(found: Mapping[str, Any], service: str) -> tuple[Rates, ...] | None:
    """The rates of an entry, then those of its `..._above_200k_tokens`; where there are some, those of the service."""

    def rate(key: str, otherwise: float | None) -> float | None:
        special = _number(found, key + service)
        plain = _number(found, key) if special is None else special
        return otherwise if plain is None else plain

    reasoning = _number(found, _REASONING + service)
    if (reasoning is None and f"{_COMPLETION}{service}" not in found) or not service:
        reasoning = _number(found, _REASONING)
    tiers: list[Rates] = []
    prompt = completion = cached = written = None
    for above, suffix in sorted({(0, ""), *_suffixes(found)}):
        prompt, completion = rate(_PROMPT + suffix, prompt), rate(_COMPLETION + suffix, completion)
        cached, written = rate(_CACHED + suffix, cached), rate(_WRITTEN + suffix, written)
        if prompt is None or completion is None:
            return None
        tiers.append(_rates(above, prompt, completion, cached, written, reasoning))
    return tuple(tiers)


def _suffixes(found: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Each threshold in tokens, with how the keys end that hold above it."""
    early = family(found) in _FROM_THE_THRESHOLD_ON
    for match in filter(None, map(_THRESHOLD.fullmatch, found)):
        yield int(match[2]) * (1000 if match[3] else 1) - early, match[1]


def _tiers(found: Mapping[str, Any]) -> tuple[Rates, ...] | None:
    """The rates of an entry that lists its tiers, each with the range of prompt tokens for which it holds."""
    tiers: list[Rates] = []
    for tier in sorted(found["tiered_pricing"], key=lambda tier: tier["range"][0]):
        prompt, completion = _number(tier, _PROMPT), _number(tier, _COMPLETION)
        completion = _number(found, _COMPLETION) if completion is None else completion
        if prompt is None or completion is None:
            return None
        cached, written, reasoning = (_number(tier, key) for key in (_CACHED, _WRITTEN, _REASONING))
        tiers.append(_rates(int(tier["range"][0]), prompt, completion, cached, written, reasoning))
    return tuple(tiers) or None


def _rates(
    above: int, prompt: float, completion: float, cached: float | None, written: float | None, reasoning: float | None
) -> Rates:
    """Rates of which some may not be listed: what has no price of its own costs what its kind of token costs."""
    return Rates(
        above=above,
        prompt=prompt,
        completion=completion,
        cached=prompt if cached is None else cached,
        written=prompt if written is None else written,
        reasoning=completion if reasoning is None else reasoning,
    )


def _number(found: Mapping[str, Any], key: str) -> float | None:
    value = found.get(key)
    return float(value) if isinstance(value, int | float) else None


# --- entries ------------------------------------------------------------------------------------------


def _facts(model: str) -> Mapping[str, Any]:
    """The entry of a model, with or without what stands before its name, as a route does; empty where there is none."""
    prefix, slash, rest = model.partition("/")
    if (found := entry(model)) is not None:
        named = None if slash else entry(f"{family(found)}/{model}")  # of two entries LiteLLM takes the longer name
        return named or found
    while slash:
        found = entry(rest)
        if found is not None and family(found) == prefix:
            return found
        _, slash, rest = rest.partition("/")
    return {}


@lru_cache(maxsize=256)
def entry(model: str) -> Mapping[str, Any] | None:
    """One entry of the table: found in the text, since parsing 3 MB takes five times as long."""
    text = source(_PRICES)
    start = text.find(key := f"{json.dumps(model)}: {{")
    return json.JSONDecoder().raw_decode(text, start + len(key) - 1)[0] if start >= 0 else None


def all_models() -> list[str]:
    """The names of the table that carry no provider."""
    return re.findall(r'^    "([^"/]+)"\s*:\s*{', source(_PRICES), re.MULTILINE)


def family(found: Mapping[str, Any]) -> str:
    """The provider that an entry belongs to; some are split by API, such as `bedrock_converse`."""
    name = str(found.get("litellm_provider", ""))
    return next((known for known in ("vertex_ai", "bedrock") if name.startswith(known)), name)


# --- files --------------------------------------------------------------------------------------------


@cache
def folder() -> Path | None:
    """Where LiteLLM is installed, None where it is not; found without importing it."""
    from importlib.util import find_spec

    spec = find_spec("litellm")
    places: Iterable[str] = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(place) for place in places), None)


def source(name: str) -> str:
    """The text of a file of the installed LiteLLM; empty where there is none."""
    place = folder()
    path = place / name if place else None
    return path.read_text(encoding="utf-8") if path and path.exists() else ""
