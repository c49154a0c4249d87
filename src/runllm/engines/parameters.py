"""Which parameters a model takes, and what becomes of them on the way: read from a table. Pure.

The table (`parameters.json`, written by `tools/gen_parameters.py`) is what LiteLLM's own mapping makes of each
parameter for each chat model that its price table lists. Of any other model nothing is known, and nothing is said.
What providers refuse of parameters together stands here, since LiteLLM sends that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

from runllm import tokens
from runllm.engines import providers
from runllm.engines.base import Fit, Misfit
from runllm.errors import ModelNotFoundError
from runllm.results import Request
from runllm.schema import is_text
from runllm.values import frozen

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "default")
_RULE = re.compile(r"(\w+)(!=|>|=)?(.*)")
_LEAST_THOUGHT = 1024  # tokens that Claude may be set to think
_LEAST_TOP_P = 0.95  # that it takes while it thinks
_STEADY = frozenset({"seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"})
"""Parameters that an API has or has not: of others, such as how long a model thinks, newer models take more."""
_SERVE_CLAUDE = frozenset({"anthropic", "bedrock", "vertex_ai", "azure_ai"})
_REFUSE_MORE = frozenset(
    {
        "openai",
        "azure",
        "anthropic",
        "bedrock",
        "vertex_ai",
        "gemini",
        "deepseek",
        "xai",
        "groq",
        "cohere_chat",
        "mistral",
    }
)
_LIMIT_UNSURE = re.compile(r"(?:ft:)?gpt-4(?:-0\d{3})?")  # of which LiteLLM's table tells half
_NO_STOP = r"o3(?!-mini)|o4-mini"
_ONE_OF_BOTH = r"claude-(?:opus-4-[1-9]|(?:sonnet|haiku)-4-[5-9]|[a-z]+-[5-9])(?!\d{3})"


def fit(request: Request) -> Fit:
    """What the model of a request takes of its parameters, and what becomes of it on the way through LiteLLM."""
    model, params = request.endpoint.model, request.params
    dropped: list[str] = params.get("additional_drop_params") or []
    given = {name: value for name, value in params.items() if value is not None and name not in dropped}
    case = _case(model, given)
    if case is None:
        return Fit.of(given, _refused_of_all(model, given))
    amiss = (*_combined(case), *_refused(case), *_too_many(case, providers.longest_answer(request.endpoint)))
    found = Fit.of(given, {one.name: one for one in amiss}.values())
    shaped = request.schema is not None and not is_text(request.schema) and "response_format" not in params
    return replace(found, notes=(*found.notes, *_changed(replace(case, params=found.params), shaped=shaped)))


def takes_schema(model: str) -> bool:
    """Whether a schema can be sent to a model as `response_format`; true of one of which nothing is known."""
    case = _case(model, {})
    return case is None or not _is_refused(case, "response_format", {"type": "json_schema"})


def is_known(model: str) -> bool:
    """Whether the table says what a model takes."""
    return _case(model, {}) is not None


# --- the table --------------------------------------------------------------------------------------------


@frozen
class _Case:
    """A model of a provider's, by its own name, and the parameters that are meant for it."""

    model: str
    provider: str
    name: str
    params: Mapping[str, Any]

    def rules(self, kind: str) -> tuple[tuple[str, Any], ...]:
        """Each rule of a part of the table that is about this model, with what its row says of it."""
        return _rules(kind, self.provider, self.name)

    def meets(self, rule: str) -> bool:
        """Whether a rule is about one of the parameters: `top_k`, `temperature!=1`, `reasoning_effort=low|high`."""
        found = _RULE.fullmatch(rule)
        if found is None or found[1] not in self.params:
            return False
        value = _said(self.params[found[1]])
        match found[2]:
            case None:
                return True
            case "!=":
                return value != float(found[3])
            case ">":
                return isinstance(value, float) and value > float(found[3])
            case _:
                return any(value == (float(one) if isinstance(value, float) else one) for one in found[3].split("|"))


def _case(model: str, params: Mapping[str, Any]) -> _Case | None:
    """The case of a model that the table knows; None of any other."""
    try:
        name = providers.listed(model)
    except ModelNotFoundError:  # a run will say so
        return None
    if name is None:
        return None
    return _Case(model=model, provider=providers.provider_of(model), name=name, params=params)


