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
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

from runllm.contracts import normal_form, resolve, subschemas, type_of
from runllm.engines.formats import PATTERNS

Form = dict[str, Any]

_USUAL_ITEMS = 8
_MANY = 200
_FAR = 10**9 - 1
_LIST_SIZES = (20, 12, 8, 5, 3, 2, 1)
_GOOD_SHARES = (24, 12, 5)
_KEY = "[A-Za-z][A-Za-z0-9_]{0,23}"


class BudgetTooSmallError(Exception):
    """No object of the schema is sure to fit; `needed` tokens would be enough for the smallest."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} tokens needed")
        self.needed = needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A form, and the most tokens one of its values takes (estimated for names and fixed text)."""

    form: Form
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    items: int
    depth: int
    optional: bool
    distinct: bool


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
    root = normal_form(_with_patterns(schema))
    order = _order(schema)
    forms: list[Form] = []
    for size in _LIST_SIZES:
        limits = _Limits(items=size, depth=3 if size > 2 else size, optional=True, distinct=distinct)  # noqa: PLR2004
        forms += _closed(root, order, limits)
    forms += _closed(root, order, _Limits(items=1, depth=1, optional=False, distinct=distinct))
    if not forms:
        forms = _closed(root, order, _Limits(items=1, depth=8, optional=False, distinct=distinct)) or [
            {"type": "object", "properties": {}}
        ]
    for share in _GOOD_SHARES:
        for form in forms:
            if _cost(form, share) <= budget:
                best = _largest_share(form, budget, share)
                return Bounded(form=_settled(form, best), tokens=_cost(form, best))
    raise BudgetTooSmallError(min(_cost(form, _GOOD_SHARES[-1]) for form in forms))


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


def _closed(root: Mapping[str, Any], order: Mapping[str, int], limits: _Limits) -> list[Form]:
    form = _Closer(root=root, order=order, limits=limits).close(root, 0)
    return [] if form is None else [form]


