"""The marks between which models write what they think before they answer. What stands there is no answer."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning|scratchpad|seed:think"
"""DeepSeek, Qwen and most others; Gemma and Claude by their prompts; Seed-OSS."""
_CHANNEL = r"<\|channel\|>{}\b(?:(?!<\|message\|>)[^\n]){{0,80}}<\|message\|>"
"""gpt-oss writes into channels: the last is the answer."""

OPENING = re.compile(rf"<(?:{_NAMES})>|\[THINK\]|{_CHANNEL.format('(?:analysis|commentary)')}", re.IGNORECASE)
CLOSING = re.compile(rf"</(?:{_NAMES})>|\[/THINK\]|{_CHANNEL.format('final')}", re.IGNORECASE)
"""`[THINK]` is Magistral's."""
ENDING = re.compile(r"\s*<\|(?:return|end)\|>\s*\Z")
"""What gpt-oss ends its answer with."""
