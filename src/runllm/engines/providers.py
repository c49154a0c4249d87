"""What is known about providers without importing LiteLLM: their names, variables, hosts and ways.

Most of it was measured (`tools/gen_providers.py`): LiteLLM was called and watched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from runllm.diagnostics import nearest
from runllm.engines import table
from runllm.errors import ModelNotFoundError
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


_KNOWN = _read("providers.known.json")  # what a call does not show, or shows wrongly
_UNUSABLE: Mapping[str, str] = _KNOWN["unusable"]


def _rows() -> dict[str, Provider]:
    """Every provider that something is known of: as was measured (`tools/gen_providers.py`), and as is known else."""
    measured, known, shared = _read("providers.json"), _KNOWN["providers"], _KNOWN["shared"]
    names = sorted({*measured, *known} - {"$comment", *_UNUSABLE})
    said = {name: {**shared.get(row.get("as"), {}), **row} for name, row in known.items()}
    return {name: _row({**measured.get(name, {}), **said.get(name, {})}, name) for name in names}


def _row(facts: Mapping[str, Any], name: str) -> Provider:
    """A provider; one that has neither a host nor a key of its own runs on a server of the user's."""
    found: dict[str, Any] = {
        key: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for key, value in facts.items()
        if key != "as"
    }
    served = "local" in found or not any(found.get(fact) for fact in ("hosts", "keys", "session"))
    defaults: dict[str, Any] = {"keys": () if found.get("session") else (variable_named_like(name),), "keyless": served}
    filled: dict[str, Any] = {**defaults, "addressed": served and "local" not in found, **found}
    return Provider(**filled)


def variable_named_like(provider: str) -> str:
    """The variable that is named like a provider: for one that nothing is known of, its key is there or nowhere."""
    return f"{re.sub(r'[^A-Z0-9]', '_', provider.removesuffix('_chat').upper())}_API_KEY"


PROVIDERS: Mapping[str, Provider] = _rows()


def takes(provider: str) -> frozenset[str]:
    """The parameters beyond `llm_params` that a provider is known to take."""
    return frozenset([*facts(provider).params, *_KNOWN["params"].get(provider, ()), *_KNOWN["sampling"]])


def facts(name: str) -> Provider:
    """What is known of a provider; where nothing is, its calls go nowhere but to what the user allows."""
    return PROVIDERS.get(name) or Provider(keys=(variable_named_like(name),))


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
    entry = None if known else table.entry(model)
    name = prefix if known else table.family(entry) if entry else ""
    if name in _UNUSABLE:
        raise ModelNotFoundError(f"`{model}` cannot be used: `{name}` {_UNUSABLE[name]}")
    if not name:
        raise ModelNotFoundError(f"`{model}` names no provider that is known", hint=_suggestion(model))
    if entry and entry.get("mode", "chat") not in ("chat", "completion", "responses"):
        raise ModelNotFoundError(f"`{model}` is not a chat model but for `{entry['mode']}`")
    return name


def _suggestion(model: str) -> str:
    prefix, slash, rest = model.partition("/")
    near = nearest(prefix, sorted({*PROVIDERS, *names()})) if slash else nearest(model, table.all_models())
    if near is None:
        return "Write `provider/model`; for a server of your own, `openai/MODEL` with `llm.api_base`."
    return f"Did you mean `{near}{slash}{rest}`?"


@cache
def names() -> frozenset[str]:
    """The provider names of the installed LiteLLM, from its source."""
    text = table.source("types/utils.py").partition("class LlmProviders(")[2].partition("\nclass ")[0]
    named = re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', text, re.MULTILINE)
    listed: dict[str, Any] = json.loads(table.source("llms/openai_like/providers.json") or "{}")
    return frozenset([*named, *listed])
