"""Figures for people, written the same wherever they are told: bytes, seconds, money, numbers of things."""

from __future__ import annotations

import math
import re

UNKNOWN = "-"
"""What stands for a figure that is not known."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_TIME = rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?"
_SMALLEST_COST = 1e-6
_FEW = 9.95  # what is rounded to two digits with a point between them


def size(number: float) -> str:
    """A number of bytes, as storage is sold: `98 MB`, `1.9 GB`."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:  # noqa: PLR2004 - what is rounded up to a thousand is one of the next unit
            break
        number, unit = number / 1000, larger
    return f"{number:.1f} {unit}" if number < _FEW and unit != "B" else f"{number:.0f} {unit}"


def seconds(time: float | None) -> str:
    """A length of time with about three digits, in the unit that suits it: `350 ms`, `2.35 s`, `1.25 min`."""
    if time is None:
        return UNKNOWN
    if time < 0.9995:  # noqa: PLR2004 - what is rounded up to a second is one
        return f"{time * 1000:.0f} ms"
    for unit, name in ((1, "s"), (_MINUTE, "min"), (_HOUR, "h")):
        amount = time / unit
        if amount < 99.95 or name == "h":  # noqa: PLR2004 - as many as three digits hold
            break
    return f"{amount:,.{2 if amount < 9.995 else 1}f} {name}"  # noqa: PLR2004 - as above


def time_of(text: str) -> float | None:
    """Seconds from text as people write it: `90`, `2.5s`, `10m`, `1h30m`, `7d`; None where it is no length of time."""
    if re.fullmatch(_NUMBER, text):
        return float(text)
    found = re.fullmatch(_TIME, text)
    if not found or not any(found.groups()):
        return None
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return _DAY * days + _HOUR * hours + _MINUTE * minutes + rest


def dollars(cost: float | None) -> str:
    """US dollars, two digits that matter at least: `$12.50`, `$0.00012`."""
    if cost is None:
        return UNKNOWN
    if cost <= 0:
        return "$0"
    if cost < _SMALLEST_COST:
        return f"<${_SMALLEST_COST:.6f}"
    return f"${cost:,.{max(2, 1 - math.floor(math.log10(cost)))}f}"


def count(number: float | None) -> str:
    """A whole number."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    """A small number of which the fraction matters."""
    return UNKNOWN if number is None else f"{number:,.2f}"


def percent(share: float | None) -> str:
    """A share in percent. Only none of them is 0.0%, and only all of them are 100%."""
    if share is None:
        return UNKNOWN
    return f"{min(max(share, 0.1), 99.9) if 0 < share < 100 else share:.1f}%"  # noqa: PLR2004 - percent


def some(number: int, word: str) -> str:
    """A number of things, such as `1 run` or `3 runs`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"
