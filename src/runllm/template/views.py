"""JSON data as a template sees it, read-only, its own properties before any method; and as it is written.

minijinja keeps a Python dict or list as it is, with every method it has: a template could `pop` from
the caller's input, and `input.items` without such a property would be a bound method. A view shows the
data only. What an author may call on it are the methods of an object that read.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from runllm.errors import TemplateError

_COST_OF_A_READ = 256
_BUDGET = 256 * 2**20
_SECONDS = 2.0
_NATIVE = range(-(2**127), 2**128)
"""The integers that the engine holds exactly; a larger one would become a float."""
_EXPONENT = 1e21  # from here on a number is written with one


class Meter:
    """How much more one rendering may read: every read costs its text, and time runs out for all."""

    __slots__ = ("_deadline", "_left")

    def __init__(self) -> None:
        self._left = _BUDGET
        self._deadline = time.monotonic() + _SECONDS

    def charge(self, characters: int) -> None:
        """Pay for one read of so many characters.

        Raises:
            TemplateError: the budget or the time is used up.
        """
        self._left -= _COST_OF_A_READ + characters
        if self._left < 0 or time.monotonic() > self._deadline:
            raise TemplateError("the template does more work than a rendering may")


class View:
    """A JSON value that the engine may read and not change.

    When a template reads `.name`, the engine asks for the item and then for the attribute; when it calls
    `.name(...)`, it asks for the attribute alone. So an attribute asked for right after a missing item is
    refused, and a method is found only where it is called. What begins with `_` the engine never asks for.
    """

    __slots__ = ("_data", "_meter", "_missed")
    _methods: frozenset[str] = frozenset()

    def __init__(self, data: Any, meter: Meter) -> None:
        self._data = data
        self._meter = meter
        self._missed = ""

    def __getattr__(self, name: str) -> Any:
        missed, self._missed = self._missed, ""
        if name in self._methods and name != missed:
            return object.__getattribute__(self, f"_{name}")
        raise AttributeError(name)

    def __eq__(self, other: object) -> bool:
        self._meter.charge(0)
        return self._data == (other._data if isinstance(other, View) else other)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - as for the dict or list that it shows

    def __str__(self) -> str:
        text = as_json(self._data)
        self._meter.charge(len(text))
        return text


class Number(View):
    """An integer beyond 128 bits: written exactly, compared, and not calculated with."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return self._data < (other._data if isinstance(other, View) else other)


class Object(View):
    """A JSON object."""

    __slots__ = ()
    _methods = frozenset({"items", "keys", "values", "get"})

    def __getitem__(self, key: object) -> Any:
        try:
            return show(self._data[key], self._meter)
        except (KeyError, TypeError):
            self._missed = key if isinstance(key, str) else ""
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._data)

    def _keys(self) -> tuple[str, ...]:
        return tuple(show(key, self._meter) for key in self._data)

    def _values(self) -> tuple[Any, ...]:
        return tuple(show(item, self._meter) for item in self._data.values())

    def _items(self) -> tuple[tuple[str, Any], ...]:
        return tuple(zip(self._keys(), self._values(), strict=True))

    def _get(self, key: object, default: Any = None) -> Any:
        return show(self._data[key], self._meter) if isinstance(key, str) and key in self._data else default


@Sequence.register  # pyright: ignore - what the engine asks before it reads by index
class Array(View):
    """A JSON array."""

    __slots__ = ()
    _methods = frozenset({"count"})

    def __getitem__(self, index: object) -> Any:
        if isinstance(index, int) and -len(self._data) <= index < len(self._data):
            return show(self._data[index], self._meter)
        self._missed = index if isinstance(index, str) else ""
        raise IndexError(index)

    def __len__(self) -> int:
        return len(self._data)

    def _count(self, value: object) -> int:
        return self._data.count(hide(value))


def show(value: Any, meter: Meter) -> Any:
    """A JSON value as the engine is to see it.

    Raises:
        TemplateError: it is not JSON, or it is text that has no encoding.
    """
    if isinstance(value, str):
        meter.charge(len(value))
        if not value.isascii():
            _refuse_surrogates(value)
        return value
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value in _NATIVE else Number(value, meter)
    meter.charge(0)
    if isinstance(value, Mapping):
        return Object(cast("Mapping[str, Any]", value), meter)
    if isinstance(value, list | tuple):
        return Array(cast("list[Any]", value), meter)
    raise TemplateError(f"a value of type {type(value).__name__} is not JSON")


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TemplateError(
            f"a text holds half a character (a lone surrogate, U+{ord(text[error.start]):04X}) and cannot be sent"
        ) from None


