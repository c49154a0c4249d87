"""What is known about providers and their models without importing LiteLLM.

Their names, variables, hosts and ways: most of that was measured (`tools/gen_providers.py`), LiteLLM was called and
watched. The windows, the longest answers and the prices of their models: LiteLLM's own table, read as a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

from runllm.diagnostics import nearest
from runllm.engines.base import Price, Rates
from runllm.errors import ModelNotFoundError
from runllm.models.known import KNOWN, PREFIX
from runllm.results import Endpoint
from runllm.values import frozen

OLLAMA_ADDRESS = "http://localhost:11434"


@frozen
class Provider:
    """What a provider needs.

    Attributes:
        keys: variables that may hold its key, one is enough.
        hosts: where its calls go, as `is_place` reads it; none where its customers have names of their own there.
        bases: variables that may hold its address, or addresses made of one: `https://{ACCOUNT}.example.com`.
        local: its address when none is given, for a server on this machine.
        addressed: whether it has no address of its own.
        keeps_base: whether LiteLLM's code for it calls the address that it is given, and no other.
        keyless: whether it may need no key, as a server of the user's own.
        tokens: variables that LiteLLM reads itself when there is no key, to sign in otherwise.
        session: whether it signs in as the user is signed in on this machine.
        signs_in: where it does either.
        params: what it takes beyond `llm_params`.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    local: str | None = None
    addressed: bool = False
    keeps_base: bool = False
    keyless: bool = False
    tokens: tuple[str, ...] = ()
    session: bool = False
    signs_in: tuple[str, ...] = ()
    params: tuple[str, ...] = ()


def _read(name: str) -> dict[str, Any]:
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


_MEASURED = _read("providers.json")  # by `tools/gen_providers.py`
_KNOWN = _read("providers.known.json")  # what a call does not show, or shows wrongly
_UNUSABLE: Mapping[str, str] = _KNOWN["unusable"]
PROVIDERS: tuple[str, ...] = tuple(sorted({*_MEASURED, *_KNOWN["providers"]} - {"$comment", *_UNUSABLE}))
"""The names of those of which something is known."""


@cache
def facts(name: str) -> Provider:
    """What is known of a provider; where nothing is, its calls go nowhere but to what the user allows.

    One that has neither a host nor a key of its own runs on a server of the user's.
    """
    if name not in PROVIDERS:
        return Provider(keys=(variable_named_like(name),))
    known: Mapping[str, Any] = _KNOWN["providers"].get(name, {})
    said = {**_MEASURED.get(name, {}), **_KNOWN["shared"].get(known.get("as"), {}), **known}
    found: dict[str, Any] = {
        key: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for key, value in said.items()
        if key != "as"
    }
    served = "local" in found or not any(found.get(fact) for fact in ("hosts", "keys", "session"))
    defaults: dict[str, Any] = {"keys": () if found.get("session") else (variable_named_like(name),), "keyless": served}
    filled: dict[str, Any] = {**defaults, "addressed": served and "local" not in found, **found}
    return Provider(**filled)


def variable_named_like(provider: str) -> str:
    """The variable that is named like a provider: for one that nothing is known of, its key is there or nowhere."""
    return f"{re.sub(r'[^A-Z0-9]', '_', provider.removesuffix('_chat').upper())}_API_KEY"


def takes(provider: str) -> frozenset[str]:
    """The parameters beyond `llm_params` that a provider is known to take."""
    return frozenset([*facts(provider).params, *_KNOWN["params"].get(provider, ()), *_KNOWN["sampling"]])


# --- names ------------------------------------------------------------------------------------------


_NAME = re.compile(r"[\w.:@/+~=,-]{1,500}")
_ADDRESSES_GO = "Write `provider/model`; an address goes into `llm.api_base`."


def provider_of(model: str) -> str:
    """The provider of a model: its prefix, or for a bare name what LiteLLM's price table says.

    Raises:
        ModelNotFoundError: no provider is known, or it is one that cannot be used; or the name holds what could be
            read as an address: some providers make theirs out of it.
    """
    if _NAME.fullmatch(model) is None or "//" in model or ".." in model:
        raise ModelNotFoundError(f"`{model}` is not the name of a model", hint=_ADDRESSES_GO)
    prefix = model.partition("/")[0] if "/" in model else ""
    known = prefix in PROVIDERS or prefix in _UNUSABLE or (prefix and prefix in names())
    found = None if known else entry(model)
    name = prefix if known else family(found) if found else ""
    if name in _UNUSABLE:
        raise ModelNotFoundError(f"`{model}` cannot be used: `{name}` {_UNUSABLE[name]}")
    if not name:
        raise ModelNotFoundError(f"`{model}` names no provider that is known", hint=_suggestion(model))
    if found and found.get("mode", "chat") not in ("chat", "completion", "responses"):
        raise ModelNotFoundError(f"`{model}` is not a chat model but for `{found['mode']}`")
    return name


_SURE = 0.85  # how near the name of a local model must be: that of a cloud's is more often meant


