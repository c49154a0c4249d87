"""LiteLLM's table of models, read without importing it: their windows, their longest answers, their prices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from runllm.exchange import Endpoint

_PRICES = "model_prices_and_context_window_backup.json"


def window(endpoint: Endpoint) -> int | None:
    """The model's context window in tokens, None where it is not known."""
    found = _facts(endpoint.model).get("max_input_tokens")
    return found if isinstance(found, int) and found > 0 else None


def price(endpoint: Endpoint) -> tuple[float, float] | None:
    """US dollars per prompt token and per completion token, None where they are not known."""
    found = _facts(endpoint.model)
    prompt, completion = found.get("input_cost_per_token"), found.get("output_cost_per_token")
    if isinstance(prompt, int | float) and isinstance(completion, int | float):
        return (float(prompt), float(completion))
    return None


# --- entries ------------------------------------------------------------------------------------------


def _facts(model: str) -> Mapping[str, Any]:
    """The entry of a model, whether or not its name carries the provider; empty where there is none."""
    if (found := entry(model)) is not None:
        return found
    prefix, slash, rest = model.partition("/")
    found = entry(rest) if slash else None
    return found if found is not None and family(found) == prefix else {}


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
