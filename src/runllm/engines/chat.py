"""A request as the arguments of a chat completion, how long its answer may be, and its reply as a completion. Pure."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from runllm import tokens
from runllm.diagnostics import clip
from runllm.engines import providers
from runllm.engines.access import Access
from runllm.engines.endings import REWORD, WINDOW, ending, told
from runllm.engines.failures import LONGEST_WORDS, readable
from runllm.errors import OutputSchemaError, ProviderError, RequestRefusedError
from runllm.results import Completion, Endpoint, Request, Usage
from runllm.schema import is_text

_NO_RETRIES = frozenset({"gradient_ai"})  # LiteLLM refuses the parameter, and sends nothing again by itself
_TELL_COST = frozenset({"openrouter", "perplexity", "vercel_ai_gateway", "xai"})  # in the usage of each answer
_DEPLOYED = frozenset({"azure", "azure_ai"})  # a model's name may be the user's own; the answer tells the real one


def arguments(request: Request, access: Access, form: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of the call; LiteLLM changes what it is given, so it is given copies."""
    return {
        **copy.deepcopy(sent_params(request.endpoint, request.params)),
        "model": request.endpoint.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "api_base": access.api_base,
        "api_key": access.api_key,
        "api_version": request.endpoint.api_version,
        "timeout": request.timeout,
        **({} if access.provider in _NO_RETRIES else {"max_retries": 0}),
        "num_retries": None,
        "stream": False,
        **copy.deepcopy(dict(form)),
    }


