"""What the conditions of a test say of a value, and which of them say nothing: they can never fail, or never hold."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from runllm.schema import Contract, Schema, Value, listed, resolve, step_from, types_of

if TYPE_CHECKING:
    from fractions import Fraction

NOTHING: Any = object()
"""What stands where nothing does."""
_SPECIMENS = ("", "\n", "\u2603", *string.printable)
_MAY_REFUSE = re.compile(r"\(\?<?!|\[\^|\{|\\[bB]")
"""What lets an expression refuse a text that is none of the specimens."""


class Difference(NamedTuple):
    """A place where two values differ, and what stands there."""

    place: str
    expected: Any
    came: Any


def differences(expected: Any, came: Any, at: str = "", *, whole: bool = True) -> Iterator[Difference]:
    """Where two values differ; not `whole` where keys that are not expected may stand beside those that are."""
    if isinstance(expected, dict) and isinstance(came, dict):
        wanted, found = cast("dict[str, Any]", expected), cast("dict[str, Any]", came)
        for key in [*wanted, *(key for key in found if whole and key not in wanted)]:
            inner = f"{at}.{key}" if at else key
            yield from differences(wanted.get(key, NOTHING), found.get(key, NOTHING), inner, whole=whole)
    elif isinstance(expected, list) and isinstance(came, list):
        pairs = zip_longest(cast("list[Any]", expected), cast("list[Any]", came), fillvalue=NOTHING)
        for index, (one, other) in enumerate(pairs):
            yield from differences(one, other, f"{at}[{index}]", whole=whole)
    elif isinstance(expected, bool) is not isinstance(came, bool) or expected != came:
        yield Difference(at, expected, came)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: `1` and `1.0` are, `1` and `true` are not."""
    return not any(differences(one, other))


# --- the conditions that name places ------------------------------------------------------------------


def several(said: Any) -> list[Any]:
    """What `contains` names: a list of several, or one."""
    return cast("list[Any]", said) if isinstance(said, list) else [said]


def contains(value: Any, one: Any) -> bool:
    """Whether a text contains a text, or a list an item."""
    if isinstance(value, str):
        return isinstance(one, str) and one in value
    return isinstance(value, list) and any(same(one, item) for item in cast("list[Any]", value))


def matches(value: Any, pattern: str) -> bool:
    """Whether a text matches a regular expression."""
    return isinstance(value, str) and Contract({"pattern": pattern}).accepts(value)


def is_near(value: Any, said: Mapping[str, float]) -> bool:
    """Whether a number is no further off than it may be, as they are written: 20.0 is 0.01 from 19.99."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(_written(value) - _written(said["value"])) <= _written(said["within"])


def _written(number: float) -> Fraction:
    """What a number says as people read it, and not the binary one beside it."""
    from fractions import Fraction  # few cases have any

    return Fraction(str(number))


def is_one_of(value: Any, choices: list[Any]) -> bool:
    """Whether a value is one of these."""
    return any(same(one, value) for one in choices)


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": lambda value, said: all(contains(value, one) for one in several(said)),
    "matches": matches,
    "near": is_near,
    "one_of": is_one_of,
}


# --- those that say nothing ---------------------------------------------------------------------------


def always(root: Schema, value: Value, said: Any) -> bool:
    """Whether each value that a schema allows holds what `partial` or `output` says of it."""
    if value.absent:
        return False
    if isinstance(said, Mapping):
        inside = cast("Mapping[str, Any]", said)
        is_object = types_of(root, value.schema) == frozenset({"object"})
        return is_object and all(always(root, step_from(root, value, key), one) for key, one in inside.items())
    known = _values(root, value.schema)
    return bool(known) and all(same(one, said) for one in known)


def worthless(condition: str, said: Any, root: Schema, value: Value) -> str | None:
    """Why what a condition says of a place can never fail, or never hold; None where it can do either.

    Args:
        condition: which.
        said: in its right form.
        root: the schema of the output.
        value: what stands at the place.
    """
    if said in ([], {}):
        return f"`{condition}` names nothing, and so can never {'hold' if condition == 'one_of' else 'fail'}"
    known = _values(root, value.schema)
    if known is not None:
        held = [_HOLDS[condition](one, said) for one in known]
        if not any(held):
            return f"`{condition}` can never hold: no value that can stand there does that"
        never = all(held) and not value.absent
        return f"`{condition}` can never fail: each value that can stand there does that" if never else None
    types = types_of(root, value.schema)
    if condition == "near":
        return _of_number(said, resolve(root, cast("Schema", value.schema)), sure=not value.absent)
    if types != frozenset({"string"}):
        return None
    if condition == "contains" and not all(isinstance(one, str) for one in several(said)):
        return "`contains` can never hold: a text contains texts alone"
    if condition == "contains" and "" in several(said) and not value.absent:
        return "`contains` can never fail for an empty text, which every text contains"
    if condition == "matches" and not value.absent and _takes_all(said):
        return "`matches` can never fail: every text matches this"
    return None


def _values(root: Schema, schema: Any) -> list[Any] | None:
    """The values that a schema allows, maybe with some that it does not; None where they are too many to list."""
    if isinstance(schema, bool):
        return None if schema else []
    node = resolve(root, cast("Schema", schema))
    if (found := listed(node)) is not None:
        return found
    if (few := {"boolean": [False, True], "null": [None]}.get(str(node.get("type")))) is not None:
        return few
    for word in ("anyOf", "oneOf"):
        if isinstance(node.get(word), list):
            parts = [_values(root, sub) for sub in node[word]]
            return None if None in parts else [one for part in parts for one in part or ()]
    return None


def _of_number(said: Mapping[str, float], node: Schema, *, sure: bool) -> str | None:
    middle, within = _written(said["value"]), _written(said["within"])
    low, high = middle - within, middle + within
    lowest, highest = (
        next((_written(node[word]) for word in (f"{side}imum", f"exclusive{side.title()}imum") if word in node), none)
        for side, none in (("min", -math.inf), ("max", math.inf))
    )
    is_number = node.get("type") in ("integer", "number")
    if low <= lowest and highest <= high and sure and is_number:
        return "`near` can never fail: no number that can stand there is further off"
    none_between = node.get("type") == "integer" and math.floor(high) < math.ceil(low)
    if high < lowest or highest < low or none_between:
        return "`near` can never hold: no number that can stand there is so near"
    return None


def _takes_all(pattern: str) -> bool:
    """Whether every text matches, as far as is plain."""
    if _MAY_REFUSE.search(pattern):
        return False
    contract = Contract({"pattern": pattern})
    return all(contract.accepts(one) for one in _SPECIMENS)
