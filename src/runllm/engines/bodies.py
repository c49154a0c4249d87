"""How much of a server's answer is read: what it sends is counted once it is unpacked, and has an end.

A client reads a body whole, before anyone can look at it. So a gauge stands in the body's way, and it is unpacked
there: a few kilobytes of gzip are gigabytes of text, all at once. What says why a call failed is cut short and judged
by its status; an answer that is too long is an error.
"""

from __future__ import annotations

import zlib
from typing import Any

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
            raise too_many()
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


def too_many() -> AnswerTooLargeError:
    """The error for an answer with more values than are looked at."""
    return AnswerTooLargeError(f"it has more than {MOST_VALUES:,} values")
