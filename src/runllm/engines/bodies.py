"""How much of a server's answer is read: what it sends is counted once it is unpacked, and has an end.

A client reads a body whole, before anyone can look at it. So a gauge stands in the body's way, and it is unpacked
there: a few kilobytes of gzip are gigabytes of text, all at once. What says why a call failed is cut short and judged
by its status; an answer that is too long is an error.
"""

from __future__ import annotations

import json
import re
import zlib
from math import isfinite
from typing import Any, cast

LONGEST_ANSWER = 4 << 20
"""Bytes of an answer: several times what any model writes at once, in the longest way to write it as JSON."""

LONGEST_REFUSAL = 8 << 10
"""Bytes that are read of an error or a redirection; what it says stands at its beginning."""

MOST_VALUES = 50_000
"""Values in an answer: what is two bytes on the line is hundreds in memory, and is checked for a long time."""

REDIRECTIONS = 300
_MOST_MARKS = 10 * MOST_VALUES  # the same before it is parsed, when those within strings are counted as well
_MARKS = (b",", b"[", b"{")
_ANY_ZLIB = 47  # gzip or zlib, as its first bytes say


class UnreadableError(Exception):
    """What the server sent is not read."""


class AnswerTooLargeError(UnreadableError):
    """There is more than is read."""


class NotJsonError(UnreadableError):
    """The body is too long to be anything but an answer, and is none."""


class PausedError(UnreadableError):
    """The model stopped in the middle of its turn, to be asked to go on."""


class UnknownEncodingError(UnreadableError):
    """The body is packed in a way that nobody asked for."""


class UnpackingError(UnreadableError):
    """The body is not what it is packed as."""


class Gauge:
    """What has come of one body so far, unpacked."""

    def __init__(self, status: int, encoding: str) -> None:
        """Begin.

        Args:
            status: of HTTP.
            encoding: how the body is packed; `identity` for not at all.
        """
        self.whole = status < REDIRECTIONS
        encoding = encoding.strip().lower()
        self._refusal = status >= REDIRECTIONS
        self._most = LONGEST_REFUSAL if self._refusal else LONGEST_ANSWER
        self._left = self._most
        self._marks = _MOST_MARKS
        self._unpacker = zlib.decompressobj(_ANY_ZLIB) if encoding in ("gzip", "x-gzip", "deflate") else None
        if self._unpacker is None and encoding not in ("identity", ""):
            if not self._refusal:
                raise UnknownEncodingError(f"the answer is packed as `{encoding[:30]}`, which was not asked for")
            self._left = 0

    @property
    def full(self) -> bool:
        """Whether the rest need not be read."""
        return self._refusal and self._left <= 0

    def take(self, piece: bytes) -> bytes:
        """The next piece, unpacked.

        Raises:
            AnswerTooLargeError: there is more than is read.
            UnpackingError: it cannot be unpacked.
        """
        plain = piece if self._unpacker is None else self._unpacked(self._unpacker, piece)
        kept = plain[: max(0, self._left)]
        self._left -= max(len(plain), len(piece))  # what unpacks to nothing may go on for ever, too
        if self._left < 0 and not self._refusal:
            raise AnswerTooLargeError(f"it has more than {self._most >> 20} MiB")
        self._marks -= sum(map(plain.count, _MARKS))
        if self._marks < 0 and not self._refusal:
            raise _too_many()
        return kept

    def _unpacked(self, unpacker: Any, piece: bytes) -> bytes:
        if unpacker.eof or self._left < 0:
            return b""
        try:
            return unpacker.decompress(piece, self._left + 1)
        except zlib.error as error:
            if not self._refusal:
                raise UnpackingError(str(error)) from None
            self._left = 0
            return b""


def checked(body: bytes) -> bytes:
    """The body, if it is short, or at least JSON; what LiteLLM would not read of a completion in a form that it reads.

    LiteLLM writes what it cannot read into its error, and looks for secrets in that, at seconds a megabyte.
    """
    try:
        whole: Any = json.loads(body)
    except (ValueError, RecursionError):
        if len(body) > LONGEST_REFUSAL:
            raise NotJsonError(beginning(body)) from None
        return body
    if len(body) > LONGEST_REFUSAL:
        _hold_values(whole)
    return _usual(cast("dict[str, Any]", whole), body) if isinstance(whole, dict) else body


def beginning(body: bytes) -> str:
    """How a body that is no JSON begins, in words."""
    text = body[:80].decode("utf-8", "replace").strip()
    return f"it begins with `{text[:40]}`" if text else "it is empty"


def _hold_values(whole: Any) -> None:
    """Refuse a body with too many values."""
    rest: list[Any] = [whole]
    count = 0
    while rest:
        value: Any = rest.pop()
        count += 1
        if count > MOST_VALUES:
            raise _too_many()
        if isinstance(value, dict):
            rest.extend(cast("dict[str, Any]", value).values())
        elif isinstance(value, list):
            rest.extend(cast("list[Any]", value))


def _usual(reply: dict[str, Any], body: bytes) -> bytes:
    """A completion as OpenAI writes it: the content as one text, the tokens as whole numbers."""
    if reply.get("stop_reason") == "pause_turn":
        raise PausedError("its turn is paused")
    changed = False
    for choice in _mappings(reply.get("choices")):
        for message in _mappings([choice.get("message")]):
            if isinstance(message.get("content"), list):
                parts = cast("list[Any]", message["content"])
                message["content"] = _text_of(parts)
                refusals = [part["refusal"] for part in _mappings(parts) if isinstance(part.get("refusal"), str)]
                message.setdefault("refusal", "\n".join(refusals) or None)
                changed = True
    for usage in _mappings([reply.get("usage")]):
        for name, count in usage.items():
            if name.endswith("tokens") and isinstance(count, float) and isfinite(count):
                usage[name] = int(count)
                changed = True
    return json.dumps(reply).encode() if changed else body


def _mappings(found: Any) -> list[dict[str, Any]]:
    """Those of a list that are mappings; none of what is no list."""
    return [one for one in cast("list[Any]", found) if isinstance(one, dict)] if isinstance(found, list) else []


def _text_of(parts: list[Any]) -> str:
    """The text of a content that comes in parts; those that were thought are left out."""
    texts = [part for part in parts if isinstance(part, str)]
    said = [part.get("text") for part in _mappings(parts) if not _is_thought(part)]
    return "".join(text for text in (*texts, *said) if isinstance(text, str))


def _is_thought(part: dict[str, Any]) -> bool:
    return part.get("thought") is True or re.match(r"(?i)reasoning|thinking|thought", str(part.get("type"))) is not None


def _too_many() -> AnswerTooLargeError:
    return AnswerTooLargeError(f"it has more than {MOST_VALUES:,} values")
