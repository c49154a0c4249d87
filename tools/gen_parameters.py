"""Write `src/runllm/engines/parameters.json`: what the models of LiteLLM's price table do not take, and take otherwise.

Nothing here is read off a page: LiteLLM's own mapping is run for each chat model with each parameter and value of
`llm_params.schema.json`. What it refuses is a row of `refused`; what it sends as something else, or not at all, one of
`changed`. Where it goes another way (its bridge to the Responses API), and for the messages, a call is made and caught
just before it leaves.

    python tools/gen_parameters.py            # write the file (some minutes)
    python tools/gen_parameters.py --check    # exit 1 when it is out of date
    python tools/gen_parameters.py --sample 50  # print what becomes of the parameters of so many models, as JSON
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gen_providers

from runllm.engines import providers

TARGET = gen_providers.TARGET.with_name("parameters.json")
MODES = ("chat", "responses", "completion", None)
REFUSED = "refused"
HERE = "http://127.0.0.1:9/v1"

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "CRITICAL", "AWS_REGION": "us-east-1", "AWS_REGION_NAME": "us-east-1",
    "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
}  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "default")
_FORM = {"name": "output", "schema": {"type": "object", "properties": {"zz": {"type": "integer"}}}}

# Each value that is tried, by the parameter and the name of the value in the table; one that stands for all has none.
PROBES: dict[str, dict[str, Any]] = {
    "temperature": {"0": 0, "0.5": 0.5, "1": 1, "1.5": 1.5},
    "top_p": {"0.5": 0.5, "1": 1},
    "max_tokens": {"": 4321},
    "max_completion_tokens": {"": 4321},
    "stop": {"": ["END", "STOP"]},
    "seed": {"": 4321},
    "presence_penalty": {"": 0.3},
    "frequency_penalty": {"": 0.3},
    "n": {"": 1},
    "logit_bias": {"": {"50": 5}},
    "logprobs": {"": True},
    "top_logprobs": {"": 3},
    "reasoning_effort": {effort: effort for effort in _EFFORTS},
    "thinking": {
        "enabled": {"type": "enabled", "budget_tokens": 4321},
        "disabled": {"type": "disabled"},
        "adaptive": {"type": "adaptive"},
    },
    "verbosity": {"": "low"},
    "response_format": {
        "text": {"type": "text"},
        "json_object": {"type": "json_object"},
        "json_schema": {"type": "json_schema", "json_schema": _FORM},
    },
    "user": {"": "a-user"},
    "safety_identifier": {"": "a-name"},
    "service_tier": {"": "flex"},
    "store": {"": True},
    "prediction": {"": {"type": "content", "content": "expected"}},
    "prompt_cache_key": {"": "a-key"},
    "prompt_cache_retention": {"": "24h"},
    "web_search_options": {"": {"search_context_size": "low"}},
    "context_management": {"": {"edits": []}},
}
_BESIDE = {"top_logprobs": {"logprobs": True}}  # without which a parameter means nothing
_UNLESS = ("temperature", "top_p", "logprobs", "top_logprobs")  # what some take where the model does not think
_INSIDE = re.compile(r"^_|^(?:json_mode|max_tokens|maxTokens|max_output_tokens|stream|display|name)$")
_VARIANT = re.compile(r"^(?:eu|us|global)/|-\d{4}-\d\d-\d\d$")  # of a model that is the same
_SHOWS_MESSAGES = ("mode", "supports_system_messages", "supports_response_schema")  # of an entry
_SAID = ("text", "content", "prompt", "input", "inputText", "message")  # where the body of a provider has its messages
_MESSAGES = [
    {"role": "system", "content": "the-system"}, {"role": "user", "content": "the-first"},
    {"role": "assistant", "content": "the-answer"}, {"role": "user", "content": "the-second"},
]  # fmt: skip

Effect = Any  # `REFUSED`, None where the value arrives as it is, else what is sent instead of it: a mapping or a word


class Probe:
    """LiteLLM, asked what it makes of parameters; nothing that it sends leaves."""

    def __init__(self) -> None:
        os.environ.update(_ENVIRONMENT)
        logging.disable(logging.CRITICAL)
        gc.disable()
        import litellm
        from litellm import main, utils

        gc.freeze()
        gc.enable()
        litellm.suppress_debug_info = True
        self.library: Any = litellm
        self.mapped: Any = utils.get_optional_params
        self.bridge: Any = main.responses_api_bridge_check
        self.sent: list[Any] = []
        self.bridged: dict[str, dict[str, Effect]] = {}
        self._catch()

    def _catch(self) -> None:
        import aiohttp
        import httpx

        def send_now(_: Any, request: httpx.Request, **__: Any) -> httpx.Response:
            with suppress(ValueError):
                self.sent.append(json.loads(request.content))
            return httpx.Response(400, request=request, json={"error": {"message": "caught"}})

        async def send(client: Any, request: httpx.Request, **_: Any) -> httpx.Response:
            return send_now(client, request)

        async def ask(*_: Any, json: Any = None, **__: Any) -> Any:
            self.sent.append(json)
            raise OSError("caught")

        httpx.AsyncClient.send, httpx.Client.send = send, send_now  # type: ignore[method-assign]
        aiohttp.ClientSession._request = ask  # type: ignore[method-assign] # noqa: SLF001
        sys.addaudithook(_refuse)

    def models(self) -> Iterator[tuple[str, str]]:
        """The provider and the name of each chat model that can be called, and of those that only others begin with."""
        found = dict.fromkeys(self._priced())
        stems = {(provider, stem) for provider in {one for one, _ in found} for stem in providers.stems(provider)}
        yield from found
        yield from sorted(stems - set(found))

    def _priced(self) -> Iterator[tuple[str, str]]:
        for name, entry in self.library.model_cost.items():
            if entry.get("mode") not in MODES:
                continue
            prefix = name.partition("/")[0]
            whole = name if prefix in providers.PROVIDERS else f"{providers.family(entry)}/{name}"
            with suppress(Exception):  # some are no provider that can be called
                provider = providers.provider_of(whole)
                self.library.get_llm_provider(whole)
                if not provider.startswith("ollama"):  # it has its own engine
                    yield provider, whole.removeprefix(f"{provider}/")

    def effects(self, provider: str, name: str) -> dict[str, Effect]:
        """What becomes of each value that is tried, by `parameter` or `parameter=value`."""
        whole = f"{provider}/{name}"
        model, known_as, _, _ = self.library.get_llm_provider(whole)
        found = _effects(_once(lambda params: self._mapped(model, known_as, params)))
        if self.bridge(model=model, custom_llm_provider=known_as)[0].get("mode") != "responses":
            return found
        like = json.dumps([provider, _VARIANT.sub("", name), found])
        if like not in self.bridged:  # a call takes fifty times as long as the mapping
            ask = _once(lambda params: self.caught(whole, params))
            self.bridged[like] = _effects(ask) if ask({}) else found
        return self.bridged[like]

    def _mapped(self, model: str, provider: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            found = self.mapped(model=model, custom_llm_provider=provider, **json.loads(json.dumps(params)))
        except Exception:  # each provider has its own
            return None
        inner = found.pop("extra_body", None) or {}
        return {**found, **inner}

    def caught(self, whole: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """The body of a call; None where nothing was sent."""
        self.sent.clear()
        own = {"api_base": HERE, "api_version": "2025-04-01-preview"} if self._is_addressed(whole) else {}
        asyncio.run(self._call(whole, json.loads(json.dumps(params)) | own))
        return self.sent[-1] if self.sent and isinstance(self.sent[-1], dict) else None

    def _is_addressed(self, whole: str) -> bool:
        return providers.facts(whole.partition("/")[0]).addressed

    async def _call(self, whole: str, params: dict[str, Any]) -> None:
        messages = json.loads(json.dumps(_MESSAGES))
        call = self.library.acompletion(
            model=whole, messages=messages, api_key="key", max_retries=0, timeout=5, stream=False, **params
        )
        with suppress(Exception):  # every call fails; what it would have sent was seen
            await asyncio.wait_for(call, 10)

    def of_messages(self, provider: str, name: str) -> dict[str, Effect]:
        """What becomes of the messages, alone and beside a schema."""
        whole = f"{provider}/{name}"
        plain = self.caught(whole, {})
        if plain is None:
            return {}
        found: dict[str, Effect] = {}
        if said := _rewritten(plain):
            found["messages"] = said
        shaped = self.caught(whole, {"response_format": PROBES["response_format"]["json_schema"]})
        if shaped is not None and any('"zz"' in text for text in _texts(shaped, _SAID)):
            found["schema"] = "prompt"
        return found


def _effects(ask: Any) -> dict[str, Effect]:
    """The effect of each value that is tried, by `parameter` or `parameter=value`."""
    found: dict[str, Effect] = {}
    for parameter, values in PROBES.items():
        for said, value in values.items():
            key = f"{parameter}={said}" if said else parameter
            found[key] = effect(ask, parameter, value, _BESIDE.get(parameter, {}))
    off = {"reasoning_effort": "none"}
    for parameter in _UNLESS if found["reasoning_effort=none"] is None else ():
        for said, value in PROBES[parameter].items():
            key, beside = f"{parameter}={said}" if said else parameter, _BESIDE.get(parameter, {}) | off
            if found[key] == REFUSED and effect(ask, parameter, value, beside) is None:
                found[key] = f"{REFUSED} unless reasoning_effort=none"
    return found


def _once(ask: Any) -> Any:
    """The same, asked once for each value."""
    known: dict[str, Any] = {}

    def answered(params: Mapping[str, Any]) -> Any:
        key = json.dumps(params)
        if key not in known:
            known[key] = ask(params)
        return known[key]

    return answered


def effect(ask: Any, parameter: str, value: Any, beside: Mapping[str, Any]) -> Effect:
    """What becomes of one value, beside others."""
    plain, asked = ask(beside) or {}, ask({**beside, parameter: value})
    if asked is None:
        return REFUSED
    if parameter == "n":
        return None  # one answer is what all give
    new = {key: inner for key, inner in asked.items() if key not in plain or plain[key] != inner}
    if new.get("_add_reasoning_prompt"):
        return "prompt"
    if _holds(new, value) or _means_the_same(new, parameter, value):
        return None
    if parameter == "thinking" and "budget_tokens" in value:  # what is made of the number itself is left out
        other = ask({**beside, parameter: {**value, "budget_tokens": 1500}}) or {}
        new = {key: inner for key, inner in new.items() if other.get(key) == inner}
    return _outside(new)


def _means_the_same(new: Mapping[str, Any], parameter: str, value: Any) -> bool:
    """Whether what is sent is the same in the provider's own words."""
    match parameter:
        case "response_format":
            return value["type"] != "json_object" or "mime" in str(new) or "format" in str(new)
        case "web_search_options":
            return "tools" in new
        case "thinking":
            return new.get("thinkingConfig") == {"includeThoughts": True, "thinkingBudget": value.get("budget_tokens")}
        case _:
            return False


