"""A JSON Schema in normal form as a form: closed objects, counted lists, no recursion.

Every value of the form satisfies the schema, but for rules that no grammar can hold (`not`, text
that must be unique), which the caller checks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any, cast

from runllm.engines.local.grammar import number_form
from runllm.schema import Contract, resolve
from runllm.values import frozen

Form = dict[str, Any]

_USUAL_ITEMS = 8
_FAR = 10**9
_MOST_PARTS = 4000  # branching recursion grows without bound; beyond this nothing more is offered
_OF_A_VALUE = (
    "type", "not", "pattern", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
)  # fmt: skip
_KEY = "[A-Za-z][A-Za-z0-9_]{0,23}"


@frozen
class Limits:
    """How generous a form is.

    Attributes:
        items: the most items of a list whose schema names no smaller number.
        depth: how often a `$ref` may be entered on the way to a value.
        optional: whether properties that are not required are offered.
        distinct: whether items and keys that must differ are kept apart by construction.
    """

    items: int
    depth: int
    optional: bool
    distinct: bool


@dataclass(slots=True, kw_only=True)
class Closer:
    """Turns a normalised schema into a form; None where no value within the limits exists."""

    root: Mapping[str, Any]
    order: Mapping[str, int]
    limits: Limits
    entered: Counter[str] = field(default_factory=Counter[str])
    made: int = 0

    def close(self, schema: Any, lists: int, beside: Mapping[str, Any] | None = None) -> Form | None:
        """The form of `schema`, which stands inside `lists` lists or maps, and of `beside` at once."""
        self.made += 1
        if self.made > _MOST_PARTS:
            return None
        if not isinstance(schema, Mapping):
            return None if schema is False else self._plain(beside or {}, lists)
        node = cast("Mapping[str, Any]", schema)
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return self._plain(_merged(beside, node) if beside else node, lists)
        if self.entered[reference] >= self.limits.depth:
            return None
        self.entered[reference] += 1
        target = resolve(self.root, node)
        found = self._plain(_merged(beside, target) if beside else target, lists)
        self.entered[reference] -= 1
        return found

    def _plain(self, node: Mapping[str, Any], lists: int) -> Form | None:
        if "const" in node or "enum" in node:
            values = [node["const"]] if "const" in node else list(node["enum"])
            return self._allowed({"enum": values}, node) if values else None
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                rest = {key: item for key, item in node.items() if key != keyword}
                return self._choice(node[keyword], lists, rest)
        if node.get("allOf") and node.get("type") != "string":
            *others, last = node["allOf"]
            rest = {key: item for key, item in node.items() if key != "allOf"}
            return self.close(last, lists, rest | ({"allOf": others} if others else {}))
        kind = node.get("type") or _implied_type(node)
        if isinstance(kind, list):
            return self._choice([{**node, "type": one} for one in cast("list[str]", kind)], lists, {})
        return self._typed(str(kind), node, lists)

    def _typed(self, kind: str, node: Mapping[str, Any], lists: int) -> Form | None:
        match kind:
            case "object":
                return self._object(node, lists)
            case "array":
                return self._array(node, lists)
            case "integer" | "number":
                return self._allowed(number_form(kind, node), node)
            case "boolean":
                return {"enum": [True, False]}
            case "null":
                return {"enum": [None]}
            case _:
                return self._text(node, lists)

    def _allowed(self, form: Form | None, node: Mapping[str, Any]) -> Form | None:
        """The form without the listed values that the node forbids; what is not listed, no grammar can leave out."""
        rules = {word: node[word] for word in _OF_A_VALUE if word in node}
        if form is None or "enum" not in form or not rules:
            return form
        rule = Contract({**rules, "$defs": self.root.get("$defs", {})})
        values = [value for value in form["enum"] if rule.accepts(value)]
        return {"enum": values} if values else None

    def _choice(self, branches: Sequence[Any], lists: int, beside: Mapping[str, Any]) -> Form | None:
        forms = [form for form in (self.close(branch, lists, beside) for branch in branches) if form is not None]
        if not forms:
            return None
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def _text(self, node: Mapping[str, Any], lists: int) -> Form | None:
        patterns = [_regular(n["pattern"]) for n in (node, *node.get("allOf", ())) if "pattern" in n]
        patterns = [pattern for pattern in patterns if pattern]
        least, most = node.get("minLength", 0), node.get("maxLength")
        if most is not None and least > most:
            return None
        if lists and most != 0 and not patterns:
            least = max(1, least)  # an empty item says nothing
        form: Form = {"type": "string", "minLength": int(least)}
        if not patterns:
            form |= {} if most is None else {"maxLength": int(most)}
            return form | {"x-tokens": 3 if lists == 0 else 1}
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
            count = int(node.get("minContains", 1))
            if count > _MOST_PARTS:
                return None
            wanted = _merged(resolve(self.root, node.get("items", {})), resolve(self.root, node["contains"]))
            heads += [self.close(wanted, lists + 1)] * max(0, count - len(heads))
            least = max(least, count)
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
        if least > high:
            return None
        if not heads and item is not None and "enum" in item:
            high = min(high, len(item["enum"]))
            if high * len(item["enum"]) <= _MOST_PARTS:
                found = _list([], item, least, high)
                return found and found | {"uniqueItems": True}
        if not self.limits.distinct or high <= 1 or least > _MOST_PARTS:
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
        for number in range(len(forms) + 1, int(node.get("minProperties", 0)) + 1):
            extra = None if "propertyNames" in node else self.close(self._unnamed(node, f"extra_{number}"), lists)
            if extra is None:
                return None
            forms[f"extra_{number}"] = extra
        return _record(forms, required, node, optional=self.limits.optional)

    def _unnamed(self, node: Mapping[str, Any], name: str) -> Any:
        """The schema of a property that is not declared by name."""
        for pattern, sub in node.get("patternProperties", {}).items():
            if re.search(pattern, name):
                return sub
        return node.get("additionalProperties", True)

    def _map(self, node: Mapping[str, Any], lists: int) -> Form | None:
        least, most = int(node.get("minProperties", 0)), node.get("maxProperties")
        if least > _MOST_PARTS:
            return None
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
        step = max(1, len(ascii_lowercase) // max(1, count))
        groups = [ascii_lowercase[i * step : (i + 1) * step] for i in range(count)]
        if not all(groups):
            return None
        size = min(int(item.get("maxLength", 32)), 32 + int(item.get("minLength", 0)))
        low = max(1, int(item.get("minLength", 0)))
        return [
            {"type": "string", "minLength": low, "maxLength": size, "allOf": [{"pattern": _starting(group)}]}
            for group in groups
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


def _starting(letters: str) -> str:
    return f"^[{letters}{letters.upper()}][A-Za-z0-9 _-]*$"


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


def _width(pattern: str) -> tuple[int, int]:
    """The fewest and most characters that match, as far as Python can read the pattern."""
    try:
        parsed = cast("Any", re)._parser.parse(pattern)  # noqa: SLF001 - nothing public measures a pattern
        low, high = parsed.getwidth()
    except (AttributeError, re.error, RecursionError, OverflowError):
        return 0, _FAR
    bound = pattern.startswith("^") and pattern.endswith("$")
    return int(low), int(high) if bound else _FAR


def _regular(pattern: str) -> str:
    """The pattern without its look-arounds; empty where it refers back, which no grammar can follow."""
    plain = re.sub(r"\(\?<?[=!][^()]*\)", "", pattern)
    return "" if re.search(r"\(\?(?:<?[=!])|\\[1-9]|\\k<", plain) else plain
