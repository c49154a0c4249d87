"""Where each key and value of a TOML text stands; only used once something is wrong, or is asked for.

The text must be TOML that `tomllib` has read: nothing is checked again here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import NamedTuple

from runllm.config.settings import KeyPath
from runllm.diagnostics import Span

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_HEADER_END = re.compile(r"[ \t\]]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\]|\\.)*"' r"|'[^']*'", re.DOTALL
)
_PLAIN = re.compile(r"[^,\[\]{}#\n]*")


class Place(NamedTuple):
    """Offsets of a key and its value in the text; a table that a header names is its own value."""

    key: tuple[int, int]
    value: tuple[int, int]


def span_at(file: str, text: str, start: int, end: int) -> Span:
    """The stretch of `text` between two offsets, as far as its first line goes."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line = text[line_start : len(text) if line_end < 0 else line_end]
    length = max(1, min(end, line_start + len(line)) - start)
    number = text.count("\n", 0, start) + 1
    return Span(file=file, line=number, column=start - line_start + 1, length=length, text=line)


def places(text: str) -> Mapping[KeyPath, Place]:
    """Where every key stands first, by its path; tables too."""
    return _Scanner(text).document()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, Place] = {}

    def document(self) -> Mapping[KeyPath, Place]:
        table: KeyPath = ()
        while self._pass(_SPACE) < len(self.text):
            if self.text[self.at] == "[":
                self.at += 2 if self.text.startswith("[[", self.at) else 1
                table, key = self._keys(())
                self._keep(table, key, key)
                self._pass(_HEADER_END)
            else:
                self._pair(table)
        return self.found

    def _pass(self, pattern: re.Pattern[str]) -> int:
        """Go past what matches here, and say where that leads."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _keep(self, path: KeyPath, key: tuple[int, int], value: tuple[int, int]) -> None:
        self.found.setdefault(path, Place(key=key, value=value))

    def _keys(self, table: KeyPath) -> tuple[KeyPath, tuple[int, int]]:
        """A dotted key inside `table`: its path, and where its last part stands."""
        path = table
        while True:
            start = self._pass(_BLANK)
            end = self._pass(_KEY)
            path = (*path, _name(self.text[start:end]))
            if not self.text.startswith(".", self._pass(_BLANK)):
                return path, (start, end)
            self._keep(path, (start, end), (start, end))
            self.at += 1

    def _pair(self, table: KeyPath) -> None:
        path, key = self._keys(table)
        self.at += 1  # the equals sign
        start = self._pass(_BLANK)
        self._value(path)
        end = start + len(self.text[start : self.at].rstrip())
        self._keep(path, key, (start, end))

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "{":
            self._inline(path)
        elif opening == "[":
            self._array()
        elif opening in "\"'":
            self._pass(_TEXT)
        else:
            self._pass(_PLAIN)

    def _inline(self, path: KeyPath) -> None:
        self.at += 1
        while self.text[self._pass(_SPACE)] != "}":
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self._pair(path)
        self.at += 1

    def _array(self) -> None:
        """Go past an array; keys inside it have no path."""
        depth = 0
        while True:
            here = self.text[self._pass(_SPACE)]
            if here in "\"'":
                self._pass(_TEXT)
                continue
            depth += (here in "[{") - (here in "]}")
            self.at += 1
            if depth == 0:
                return


def _name(key: str) -> str:
    """A part of a key without its quotes and escapes."""
    if key[:1] not in ('"', "'"):
        return key
    (name,) = tomllib.loads(f"{key} = 0")
    return name