def _outside(found: Any) -> Any:
    """A mapped value without what LiteLLM keeps for itself, and what it works out of the other parameters."""
    if isinstance(found, dict):
        return {key: _outside(inner) for key, inner in found.items() if not _INSIDE.search(key)}
    return [_outside(inner) for inner in found] if isinstance(found, list) else found


def _holds(found: Any, value: Any) -> bool:
    """Whether a value stands somewhere in what is sent: as it is, in a list, or with more beside it."""
    if found == value and isinstance(found, bool) == isinstance(value, bool):
        return True
    if isinstance(found, dict):
        if isinstance(value, dict) and value and value.items() <= found.items():
            return True
        return any(_holds(inner, value) for inner in found.values())
    return isinstance(found, list) and any(_holds(inner, value) for inner in found)


def _texts(found: Any, under: Iterable[str] | None = None, key: str = "") -> list[str]:
    """Every text of a body; of those keys only, where some are given."""
    if isinstance(found, dict):
        return [text for key, inner in found.items() for text in _texts(inner, under, key)]
    if isinstance(found, list):
        return [text for inner in found for text in _texts(inner, under, key)]
    return [str(found)] if under is None or key in under else []


def _rewritten(body: Mapping[str, Any]) -> str | None:
    """How the messages of a body are other ones: a word of the table, or None."""
    said = _texts(body)
    if not any(text.strip() == "the-first" for text in said):
        return "joined"
    turns = [turn for turn in body.get("messages") or () if isinstance(turn, dict)]
    roles = [turn.get("role") for turn in turns if "the-system" in _texts(turn)]
    return "user" if roles == ["user"] else None


