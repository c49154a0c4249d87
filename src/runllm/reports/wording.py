"""How figures and foreign words are written, the same in every form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from runllm.errors import catalogue
from runllm.rendering import safe

UNKNOWN = "-"
_MINUTE, _HOUR, _DAY, _MONTH = 60, 3600, 86_400, 2_592_000
_SMALLEST_COST = 1e-6


def shown(text: str) -> str:
    """A foreign word: secrets masked, control characters made visible, lone surrogates too."""
    return safe(text.encode("utf-8", "backslashreplace").decode()).replace("\n", "\\n").replace("\t", "\\t")


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


def seconds(time: float | None) -> str:
    """A length of time with about three digits, in the unit that suits it."""
    if time is None:
        return UNKNOWN
    if time < 0.9995:  # noqa: PLR2004 - what is rounded up to a second is one
        return f"{time * 1000:.0f} ms"
    for unit, name in ((1, "s"), (_MINUTE, "min"), (_HOUR, "h")):
        amount = time / unit
        if amount < 99.95 or name == "h":  # noqa: PLR2004 - as many as three digits hold
            break
    return f"{amount:,.{2 if amount < 9.995 else 1}f} {name}"  # noqa: PLR2004 - as above


def dollars(cost: float | None) -> str:
    """US dollars, two digits that matter at least."""
    if cost is None:
        return UNKNOWN
    if cost <= 0:
        return "$0"
    if cost < _SMALLEST_COST:
        return f"<${_SMALLEST_COST:.6f}"
    return f"${cost:,.{max(2, 1 - math.floor(math.log10(cost)))}f}"


def moment(time: float, width: float = _MINUTE) -> str:
    """A time in UTC, as exactly as a bucket of `width` seconds allows."""
    form = "%b %Y" if width >= _MONTH else "%d %b %Y" if width >= _DAY else "%d %b %H:%M"
    try:
        return datetime.fromtimestamp(time, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # a clock that was set absurdly
        return UNKNOWN


def local_time(time: float) -> str:
    """A time to the minute, where the reader is."""
    try:
        return datetime.fromtimestamp(time, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # as above
        return UNKNOWN


def error_names() -> Mapping[str, str]:
    """The name of each error, by its code."""
    return {cls.code: cls.__name__ for cls in catalogue()}


def some(number: int, word: str) -> str:
    """A number of things, such as `1 run` or `3 runs`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"
