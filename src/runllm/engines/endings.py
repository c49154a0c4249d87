"""Why an answer ended: providers have a hundred words for it, which mean one of a few things. Pure.

What ended an answer naturally, at the token limit, with a tool or in a filter is told in the words of OpenAI; for all
else the provider's own word is kept.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

Ending: TypeAlias = Literal["whole", "tool", "limit", "window", "repetition", "filter", "failure", "other"]
"""`failure`: the server gave up; `other`: nobody knows what the word means."""

_EXACT: dict[Ending, tuple[str, ...]] = {
    "whole": ("", "stop", "eos", "finish_reason_unspecified", "no_error"),
    "limit": ("continuation", "compaction", "pause_turn", "limit"),
    "filter": ("language", "other", "spii", "escalation", "no_image"),
}
# In this order: `context_length_exceeded` is about the window, `token_limit_error` about the limit.
_LIKE: dict[Ending, str] = {
    "window": "context|window",
    "repetition": "repeat|repet|degenerat|loop",
    "limit": "length|(?:max|limit).*tokens?|tokens?.*(?:max|limit)",
    "filter": "filter|safety|unsafe|polic|refus|sensitiv|toxic|prohibit|block|recitation|guardrail|moderat|violat|harm"
    "|inspection|image_other",
    "failure": "error|fail|abort|cancel|resource|overload|timeout|timed|unavailable|interrupt|disconnect|malformed"
    "|kill|unexpected|too_many|preempt|evict|incomplete|missing|expired|shutdown|capacity|busy",
    "tool": "tool|function",
    "whole": r"\A(?:stop|end|eos|eot|complete|done|finish|success|normal)",
}
_OURS: dict[Ending, str] = {"whole": "stop", "tool": "tool_calls", "limit": "length", "filter": "content_filter"}
_LONGEST = 60
_BLURRED: frozenset[Ending] = frozenset({"window", "repetition", "failure"})  # told as another end
CUT: frozenset[Ending] = frozenset({"limit", "window", "repetition"})
"""Ends after which an answer is not read: more would have followed."""

REWORD = "A filter stopped it: reword the prompt or the input, or name another model with `--model` or `llm.fallbacks`."
"""What to do where a filter of the provider's, or the model itself, refused."""
WINDOW = "Shorten the input, ask for a shorter answer, or choose a model with a larger window."
"""What to do where an answer ended since the window was full."""


def ending(reason: str) -> Ending:
    """What a finish reason means, a provider's own or one that `told` made of it."""
    plain = reason.strip().lower()
    for kind, words in _EXACT.items():
        if plain in words:
            return kind
    for kind, like in _LIKE.items():
        if re.search(like, plain):
            return kind
    return "other"


def told(reason: Any, native: Any = None) -> str:
    """A finish reason as it is told.

    Args:
        reason: as it came; anything but a text is none.
        native: the word that a gateway or LiteLLM translated into `reason`, where it is known.
    """
    found = reason if isinstance(reason, str) else ""
    if isinstance(native, str) and (ending(found) == "whole" or ending(native) in _BLURRED):
        found = native
    kept = re.sub(r"[^\w.:/ -]", "", found)[:_LONGEST]
    return "function_call" if found == "function_call" else _OURS.get(ending(found), kept)
