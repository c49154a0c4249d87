"""The tags of a template and the tokens in them, each with its place in the source.

The scanner accepts any text and never fails: where a tag is broken it stops, and the engine, which
reads the same source, says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Literal, TypeVar

from runllm.values import frozen

T = TypeVar("T")
Kind = Literal["name", "string", "integer", "number", "operator", "unknown"]


@frozen
class Token:
    """A word, literal or sign; offsets are code points into the source."""

    kind: Kind
    text: str
    offset: int

    @property
    def end(self) -> int:
        """The offset just behind it."""
        return self.offset + len(self.text)


@frozen
class Tag:
    """What stands between `{{ }}` (an `output`) or `{% %}`, without the marks.

    `start` and `end` enclose the tag with its marks; `closed` is false where the source ends before it does.
    """

    output: bool
    tokens: tuple[Token, ...]
    start: int
    end: int
    closed: bool

    @property
    def keyword(self) -> str:
        """The word that a statement begins with; empty for an output."""
        return self.tokens[0].text if self.tokens and not self.output else ""


MAX_TOKENS = 10_000
"""A tag is read no further than this."""

_SHORT = 500
"""Code points of a source that is read once and remembered."""
_OPENING = re.compile(r"\{\{|\{%|\{#")
_SPACE = r"[ \t\n\r\f]*"
_RAW = re.compile(rf"\{{%[-+]?{_SPACE}raw{_SPACE}[-+]?%\}}")
_END_OF_RAW = re.compile(rf"\{{%[-+]?{_SPACE}endraw{_SPACE}[-+]?%\}}")
_END_OF_OUTPUT = re.compile(rf"{_SPACE}[-+]?\}}\}}")
_END_OF_STATEMENT = re.compile(rf"{_SPACE}[-+]?%\}}")
_TOKEN = re.compile(
    r"""[ \t\n\r\f]*(?:
      (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<number>0[xX][0-9a-fA-F_]+|0[oObB][0-9_]+
        |[0-9][0-9_]*(?:\.(?![^\W\d])[0-9_]*(?:[eE][-+]?[0-9_]+)?|[eE][-+]?[0-9_]+))
    | (?P<integer>[0-9][0-9_]*)
    | (?P<name>[^\0-@\[-^`{-\x7f][^\0-/:-@\[-^`{-\x7f]*)  # [A-Za-z_] and all beyond ASCII, which compiles at once
    | (?P<operator>//|\*\*|==|!=|>=|<=|[-+*/%.,:~|=<>()\[\]{}])
    | (?P<unknown>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_DIGITS = re.compile(r"[0-9][0-9_]*")
_BALANCE = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """A function that reads a source, and reads a short one once: wiring asks for it several times."""
    kept = lru_cache(maxsize=256)(read)
    return lambda source: kept(source) if len(source) <= _SHORT else read(source)


def tags(source: str) -> Sequence[Tag]:
    """Every tag of a template, in order; comments and `{% raw %}` blocks are left out."""
    return _scanned(source)[0]


def comments(source: str) -> Sequence[int]:
    """Where each comment of a template begins that ends somewhere."""
    return _scanned(source)[1] if "{#" in source else ()


def prose(source: str) -> str:
    """The text outside of all tags, comments and `{% raw %}` blocks, which are blank in it, at its places."""
    found, _, kept = _scanned(source)
    pieces, last = list[str](), 0
    for start, end in sorted([*((tag.start, tag.end) for tag in found), *kept]):
        pieces += [source[last:start], " " * (end - start)]
        last = end
    return "".join([*pieces, source[last:]])


@remembered
def _scanned(source: str) -> tuple[Sequence[Tag], Sequence[int], Sequence[tuple[int, int]]]:
    """The tags, where comments begin, and from where to where comments and `{% raw %}` blocks reach."""
    found: list[Tag] = []
    left_out: list[int] = []
    kept: list[tuple[int, int]] = []
    at = 0
    while (opening := _OPENING.search(source, at)) is not None:
        at = opening.end()
        if opening[0] == "{#":
            inside = at + 1 if source[at : at + 1] in ("-", "+") else at
            end = source.find("#}", inside)
            left_out += [opening.start()] if end >= 0 else []
            at = end + 2 if end >= 0 else len(source)
            kept.append((opening.start(), at))
        elif (raw := _RAW.match(source, opening.start())) is not None:
            end_of_raw = _END_OF_RAW.search(source, raw.end())
            at = end_of_raw.end() if end_of_raw else len(source)
            kept.append((opening.start(), at))
        else:
            tag = _tag(source, opening.start(), output=opening[0] == "{{")
            found.append(tag)
            at = tag.end
    return found, left_out, kept


def _tag(source: str, start: int, *, output: bool) -> Tag:
    closing = _END_OF_OUTPUT if output else _END_OF_STATEMENT
    at = start + 2
    at += source[at : at + 1] in ("-", "+")
    depth = 0
    tokens: list[Token] = []
    while True:
        if depth == 0 and (end := closing.match(source, at)) is not None:
            return Tag(output=output, tokens=tuple(tokens), start=start, end=end.end(), closed=True)
        match = _TOKEN.match(source, at)
        if match is None:
            return Tag(output=output, tokens=tuple(tokens), start=start, end=len(source), closed=False)
        token = _token(source, match, after_dot=bool(tokens) and tokens[-1].text == ".")
        if token.kind == "unknown" or len(tokens) == MAX_TOKENS:  # such as a quote that nothing closes
            return Tag(output=output, tokens=tuple(tokens), start=start, end=len(source), closed=False)
        depth += _BALANCE.get(token.text, 0) if token.kind == "operator" else 0
        tokens.append(token)
        at = token.end


def _token(source: str, match: re.Match[str], *, after_dot: bool) -> Token:
    kind: Kind = match.lastgroup  # pyright: ignore[reportAssignmentType] - the groups are named after the kinds
    text, offset = match[kind], match.start(kind)
    if kind == "number" and after_dot and (digits := _DIGITS.match(source, offset)):
        return Token(kind="integer", text=digits[0], offset=offset)  # `a.0.1` is two steps, not a fraction
    if kind == "name" and not text.isidentifier():
        text = "".join(takewhile(lambda letter: f"_{letter}".isidentifier(), text))
        kind = "name" if text.isidentifier() else "unknown"
    return Token(kind=kind, text=text, offset=offset)
