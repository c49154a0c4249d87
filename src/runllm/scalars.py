"""Values of numpy, pandas and their like as JSON has them; these are not imported, but known by what they can do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

_DEEPEST = 200  # levels; what lies deeper is refused by every contract
_FINER = ("ns", "ps", "fs", "as")  # than a microsecond: numpy gives such a moment as a number
_MISSING = ("NAType", "NaTType")  # of pandas


def plain(given: Any) -> Any:
    """An input whose values are JSON wherever they mean a JSON value.

    A scalar of numpy or pandas is its plain value, an array or a series a list, a date or time its text in ISO 8601. An
    input that is missing (NaN, NaT, NA) is not given; deeper inside, and where there is no JSON for it, a value stays
    as it is, for the contract to refuse.
    """
    if not isinstance(given, Mapping):
        return given
    inputs = cast("Mapping[Any, Any]", given)
    return {name: _plain(value, _DEEPEST) for name, value in inputs.items() if not is_missing(value)}


def is_missing(value: Any) -> bool:
    """Whether a cell is one that pandas or numpy calls missing."""
    if type(value) in (str, int, bool, dict, list, tuple):
        return False
    if type(value).__name__ in _MISSING:
        return True
    is_scalar = isinstance(value, float) or getattr(value, "shape", None) == ()
    return is_scalar and bool(value != value)  # noqa: PLR0124 - NaN, NaT


def _plain(value: Any, deepest: int) -> Any:
    if value is None or type(value) in (str, int, float, bool) or not deepest:
        return value
    if isinstance(value, dict):
        return {name: _plain(one, deepest - 1) for name, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one, deepest - 1) for one in cast("list[Any]", value)]
    if hasattr(value, "dtype"):
        with suppress(Exception):  # of whichever library: then it stays what it is
            return _plain(_listed(value), deepest - 1)
    if isinstance(value, dt.datetime | dt.date | dt.time) and not is_missing(value):
        return value.isoformat()
    return value


def _listed(value: Any) -> Any:
    """A scalar, an array, a series or a tensor in Python's own values."""
    if getattr(value.dtype, "kind", "") == "M" and str(value.dtype)[-3:-1] in _FINER:
        value = value.astype("datetime64[us]")
    elif getattr(value.dtype, "kind", "") == "m":
        raise TypeError("a length of time is no JSON value")
    return value.tolist() if hasattr(value, "tolist") else value.to_list()