def hide(value: Any) -> Any:
    """What the engine gives back, as plain JSON without views.

    Raises:
        TemplateError: the value has no JSON form: a function, a number that is not finite, a key that is no text.
    """
    if isinstance(value, View):
        return value._data  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a template must not find it
    if isinstance(value, str):
        return str(value)  # also where a filter has marked it as safe
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {_key(key): hide(item) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [hide(item) for item in cast("Sequence[Any]", value)]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    raise TemplateError(f"an expression gives {_name(value)}, which is not JSON")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TemplateError(f"a key must be text, not {_name(key)}")
    return str(key)


def _name(value: Any) -> str:
    return "a method" if callable(value) else str(value) if isinstance(value, float | int) else "something"


def as_json(value: Any, indent: int | None = None) -> str:
    """Plain JSON as text, every character readable; `indent` spaces for each level, or on one line.

    Numbers are written as RFC 8785 has it, and JavaScript: without a fraction if there is none, `1e-7`, `1e+21`.

    Raises:
        TemplateError: the value is not JSON, or nested too deeply to write.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
        if ".0" in text or "e+" in text:  # rarely, and never where all numbers have their spelling
            text = json.dumps(_without_fraction(value), ensure_ascii=False, indent=indent)
        return re.sub(_SMALL, _small, text) if "e-0" in text else text
    except (TypeError, ValueError, RecursionError) as error:
        raise TemplateError(f"a value cannot be written as JSON: {str(error).lower()}") from None


_SMALL = r'"(?:[^"\\]|\\.)*"|([-0-9.]+)e-0([0-9])'


def _small(found: re.Match[str]) -> str:
    """A number that Python writes with a small exponent; texts as they are."""
    digits, exponent = found[1], found[2]
    if exponent is None:
        return found[0]
    return format(Decimal(found[0]), "f") if exponent in "56" else f"{digits}e-{exponent}"


def _without_fraction(value: Any) -> Any:
    if isinstance(value, float):
        return whole(value)
    if isinstance(value, dict):
        return {key: _without_fraction(item) for key, item in cast("dict[str, Any]", value).items()}
    return [_without_fraction(item) for item in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


# --- filters of our own ---------------------------------------------------------------------------

_MOST_SPACES = 16


def written(value: Any) -> str:
    """A value as an output tag writes it: text as it is, nothing for an absent value or null, JSON for the rest."""
    if isinstance(value, str):
        return value
    return "" if value is None else as_json(hide(value))


def spelt(value: Any, number_alone: bool = False) -> Any:
    """A value as an output tag writes it, where the engine would write it; texts, true, false and null as they are."""
    kept = value is None or isinstance(value, str | bool) or (number_alone and not isinstance(value, int | float))
    if kept:
        return value
    return str(value) if isinstance(value, View) else as_json(hide(value))


def whole(value: Any) -> Any:
    """A number without a fraction as an integer, which the engine writes without one; others as they are."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT else value


def tojson(value: Any, indent: int | None = None) -> str:
    """A value as JSON, text in quotes and every sign as it is; the engine's own escapes some for HTML.

    Raises:
        TemplateError: the value is not JSON, or `indent` is no small number of spaces.
    """
    if indent is not None and not 0 <= indent <= _MOST_SPACES:
        raise TemplateError(f"`tojson` indents by 0 to {_MOST_SPACES} spaces, not by {indent}")
    return as_json(hide(value), indent)


def truncate(value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5) -> str:
    """Text cut to `length` code points with `end`, at a space unless `killwords`; text longer by `leeway` stays whole.

    The engine's own takes no argument without its name.

    Raises:
        TemplateError: there is no room for `end`.
    """
    text = written(value)
    if len(text) <= length + leeway:
        return text
    if length < len(end):
        raise TemplateError(f"`truncate` to {length} leaves no room for {len(end)} characters of `end`")
    cut = text[: length - len(end)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + end
