"""Ranges of numbers as regular expressions over their decimal digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Digits = list[str]
"""One character class for each digit, such as `1`, `[2-7]`, `[0-9]`."""


def integer_pattern(form: Mapping[str, Any]) -> str:
    """A pattern for the integers from `minimum` to `maximum`."""
    return _scaled(int(form["minimum"]), int(form["maximum"]), 0)


def number_pattern(form: Mapping[str, Any]) -> str:
    """A pattern for the numbers between the form's bounds, with a few decimals.

    Two decimals, or as many as `multipleOf` (a power of ten) has, or as many as a narrow range needs.
    """
    low = Fraction(str(form.get("minimum", form.get("exclusiveMinimum"))))
    high = Fraction(str(form.get("maximum", form.get("exclusiveMaximum"))))
    if "multipleOf" in form:
        places = len(str(Fraction(str(form["multipleOf"])).denominator)) - 1
    else:
        places = 2 if high - low >= 1 or high == low else min(12, 3 - math.floor(math.log10(high - low)))
    found: list[str] = []
    for digits in range(places + 1):
        scale = 10**digits
        first, last = math.ceil(low * scale), math.floor(high * scale)
        first += int("exclusiveMinimum" in form and first == low * scale)
        last -= int("exclusiveMaximum" in form and last == high * scale)
        if first <= last:
            found.append(_scaled(first, last, digits))
    return "|".join(found) or _exact(low)


def _exact(value: Fraction) -> str:
    return f"{float(value)!r}".replace(".", r"\.").replace("+", r"\+")


def _scaled(low: int, high: int, places: int) -> str:
    """A pattern for the integers from `low` to `high`, with a point before the last `places` digits."""
    parts: list[str] = []
    if low < 0:
        parts.append(f"-({_natural(max(1, -high), -low, places)})")
    if high >= 0:
        parts.append(_natural(max(0, low), high, places))
    return "|".join(f"({part})" for part in parts)


def _natural(low: int, high: int, places: int) -> str:
    found: list[str] = []
    for width in range(max(places + 1, len(str(low))), max(places + 1, len(str(high))) + 1):
        smallest = 0 if width == places + 1 else 10 ** (width - 1)
        first, last = max(low, smallest), min(high, 10**width - 1)
        if first <= last:
            found += [_pointed(piece, places) for piece in _pieces(f"{first:0{width}}", f"{last:0{width}}")]
    return "|".join(found)


def _pointed(piece: Digits, places: int) -> str:
    return "".join(piece) if places == 0 else "".join(piece[:-places]) + r"\." + "".join(piece[-places:])


def _pieces(low: str, high: str) -> list[Digits]:
    """The texts from `low` to `high`, of equal length, as a few lists of character classes."""
    if not low:
        return [[]]
    if low[0] == high[0]:
        return [[low[0], *rest] for rest in _pieces(low[1:], high[1:])]
    size = len(low) - 1
    any_digit = ["[0-9]"] * size
    first, last = int(low[0]), int(high[0])
    found: list[Digits] = []
    if low[1:] != "0" * size:
        found += [[low[0], *rest] for rest in _pieces(low[1:], "9" * size)]
        first += 1
    after: list[Digits] = []
    if high[1:] != "9" * size:
        after = [[high[0], *rest] for rest in _pieces("0" * size, high[1:])]
        last -= 1
    if first <= last:
        found.append([f"[{first}-{last}]" if first < last else str(first), *any_digit])
    return found + after
