"""The marks between which models write what they think before they answer. What stands there is no answer."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning|scratchpad|reflection|antThinking|(?:seed|mm):think|longcat_think"
"""DeepSeek, Qwen and most others; Gemma and Claude by their prompts; Seed-OSS, MiniMax, LongCat."""
_CHANNEL = r"<\|channel\|>{}\b(?:(?!<\|message\|>)[^\n]){{0,80}}<\|message\|>"
"""gpt-oss writes into channels: the last is the answer."""

_OPEN = (
    r"\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>|<\|channel>thought|<unused94>thought"
    r'|<details type="reasoning"[^>]{0,80}>'
)
_CLOSE = r"\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>|<channel\|>|<unused95>|</details>"
"""Magistral, Kimi, Cohere, OpenThinker, two of Gemma's, Open WebUI."""

OPENING = re.compile(rf"<(?:{_NAMES})>|{_OPEN}|{_CHANNEL.format('(?:analysis|commentary)')}", re.IGNORECASE)
CLOSING = re.compile(rf"</(?:{_NAMES})>|{_CLOSE}|{_CHANNEL.format('final')}", re.IGNORECASE)
ENDING = re.compile(r"\s*<\|(?:return|end)\|>\s*\Z")
"""What gpt-oss ends its answer with."""


def said(text: str) -> str:
    """What a text says beside what was thought, without blanks around it; empty where nothing was."""
    rest = ENDING.sub("", text).strip()
    closed = [found.end() for found in CLOSING.finditer(rest)]
    return rest[closed[-1] :].strip() if closed else "" if OPENING.match(rest) else rest