def _suggestion(model: str) -> str:
    prefix, slash, rest = model.partition("/")
    if not slash and (local := nearest(model.replace("-", "_"), KNOWN, cutoff=_SURE)):
        return f"Did you mean `{PREFIX}{local}`, which runs on this machine?"
    near = nearest(prefix, sorted({*PROVIDERS, *names()})) if slash else nearest(model, all_models())
    if near is None:
        return "Write `provider/model`; for a server of your own, `openai/MODEL` with `llm.api_base`."
    return f"Did you mean `{near}{slash}{rest}`?"


@cache
def names() -> frozenset[str]:
    """The provider names of the installed LiteLLM, from its source."""
    text = source("types/utils.py").partition("class LlmProviders(")[2].partition("\nclass ")[0]
    named = re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', text, re.MULTILINE)
    listed: dict[str, Any] = json.loads(source("llms/openai_like/providers.json") or "{}")
    return frozenset([*named, *listed])


# --- models -------------------------------------------------------------------------------------------

_PRICES = "model_prices_and_context_window_backup.json"


def window(endpoint: Endpoint) -> int | None:
    """The model's context window in tokens, None where it is not known."""
    found = _model(endpoint.model).get("max_input_tokens")
    return found if isinstance(found, int) and found > 0 else None


def longest_answer(endpoint: Endpoint) -> int | None:
    """The most tokens that the model answers with, None where it is not known."""
    found = _model(endpoint.model)
    longest = found.get("max_output_tokens") or found.get("max_tokens")
    return longest if isinstance(longest, int) and longest > 0 else None


def adapts_thinking(endpoint: Endpoint) -> bool:
    """Whether the model itself decides how long it thinks, and takes no number of tokens for it."""
    return _model(endpoint.model).get("supports_adaptive_thinking") is True


# --- prices -------------------------------------------------------------------------------------------

_PROMPT, _COMPLETION = "input_cost_per_token", "output_cost_per_token"
_CACHED, _WRITTEN = "cache_read_input_token_cost", "cache_creation_input_token_cost"
_REASONING = "output_cost_per_reasoning_token"
_THRESHOLD = rf"(?:{_PROMPT}|{_COMPLETION}|{_CACHED}|{_WRITTEN})(_above_(\d+)(k?)_tokens)"
_SERVICES = {"flex": "flex", "balanced": "balanced", "priority": "priority", "fast": "priority"}
_FROM_THE_THRESHOLD_ON = frozenset({"xai"})  # the others: from one token above it
_CACHED_SHARE = {"fireworks_ai": 0.5}  # of the price of a prompt token, where the table lists no other


def price(endpoint: Endpoint) -> Price | None:
    """What the model costs, None where that is not known."""
    return _price(endpoint.model)


@lru_cache(maxsize=256)
def _price(model: str) -> Price | None:
    found = _model(model)
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
    for key in found:
        if match := re.fullmatch(_THRESHOLD, key):
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


@lru_cache(maxsize=256)
def _model(model: str) -> Mapping[str, Any]:
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


_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest|preview)$")


def listed(model: str) -> str | None:
    """The name, after its provider's, of a model that the price table lists; None where it lists none like it.

    Beside the names of its entries that is a snapshot of one, and what several begin with: `grok-4` is none, and
    `grok-4.5` is.

    Raises:
        ModelNotFoundError: no provider is known.
    """
    provider = provider_of(model)
    name = model.removeprefix(f"{provider}/")
    for one in (name, _SNAPSHOT.sub("", name)):
        found = entry(f"{provider}/{one}") or entry(one)
        if found is not None and family(found) == provider:
            return one
        if name in stems(provider):  # before its year is taken for that of a snapshot
            return name
    return None


@cache
def stems(provider: str) -> frozenset[str]:
    """What the names of a provider's models begin with, as `grok-4` of `grok-4.5`."""
    names = re.findall(rf'^    "{re.escape(provider)}/([^"/]+)"\s*:\s*{{', _prices(), re.MULTILINE)
    return frozenset(name[: cut.start()] for name in names for cut in re.finditer(r"(?<=\d)[-.@]", name))


@cache
def _prices() -> str:
    """The price table, which is looked into several times for each model."""
    return source(_PRICES)


@lru_cache(maxsize=256)
def entry(model: str) -> Mapping[str, Any] | None:
    """One entry of the table: found in the text, since parsing 3 MB takes five times as long."""
    text = _prices()
    key = f"{json.dumps(model)}:"  # to look for the bracket as well takes half as long again
    start = text.find(key)
    while start >= 0 and not text.startswith(" {", start + len(key)):
        start = text.find(key, start + 1)
    return json.JSONDecoder().raw_decode(text, start + len(key) + 1)[0] if start >= 0 else None


def all_models() -> list[str]:
    """The names of the table that carry no provider."""
    return re.findall(r'^    "([^"/]+)"\s*:\s*{', _prices(), re.MULTILINE)


def family(found: Mapping[str, Any]) -> str:
    """The provider that an entry belongs to; some are split by API, such as `bedrock_converse`."""
    name = str(found.get("litellm_provider", ""))
    if name in PROVIDERS:  # `bedrock_mantle` is another one
        return name
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
    return path.read_bytes().decode() if path and path.exists() else ""  # ASCII: a third of the time of `read_text`