def _refuse(event: str, given: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo" and given[0] not in (None, "127.0.0.1", "localhost", b"127.0.0.1", b"localhost"):
        raise OSError(f"{given[0]} is not this machine")


# --- rows ---------------------------------------------------------------------------------------------


def folded(found: Mapping[str, Effect]) -> dict[str, Effect]:
    """The effects of one model, the values of a parameter with the same one written as a rule: `temperature!=1`."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key, effect in found.items():
        if effect is not None:
            parameter, _, said = key.partition("=")
            groups[parameter, json.dumps(effect)].append(said)
    return {
        _rule(parameter, said, list(PROBES.get(parameter, {"": None}))): json.loads(effect)
        for (parameter, effect), said in groups.items()
    }


def _rule(parameter: str, said: list[str], tried: list[str]) -> str:
    if said in (tried, [""]):
        return parameter
    if parameter != "temperature":
        return f"{parameter}={'|'.join(said)}"
    rest = [one for one in tried if one not in said]
    if rest == ["1"]:
        return "temperature!=1"
    return "temperature>1" if said == ["1.5"] else f"temperature={'|'.join(said)}"


_TOKEN = re.compile(r"[A-Za-z]+|\d+|.")
_LONGEST = 9  # tokens of a pattern


class Names:
    """The names of a provider's models, and which parts of them stand in which."""

    def __init__(self, names: Iterable[str]) -> None:
        self.at = {name: 1 << place for place, name in enumerate(sorted(names))}
        ended = [f"^{name}$" for name in self.at]
        parts = {part for name in ended for part in _parts(name)}
        self.shortest: dict[int, str] = {}  # part, by the set of names that it stands in
        for part in sorted(parts, key=lambda part: (len(part), part)):
            self.shortest.setdefault(sum(1 << place for place, name in enumerate(ended) if part in name), part)

    def cover(self, wanted: Iterable[str]) -> str:
        """Patterns of exactly the wanted names: none for all, else parts of `^name$`, with `!` for all but those."""
        every, these = (1 << len(self.at)) - 1, sum(self.at[name] for name in wanted)
        if these == every:
            return ""
        having, lacking = self._patterns(these), self._patterns(every & ~these)
        return " ".join(having) if len(having) <= len(lacking) else "! " + " ".join(lacking)

    def _patterns(self, wanted: int) -> list[str]:
        """Few parts of names, each of which stands in some wanted name and in no other."""
        usable = {these: part for these, part in self.shortest.items() if not these & ~wanted}
        found: list[str] = []
        left = wanted
        while left:
            best = min(usable, key=lambda these: (-(these & left).bit_count(), len(usable[these]), usable[these]))
            left &= ~best
            found.append(usable[best])
        return sorted(found)


def _parts(name: str) -> Iterator[str]:
    tokens = _TOKEN.findall(name)
    yield name
    for first in range(len(tokens)):
        for last in range(first + 1, min(first + _LONGEST, len(tokens)) + 1):
            yield "".join(tokens[first:last])


Rows = dict[str, dict[str, list[list[Any]]]]


def rows(effects: Mapping[str, Mapping[str, dict[str, Effect]]]) -> Rows:
    """The table of the effects of each provider's models: parameters that share an effect and its models in one row."""
    refused: dict[str, list[list[Any]]] = {}
    changed: dict[str, list[list[Any]]] = {}
    for provider, models in sorted(effects.items()):
        holders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for name, found in models.items():
            for rule, effect in folded(found).items():
                holders[rule, json.dumps(effect)].add(name)
        shared: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        known = Names(models)
        for (rule, effect), names in holders.items():
            shared[effect, known.cover(names)].append(rule)
        for (effect, patterns), rules in sorted(shared.items()):
            value = json.loads(effect)
            if isinstance(value, str) and value.startswith(REFUSED):
                row = [" ".join(sorted(rules)), patterns, *([value.partition("unless ")[2]] if " " in value else [])]
                refused.setdefault(provider, []).append(row)
            else:
                changed.setdefault(provider, []).append([" ".join(sorted(rules)), patterns, value])
    return {"refused": refused, "changed": changed}


def sampled(probe: Probe, count: int) -> dict[str, dict[str, Effect]]:
    """The rules of so many models, by `provider/name`: the same ones each time."""
    models = list(probe.models())
    chosen = models[:: max(1, len(models) // count)]
    return {f"{provider}/{name}": folded(probe.effects(provider, name)) for provider, name in chosen}


def measured(probe: Probe) -> dict[str, dict[str, dict[str, Effect]]]:
    """The effects of every model, by provider and name."""
    found: defaultdict[str, dict[str, dict[str, Effect]]] = defaultdict(dict)
    alike: dict[str, dict[str, Effect]] = {}
    for provider, name in probe.models():
        entry = probe.library.model_cost.get(f"{provider}/{name}") or probe.library.model_cost.get(name) or {}
        like = str([provider, re.split(r"[^a-z]", name)[0], *(entry.get(fact) for fact in _SHOWS_MESSAGES)])
        if like not in alike:  # a call takes fifty times as long as the mapping
            alike[like] = probe.of_messages(provider, name)
        found[provider][name] = probe.effects(provider, name) | alike[like]
    return found


def render(table: Rows) -> str:
    """The text of the file, a row a line."""
    made = f"Written by tools/gen_parameters.py from LiteLLM {version('litellm')}; do not edit."
    parts = [f'  "$comment": {json.dumps(made)}']
    for kind, of_provider in table.items():
        inner = ",\n".join(
            f"    {json.dumps(name)}: [\n" + ",\n".join(f"      {json.dumps(row)}" for row in found) + "\n    ]"
            for name, found in of_provider.items()
        )
        parts.append(f'  "{kind}": {{\n{inner}\n  }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """Write, print, check, or show a sample."""
    if "--sample" in sys.argv:
        sys.stdout.write(json.dumps(sampled(Probe(), int(sys.argv[-1]))))
        sys.stdout.flush()
        os._exit(0)
    return gen_providers.written(TARGET, Path(__file__), lambda: render(rows(measured(Probe()))))


if __name__ == "__main__":
    sys.exit(main())