# --- closing -----------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Closer:
    """Turns a normalised schema into a form; None where no value within the limits exists."""

    root: Mapping[str, Any]
    order: Mapping[str, int]
    limits: _Limits
    entered: Counter[str] = field(default_factory=Counter[str])

    def close(self, schema: Any, lists: int) -> Form | None:
        """The form of `schema`, which stands inside `lists` lists or maps."""
        if not isinstance(schema, Mapping):
            return None if schema is False else self._text({}, lists)
        node = cast("Mapping[str, Any]", schema)
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return self._plain(node, lists)
        if self.entered[reference] >= self.limits.depth:
            return None
        self.entered[reference] += 1
        found = self._plain(resolve(self.root, node), lists)
        self.entered[reference] -= 1
        return found

    def _plain(self, node: Mapping[str, Any], lists: int) -> Form | None:
        if "const" in node or "enum" in node:
            values = [node["const"]] if "const" in node else list(node["enum"])
            return {"enum": values} if values else None
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                rest = {key: item for key, item in node.items() if key != keyword}
                return self._choice([_merged(rest, resolve(self.root, s)) for s in node[keyword]], lists)
        if "allOf" in node and node.get("type") != "string":
            whole: Mapping[str, Any] = {key: item for key, item in node.items() if key != "allOf"}
            for sub in node["allOf"]:
                whole = _merged(whole, resolve(self.root, sub))
            return self._plain(whole, lists)
        kind = node.get("type") or _implied_type(node)
        if isinstance(kind, list):
            return self._choice([{**node, "type": one} for one in cast("list[str]", kind)], lists)
        return self._typed(str(kind), node, lists)

    def _typed(self, kind: str, node: Mapping[str, Any], lists: int) -> Form | None:
        match kind:
            case "object":
                return self._object(node, lists)
            case "array":
                return self._array(node, lists)
            case "integer" | "number":
                return _number(kind, node)
            case "boolean":
                return {"enum": [True, False]}
            case "null":
                return {"enum": [None]}
            case _:
                return self._text(node, lists)

    def _choice(self, branches: Sequence[Mapping[str, Any]], lists: int) -> Form | None:
        forms = [form for form in (self.close(branch, lists) for branch in branches) if form is not None]
        if not forms:
            return None
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def _text(self, node: Mapping[str, Any], lists: int) -> Form | None:
        patterns = [n["pattern"] for n in (node, *node.get("allOf", ())) if "pattern" in n]
        least, most = node.get("minLength", 0), node.get("maxLength")
        if most is not None and least > most:
            return None
        form: Form = {"type": "string", "minLength": int(least)}
        if not patterns:
            form |= {} if most is None else {"maxLength": int(most)}
            return form | {"x-tokens": 3 if lists == 0 else 2 if lists == 1 else 1}
        widths = [_width(pattern) for pattern in patterns]
        low = max(int(least), *(width[0] for width in widths))
        high = min(width[1] for width in widths)
        limit = high if high <= max(64, low) else low + 32
        form["maxLength"] = min(limit, int(most)) if most is not None else limit
        form["allOf"] = [{"pattern": pattern} for pattern in patterns]
        return form

    def _array(self, node: Mapping[str, Any], lists: int) -> Form | None:
        least = int(node.get("minItems", 0))
        most = node.get("maxItems")
        heads = [self.close(sub, lists + 1) for sub in node.get("prefixItems", ())]
        item = self.close(node.get("items", True), lists + 1)
        if "contains" in node:
            wanted = _merged(resolve(self.root, node.get("items", {})), resolve(self.root, node["contains"]))
            heads += [self.close(wanted, lists + 1)] * max(0, int(node.get("minContains", 1)) - len(heads))
        if None in heads:
            heads, item = heads[: heads.index(None)], None
        cap = self.limits.items if most is not None else min(self.limits.items, _USUAL_ITEMS)
        high = max(cap, least, len(heads))
        high = high if most is None else min(int(most), high)
        if item is None:
            high = min(high, len(heads))
        if node.get("uniqueItems"):
            return self._unique(heads, item, least, high)
        return _list(heads, item, least, high)

    def _unique(self, heads: list[Form | None], item: Form | None, least: int, high: int) -> Form | None:
        if not heads and item is not None and "enum" in item:
            found = _list([], item, least, min(high, len(item["enum"])))
            return found and found | {"uniqueItems": True}
        if not self.limits.distinct or high <= 1:
            return _list(heads, item, least, high)
        high = max(least, min(high, 6))
        apart = None if heads or item is None else _apart(item, high)
        if apart is None:
            return _list(heads, item, least, max(1, least))
        return _list(cast("list[Form | None]", apart), None, least, high)

    def _object(self, node: Mapping[str, Any], lists: int) -> Form | None:
        declared: dict[str, Any] = dict(node.get("properties", {}))
        required = list(node.get("required", ()))
        for name in required:
            declared.setdefault(name, self._unnamed(node, name))
        if not declared or (len(declared) < node.get("minProperties", 0)):
            names = resolve(self.root, node.get("propertyNames", {}))
            declared |= {name: self._unnamed(node, name) for name in names.get("enum", ()) if name not in declared}
        forms: dict[str, Form] = {}
        for name in sorted(declared, key=lambda n: self.order.get(n, len(self.order))):
            form = self.close(declared[name], lists)
            if form is not None:
                forms[name] = form
            elif name in required:
                return None
        if not forms:
            return self._map(node, lists)
        return _record(forms, required, node, optional=self.limits.optional)

    def _unnamed(self, node: Mapping[str, Any], name: str) -> Any:
        """The schema of a property that is not declared by name."""
        for pattern, sub in node.get("patternProperties", {}).items():
            if re.search(pattern, name):
                return sub
        return node.get("additionalProperties", True)

    def _map(self, node: Mapping[str, Any], lists: int) -> Form | None:
        least, most = int(node.get("minProperties", 0)), node.get("maxProperties")
        patterns = dict(node.get("patternProperties", {}))
        pattern, sub = next(iter(patterns.items()), (None, node.get("additionalProperties", True)))
        value = self.close(sub, lists + 1)
        names = resolve(self.root, node.get("propertyNames", {}))
        keys = [{"pattern": pattern}] if pattern is not None else []
        keys += [{"pattern": n["pattern"]} for n in (names, *names.get("allOf", ())) if "pattern" in n]
        high = max(least, min(self.limits.items, 5))
        high = high if most is None else min(high, int(most))
        if value is None or high == 0:
            return None if least else {"type": "object", "properties": {}}
        plain = not keys
        key = self._text({**names, "allOf": keys or [{"pattern": f"^{_KEY}$"}]}, lists)
        if key is None:
            return None if least else {"type": "object", "properties": {}}
        spread = _apart({"type": "string", "x-tokens": 1}, high) if plain and self.limits.distinct else None
        if self.limits.distinct and spread is None:
            high = max(1, least)
        listed = [{**key, "allOf": [*key["allOf"], *one["allOf"]]} for one in spread] if spread else [key] * high
        return {"type": "object", "additionalProperties": value, "x-keys": listed, "minProperties": least}


