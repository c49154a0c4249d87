"""Texts and numbers for a JSON Schema of one type: at its bounds, just beside them, and ordinary ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from fuzz.specimens.patterns import matching
from runllm.schema import Schema

LARGEST = 20_000
"""A schema that wants more characters or items than this gets no specimen."""
_LONGEST = 1_000  # a longer text is no example for a message
_MOST = 8  # texts for one pattern

_FORMATS = {
    "date": ("2024-02-29", "0001-01-01"),
    "time": ("00:00:00Z", "23:59:59.5+01:00"),
    "date-time": ("2024-02-29T00:00:00Z", "2024-02-29T23:59:59.5+01:00"),
    "duration": ("P1D", "PT0S"),
    "email": ("a@example.com", "a.b+c@example.co.uk"),
    "idn-email": ("a@example.com", "é@example.com"),
    "hostname": ("example.com", "a"),
    "idn-hostname": ("example.com", "é.com"),
    "ipv4": ("127.0.0.1", "0.0.0.0"),  # noqa: S104 - an example value, nothing listens on it
    "ipv6": ("::1", "2001:db8::1"),
    "uri": ("https://example.com", "a:b"),
    "uri-reference": ("https://example.com", "/a", ""),
    "iri": ("https://example.com", "https://example.com/é"),
    "iri-reference": ("https://example.com", "é"),
    "uri-template": ("https://example.com/{a}", ""),
    "uuid": ("00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
    "json-pointer": ("/a", "", "/a/b/0"),
    "relative-json-pointer": ("0", "1/a"),
    "regex": ("a", "^[0-9]+$"),
}
KNOWN_FORMATS = frozenset(_FORMATS)
"""The formats that a contract checks; it ignores any other."""


def _strings(node: Schema) -> Iterator[str]:
    yield from _FORMATS.get(str(node.get("format")), ())
    least, most = bound(node, "minLength", 0), bound(node, "maxLength", LARGEST)
    if least > min(most, LARGEST):
        return
    if isinstance(node.get("pattern"), str):
        yield from islice(_padded(node["pattern"], least), _MOST)
    yield "a" * least
    for text in ("", "a", "A", "0", " ", "é", "a b"):
        if least <= len(text) <= most:
            yield text
    if least < most:
        yield "a" * (least + 1)
    if most <= _LONGEST:
        yield "a" * most


def _padded(pattern: str, least: int) -> Iterator[str]:
    """Texts for a pattern, and longer ones where it leaves an end open."""
    for text in matching(pattern):
        yield text
        more = "a" * max(least - len(text), 3)
        if not pattern.endswith("$"):
            yield text + more
        elif not pattern.startswith("^"):
            yield more + text


def _numbers(node: Schema) -> Iterator[int | float]:
    step = node.get("multipleOf")
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    ends = [end for end in (low, high, above, below) if end is not None]
    if step:  # first what is a multiple, near each end
        for end in [0, *ends]:
            near = round(end / step) if abs(end / step) < 2**53 else 0
            yield from ((near + i) * step for i in (0, 1, -1))
    yield from (end for end in (low, high) if end is not None)
    yield from (above + 1, above + 0.5, above) if above is not None else ()
    yield from (below - 1, below - 0.5, below) if below is not None else ()
    if len(ends) > 1:
        yield (min(ends) + max(ends)) / 2
    for end in ends:
        yield from (end + 1, end - 1, end + 0.5, end - 0.5)
    yield from (0, 0.5, 1, -1, 2, 1_000_000, -0.5)


def _integers(node: Schema) -> Iterator[int]:
    for value in _numbers(node):
        if math.isfinite(value):
            yield math.ceil(value)
            yield math.floor(value)


SCALARS: dict[str, Callable[[Schema], Iterator[Any]]] = {
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda _: iter((False, True)),
    "null": lambda _: iter((None,)),
}


def bound(node: Schema, keyword: str, otherwise: int) -> int:
    """The whole number that a keyword gives, or `otherwise`."""
    found = node.get(keyword)
    return int(found) if isinstance(found, int | float) else otherwise
