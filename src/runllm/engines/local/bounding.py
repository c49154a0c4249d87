"""A closed, bounded form of a JSON Schema, from which a model can be made to decode.

Constrained decoding holds a model to a grammar; it does not make it stop. What ends every answer is
a form in which nothing is open: each string has a share of the token budget, each list and map a
highest count, recursion a depth, each object its known keys. Every value of the form satisfies the
schema it came from, but for rules no grammar can hold (`not`, unique free text), which the caller
checks.

A form is JSON Schema in a few shapes, with two words of its own: `x-tokens`, the tokens a free
string may take, and `x-keys`, a schema for each key of a map, in order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from runllm.engines.local.closing import Closer, Form, Limits
from runllm.schema import normal_form, subschemas
from runllm.values import frozen

_WISHES = ((20, 16), (12, 16), (8, 16), (5, 16), (5, 10), (3, 10), (3, 6), (2, 6), (1, 5))
"""How many items a list may have and how many tokens a string, the most generous first."""


class BudgetTooSmallError(Exception):
    """No object of the schema is sure to fit; `needed` tokens would be enough for the smallest."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} tokens needed")
        self.needed = needed


@frozen
class Bounded:
    """A form, and the most tokens one of its values takes (estimated for names and fixed text)."""

    form: Form
    tokens: int


def bounded(schema: Mapping[str, Any], budget: int, *, distinct: bool = False) -> Bounded:
    """The most generous form of `schema` whose longest value fits `budget` tokens.

    Args:
        schema: the contract for the answer; it must have passed `schema_problems`.
        budget: tokens that the answer may take.
        distinct: keep the items of a `uniqueItems` list and the keys of a map apart by construction,
            at the price of choosing their first letters.

    Raises:
        BudgetTooSmallError: not even the smallest form fits.
    """
    root, order = normal_form(_with_patterns(schema)), _order(schema)
    wishes = [(Limits(items=n, depth=min(3, n), optional=True, distinct=distinct), share) for n, share in _WISHES]
    wishes.append((Limits(items=1, depth=1, optional=False, distinct=distinct), 4))
    wishes.append((Limits(items=1, depth=8, optional=False, distinct=distinct), 4))  # required recursion
    needed: list[int] = []
    for limits, share in wishes:
        form = Closer(root=root, order=order, limits=limits).close(root, 0)
        if form is None:
            continue
        if _cost(form, share) <= budget:
            best = _largest_share(form, budget, share)
            return Bounded(form=_settled(form, best), tokens=_cost(form, best))
        needed.append(_cost(form, share))
    raise BudgetTooSmallError(min(needed, default=budget + 1))


def _largest_share(form: Form, budget: int, share: int) -> int:
    low, high = share, budget + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _cost(form, middle) <= budget else (low, middle)
    return low


def _with_patterns(schema: Any) -> Any:
    """The schema with each `format` said as a `pattern`, for normalising forgets formats."""
    if isinstance(schema, list):
        return [_with_patterns(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    node = cast("Mapping[str, Any]", schema)
    found = {
        key: item if key in ("const", "enum", "default", "examples") else _with_patterns(item)
        for key, item in node.items()
    }
    known = node.get("format")
    if isinstance(known, str) and known in PATTERNS and node.get("type", "string") != "object":
        more: Form = {"pattern": f"^({PATTERNS[known]})$"}
        if node.get("type") != "string":  # a type list: only its strings are meant
            more = {"anyOf": [{"not": {"type": "string"}}, {"type": "string"} | more]}
        found["allOf"] = [*found.get("allOf", ()), more]
    return found


def _order(schema: Mapping[str, Any]) -> dict[str, int]:
    """Where each property name first stands in the author's schema, which normalising sorts."""
    places: dict[str, int] = {}
    for sub, _ in subschemas(schema):
        if isinstance(sub, Mapping):
            for name in cast("Mapping[str, Any]", sub).get("properties", {}):
                places.setdefault(name, len(places))
    return places


# --- measuring ---------------------------------------------------------------------------------


def _cost(form: Form, share: int) -> int:
    """The most tokens a value of the form takes when a string of weight one may take `share`."""
    if "enum" in form:
        return max(fixed_cost(json.dumps(value, ensure_ascii=False)) for value in form["enum"])
    if "anyOf" in form:
        return max(_cost(sub, share) for sub in form["anyOf"])
    match form["type"]:
        case "object":
            return (
                2
                + sum(fixed_cost(name) + 3 + _cost(sub, share) for name, sub in form.get("properties", {}).items())
                + sum(
                    _cost(key, share) + 2 + _cost(form["additionalProperties"], share) for key in form.get("x-keys", ())
                )
            )
        case "array":
            heads: list[Form] = form["prefixItems"]
            rest = form["maxItems"] - len(heads)
            fixed = 2 + sum(1 + _cost(sub, share) for sub in heads)
            return fixed + (rest * (1 + _cost(form["items"], share)) if rest > 0 else 0)
        case "string":
            return 2 + (_tokens_of(form, share) if "x-tokens" in form else int(form["maxLength"]))
        case _:
            return 13


def fixed_cost(text: str) -> int:
    """Tokens for text that the grammar dictates: a model that may choose spells it in whole pieces."""
    return len(text.encode()) if len(text) <= 4 else len(text.encode()) // 2 + 2  # noqa: PLR2004


def _tokens_of(form: Form, share: int) -> int:
    wanted = share * int(form["x-tokens"])
    most = int(form.get("maxLength", wanted))
    return max(int(form["minLength"]) + min(8, max(0, most - int(form["minLength"]))), min(wanted, most))


def _settled(form: Any, share: int) -> Any:
    """The form with each string's weight replaced by its tokens."""
    if isinstance(form, list):
        return [_settled(item, share) for item in cast("list[Any]", form)]
    if not isinstance(form, dict) or "enum" in form:
        return cast("Any", form)
    node = cast("Form", form)
    if "x-tokens" in node:
        return node | {"x-tokens": _tokens_of(node, share)}
    return {
        key: {name: _settled(sub, share) for name, sub in item.items()}
        if key == "properties"
        else _settled(item, share)
        for key, item in node.items()
    }


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
