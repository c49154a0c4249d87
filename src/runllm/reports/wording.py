"""How foreign words, times and errors are written in a report, the same in every form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from runllm.errors import catalogue
from runllm.quantities import UNKNOWN
from runllm.rendering import safe

_MINUTE, _DAY, _MONTH = 60, 86_400, 2_592_000


def shown(text: str) -> str:
    """A foreign word: secrets masked, control characters made visible, lone surrogates too."""
    return safe(text.encode("utf-8", "backslashreplace").decode()).replace("\n", "\\n").replace("\t", "\\t")


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
