"""A few texts that match a regular expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_MOST = 8  # texts for one part of the expression
_LONGEST = 20_000  # characters
_SHORT = 20  # repetitions that show an upper bound


def matching(pattern: str) -> Iterator[str]:
    """A few texts that match a regular expression, short ones first; none where it uses more than the common parts."""
    try:
        found = _Reader(pattern).read()
    except (ValueError, IndexError, OverflowError):
        return
    yield from dict.fromkeys(found)


class _Reader:
    """Reads a regular expression and gives, for each of its parts, a few texts that match it.

    It knows literals, classes, groups, alternatives and repetitions; the rest (look-around, back
    references, word borders) is a ValueError. Parts in a row go together by their position: the
    first text of each, the second of each.
    """

    _ESCAPES: Mapping[str, str] = {
        "d": "07", "w": "aZ0_", "s": " \t", "D": "a-", "W": " -", "S": "a0-", "n": "\n", "t": "\t", "r": "\r"
    }  # fmt: skip

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def read(self) -> list[str]:
        found = self._alternatives()
        if self._at < len(self._text):
            raise ValueError(f"unexpected {self._text[self._at]!r}")
        return found

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, expected: str) -> bool:
        if not self._text.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def _alternatives(self) -> list[str]:
        found = self._sequence()
        while self._take("|"):
            found = [*found, *self._sequence()]
        return found[:_MOST]

    def _sequence(self) -> list[str]:
        found = [""]
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repeated(self._part())
            count = max(len(found), len(part))
            found = [found[i % len(found)] + part[i % len(part)] for i in range(count)]
            if len(found[0]) > _LONGEST:
                raise ValueError("too long")
        return found

    def _part(self) -> list[str]:
        char = self._next()
        if char in "^$":
            return [""]
        if char == "(":
            if self._take("?") and not self._take(":"):
                raise ValueError("a special group")
            found = self._alternatives()
            if self._next() != ")":
                raise ValueError("an open group")
            return found
        if char == "[":
            return list(self._class())
        if char == "\\":
            return list(self._escape())
        if char in "*+?{":
            raise ValueError("nothing to repeat")
        return ["a", "0", "é"] if char == "." else [char]

    def _escape(self) -> str:
        char = self._next()
        if char.isalnum() and char not in self._ESCAPES:
            raise ValueError(f"an escape that is not read: {char!r}")
        return self._ESCAPES.get(char, char)

    def _class(self) -> str:
        """Some members of a character class: the first of each range, then the last."""
        negated, first, last, start = self._take("^"), "", "", self._at
        while not (self._at > start and self._take("]")):
            low = self._escape() if self._take("\\") else self._next()
            if self._text[self._at] == "-" and self._text[self._at + 1] != "]" and len(low) == 1:
                self._at += 1
                last += self._escape() if self._take("\\") else self._next()
            first += low
        inside = self._text[start : self._at]
        return "".join(c for c in "a0 A_~é" if c not in inside and c not in first) if negated else first + last

    def _repeated(self, found: list[str]) -> list[str]:
        least, most = 1, 1
        if self._take("*"):
            least, most = 0, _LONGEST
        elif self._take("+"):
            most = _LONGEST
        elif self._take("?"):
            least = 0
        elif self._take("{"):
            written = self._text[self._at : self._text.index("}", self._at)]
            self._at += len(written) + 1
            low, comma, high = written.partition(",")
            least = int(low)
            most = int(high) if high else _LONGEST if comma else least
        self._take("?")  # a lazy repetition matches the same texts
        if least * max(map(len, found), default=0) > _LONGEST or not found:
            raise ValueError("too long, or nothing to repeat")
        if (least, most) == (1, 1):
            return found
        counts = dict.fromkeys((least, max(least, min(1, most)), min(least + 1, most), min(most, least + _SHORT)))
        return [text * count for count in counts for text in found][:_MOST]