def _refused_of_all(model: str, params: Mapping[str, Any]) -> Iterator[Misfit]:
    """Of a model that the table does not know, what no model there takes: its provider has no such parameter."""
    try:
        provider = providers.provider_of(model)
    except ModelNotFoundError:
        return
    of_claude = "claude" in model and provider in _SERVE_CLAUDE
    rows = _table()["refused"].get("anthropic" if of_claude else provider, ())
    names = {rule for row in rows if not row[1] for rule in row[0].split()} & _STEADY
    insisted: list[str] = params.get("allowed_openai_params") or []
    case = _Case(model=model, provider=provider, name="", params=params)
    for name in names.intersection(params).difference(insisted):
        yield _misfit(case, name, f"Leave `{name}` out for this model.", whole=True)


@cache
def _table() -> dict[str, dict[str, list[list[Any]]]]:
    return json.loads(Path(__file__).with_name("parameters.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _rules(kind: str, provider: str, name: str) -> tuple[tuple[str, Any], ...]:
    rows = (row for row in _table()[kind].get(provider, ()) if _stands_for(row[1], name))
    return tuple((rule, row[2] if row[2:] else None) for row in rows for rule in row[0].split())


def _stands_for(patterns: str, name: str) -> bool:
    """Whether patterns stand for a model: none for all of them, else parts of `^name$`; with `!` for all but those."""
    but = patterns.startswith("! ")
    parts = patterns.removeprefix("! ").split()
    return not parts or any(part in f"^{name}$" for part in parts) is not but


def _said(value: Any) -> Any:
    """A value as a rule names it: what kind it is of, or how much."""
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return named.get("type") or named.get("effort")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


# --- what is not taken ------------------------------------------------------------------------------------


def _refused(case: _Case) -> Iterator[Misfit]:
    """The parameters that LiteLLM refuses to send to the model."""
    insisted: list[str] = case.params.get("allowed_openai_params") or []
    for rule, unless in case.rules("refused"):
        name = rule[: len(rule) - len(rule.lstrip("abcdefghijklmnopqrstuvwxyz_"))]
        if not case.meets(rule) or (unless and case.meets(unless)) or (rule == name and name in insisted):
            continue
        yield _misfit(case, name, _hint(case, rule, name, unless), whole=rule == name)


def _hint(case: _Case, rule: str, name: str, unless: str | None) -> str:
    otherwise = [f"add `{unless.replace('=', ': ')}`"] if unless else []
    if rule.endswith("!=1"):
        otherwise.insert(0, f"write `{name}: 1`")
    if name == "max_tokens" and not _is_refused(case, "max_completion_tokens", case.params[name]):
        otherwise.append("write `max_completion_tokens`")
    if name == "reasoning_effort" and rule != name:
        taken = [effort for effort in EFFORTS if not _is_refused(case, name, effort)]
        otherwise.append(f"write {' or '.join(taken)}")
    return ", or ".join([f"Leave `{name}` out for this model", *otherwise]) + "."


def _is_refused(case: _Case, name: str, value: Any) -> bool:
    other = replace(case, params={name: value})
    return any(other.meets(rule) for rule, _ in case.rules("refused"))


def _misfit(case: _Case, name: str, hint: str, *, whole: bool = False) -> Misfit:
    said = name if whole else f"{name}: {_short(case.params[name])}"
    return Misfit(name=name, message=f"`{case.model}` does not take `{said}`", hint=hint)


def _short(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value).replace('"', "")


# --- what is not taken together ---------------------------------------------------------------------------


def _combined(case: _Case) -> Iterator[Misfit]:
    """The parameters that the provider refuses beside others, though LiteLLM sends them."""
    if "claude" in case.name:
        yield from _of_claude(case)
    elif case.provider in ("openai", "azure"):
        yield from _of_openai(case)


def _too_many(case: _Case, most: int | None) -> Iterator[Misfit]:
    """A limit on the answer that is above the model's own, where its provider refuses that."""
    beyond = "extra_headers" in case.params  # by which some allow more
    if most is None or beyond or case.provider not in _REFUSE_MORE or _LIMIT_UNSURE.fullmatch(case.name):
        return
    for name in ("max_tokens", "max_completion_tokens"):
        asked = case.params.get(name)
        if isinstance(asked, int) and asked > most:
            said = f"`{case.model}` answers with {most:,} tokens at the most, and `{name}` is {asked:,}"
            yield Misfit(name=name, message=said, hint=f"Write `{name}: {most}` or less.")


def _of_openai(case: _Case) -> Iterator[Misfit]:
    params, model = case.params, case.model
    if "top_logprobs" in params and not params.get("logprobs"):
        said = f"`{model}` takes `top_logprobs` beside `logprobs: true` alone"
        yield Misfit(name="top_logprobs", message=said, hint="Add `logprobs: true`, or leave `top_logprobs` out.")
    if "max_tokens" in params and "max_completion_tokens" in params:
        said = f"`{model}` takes `max_tokens` or `max_completion_tokens`, not both"
        yield Misfit(name="max_tokens", message=said, hint="Leave `max_tokens` out.")
    if "stop" in params and re.match(_NO_STOP, case.name):
        yield _misfit(case, "stop", "Leave `stop` out for this model.", whole=True)


def _of_claude(case: _Case) -> Iterator[Misfit]:
    params, model = case.params, case.model
    heat, share = params.get("temperature"), params.get("top_p")
    thinks = "thinking" if "thinking" in params else "reasoning_effort"
    budget = _thought(case)
    most = tokens.longest_answer(params)
    if budget and most and budget >= most:
        said = f"`{model}` would think for up to {budget:,} tokens, and `max_tokens` is {most:,}: it must be more"
        yield Misfit(name=thinks, message=said, hint=f"Raise `max_tokens` above {budget:,}, or let it think less.")
    elif budget and budget < _LEAST_THOUGHT:
        said = f"`{model}` thinks for {_LEAST_THOUGHT:,} tokens at the least, and `budget_tokens` is {budget:,}"
        yield Misfit(name=thinks, message=said, hint=f"Write `budget_tokens: {_LEAST_THOUGHT}` or more.")
    elif budget and heat not in (None, 1):
        said = f"`{model}` takes no `temperature: {heat}` while it thinks"
        yield Misfit(name="temperature", message=said, hint="Leave `temperature` out, or let the model not think.")
    elif budget and share is not None and share < _LEAST_TOP_P:
        said = f"`{model}` takes no `top_p: {share}` while it thinks"
        yield Misfit(name="top_p", message=said, hint=f"Write {_LEAST_TOP_P} or more, or leave `top_p` out.")
    if heat is not None and heat > 1:
        said = f"`{model}` takes a `temperature` from 0 to 1, not {heat}"
        yield Misfit(name="temperature", message=said, hint="Write a `temperature` from 0 to 1.")
    elif heat is not None and share is not None and re.search(_ONE_OF_BOTH, case.name):
        said = f"`{model}` takes `temperature` or `top_p`, not both"
        yield Misfit(name="top_p", message=said, hint="Leave one of them out.")


def _thought(case: _Case) -> int:
    """The tokens that Claude is set to think for: as the file says, or what LiteLLM makes of it; 0 for none."""
    made = next((said for rule, said in case.rules("changed") if case.meets(rule) and "thinking" in said), None)
    if made is None:
        return tokens.thinking(case.params)
    thinking: Mapping[str, Any] = made["thinking"]
    return thinking.get("budget_tokens", 0)


# --- what is sent otherwise -------------------------------------------------------------------------------


def _changed(case: _Case, *, shaped: bool) -> Iterator[str]:
    """How what is sent differs from what was asked for, in sentences."""
    for rule, effect in case.rules("changed"):
        name = _RULE.sub(r"\1", rule)
        if rule == "messages" or (rule == "schema" and shaped):
            yield f"LiteLLM {_REWRITTEN[effect]} for `{case.model}`"
        elif case.meets(rule):
            yield _sent_as(f"`{name}: {_short(case.params[name])}`", effect)


_REWRITTEN = {
    "joined": "joins the messages into one text",
    "user": "sends the system message as if the user said it,",
    "prompt": "adds the schema to the prompt a second time",
}


def _sent_as(asked: str, effect: Any) -> str:
    if effect == "prompt":
        return (
            f"{asked} is not sent: LiteLLM puts a system prompt of its own before yours, which asks the model to think"
        )
    if not effect:
        return f"{asked} is not sent: LiteLLM leaves it out for this model"
    return f"{asked} is sent as `{_short(effect).removeprefix('{').removesuffix('}')}`"