def _list(heads: Sequence[Form | None], item: Form | None, least: int, high: int) -> Form | None:
    if least > high:
        return None
    form: Form = {"type": "array", "minItems": least, "maxItems": high, "prefixItems": list(heads[:high])}
    return form | ({"items": item} if item is not None and high > len(heads) else {"items": False})


def _record(forms: dict[str, Form], required: list[str], node: Mapping[str, Any], *, optional: bool) -> Form:
    """An object of known keys. An author who requires nothing wants everything: then all are filled."""
    fixed = [name for name in forms if name in required] if required or not optional else list(forms)
    for name in forms:
        if len(fixed) >= max(1, int(node.get("minProperties", 0))):
            break
        if name not in fixed:
            fixed.append(name)
    room = int(node.get("maxProperties", len(forms)))
    others = [name for name in forms if name not in fixed] if optional else []
    kept = {*required, *[*fixed, *others][: max(room, len(required))]}
    return {
        "type": "object",
        "properties": {name: form for name, form in forms.items() if name in kept},
        "required": [name for name in forms if name in fixed and name in kept],
        "additionalProperties": False,
    }


def _apart(item: Form, count: int) -> list[Form] | None:
    """`count` forms of the item that have no value in common, or None where they cannot be made."""
    if item.get("type") == "string" and "allOf" not in item and item.get("maxLength", 1) > 0:
        letters = "abcdefghijklmnopqrstuvwxyz"
        step = max(1, len(letters) // max(1, count))
        groups = [letters[i * step : (i + 1) * step] for i in range(count)]
        if not all(groups):
            return None
        size = min(int(item.get("maxLength", 32)), 32 + int(item.get("minLength", 0)))
        low = max(1, int(item.get("minLength", 0)))
        return [
            {"type": "string", "minLength": low, "maxLength": size,
             "allOf": [{"pattern": f"^[{g}{g.upper()}][A-Za-z0-9 _-]*$"}]}  # fmt: skip
            for g in groups
        ]
    if item.get("type") == "integer" and "multipleOf" not in item:
        low, high = item["minimum"], item["maximum"]
        step = (high - low + 1) // count
        return [item | {"minimum": low + i * step, "maximum": low + (i + 1) * step - 1} for i in range(count)]
    if "enum" in item and len(item["enum"]) >= count:
        return [{"enum": item["enum"][i::count]} for i in range(count)]
    if item.get("type") == "object":
        for name in item.get("required", ()):
            parts = _apart(item["properties"][name], count)
            if parts is not None:
                return [item | {"properties": item["properties"] | {name: part}} for part in parts]
    return None


def _merged(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas at once, for the keywords that simply add up; the second wins otherwise."""
    found = {**one, **two}
    for keyword in ("properties", "patternProperties"):
        if keyword in one and keyword in two:
            shared = {k: _merged(v, two[keyword][k]) if _both(v, two[keyword].get(k)) else v
                      for k, v in one[keyword].items()}  # fmt: skip
            found[keyword] = {**two[keyword], **shared}
    if "required" in one and "required" in two:
        found["required"] = list(dict.fromkeys([*one["required"], *two["required"]]))
    if "allOf" in one and "allOf" in two:
        found["allOf"] = [*one["allOf"], *two["allOf"]]
    for prefix, tighter in (("min", max), ("max", min)):
        for keyword in ("imum", "Length", "Items", "Properties"):
            name = prefix + keyword
            if name in one and name in two:
                found[name] = tighter(one[name], two[name])
    return found


def _both(one: Any, two: Any) -> bool:
    return isinstance(one, Mapping) and isinstance(two, Mapping)


_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "contains"),
    "string": ("pattern", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
}


def _implied_type(node: Mapping[str, Any]) -> str:
    return next((kind for kind, words in _HINTS.items() if any(word in node for word in words)), "string")


def _number(kind: str, node: Mapping[str, Any]) -> Form | None:
    step = Fraction(str(node["multipleOf"])) if "multipleOf" in node else None
    low, high = _edges(node)
    if kind == "integer" or (step is not None and step.denominator == 1):
        unit = step or Fraction(1)
        unit = Fraction(unit.numerator)  # the least integer multiple of a reduced fraction
        first, last = math.ceil(low[0] / unit), math.floor(high[0] / unit)
        first += int(low[1] and first * unit == low[0])
        last -= int(high[1] and last * unit == high[0])
        if first > last:
            return None
        if last - first < _MANY // 2:
            return {"enum": [int(i * unit) for i in range(first, last + 1)]}
        form: Form = {"type": "integer", "minimum": int(first * unit), "maximum": int(last * unit)}
        return form if unit == 1 else form | {"multipleOf": int(unit)}
    if step is not None:
        first, last = math.ceil(low[0] / step), math.floor(high[0] / step)
        first += int(low[1] and first * step == low[0])
        last -= int(high[1] and last * step == high[0])
        if first > last:
            return None
        if (step * 10**6).denominator == 1 and 10 % step.numerator == 0 and step.numerator == 1 and _is_ten(step):
            return _span(low, high) | {"multipleOf": float(step)}
        start = min(max(first, -_MANY // 4 if first < 0 else first), last)
        return {"enum": [_plain_number(i * step) for i in range(start, min(last, start + _MANY) + 1)]}
    return None if low[0] > high[0] else _span(low, high)


def _is_ten(step: Fraction) -> bool:
    return str(step.denominator).strip("0") == "1"


def _plain_number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _span(low: tuple[Fraction, bool], high: tuple[Fraction, bool]) -> Form:
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
    if low is None:
        low = (min(Fraction(-_FAR), high[0] - _FAR) if high else Fraction(-_FAR), False)
    if high is None:
        high = (max(Fraction(_FAR), low[0] + _FAR), False)
    return low, high


def _width(pattern: str) -> tuple[int, int]:
    """The fewest and most characters that match, as far as Python can read the pattern."""
    try:
        parsed = cast("Any", re)._parser.parse(pattern)
        low, high = parsed.getwidth()
    except (AttributeError, re.error, RecursionError, OverflowError):
        return 0, _FAR
    bound = pattern.startswith("^") and pattern.endswith("$")
    return int(low), int(high) if bound else _FAR


# --- measuring ---------------------------------------------------------------------------------


def _cost(form: Form, share: int) -> int:
    """The most tokens a value of the form takes when a string of weight one may take `share`."""
    if "enum" in form:
        return max(fixed_cost(json.dumps(value, ensure_ascii=False)) for value in form["enum"])
    if "anyOf" in form:
        return max(_cost(sub, share) for sub in form["anyOf"])
    match form["type"]:
        case "object":
            return 2 + sum(
                fixed_cost(name) + 3 + _cost(sub, share) for name, sub in form.get("properties", {}).items()
            ) + sum(
                _cost(key, share) + 2 + _cost(form["additionalProperties"], share) for key in form.get("x-keys", ())
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


def leaves(form: Form) -> Iterator[Form]:
    """Every part of a form that holds no other part."""
    inner: list[Any] = [*form.get("anyOf", ()), *form.get("prefixItems", ()), *form.get("properties", {}).values()]
    inner += [form[key] for key in ("items", "additionalProperties") if isinstance(form.get(key), dict)]
    if not inner:
        yield form
    for sub in inner:
        yield from leaves(sub)


__all__ = ["Bounded", "BudgetTooSmallError", "bounded", "fixed_cost", "leaves", "type_of"]
