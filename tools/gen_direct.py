"""Write `src/runllm/engines/direct.json`: the providers that are called without LiteLLM, and what their requests are.

LiteLLM is called with each of a provider's models and parameters, and what it would have sent is looked at. A provider
has a row if that is a chat completion of OpenAI's form with a bearer key. Of each parameter the row says whether it is
sent as it is, under another name, or left out; one that is changed in any other way is not proven, and a request with
it goes through LiteLLM. So do the models that are not asked in this form.

    python tools/gen_direct.py            # write the file (some minutes)
    python tools/gen_direct.py --check    # exit 1 when it is out of date
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gen_providers

TARGET = gen_providers.TARGET.with_name("direct.json")
HERE = gen_providers.HERE
KEY = gen_providers.GIVEN
CHAT = "/chat/completions"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
EXTRA = "a_parameter_of_the_server"
BY_ADDRESS = ("azure_ai", "databricks")  # how the key is sent depends on the host
SAMPLES: Mapping[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "max_completion_tokens": 60, "stop": ["x"], "seed": 7,
    "presence_penalty": 0.1, "frequency_penalty": 0.2, "n": 1, "logit_bias": {"5": 1}, "logprobs": True,
    "top_logprobs": 2, "reasoning_effort": "low", "verbosity": "low", "user": "u", "safety_identifier": "s",
    "service_tier": "flex", "store": False, "prompt_cache_key": "k", "top_k": 5,
    "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": SCHEMA, "strict": True}},
    EXTRA: {"a": 1},
}  # fmt: skip
FORMS = ({"type": "json_object"}, SAMPLES["response_format"])
MOST_MODELS = 6  # of a provider that each parameter is tried with; the request itself is, with all of them
# Models of OpenAI's that take one parameter by another name: the same in LiteLLM and here, held to all of its table.
NEWER = r"(?:o\d|gpt-[5-9](?!-chat)|codex).*"

Body = dict[str, Any]


class Recorder(gen_providers.Probe):
    """LiteLLM, whose requests are answered at once and kept whole."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []
        self.bare: dict[tuple[str, str], tuple[str, Mapping[str, str], Body] | None] = {}
        self._answer_at_once()
        for name in (*self.keys, *self.bases):
            os.environ.pop(name, None)

    def _answer_at_once(self) -> None:
        import httpx

        message = {"role": "assistant", "content": "{}"}
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": message, "finish_reason": "stop"}
        ]}  # fmt: skip

        def answer(_: Any, request: httpx.Request, **__: Any) -> httpx.Response:
            self.sent.append((str(request.url), dict(request.headers), request.content))
            return httpx.Response(200, request=request, json=reply)

        async def aanswer(client: Any, request: httpx.Request, **_: Any) -> httpx.Response:
            return answer(client, request)

        httpx.AsyncClient.send, httpx.Client.send = aanswer, answer  # type: ignore[method-assign]

    async def asked(self, model: str, **given: Any) -> tuple[str, Mapping[str, str], Body] | None:
        """Address, headers and body of the one request that a call makes; None where it makes none or several."""
        self.sent.clear()
        messages = [dict(message) for message in MESSAGES]
        call = self.library.acompletion(model=model, messages=messages, api_key=KEY, max_retries=0, timeout=5, **given)
        with suppress(Exception):
            await asyncio.wait_for(call, 10)
        if len(self.sent) != 1:
            return None
        url, headers, content = self.sent[0]
        try:
            return url, headers, json.loads(content)
        except ValueError:
            return None

    # --- one provider ---------------------------------------------------------------------------

    async def direct(self, provider: str) -> Body | None:
        """The row of a provider; None if it is not asked in this form."""
        own = await self.asked(f"{provider}/m")
        first = await self.plain(provider, "m")
        if first is None:
            return None
        row: Body = {}
        if own is not None and own[0].startswith("https://") and own[0].endswith(CHAT) and _is_own(own[0], provider):
            row["url"] = own[0].removesuffix(CHAT)
        if first:
            row["adds"] = first
        models = self.models(provider)
        others = [name for name in models if await self.plain(provider, name) != first]
        others += await self.misnamed() if provider == "openai" else []
        if len(others) * 2 > len(models):
            return None
        if others:
            row["others"] = sorted(set(others))
        tried = ["m", *(name for name in models if name not in others)]
        return row | await self.parameters(provider, _spread(tried))

    def models(self, provider: str) -> list[str]:
        """The provider's models that its price table knows."""
        table: dict[str, Any] = self.library.model_cost
        found = (
            name for name, entry in table.items()
            if entry.get("litellm_provider") == provider and entry.get("mode") in ("chat", "responses")
        )  # fmt: skip
        return sorted({name.removeprefix(f"{provider}/") for name in found})

    async def plain(self, provider: str, model: str) -> Body | None:
        """What a request without parameters holds beside model and messages; None if it is none of this form."""
        found = await self.asked(f"{provider}/{model}", api_base=HERE)
        if found is None:
            return None
        url, headers, body = found
        if url != f"{HERE}{CHAT}" or headers.get("authorization") != f"Bearer {KEY}":
            return None
        if (body.pop("model", None), body.pop("messages", None), body.pop("stream", False)) != (model, MESSAGES, False):
            return None
        return body

    async def parameters(self, provider: str, models: list[str]) -> Body:
        """What becomes of each parameter, where that is the same for all models that take it."""
        row: Body = {"renamed": {}, "left_out": [], "unproven": []}
        for name, value in SAMPLES.items():
            values = FORMS if name == "response_format" else (value,)
            found = {
                model: [await self.outcome(provider, model, name, one) for one in values] for model in models
            }  # fmt: skip
            met = {outcome for outcomes in found.values() for outcome in outcomes}
            if met != {"refused"} and "same" in met:  # what is refused is sent as it is, or not at all
                met.discard("refused")
            if provider == "openai" and name == "max_tokens":
                continue  # by `NEWER`
            if len(met) != 1 or met <= {"changed", "refused"}:
                row["unproven"].append(name)
            elif met == {"left out"}:
                row["left_out"].append(name)
            elif met != {"same"}:
                row["renamed"][name] = met.pop()
        return {key: value for key, value in row.items() if value}

    async def outcome(self, provider: str, model: str, name: str, value: Any) -> str:
        """`same`, `left out`, `refused`, `changed`, or the name under which a parameter is sent."""
        if (provider, model) not in self.bare:  # asked for each parameter, it would be half of all the time
            self.bare[provider, model] = await self.asked(f"{provider}/{model}", api_base=HERE)
        plain = self.bare[provider, model]
        found = await self.asked(f"{provider}/{model}", api_base=HERE, **{name: value})
        if plain is None or found is None:
            return "refused"
        before, after = plain[2], found[2]
        more = {key: given for key, given in after.items() if key not in before}
        if {key: after.get(key) for key in before} != before or found[0] != plain[0]:
            return "changed"
        if not more:
            return "left out"
        if list(more.values()) != [value]:
            return "changed"
        return "same" if name in more else next(iter(more))

    async def misnamed(self) -> list[str]:
        """OpenAI's models of which `NEWER` does not say what LiteLLM does."""
        found: list[str] = []
        for model in self.models("openai"):
            outcome = await self.outcome("openai", model, "max_tokens", 50)
            expected = "max_completion_tokens" if re.fullmatch(NEWER, model) else "same"
            if outcome in ("same", "max_completion_tokens") and outcome != expected:
                found.append(model)
        return found


