"""The type of a template: a JSON Schema of every value that it can give, known before it is rendered.

Whatever is not understood may be anything, so a schema is sometimes wider than the values and never narrower: a
wrong one would refuse a file that works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runllm.errors import TemplateError
from runllm.schema import Known, Schema, Unwritten, Value, defaults, is_named, standalone, step_from, types_of, union
from runllm.template.environment import check_source
from runllm.template.findings import Scope, entrance
from runllm.template.lexer import Tag, tags
from runllm.template.rendering import only_expression, render
from runllm.template.tree import Node
from runllm.values import frozen

NULL, STRING, BOOLEAN, ARRAY = {"type": "null"}, {"type": "string"}, {"type": "boolean"}, {"type": "array"}
INTEGER, NUMBER = {"type": "integer"}, {"type": "number"}
UNKNOWN = Value({}, absent=True)
_TEXT_FILTERS = (
    "capitalize e escape filesizeformat format indent join lower replace safe string striptags title tojson trim"
    " truncate upper urlencode wordwrap"
)
_LENGTH, _STRINGS = {**INTEGER, "minimum": 0}, {**ARRAY, "items": STRING}
_GIVES: dict[str, Schema] = {
    **dict.fromkeys(_TEXT_FILTERS.split(), STRING),
    **dict.fromkeys(("length", "count"), _LENGTH),
    **dict.fromkeys(("split", "lines"), _STRINGS),
    **dict.fromkeys(("batch", "dictsort", "groupby", "items", "slice", "zip"), ARRAY),
    "bool": BOOLEAN,
    "round": NUMBER,
}
"""Filters that give one type, whatever they are given."""
ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%", "**"})
_LONGEST_FILLED = 8
"""Steps of the longest path on which defaults are counted on."""


@frozen
class Inferred:
    """What a template can give.

    Attributes:
        schema: a self-contained JSON Schema that every value satisfies; `{}` for anything.
        whole: whether it is one whole `{{ expression }}`, which keeps its type; others give text.
        known: whether anything could be said; if not, `schema` is `{}`.
        literal: for text, the stretches outside tags that are certain to be in it, in order. All of the text
            where there is no tag; empty where a statement or a mark such as `-%}` decides over them.
    """

    schema: Mapping[str, Any]
    whole: bool
    known: bool
    literal: tuple[str, ...] = ()


def infer(source: str, scope: Scope) -> Inferred:
    """The type of a template that `findings` has nothing against.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as for `findings`. Defaults are taken to be filled in for `input`.
    """
    if only_expression(source) is None:
        return _text(source, tags(source))
    schema: Schema = {}
    try:
        types = Types(scope)
        schema = types.schema(types.of(check_source(source).parts[0].parts[0]))
    except TemplateError:
        pass  # `findings` tells it
    return Inferred(schema=schema, whole=True, known=bool(schema))


def _text(source: str, found: Sequence[Tag]) -> Inferred:
    if not found:
        text = _literal(source)
        schema = STRING if text is None else {"const": text}
        return Inferred(schema=schema, whole=False, known=True, literal=(text,) if text else ())
    if not all(tag.output and _keeps_space(source, tag) for tag in found):
        return Inferred(schema=STRING, whole=False, known=True)
    starts, ends = [0, *(tag.end for tag in found)], [*(tag.start for tag in found), len(source)]
    stretches = [_literal(source[start:end]) for start, end in zip(starts, ends, strict=True)]
    literal = tuple(text for text in stretches if text)
    schema = {**STRING, "minLength": sum(map(len, literal))} if literal else STRING
    return Inferred(schema=schema, whole=False, known=True, literal=literal)


def _literal(stretch: str) -> str | None:
    """What a stretch without tags gives: itself, but for comments and `{% raw %}`; None where that fails."""
    try:
        return render(stretch, {})
    except TemplateError:
        return None


def _keeps_space(source: str, tag: Tag) -> bool:
    marks = source[tag.start + 2 : tag.start + 3], source[tag.end - 3 : tag.end - 2]
    return not {"-", "+"}.intersection(marks)


class Types:
    """What each part of an expression gives. Values that come from the scope have what they refer to in `defs`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.defs: dict[str, Schema] = {}
        self.root: Schema = {"$defs": self.defs}

    def schema(self, value: Value) -> Schema:
        """All that is said of a value, as a schema of its own; `{}` where that is nothing."""
        schema = _present(value)
        if isinstance(schema, bool):  # there is no value
            return {}
        text = repr(schema) if self.defs else ""
        defs = {name: root for name, root in self.defs.items() if f"#/$defs/{name}" in text}
        return {**schema, "$defs": defs} if defs else schema

    def kinds(self, node: Node) -> frozenset[str]:
        """The types that an expression may give; empty for any."""
        value = self.of(node)
        return frozenset[str]() if value == UNKNOWN else self._types(value)

    def of(self, node: Node) -> Value:
        """What an expression gives."""
        match node.kind:
            case "constant":
                unclear = node.text == "number" or (node.value is None and node.text != "null")
                return Value({"type": node.text} if unclear else {"const": node.value})
            case "name":
                return self.path([node.text])
            case "chain":
                return self.chain(*node.parts)
            case "array":
                items = [_present(self.of(item)) for item in node.parts]
                size = {"minItems": len(items), "maxItems": len(items)}
                return Value({**ARRAY, **({"prefixItems": items} if items else {}), **size})
            case "object":
                return self.object(node.parts[::2], node.parts[1::2])
            case "pipe":
                value = self.of(node.parts[0])
                for use in node.parts[1:]:
                    value = self.filtered(value, use) if use.kind == "filter" else Value(BOOLEAN)
                return value
            case "choice":
                values = [self.of(value) for value in node.parts[: len(node.parts) // 2 + (node.text == "else")]]
                return _either(*values, absent=not node.text)
            case _:
                return self.operation(node)

    # --- names and steps -----------------------------------------------------------------------

    def chain(self, base: Node, *steps: Node) -> Value:
        """What steps from a value give."""
        if any(step.kind != "key" for step in steps):  # a call, a slice, a computed key
            return UNKNOWN
        keys = [step.value for step in steps]
        if base.kind == "name":
            return self.path([base.text, *keys])
        value = self.of(base)
        for key in keys:
            value = step_from(self.root, value, key)
        return value

    def path(self, path: Sequence[str | int]) -> Value:
        """What stands at a path from a root name: see `findings` for names with dots."""
        key, length = entrance(self.scope, path)
        if not key:
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

    def object(self, keys: Sequence[Node], values: Sequence[Node]) -> Value:
        """What an object that is written out gives."""
        if any(key.text != "string" or key.value is None for key in keys):  # a computed one may be no text
            return UNKNOWN
        pairs = zip(keys, values, strict=True)
        properties: dict[str, Known] = {key.value: _present(self.of(value)) for key, value in pairs}
        closed = {"required": list(properties), "additionalProperties": False}
        return Value({"type": "object", "properties": properties, **closed})

    # --- signs ---------------------------------------------------------------------------------

    def operation(self, node: Node) -> Value:
        """What operands and the signs between them give."""
        values = [self.of(operand) for operand in node.parts]
        if node.names == ("not",):
            return Value(BOOLEAN)
        if len(values) == 1:
            return _numeric(self._types(values[0]))
        value = values[0]
        for sign, right in zip(node.names, values[1:], strict=True):
            value = self.joined(sign, value, right)
        return value

    def joined(self, sign: str, left: Value, right: Value) -> Value:
        """What a sign between two values gives; one that is neither logic nor arithmetic nor `~` compares."""
        if sign == "or":  # nothing and null are false
            return _either(Value(self._without_null(left.schema)), right)
        if sign == "and":
            return _either(left, right)
        if sign == "~":
            return Value(STRING)
        if sign not in ARITHMETIC:
            return Value(BOOLEAN)
        types = self._types(left) | self._types(right)
        if sign == "+" and types == frozenset({"string"}):
            return Value(STRING)
        return _numeric(types, whole=sign not in ("/", "**"))

    # --- filters -------------------------------------------------------------------------------

    def filtered(self, value: Value, use: Node) -> Value:
        """What a filter makes of a value."""
        name = use.text
        given = {argument.text or at: self.of(argument.parts[0]) for at, argument in enumerate(use.parts)}
        if name in _GIVES:
            return Value(_GIVES[name])
        if name in ("int", "float"):  # an argument may be what it falls back to
            return Value(union(INTEGER if name == "int" else NUMBER, *map(_present, given.values())))
        if name == "abs":
            return _numeric(self._types(value))
        if name in ("default", "d"):
            return self._default(value, list(given.values()))
        items = step_from(self.root, value, Unwritten.ELEMENT)
        if name in ("first", "last", "min", "max") and not given:
            return items
        if name in ("list", "sort", "unique"):
            return _list_of(items.schema, some=not items.absent)
        if name in ("select", "reject", "selectattr", "rejectattr"):
            return _list_of(items.schema)
        return self._map(Value(items.schema), given) if name == "map" else UNKNOWN

    def _default(self, value: Value, given: Sequence[Value]) -> Value:
        other = given[0] if given else Value({"const": ""})
        if len(given) > 1 and given[1].schema == {"const": True}:
            return _either(Value(self._without_null(value.schema)), other)
        if not value.absent and "null" not in self._types(value):
            return value
        return _either(Value(value.schema), other)

    def _map(self, items: Value, given: Mapping[str | int, Value]) -> Value:
        """`map(attribute="a.b")`, with or without `default`; other ways to call it give some list."""
        path = given.get("attribute", UNKNOWN).schema
        names = str(path.get("const", "")).split(".") if isinstance(path, Mapping) else [""]
        if given.keys() - {"attribute", "default"} or not all(name.isidentifier() for name in names):
            return Value(ARRAY)
        for name in names:
            items = step_from(self.root, items, name)
        if "default" in given:
            items = _either(Value(items.schema), given["default"])
        return _list_of(_present(items))

    # --- what they ask of a value --------------------------------------------------------------

    def _types(self, value: Value) -> frozenset[str]:
        return types_of(self.root, value.schema)

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


def _present(value: Value) -> Known:
    """The schema of a value where nothing counts as null."""
    return union(value.schema, NULL) if value.absent else value.schema


def _either(*values: Value, absent: bool = False) -> Value:
    """What is one of these values."""
    return Value(union(*(value.schema for value in values)), absent or any(value.absent for value in values))


def _list_of(schema: Known, *, some: bool = False) -> Value:
    """A list of such items, with at least one where `some`."""
    items = {"items": schema} if schema or schema is False else {}
    return Value({**ARRAY, **items, **({"minItems": 1} if some else {})})


def _numeric(types: frozenset[str], *, whole: bool = True) -> Value:
    """What arithmetic gives: it fails for nothing and null, and integers give integers where `whole`."""
    known = types - {"null"}
    if not known or not known <= {"integer", "number"}:
        return UNKNOWN
    return Value(NUMBER if "number" in known or not whole else INTEGER)
