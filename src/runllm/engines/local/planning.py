"""How an answer is held to its contract while it is decoded: the form, its tokens, and whether what came fits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from runllm import tokens
from runllm.engines.local.bounding import Bounded, BudgetTooSmallError, bounded
from runllm.engines.local.grammar import grammar
from runllm.errors import ContextWindowExceededError
from runllm.results import Request
from runllm.schema import ANNOTATIONS, Contract, resolve

DEFAULT_ANSWER = 1024
"""Tokens an answer to a schema may take when the app does not say."""

STEADY = {
    "dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 8, "dry_penalty_last_n": 80,
    "repeat_penalty": 1.05, "repeat_last_n": 64,
}  # fmt: skip
"""What keeps a small model from saying the same over and over, in llama.cpp's words."""

_ENDING = 2  # tokens that end an answer, and count
_SENTENCE_END = re.compile(r"""[.!?…][)\]"'\u201d\u2019]*(?=\s)|[。\uff01\uff1f]|.(?=\n)""")


def is_free_text(schema: Mapping[str, Any]) -> bool:
    """Whether an answer is text of which nothing is asked but that there is some: no grammar need hold it."""
    node = {key: item for key, item in resolve(schema, schema).items() if key not in (*ANNOTATIONS, "$defs", "$schema")}
    return node.pop("minLength", 0) <= 1 and node == {"type": "string"}


def whole_sentences(text: str) -> str:
    """The text up to its last end of a sentence or of a line; empty where there is none."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else ""


def plan(request: Request, window: int, *, distinct: bool = False) -> Bounded:
    """The form to decode the answer from, which may take as many tokens as the app says, or as usual.

    An app that does not say is given what its smallest answer takes, where the window leaves that.

    Args:
        request: what is asked; it has a schema.
        window: tokens that the model takes.
        distinct: as for `bounded`.

    Raises:
        ContextWindowExceededError: not even the smallest answer fits.
    """
    assert request.schema is not None  # noqa: S101 - only then there is a form
    given, left = tokens.longest_answer(request.params), room(request, window)
    budget = min(given or DEFAULT_ANSWER, left)
    try:
        try:
            return bounded(request.schema, budget, distinct=distinct)
        except BudgetTooSmallError as error:
            if given is not None or error.needed > left:
                raise
            return bounded(request.schema, error.needed, distinct=distinct)
    except BudgetTooSmallError as error:
        short = given is not None and given <= left
        where = f"`max_tokens` is {given:,}" if short else f"the prompt leaves {left:,} of the window"
        more = f"Set `max_tokens` to {error.needed:,} or more" if short else "Widen the window, shorten the input"
        raise ContextWindowExceededError(
            f"the smallest answer that the contract allows may take {error.needed:,} tokens, but {where}",
            hint=f"{more}, or ask for less in the output.",
            details={"needed_tokens": error.needed, "max_tokens": given, "room": left},
        ) from None


def room(request: Request, window: int) -> int:
    """Tokens that the window leaves for an answer, a few in every case; the app's own may be smaller."""
    texts = [message.content for message in request.messages]
    left = window - 16 - sum(len(text.encode(errors="surrogatepass")) // 3 + 8 for text in texts)
    if request.window is not None:
        left = min(left, request.window - tokens.estimate_messages(texts))
    return max(64, left)


def constraint(plan: Bounded, most: int | None, *, again: bool) -> dict[str, Any]:
    """The grammar and its budget; the second time strings are bounded by characters, a token each at the worst."""
    longest = max(plan.tokens + _ENDING, most or 0)
    return {"grammar": grammar(plan.form, by_characters=again), "max_tokens": 3 * longest if again else longest}


def fits(schema: Mapping[str, Any] | None, text: str) -> bool:
    """Whether the answer satisfies the contract, its keys all different."""
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except ValueError:
        return False
    return schema is None or Contract(schema).accepts(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
