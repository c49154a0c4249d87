"""One number has one spelling: where the engine would write it in its own way, a filter of ours comes before.

The engine writes what `~` joins and what its filters for text are given by itself: `3.0`, and no exponent. What it
renders is therefore not quite what its author wrote, and offsets lead back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count, islice

from runllm.template.environment import check_source
from runllm.template.tree import Node
from runllm.values import frozen

_OF_TEXT = frozenset(
    "string safe lower upper title capitalize trim replace escape e indent wordwrap striptags".split()  # noqa: SIM905
)
"""Filters that write what they are given, if it is no text yet."""
_TIGHT = ("name", "constant", "chain", "pipe")  # what a filter can stand behind without brackets
_ONE = "default('')|_spelt"  # an absent value is nothing here, and would be None in a filter of ours
_NUMBER = "default('')|_spelt(true)"  # of an object, `urlencode` makes pairs
_WHOLE = "default('')|_whole"
_EACH = "map('default', '')|map('_spelt')"
_PERCENT = r"%(?:\((\w+)\))?[#0 +-]*(\*|[0-9]*)(?:\.(\*|[0-9]*))?([A-Za-z%])"
_BRACED = r"\{\{|\}\}|\{([^{}:!]*)(?::([^{}]*))?\}"
_PLACED = r"(?s)(?:.?[<>^][0-9]*)?"  # what says where a text stands, and nothing of how a number is written


@frozen
class Spelled:
    """A source with our filters in it.

    Attributes:
        text: what the engine is to render.
        added: where each piece was put, as an offset into the source, and the piece; in order.
    """

    text: str
    added: tuple[tuple[int, str], ...] = ()

    def source_offset(self, at: int) -> int:
        """The offset in the source that `at` in the text stands for."""
        for place, piece in self.added:
            if at <= place:
                break
            at = max(place, at - len(piece))
        return at

    def text_offset(self, at: int, *, behind: bool = False) -> int:
        """The offset in the text of `at` in the source: before or behind what was put there."""
        return at + sum(len(piece) for place, piece in self.added if place < at or (behind and place == at))


@lru_cache(maxsize=64)
def spelled(source: str) -> Spelled:
    """A checked source as the engine is to render it."""
    if not any(sign in source for sign in ("~", "|", "join", "format")):
        return Spelled(text=source)
    before: list[tuple[int, str]] = []
    behind: list[tuple[int, str]] = []
    for node in check_source(source).inside():
        for part, filters in _written(node):
            if part.kind == "filter" and part.text == "join" and (by := _attribute(part)):
                before.append((part.at, f"map(attribute={source[by.at : by.end]})|{filters}|"))
                before.append((by.at, "none if true else "))
            elif part.kind == "filter":
                before.append((part.at, f"{filters}|"))
            elif part.kind in _TIGHT:
                behind.append((part.end, f"|{filters}"))
            else:
                before.append((part.at, "("))
                behind.append((part.end, f")|{filters}"))
    added = sorted([*behind[::-1], *before], key=lambda pair: pair[0])  # of those that end together the inner one first
    pieces, last = list[str](), 0
    for place, piece in added:
        pieces += [source[last:place], piece]
        last = place
    return Spelled(text="".join([*pieces, source[last:]]), added=tuple(added))


def _written(node: Node) -> Iterator[tuple[Node, str]]:
    """What of a node is written by the engine, or the filter that writes what stands before it, with what spells it."""
    if node.kind == "operation" and "~" in node.names:
        yield from ((part, _ONE) for part in node.parts if not _is_spelt(part))
    elif node.kind == "filter":
        yield from _before(node)
    elif node.kind == "pipe":
        for value, use in zip(node.parts, node.parts[1:], strict=False):
            if use.kind == "filter" and use.text == "format":
                yield from _formatted(use, _as_text(value, _percent))
    elif node.kind == "chain":
        for value, step, call in zip(node.parts, node.parts[1:], node.parts[2:], strict=False):
            if call.kind == "call" and step.value == "join":
                yield from _arguments(call, _EACH)
            elif call.kind == "call" and step.value == "format":
                yield from _formatted(call, _as_text(value, _braced))


def _before(use: Node) -> Iterator[tuple[Node, str]]:
    """What a filter writes of what stands before it and in its brackets."""
    if use.text in _OF_TEXT or use.text == "urlencode":
        yield use, _NUMBER if use.text == "urlencode" else _ONE
    elif use.text == "join" or (use.text == "map" and _first(use) in _OF_TEXT):
        yield use, _EACH
    if use.text in ("join", "replace"):  # a separator; what is sought and what stands for it
        yield from islice(_arguments(use, _ONE), 2)


def _is_spelt(node: Node) -> bool:
    """Whether a value is no number that the engine would write; what is spelt twice would only be nested deeper."""
    if node.kind == "pipe":
        return node.parts[-1].kind == "test" or node.parts[-1].text in (
            *_OF_TEXT,
            "join",
            "tojson",
            "urlencode",
            "format",
        )
    return (node.kind == "constant" and node.text != "number") or (node.kind == "operation" and "~" in node.names)


def _arguments(call: Node, filters: str) -> Iterator[tuple[Node, str]]:
    yield from ((one.parts[0], filters) for one in call.parts if one.text not in ("*", "**"))


def _attribute(join: Node) -> Node | None:
    """What `join` takes of each item, if not the item."""
    by_place = [one for one in join.parts if not one.text][1:2]
    named = [one for one in join.parts if one.text == "attribute"]
    return next((one.parts[0] for one in (*named, *by_place)), None)


Fields = Iterator[tuple[str, bool]]
"""The arguments that a pattern writes, by name or place, and whether it takes each as a text."""


def _formatted(call: Node, texts: set[str]) -> Iterator[tuple[Node, str]]:
    """What the arguments of `format` are given: those that are written as a text are spelt."""
    places = count()
    for one in call.parts:
        if one.text not in ("*", "**"):
            yield one.parts[0], _ONE if (one.text or str(next(places))) in texts else _WHOLE


def _as_text(pattern: Node, fields: Callable[[str], Fields]) -> set[str]:
    """The arguments that a pattern takes as texts wherever it names them; none where it is not written out."""
    if pattern.kind != "constant" or not isinstance(pattern.value, str):
        return set()
    found = list(fields(pattern.value))
    return {name for name, _ in found} - {name for name, is_text in found if not is_text}


def _percent(pattern: str) -> Fields:
    places = map(str, count())
    for name, width, digits, kind in re.findall(_PERCENT, pattern):
        yield from ((next(places), False) for sign in (width, digits) if sign == "*")
        if kind != "%":
            yield name or next(places), kind == "s"


def _braced(pattern: str) -> Fields:
    places = map(str, count())
    for found in re.finditer(_BRACED, pattern):
        if found[1] is not None:
            yield found[1] or next(places), re.fullmatch(_PLACED, found[2] or "") is not None


def _first(node: Node) -> object:
    given = node.parts[0] if node.parts else None
    return given.parts[0].value if given is not None and not given.text else None
