"""Numbers and formats of a schema as regular expressions, each with an end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Digits = list[str]
"""One character class for each digit, such as `1`, `[2-7]`, `[0-9]`."""


_MANY = 200
_FAR = 10**9 - 1
_FARTHEST = 10**20  # beyond this a pattern grows too large to decode from; all of 64 bits lie within
_MOST_PLACES = 12


def number_form(kind: str, node: Mapping[str, Any]) -> dict[str, Any] | None:
    """The bounded form of an `integer` or `number` schema; None where no number satisfies it.

    Few values become an `enum`; bounds that are missing are set far out, and those that are farther are drawn in.
    """
    step = Fraction(str(node["multipleOf"])) if "multipleOf" in node else None
    low, high = _edges(node)
    if kind == "integer" or (step is not None and step.denominator == 1):
        unit = Fraction((step or Fraction(1)).numerator)  # the least integer multiple of a reduced fraction
        first, last = _multiples(unit, low, high)
        if first > last:
            return None
        if last - first < _MANY // 2:
            return {"enum": [int(i * unit) for i in range(first, last + 1)]}
        form: dict[str, Any] = {"type": "integer", "minimum": int(first * unit), "maximum": int(last * unit)}
        return form if unit == 1 else form | {"multipleOf": int(unit)}
    if low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1])):
        return None
    if step is None:
        return _span(low, high)
    first, last = _multiples(step, low, high)
    if first > last:
        return None
    if step.numerator == 1 and _is_ten(step):
        return _span(low, high) | {"multipleOf": float(step)}
    start = min(max(first, 0), max(first, last - _MANY))
    return {"enum": [_plain_number(i * step) for i in range(start, min(last, start + _MANY) + 1)]}


def _multiples(unit: Fraction, low: tuple[Fraction, bool], high: tuple[Fraction, bool]) -> tuple[int, int]:
    first, last = math.ceil(low[0] / unit), math.floor(high[0] / unit)
    return first + int(low[1] and first * unit == low[0]), last - int(high[1] and last * unit == high[0])


def _is_ten(step: Fraction) -> bool:
    return str(step.denominator).strip("0") == "1"


def _plain_number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _span(low: tuple[Fraction, bool], high: tuple[Fraction, bool]) -> dict[str, Any]:
    return {
        "type": "number",
        "exclusiveMinimum" if low[1] else "minimum": _plain_number(low[0]),
        "exclusiveMaximum" if high[1] else "maximum": _plain_number(high[0]),
    }


def _edges(node: Mapping[str, Any]) -> tuple[tuple[Fraction, bool], tuple[Fraction, bool]]:
    """The lowest and highest value, each with whether it is itself excluded."""
    lows = [(Fraction(str(node[k])), k.startswith("ex")) for k in ("minimum", "exclusiveMinimum") if k in node]
    highs = [(Fraction(str(node[k])), k.startswith("ex")) for k in ("maximum", "exclusiveMaximum") if k in node]
    low = max(lows, default=None)
    high = min(highs, key=lambda edge: (edge[0], not edge[1]), default=None)
    middle = max(Fraction(0), low[0]) if low else Fraction(0)  # the allowed value nearest to zero
    middle = min(middle, high[0]) if high else middle
    if low is None or low[0] < middle - _FARTHEST:
        low = (middle - (_FARTHEST if low else _FAR), False)
    if high is None or high[0] > middle + _FARTHEST:
        high = (middle + (_FARTHEST if high else _FAR), False)
    return low, high


# --- patterns ----------------------------------------------------------------------------------


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
        places = 2 if high - low >= 1 or high == low else 3 - math.floor(math.log10(high - low))
    places = min(_MOST_PLACES, places)
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


# --- formats ------------------------------------------------------------------------------------

# A string that matches the pattern satisfies the format, in its strictest reading: no day 31 in a short month, no leap
# second, no fraction, no address that only a quotation makes valid.
_DATE = "(19|20)[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
_LABEL = "[a-z0-9]{1,16}(-[a-z0-9]{1,12})?"
_HOST = rf"{_LABEL}(\.{_LABEL}){{0,2}}\.[a-z]{{2,6}}"
_PATH = "(/[A-Za-z0-9_-]{1,24}){0,4}"
_MAIL = r"[a-z0-9]{1,16}([._-][a-z0-9]{1,16})?"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HEX = "[0-9a-f]"

PATTERNS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": "P([1-9][0-9]?D|T[1-9][0-9]?[HMS]|[1-9][0-9]?[DMWY])",
    "email": f"{_MAIL}@{_HOST}",
    "idn-email": f"{_MAIL}@{_HOST}",
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "ipv6": f"{_HEX}{{1,4}}(:{_HEX}{{1,4}}){{7}}",
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    "uri": f"https?://{_HOST}{_PATH}",
    "iri": f"https?://{_HOST}{_PATH}",
    "uri-reference": f"https?://{_HOST}{_PATH}",
    "iri-reference": f"https?://{_HOST}{_PATH}",
    "uri-template": f"https?://{_HOST}{_PATH}",
    "json-pointer": _PATH,
    "relative-json-pointer": f"[0-9]{_PATH}",
    "regex": "[A-Za-z0-9_ -]{1,32}",
}
"""An anchored pattern, without its anchors, for each format that a validator checks."""