def sent_params(endpoint: Endpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request, those that only its provider knows among them."""
    params = {**endpoint.provider_params, **given}
    if "format" in given and params.pop("format") == "json":
        params.setdefault("response_format", {"type": "json_object"})
    return params


_STEERING = frozenset({"drop_params", "additional_drop_params", "allowed_openai_params"})
_NAMES_UNTAKEN = re.compile(r"does not support parameters: \[([^\]]*)\]")


def insisting(arguments: Mapping[str, Any], request: Request, words: str) -> Iterator[dict[str, Any]]:
    """The arguments as LiteLLM sends what it has refused: allowed by name, then as a body of the caller's own."""
    named = _NAMES_UNTAKEN.search(words)
    allowed: list[str] = [
        *(arguments.get("allowed_openai_params") or []),
        *re.findall(r"\w+", named[1] if named else ""),
    ]
    if named:
        yield {**copy.deepcopy(dict(arguments)), "allowed_openai_params": allowed}
    sent = {*request.params, "response_format"} - _STEERING
    own = {name: value for name, value in arguments.items() if name in sent}
    rest = {name: value for name, value in arguments.items() if name not in own}
    yield {**copy.deepcopy(rest), "extra_body": copy.deepcopy(own)}


# --- the reply ----------------------------------------------------------------------------------------


def read(reply: Any, request: Request, access: Access, elapsed: float) -> Completion:
    """The library's reply as a completion.

    Args:
        reply: LiteLLM's `ModelResponse`.
        request: what was asked.
        access: how it was asked.
        elapsed: seconds from sending the request to the last byte.

    Raises:
        RunllmError: it is none.
    """
    choice: Any = next(iter(getattr(reply, "choices", None) or ()), None)
    message: Any = getattr(choice, "message", None)
    if choice is None:
        raise ProviderError(
            f"`{request.endpoint.model}` answered without a choice to read",
            details={"status": None, "provider": access.provider, "model": request.endpoint.model},
        )
    usage = _usage(getattr(reply, "usage", None))
    beside: Any = getattr(message, "provider_specific_fields", None)
    names = ("reasoning_content", "reasoning", "reasoning_details")
    thought = any(_of(place, name) for place in (message, beside) for name in names)
    text, thought = answered(said(message, request), thought)
    return completed(
        text,
        _reason(_told(choice, access.provider), usage, request, text),
        usage,
        refusal=_refusal(message),
        thought=thought,
        called=bool(functions(message)),
        request=request,
        provider=access.provider,
        cost=_cost(reply, usage, request, access),
        latency=elapsed,
    )


_MOST_TOKENS = 10**9  # a server that counts more of them does not count
_THOUGHT = re.compile(r"\A<(think|thinking|budget:thinking)>.*?</(?:think|thinking|budget:thinking)>", re.DOTALL)


def answered(text: Any, thought: Any) -> tuple[Any, bool]:
    """An answer without what was thought before it, and whether anything was: there, or in a field of its own."""
    if not isinstance(text, str):
        return text, bool(thought)
    rest = _THOUGHT.sub("", text)
    return rest, bool(thought) or rest != text


def said(message: Any, request: Request) -> Any:
    """What was answered: the content, or what stands in the calls of a tool; of both the one that fits.

    Where both do, they are given together, to be refused unless they are the same. A text is never in a call.
    """
    content = _of(message, "content")
    if _is_text(request):
        return content
    found = [_of(called, "arguments") for called in functions(message)]
    given = [json.dumps(one) if isinstance(one, dict) else one for one in found if isinstance(one, str | dict)]
    called = "\n".join(dict.fromkeys(given))
    if not (isinstance(content, str) and content.strip()):
        return called or content
    if not called or called == content:
        return content
    fitting = [text for text in (content, called) if _is_read(text, request)]
    return "\n".join(fitting or [content, called])


def functions(message: Any) -> list[Any]:
    """The calls of tools in a message, with their names and arguments."""
    calls = [_of(call, "function") for call in _listed(_of(message, "tool_calls"))]
    return [called for called in (*calls, _of(message, "function_call")) if called]


def _is_read(text: str, request: Request) -> bool:
    from runllm.reading import extract  # for the rare answer that comes twice

    try:
        extract(text, request.schema or {})
    except OutputSchemaError:
        return False
    return True


def _of(holder: Any, name: str) -> Any:
    """A part of a reply, of LiteLLM's or of JSON."""
    return cast("dict[str, Any]", holder).get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _listed(found: Any) -> list[Any]:
    return cast("list[Any]", found) if isinstance(found, list) else []


def _refusal(message: Any) -> str:
    """The words in which a model refused to answer; empty where it did not."""
    fields: Any = getattr(message, "provider_specific_fields", None)
    inside: Any = cast("Mapping[str, Any]", fields).get("refusal") if isinstance(fields, Mapping) else None
    found = getattr(message, "refusal", None) or inside
    return readable(found) if isinstance(found, str) else ""


_NATIVE = "native_finish_reason"
_TRANSLATING = frozenset({"openrouter", "vercel_ai_gateway"})
# Where LiteLLM makes a tool of the schema, it tells of an answer that was cut off that it was whole.
_FORCED_TOOL = re.compile(r"(?i)claude|^anthropic/|^databricks/")


def _told(choice: Any, provider: str) -> str:
    """The finish reason of a choice; what a gateway passes on of another's, beside its own, only if it is known."""
    fields: Any = getattr(choice, "provider_specific_fields", None)
    kept: Any = cast("Mapping[str, Any]", fields).get(_NATIVE) if isinstance(fields, Mapping) else None
    native = kept or getattr(choice, _NATIVE, None)
    unknown = isinstance(native, str) and ending(native) == "other"
    return told(getattr(choice, "finish_reason", None), None if unknown and provider in _TRANSLATING else native)


def _reason(ended: str, usage: Usage, request: Request, text: Any) -> str:
    """Why an answer ended; `length` where it has as many tokens as it might, and is cut or nobody knows better."""
    most = tokens.longest_answer({**request.endpoint.provider_params, **request.params})
    full = ended == "stop" and most is not None and usage.completion_tokens >= most and request.schema is not None
    return "length" if full and (_FORCED_TOOL.search(request.endpoint.model) or _is_cut(text)) else ended


def _is_cut(text: Any) -> bool:
    """Whether an answer begins as an object or a list and does not end as one."""
    found = text.strip() if isinstance(text, str) else ""
    return found.startswith(("{", "[")) and not found.endswith(("}", "]"))


def completed(
    text: Any,
    reason: str,
    usage: Usage,
    *,
    request: Request,
    provider: str,
    cost: float | None,
    latency: float,
    refusal: str = "",
    thought: bool = False,
    called: bool = False,
) -> Completion:
    """The completion that an answer makes, if there is one.

    Args:
        text: what was answered.
        reason: why it ended; empty where that is not told.
        usage: the tokens that were counted.
        request: what was asked.
        provider: who was.
        cost: US dollars, None where the price is not known.
        latency: seconds from sending the request to the last byte.
        refusal: the model's own words, where it refused to answer.
        thought: whether it thought. Then an answer that is empty is one that does not fit, and no fault of the server.
        called: whether it called a tool: then, too.

    Raises:
        RequestRefusedError: the model refused, or a filter withheld the answer.
        ProviderError: there is none.
    """
    model = request.endpoint.model
    details = {"status": None, "provider": provider, "model": model, "finish_reason": reason}
    there = isinstance(text, str) and bool(text.strip())
    if refusal and not (there and ("{" in text or _is_text(request))):
        said = clip(refusal, LONGEST_WORDS)
        raise RequestRefusedError(f"`{model}` refused to answer: {said}", details=details, hint=REWORD)
    if ending(reason) == "failure" and not (there and _is_whole(text, request)):
        raise ProviderError(
            f"`{model}` broke off its answer (finish reason `{reason}`)",
            details=details,
            hint="The server gave up, not the model: run again, or name another with `--model` or `llm.fallbacks`.",
        )
    if there or ((thought or called) and reason != "content_filter"):
        return Completion(
            text=text if there else "",
            finish_reason=reason or "stop",
            usage=usage,
            model=model,
            cost=cost,
            latency=latency,
            notes=() if there or called else ("the model thought, and answered nothing",),
            called=called,
        )
    raise _nothing(reason, request, details)


def _nothing(reason: str, request: Request, details: Mapping[str, Any]) -> ProviderError:
    """The error for no answer at all."""
    model = request.endpoint.model
    if reason == "content_filter":
        said = f"`{model}` withheld its answer: the content filter stopped it"
        return RequestRefusedError(said, details=details, hint=REWORD)
    said = f"`{model}` gave an empty answer (finish reason `{reason or 'none'}`)"
    return ProviderError(said, details=details, hint=_why_empty(reason, request))


def _is_text(request: Request) -> bool:
    return request.schema is None or is_text(request.schema)


def _is_whole(text: str, request: Request) -> bool:
    """Whether an answer that a server broke off is all there: of JSON it can be seen, of a text never."""
    start = re.search(r"[\[{]", text)
    if _is_text(request) or start is None:
        return False
    try:
        json.JSONDecoder().raw_decode(text, start.start())
    except (ValueError, RecursionError):
        return False
    return True


def _why_empty(reason: str, request: Request) -> str | None:
    """What to do about an answer that ended before it began."""
    match ending(reason):
        case "window":
            return WINDOW
        case "limit":
            most = tokens.longest_answer({**request.endpoint.provider_params, **request.params})
            what = f"The {most:,} of `max_tokens`" if most else "All tokens that the model or its server allows"
            return f"{what} were spent before the answer began: allow more, or let the model think less."
        case _:
            return None


def _cost(reply: Any, usage: Usage, request: Request, access: Access) -> float | None:
    """US dollars: what the provider says that it charges, else what the table makes of the tokens."""
    told: Any = getattr(getattr(reply, "usage", None), "cost", None)
    if isinstance(told, Mapping):  # as Perplexity tells it, in parts
        told = cast("Mapping[str, Any]", told).get("total_cost")
    if access.provider in _TELL_COST and isinstance(told, int | float) and 0 <= told < math.inf:
        return float(told)
    price = providers.price(request.endpoint)
    if price is None and access.provider in _DEPLOYED and isinstance(model := getattr(reply, "model", None), str):
        price = providers.price(replace(request.endpoint, model=f"{access.provider}/{model}"))
    served: Any = getattr(reply, "service_tier", None)
    if price is None or not usage.total_tokens:  # no tokens are no count of them
        return None
    return price.cost(usage, served if isinstance(served, str) else request.service)


def _usage(usage: Any) -> Usage:
    prompt: Any = getattr(usage, "prompt_tokens_details", None)
    completion: Any = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(prompt, "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens")
        or _count(usage, "cache_read_input_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
        written_tokens=_count(usage, "cache_creation_input_tokens") or _count(prompt, "cache_write_tokens"),
    )


def _count(holder: Any, name: str) -> int:
    return counted(getattr(holder, name, None))


def counted(found: Any) -> int:
    """A number of tokens as a provider counts them; 0 for what is none."""
    return found if isinstance(found, int) and 0 < found < _MOST_TOKENS else 0
