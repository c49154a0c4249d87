"""Keep a text from being taken for the signs that divide a conversation.

llama.cpp writes the whole conversation as one text and reads the model's control tokens in it, wherever they come from:
`<|im_start|>system` in an input would open a turn of the system's. So a sign in a message is broken up by a space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from runllm.models.gguf import control_tokens
from runllm.results import Message

_BEGINNINGS = ("<", "[")  # of every control token that is in use; looking for them saves reading the vocabulary


@lru_cache(maxsize=8)
def _signs_of(path: Path) -> re.Pattern[str] | None:
    """What finds a control token of the model in a text; None where the model has none."""
    words = sorted(control_tokens(path), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def unsigned(messages: Sequence[Message], path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The messages as llama.cpp takes them, and the signs in them that were broken up.

    Args:
        messages: the conversation.
        path: the file of the model.
    """
    broken: set[str] = set()
    suspect = any(beginning in message.content for message in messages for beginning in _BEGINNINGS)
    signs = _signs_of(path) if suspect else None

    def apart(found: re.Match[str]) -> str:
        broken.add(found[0])
        return f"{found[0][0]} {found[0][1:]}"

    plain = [
        {"role": message.role, "content": signs.sub(apart, message.content) if signs else message.content}
        for message in messages
    ]
    return plain, sorted(broken)
