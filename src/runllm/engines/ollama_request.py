"""What an Ollama server is asked: in which window, in which words; and whether the window really held the prompt. Pure.

Ollama cuts a prompt that is longer than `num_ctx` and says nothing. So the window is made to fit, the server
is told to refuse rather than cut (`truncate`, `shift`: understood from 0.12.6 on), and the tokens that it
counted are held against the window (for older ones).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runllm.engines.base import Fit, without
from runllm.errors import ContextWindowExceededError, LLMParamValidationError, RequestRefusedError
from runllm.results import Completion, Endpoint, Request
from runllm.schema import is_text
from runllm.tokens import SMALLEST_ANSWER, estimate_messages, estimate_text
from runllm.values import frozen

ANSWER = 2048
"""Tokens kept for the answer when the app does not say how long it may be."""

THOUGHT = 8192
"""The same for a model that thinks before it answers."""

SMALLEST_WINDOW = 2048
STEP = 1024
"""A window is a multiple of this: each other size makes the server load the model anew."""

_GROWTH = 1.5  # at least, from one window to a larger one: a batch of growing prompts reloads a few times only
_DENSEST = 8  # UTF-8 bytes a token: no text was found to have more
_LEAST_SEEN = 0.6


@frozen
class Facts:
    """What the server knows about a model.

    Attributes:
        window: the most tokens the model was made for; None where it does not say.
        preset: `num_ctx` of the model's own file.
        loaded: the window that it is loaded with now; None when it is not.
        thinks: whether it may think before it answers.
        remote: whether it runs elsewhere, where `num_ctx` means nothing.
    """

    window: int | None = None
    preset: int | None = None
    loaded: int | None = None
    thinks: bool = False
    remote: bool = False


def asked(endpoint: Endpoint) -> int | None:
    """The `num_ctx` that the file sets, if it does.

    Raises:
        LLMParamValidationError: it is not a positive whole number.
    """
    value = endpoint.provider_params.get("num_ctx")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise LLMParamValidationError(f"`provider_params.num_ctx` must be a positive whole number, not {value!r}")
    return value


def choose(request: Request, facts: Facts | None, held: int | None) -> int | None:
    """The `num_ctx` to send; None to send none.

    Args:
        request: what is asked; its schema takes no room, since Ollama makes a grammar of it.
        facts: what the server knows about the model; None when it knows no facts.
        held: the window the model is loaded with, as far as is known.

    Raises:
        ContextWindowExceededError: prompt and answer fit neither the `num_ctx` of the file nor the model itself.
    """
    facts = facts or Facts()
    given = asked(request.endpoint)
    prompt = estimate_messages([message.content for message in request.messages])
    limits = [limit for limit in (given, facts.window) if limit is not None]
    if limits:
        window = min(limits)
        _hold(request, prompt, window, f"`num_ctx` {given:,}" if given == window else f"`{request.endpoint.model}`")
    if given is not None or facts.remote:
        return given
    room = _answer(request) or (THOUGHT if facts.thinks else ANSWER)
    wanted = max(SMALLEST_WINDOW, _step(prompt + room))
    if facts.window is not None:
        wanted = min(wanted, facts.window)
    return _without_reloading(wanted, held, facts)


def _without_reloading(wanted: int, held: int | None, facts: Facts) -> int:
    """A window that is there already, if it is large enough; otherwise one that will last."""
    if held is None:
        return facts.preset if facts.preset is not None and facts.preset >= wanted else wanted
    if held >= wanted:
        return held
    return min(max(wanted, _step(int(held * _GROWTH))), facts.window or wanted)


def larger(window: int | None, request: Request, facts: Facts | None) -> int | None:
    """The window to try when the server counted more tokens than were estimated; None when there is no larger one."""
    if window is None or facts is None or asked(request.endpoint) is not None:
        return None
    doubled = min(2 * window, facts.window or 2 * window)
    return doubled if doubled > window else None


def bounded(request: Request, window: int | None) -> Request:
    """The request, its answer bounded where the server's window is larger than the app's, and so does not bound it.

    Args:
        request: what is asked.
        window: the window it will be asked with; None for all that the model has.
    """
    if request.window is None or _answer(request) or (window is not None and window <= request.window):
        return request
    prompt = estimate_messages([message.content for message in request.messages])
    longest = max(request.window - prompt, min(SMALLEST_ANSWER, request.window // 4))
    return replace(request, params={**request.params, "max_tokens": longest})


def judge(completion: Completion, request: Request, window: int | None) -> Completion:
    """The completion, with a note when the server seems not to have read the whole prompt.

    Args:
        completion: the answer.
        request: what was asked.
        window: the window it was asked with; None where it is not known to hold.

    Raises:
        ContextWindowExceededError: the server certainly read a part of the prompt only.
    """
    usage, name = completion.usage, request.endpoint.model
    if window is not None:
        # One more than the window is what some versions count when an answer fills it to its end.
        shifted = usage.total_tokens > window + 1 and completion.finish_reason != "length"
        if usage.prompt_tokens >= window or shifted:
            raise ContextWindowExceededError(
                f"the Ollama server lost a part of the prompt: `{name}` took {usage.prompt_tokens:,} tokens and "
                f"answered with {usage.completion_tokens:,}, in a window of {window:,}",
                details={"prompt_tokens": usage.prompt_tokens, "window": window},
                hint="Shorten the input, or raise `num_ctx` under `llm.provider_params`; a newer Ollama (0.12.6) "
                "refuses such a prompt before it answers.",
            )
    least = _fewest_tokens([message.content for message in request.messages], usage.prompt_tokens)
    if least is not None and usage.prompt_tokens:  # without a count nothing is known
        note = f"the server may have cut the prompt: it counted {usage.prompt_tokens:,} tokens of at least {least:,}"
        return replace(completion, notes=(*completion.notes, note))
    return completion


def _fewest_tokens(texts: Sequence[str], counted: int) -> int | None:
    """The number of tokens that no tokenizer gets below, where far fewer were counted; None where they were not."""
    least = sum(len(text.encode(errors="surrogatepass")) for text in texts) // _DENSEST
    if counted < _LEAST_SEEN * least:  # the estimate, which knows of long blanks, is made only on suspicion
        least = min(least, sum(map(estimate_text, texts)) // 2)
    return least if counted < _LEAST_SEEN * least else None


def _hold(request: Request, prompt: int, window: int, limit: str) -> None:
    answer = _answer(request)
    if answer is None:
        answer = min(SMALLEST_ANSWER, window // 4)
    if prompt + answer > window:
        raise ContextWindowExceededError(
            f"the prompt takes about {prompt:,} tokens and the answer {answer:,}: "
            f"{prompt + answer - window:,} more than the {window:,} of {limit}",
            details={"prompt_tokens": prompt, "answer_tokens": answer, "window": window, "limit": limit},
        )


def _answer(request: Request) -> int | None:
    """The longest answer the app allows, if it says so."""
    params: Mapping[str, Any] = {**request.endpoint.provider_params, **request.params}
    given = (params.get(name) for name in ("max_completion_tokens", "max_tokens", "num_predict"))
    return next((int(most) for most in given if isinstance(most, int) and most > 0), None)


def _step(tokens: int) -> int:
    return -(-tokens // STEP) * STEP


# --- in Ollama's words --------------------------------------------------------------------------------

_OPTIONS = {
    "max_completion_tokens": "num_predict",
    "max_tokens": "num_predict",
    **{name: name for name in ("temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty")},
}
_UNHEARD = frozenset({"user", "safety_identifier", "store", "prompt_cache_key", "prompt_cache_retention",
                      "drop_params", "additional_drop_params", "allowed_openai_params"})  # fmt: skip
_BESIDE_OPTIONS = frozenset({"format", "keep_alive", "think", "tools"})
_THINKS = frozenset({"low", "medium", "high"})


_TAKEN = frozenset({*_OPTIONS, *_UNHEARD, "response_format", "reasoning_effort", "format"})


def fit(request: Request) -> Fit:
    """What Ollama takes of the parameters."""
    return without(
        request, [key for key, value in request.params.items() if key not in _TAKEN and (key, value) != ("n", 1)]
    )


def body(request: Request, window: int | None) -> dict[str, Any]:
    """The request in Ollama's words, with the order to refuse a prompt that is too long rather than to cut it.

    Raises:
        RequestRefusedError: Ollama knows no such parameter.
    """
    name = request.endpoint.model.partition("/")[2]
    asked = {key: value for key, value in request.params.items() if value is not None and key not in _UNHEARD}
    options = {_OPTIONS[key]: asked.pop(key) for key in list(asked) if key in _OPTIONS}
    beside: dict[str, Any] = {"format": request.schema} if request.schema and not is_text(request.schema) else {}
    if "response_format" in asked:
        beside |= {"format": _form(asked.pop("response_format"))}
    if "reasoning_effort" in asked:
        effort = asked.pop("reasoning_effort")
        beside["think"] = effort if name.startswith("gpt-oss") else effort in _THINKS
    if "format" in asked:
        beside["format"] = asked.pop("format")
    if misfits := fit(request).misfits:
        unable = ", ".join(f"`{one.name}`" for one in misfits)
        raise RequestRefusedError(f"`{request.endpoint.model}` cannot take {unable}")
    for key, value in request.endpoint.provider_params.items():
        (beside if key in _BESIDE_OPTIONS else options)[key] = value
    return {
        "model": name,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "options": options if window is None else {**options, "num_ctx": window},
        "stream": False,
        "truncate": False,
        "shift": False,
        **{key: value for key, value in beside.items() if value is not None},
    }


def _form(asked: Any) -> Any:
    """A `response_format` of OpenAI's as Ollama's `format`; None where it asks for none."""
    match asked:
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case _:
            return None
