"""What a provider said of its failure, without what LiteLLM writes around it, and without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from runllm.diagnostics import clip
from runllm.redaction import MASK, redact_text

LONGEST_WORDS = 300
_LONGEST_READ = 4096  # of them that are searched for secrets: far more than is shown, and quickly done
_LONGEST_SAID = 1 << 16  # characters of an exception: more than is read of any error
_LONGEST_PREFIX = 200

_PREFIX = re.compile(
    r"^(?:Timeout Error: |400, message[:=]\s*[\"']*"  # a status that is the HTTP library's own
    r"|(?:litellm\.)?\w*(?:Error|Exception|Timeout|Exceeded)\w*(?:: | - )"
    r"|\w+(?:Exception|Error) \w+Error - )"
)
_TAILS = (
    re.compile(r"Traceback \(most recent call last\):.*", re.DOTALL),
    re.compile(r"\.? Handle with `litellm\.\w+`\.?"),
    re.compile(r"\.? File an issue if litellm error - \S+"),
    re.compile(r"Received Model Group=.*", re.DOTALL),
    re.compile(r"<RawResponseMessage\(.*", re.DOTALL),
    re.compile(r"[\"'], url='[^']*'$"),
    re.compile(r" ssl:<ssl\.SSLContext object at 0x[0-9a-f]+>"),
)


def said(messages: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """What the provider said, or what the system said of the connection, at most `LONGEST_WORDS` characters.

    Args:
        messages: of an exception and what it came from, nearest first.
        secrets: values that must not stand in it, beside those that are known to look secret.
    """
    words = _bare(messages[0])
    if words in ("", "Connection error."):
        words = next((text for message in reversed(messages) if (text := _bare(message))), words)
    words = _without(secrets, words[:_LONGEST_READ])
    return clip(words, LONGEST_WORDS)


def _bare(text: str) -> str:
    """A message without what LiteLLM writes around it."""
    text = text[:_LONGEST_SAID]
    for tail in _TAILS:
        text = tail.sub("", text)
    while (match := _PREFIX.match(text, 0, _LONGEST_PREFIX)) is not None:
        text = text[match.end() :]
    start = text.find("{")
    if start >= 0:
        try:
            told = _message(json.JSONDecoder().raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            told = ""
        text = told or text
    return " ".join(text.split())


def _message(body: Any) -> str:
    """The message inside an error body, in the shapes that providers use."""
    if isinstance(body, str):
        return _message_in_json(body) or body
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, Any]", body)
        if isinstance(fields.get("loc"), list) and "msg" in fields:
            return f"{'.'.join(str(step) for step in fields['loc'])}: {fields['msg']}"
        for name in ("error", "message", "detail", "msg"):
            if name in fields and (told := _message(fields[name])):
                return told
    if isinstance(body, list) and body:
        return _message(cast("list[Any]", body)[0])
    return ""


def _message_in_json(text: str) -> str:
    """The message of a body that is JSON written as a text, as newer Ollama servers send it."""
    if not text.startswith("{"):
        return ""
    try:
        return _message(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _without(secrets: Iterable[str], words: str) -> str:
    for secret in secrets:
        words = words.replace(secret, MASK)
    return redact_text(words)
