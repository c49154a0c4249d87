"""What the operations of an expression give: names, steps, signs and filters, over values known by their schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runllm.schema import Known, Schema, Unwritten, Value, defaults, is_named, standalone, step_from, types_of, union
from runllm.templates.checking import Scope
from runllm.templates.values import ARRAY, BOOLEAN, INTEGER, NULL, NUMBER, STRING, UNKNOWN, either, list_of, present

_TO_TEXT = (
    "capitalize e escape filesizeformat format indent join lower replace safe string striptags title tojson trim"
    " truncate upper urlencode wordwrap"
)
_LENGTH, _STRINGS = {**INTEGER, "minimum": 0}, {**ARRAY, "items": STRING}
_GIVES: dict[str, Schema] = {
    **dict.fromkeys(_TO_TEXT.split(), STRING),
    **dict.fromkeys(("length", "count"), _LENGTH),
    **dict.fromkeys(("split", "lines"), _STRINGS),
    **dict.fromkeys(("batch", "dictsort", "groupby", "items", "slice", "zip"), ARRAY),
    "bool": BOOLEAN,
}
"""Filters that give one type, whatever they are given."""
_ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%", "**"})
_LONGEST_FILLED = 8
"""Steps of the longest path on which defaults are counted on."""


class Operations:
    """What each operation gives. Values that come from the scope have what they refer to in `defs`.

    Args:
        scope: what each root name holds, as for `findings`. Defaults are taken to be filled in for `input`.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.defs: dict[str, Schema] = {}
        self.root: Schema = {"$defs": self.defs}

    def schema(self, value: Value) -> Schema:
        """All that is said of a value, as a schema of its own; `{}` where that is nothing."""
        schema = present(value)
        if isinstance(schema, bool):  # there is no value
            return {}
        text = repr(schema) if self.defs else ""
        defs = {name: root for name, root in self.defs.items() if f"#/$defs/{name}" in text}
        return {**schema, "$defs": defs} if defs else schema

    # --- names and steps -----------------------------------------------------------------------

    def path(self, path: Sequence[str | int]) -> Value:
        """What stands at a path from a root name: see `findings` for names with dots."""
        for length in range(len(path), 0, -1):
            key = ".".join(str(step) for step in path[:length])
            if key in self.scope:
                break
        else:
            return UNKNOWN
        root = {name: sub for name, sub in (self.scope[key] or {}).items() if name not in ("$id", "$schema")}
        value, filled = Value(root), [root] if key == "input" else []
        for step in path[length:]:
            sure, filled = defaults(root, filled, step) if len(path) <= _LONGEST_FILLED else (False, [])
            value = step_from(root, value, step, sure=sure)
        return self._adopted(f"from{list(self.scope).index(key)}", root, value)

    def _adopted(self, name: str, root: Schema, value: Value) -> Value:
        """The value with its references moved to `defs`; not known where they cannot be moved."""
        schema = dict(standalone(root, value.schema, name)) if isinstance(value.schema, Mapping) else value.schema
        if isinstance(schema, dict) and "$defs" in schema:
            if is_named(root):
                return UNKNOWN
            self.defs |= schema.pop("$defs")
        return Value(schema, value.absent)

    def step(self, value: Value, step: str | int) -> Value:
        """What a key or an index gives."""
        return step_from(self.root, value, step)

    # --- signs ---------------------------------------------------------------------------------

    def joined(self, sign: str, left: Value, right: Value) -> Value:
        """What a sign between two values gives; one that is neither logic nor arithmetic nor `~` compares."""
        if sign == "or":  # nothing and null are false
            return either(Value(self._without_null(left.schema)), right)
        if sign == "and":
            return either(left, right)
        if sign == "~":
            return Value(STRING)
        if sign not in _ARITHMETIC:
            return Value(BOOLEAN)
        types = self._types(left) | self._types(right)
        if sign == "+" and types == frozenset({"string"}):
            return Value(STRING)
        return _numeric(types, whole=sign not in ("/", "**"))

    def negative(self, value: Value) -> Value:
        """What a minus before a value gives."""
        return _numeric(self._types(value))

    # --- filters -------------------------------------------------------------------------------

    def filtered(self, name: str, value: Value, given: Mapping[str | int, Value]) -> Value:
        """What a filter makes of a value; `given` are its arguments, by position or name."""
        if name in _GIVES:
            return Value(_GIVES[name])
        if name in ("int", "float"):  # an argument may be what it falls back to
            return Value(union(INTEGER if name == "int" else NUMBER, *map(present, given.values())))
        if name == "abs":
            return _numeric(self._types(value))
        if name == "round":
            return Value(NUMBER if given else INTEGER)
        if name in ("default", "d"):
            return self._default(value, list(given.values()))
        return self._reverse(value) if name == "reverse" else self._of_list(name, value, given)

    def _of_list(self, name: str, value: Value, given: Mapping[str | int, Value]) -> Value:
        items, some = self._elements(value)
        if name == "sum" and not given:
            return _numeric(self._types(items))
        if name in ("first", "last", "min", "max") and not given:
            return Value(items.schema, absent=not some)
        if name in ("list", "sort", "unique"):
            return list_of(items.schema, some=some)
        if name in ("select", "reject", "selectattr", "rejectattr"):
            return list_of(items.schema)
        return self._map(items, given) if name == "map" else UNKNOWN

    def _default(self, value: Value, given: Sequence[Value]) -> Value:
        other = given[0] if given else Value({"const": ""})
        if len(given) > 1 and given[1].schema == {"const": True}:
            return either(Value(self._without_null(value.schema)), other)
        if not value.absent and "null" not in self._types(value):
            return value
        return either(Value(value.schema), other)

    def _reverse(self, value: Value) -> Value:
        items, some = self._elements(value)
        backwards = list_of(items.schema, some=some).schema
        types = self._types(value)
        absent = value.absent or "null" in types  # nothing, put into a list, is null there and nothing here
        return Value(union(backwards, STRING if "string" in types else False), absent)

    def _map(self, items: Value, given: Mapping[str | int, Value]) -> Value:
        """`map(attribute="a.b")`, with or without `default`; other ways to call it give some list."""
        path = given.get("attribute", UNKNOWN).schema
        names = str(path.get("const", "")).split(".") if isinstance(path, Mapping) else [""]
        if given.keys() - {"attribute", "default"} or not all(name.isidentifier() for name in names):
            return Value(ARRAY)
        for name in names:
            items = self.step(items, name)
        if "default" in given:
            items = either(Value(items.schema), given["default"])
        return list_of(present(items))

    # --- what they ask of a value --------------------------------------------------------------

    def _types(self, value: Value) -> frozenset[str]:
        return types_of(self.root, value.schema)

    def _elements(self, value: Value) -> tuple[Value, bool]:
        """What a loop over the value gives, and whether there is sure to be something."""
        items = step_from(self.root, value, Unwritten.ELEMENT)
        return Value(items.schema), not items.absent

    def _without_null(self, schema: Known) -> Known:
        if isinstance(schema, bool) or not schema or "null" not in self._types(Value(schema)):
            return schema
        if set(schema) == {"anyOf"}:
            return union(*map(self._without_null, schema["anyOf"]))
        if schema.get("type") == "null" or schema == {"const": None}:
            return False
        if isinstance(schema.get("type"), list):
            return {**schema, "type": [name for name in schema["type"] if name != "null"]}
        return {"allOf": [schema, {"not": NULL}]}


def _numeric(types: frozenset[str], *, whole: bool = True) -> Value:
    """What arithmetic gives: it fails for nothing and null, and integers give integers where `whole`."""
    known = types - {"null"}
    if not known or not known <= {"integer", "number"}:
        return UNKNOWN
    return Value(NUMBER if "number" in known or not whole else INTEGER)
