"""A bounded form as a grammar in llama.cpp's own notation, which every server of it takes beside a request.

What the decoder inside this process is told in llguidance's notation, a server is told in this one: the same form, its
strings bounded by characters, its patterns written out. Servers ignore `uniqueItems` and `maxProperties` of a schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, cast

from runllm.engines.local.grammar import Writer, integer_pattern

_MOST_TIMES = 900  # of one repetition; llama.cpp refuses 2,000, and counts brackets within it as well
_MOST_VALUES = 200  # of a number that is a multiple of another
_PRINTABLE = frozenset(range(0x20, 0x7F))
_BEYOND = (0xA0, 0x10FFFF)
_IN_WORDS = frozenset(map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"))
_DIGITS = frozenset(map(ord, "0123456789"))
_BLANK = frozenset({0x20})
_CATEGORIES = {
    "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_NOT_DIGIT": _PRINTABLE - _DIGITS,
    "CATEGORY_WORD": _IN_WORDS,
    "CATEGORY_NOT_WORD": _PRINTABLE - _IN_WORDS,
    "CATEGORY_SPACE": _BLANK,
    "CATEGORY_NOT_SPACE": _PRINTABLE - _BLANK,
}
_SPECIAL = frozenset({0x22, 0x5C})  # a quote and a backslash, which a JSON string escapes


def gbnf(form: Mapping[str, Any]) -> str:
    """The grammar whose texts are the values of `form`, as compact JSON.

    Args:
        form: a bounded form, as `runllm.engines.local.bounding` makes it.
    """
    writer = _Gbnf(by_characters=True)
    start = writer.part(form)
    return "\n".join([f"root ::= {start}", *writer.rules]) + "\n"


class _Gbnf(Writer):
    """Writes the rules that `Writer` makes in this notation."""

    def _rule(self, body: str, options: str = "") -> str:
        if body.startswith("/"):
            body = _sequence(_parsed(body[1:-1]), raw=True)
        elif body.startswith("%json "):
            body = _of_schema(json.loads(body.removeprefix("%json ")))
        key = options + body
        if key not in self._names:
            self._names[key] = f"r{len(self._names)}"
            self.rules.append(f"{self._names[key]} ::= {body}")
        return self._names[key]


def _of_schema(form: Mapping[str, Any]) -> str:
    """A text that matches the narrowest pattern of its form, or an integer."""
    if form["type"] == "integer":
        step, low, high = int(form["multipleOf"]), int(form["minimum"]), int(form["maximum"])
        start = max(low, min(0, high // step * step))
        values = list(islice(range(-(-start // step) * step, high + 1, step), _MOST_VALUES))
        if values:
            return " | ".join(json.dumps(str(value)) for value in values)
        return _sequence(_parsed(integer_pattern(form)), raw=True)
    most = int(form["maxLength"])
    try:
        inner = _sequence(_parsed(form["allOf"][-1]["pattern"]), most=most)
    except (ValueError, re.error, RecursionError):  # a pattern that is not regular: the answer is held against it later
        inner = _times(_class([_PRINTABLE - _SPECIAL], [_BEYOND]), int(form["minLength"]), most)
    return rf'"\"" {inner} "\""'


def _parsed(pattern: str) -> Any:
    return cast("Any", re)._parser.parse(pattern)  # noqa: SLF001 - nothing public reads a pattern


def _sequence(parsed: Iterable[Any], *, raw: bool = False, most: int = _MOST_TIMES) -> str:
    """What a pattern matches, one part after the other.

    Args:
        parsed: the pattern, as Python reads it.
        raw: whether it is of the answer's text itself, not of the value that a JSON string in it means.
        most: how often a part without an end may be repeated.

    Raises:
        ValueError: there is no such grammar.
    """
    return " ".join(_part(str(kind), value, raw=raw, most=most) for kind, value in parsed) or '""'


def _part(kind: str, value: Any, *, raw: bool, most: int) -> str:
    match kind:
        case "LITERAL":
            return json.dumps(chr(value) if raw else json.dumps(chr(value))[1:-1], ensure_ascii=False)
        case "ANY":
            return _class([_PRINTABLE - _SPECIAL], [_BEYOND])
        case "NOT_LITERAL":
            return _chosen([("NEGATE", None), ("LITERAL", value)], raw=raw)
        case "IN":
            return _chosen([(str(one), arg) for one, arg in value], raw=raw)
        case "BRANCH":
            return f"({' | '.join(_sequence(branch, raw=raw, most=most) for branch in value[1])})"
        case "SUBPATTERN":
            return _one(value[-1], raw=raw, most=most)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, item = value
            high = max(int(low), most) if str(high) == "MAXREPEAT" else int(high)
            return _times(_one(item, raw=raw, most=most), int(low), high)
        case "AT":
            return '""'
        case _:
            raise ValueError(f"no grammar has {kind}")


def _one(parsed: Iterable[Any], *, raw: bool, most: int) -> str:
    """What a pattern matches as one item; not in more brackets than it needs, since each counts as a repetition."""
    parts = [(str(kind), value) for kind, value in parsed]
    if len(parts) == 1 and "REPEAT" not in parts[0][0]:
        return _part(*parts[0], raw=raw, most=most)
    return f"({_sequence(parts, raw=raw, most=most)})"


def _times(item: str, low: int, high: int) -> str:
    """The item so many times, but for the last of very many."""
    many, rest = divmod(low, _MOST_TIMES)
    whole = " ".join([f"{item}{{{_MOST_TIMES}}}"] * many)
    return f"{whole} {item}{{{rest},{min(high - low + rest, _MOST_TIMES)}}}".strip() if high else '""'


def _chosen(items: Sequence[tuple[str, Any]], *, raw: bool) -> str:
    """One character of a class."""
    low: set[int] = set()
    high: list[tuple[int, int]] = []
    for kind, value in items:
        if kind in ("LITERAL", "RANGE"):
            first, last = (value, value) if kind == "LITERAL" else value
            low |= set(range(first, min(last, 0x7F) + 1))
            high += [(max(first, 0x80), last)] if last > 0x7F else []  # noqa: PLR2004 - the last of ASCII
        elif kind == "CATEGORY":
            low |= _CATEGORIES[str(value)]
    if ("NEGATE", None) in items:
        low, high = set(_PRINTABLE - low), [] if high else [_BEYOND]
    return _class([frozenset(low) if raw else frozenset(low & _PRINTABLE) - _SPECIAL], high)


def _class(low: Iterable[frozenset[int]], high: Sequence[tuple[int, int]]) -> str:
    points = sorted(frozenset[int]().union(*low))
    runs = [[point for _, point in run] for _, run in groupby(enumerate(points), lambda pair: pair[1] - pair[0])]
    pieces = [f"\\x{run[0]:02X}-\\x{run[-1]:02X}" for run in runs]
    pieces += [f"\\U{first:08X}-\\U{last:08X}" for first, last in high]
    if not pieces:
        raise ValueError("no character is allowed")
    return f"[{''.join(pieces)}]"