def _is_own(url: str, provider: str) -> bool:
    """Whether this is an address of the provider's, and not OpenAI's, to which its client goes if told nothing else."""
    return provider == "openai" or "//api.openai.com/" not in url


def _spread(models: list[str]) -> list[str]:
    return models[:1] + models[1 :: max(1, (len(models) - 1) // (MOST_MODELS - 1))] if len(models) > 1 else models


async def _measure() -> dict[str, Body]:
    recorder = Recorder()
    found = {
        provider: await recorder.direct(provider)
        for provider in gen_providers.providers()
        if provider not in BY_ADDRESS
    }
    return {provider: row for provider, row in found.items() if row is not None}


def generated() -> str:
    """The file as it should be, one provider a line."""
    rows = asyncio.run(_measure())
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    made = f"Written by tools/gen_direct.py from LiteLLM {version('litellm')}; do not edit."
    tried = json.dumps(sorted(SAMPLES.keys() - {EXTRA}))
    newer = json.dumps(NEWER)
    return f'{{\n  "$comment": {json.dumps(made)},\n  "$tried": {tried},\n  "$newer": {newer},\n{lines}\n}}\n'


def main() -> int:
    """Write, print or check."""
    return gen_providers.written(TARGET, Path(__file__), generated)


if __name__ == "__main__":
    sys.exit(main())
