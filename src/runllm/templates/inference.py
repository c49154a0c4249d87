"""The type of a template: a JSON Schema of every value that it can give, known before it is rendered.

An expression is read once, from left to right, and what is read is a `_Value`, not a tree. Whatever is not
understood may be anything, so a schema is sometimes wider than the values and never narrower: a wrong one
would refuse a file that works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, cast

from runllm.errors import TemplateError
from runllm.schemas import Schema, follow, resolve, standalone, subschemas, type_of
from runllm.templates.checking import Scope
from runllm.templates.reading import WORDS, Unwritten
from runllm.templates.rendering import render
from runllm.templates.scanning import Tag, Token, tags


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """The type of a template that `findings` has nothing against; what it cannot read may be anything.

    Args:
        source: Jinja2 syntax.
        scope: what each root name holds, as for `findings`. Defaults are taken to be filled in for `input`.
    """
    found = tags(source)
    tag = found[0] if len(found) == 1 and found[0].output and found[0].closed else None
    if tag is None or not tag.tokens or source[: tag.start].strip() or source[tag.end :].strip():
        return _text(source, found)
    schema = _Reader(tag.tokens, scope).schema()
    return Inferred(schema=schema, whole=True, known=bool(schema))


def _text(source: str, found: list[Tag]) -> Inferred:
    if not found:
        text = _literal(source)
        schema = _STRING if text is None else {"const": text}
        return Inferred(schema=schema, whole=False, known=True, literal=(text,) if text else ())
    if not all(tag.output and _keeps_space(source, tag) for tag in found):
        return Inferred(schema=_STRING, whole=False, known=True)
    starts, ends = [0, *(tag.end for tag in found)], [*(tag.start for tag in found), len(source)]
    stretches = [_literal(source[start:end]) for start, end in zip(starts, ends, strict=True)]
    literal = tuple(text for text in stretches if text)
    return Inferred(
        schema={**_STRING, "minLength": sum(map(len, literal))} if literal else _STRING,
        whole=False,
        known=True,
        literal=literal,
    )


def _literal(stretch: str) -> str | None:
    """What a stretch without tags gives: itself, but for comments and `{% raw %}`; None where that fails."""
    try:
        return render(stretch, {})
    except TemplateError:
        return None


def _keeps_space(source: str, tag: Tag) -> bool:
    marks = source[tag.start + 2 : tag.start + 3], source[tag.end - 3 : tag.end - 2]
    return not {"-", "+"}.intersection(marks)


# --- values ------------------------------------------------------------------------------------

_Known: TypeAlias = "Schema | bool"
"""A schema of values: `{}` where they may be anything, False where there are none."""


class _Value(NamedTuple):
    """What an expression gives where it gives anything; `absent` where it may give nothing, which is not yet null."""

    schema: _Known
    absent: bool = False


class _Unclear(Exception):  # noqa: N818 - no error: the expression says more than this module reads
    """The expression is written in a way that is not read here."""


_NULL, _STRING, _BOOLEAN = {"type": "null"}, {"type": "string"}, {"type": "boolean"}
_INTEGER, _NUMBER, _ARRAY = {"type": "integer"}, {"type": "number"}, {"type": "array"}
_LENGTH, _STRINGS = {**_INTEGER, "minimum": 0}, {**_ARRAY, "items": _STRING}
_UNKNOWN, _NOTHING = _Value({}, absent=True), _Value(False, absent=True)
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"}
)
_MOST_BRANCHES = 32
_MOST_DIGITS = 18
_DEEPEST = 30


def _present(value: _Value) -> _Known:
    """The schema of a value where nothing counts as null."""
    return _union(value.schema, _NULL) if value.absent else value.schema


def _either(left: _Value, right: _Value) -> _Value:
    return _Value(_union(left.schema, right.schema), absent=left.absent or right.absent)


def _union(*schemas: _Known) -> _Known:
    found: dict[str, Schema] = {}  # by how they are written: for Python, True is 1
    for schema in schemas:
        if isinstance(schema, bool):
            if schema:
                return {}
            continue
        if _ANNOTATIONS.issuperset(schema):
            return {}
        found |= {repr(part): part for part in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])}
    if len(found) > _MOST_BRANCHES:
        return {}
    branches = list(found.values())
    return {"anyOf": branches} if len(branches) > 1 else branches[0] if branches else False


def _list_of(schema: _Known, *, some: bool = False) -> _Value:
    """A list of such items, with at least one where `some`."""
    items = {"items": schema} if schema or schema is False else {}
    return _Value({**_ARRAY, **items, **({"minItems": 1} if some else {})})


def _exactly(values: Sequence[_Value]) -> _Value:
    items = {"prefixItems": [_present(value) for value in values]} if values else {}
    return _Value({**_ARRAY, **items, "minItems": len(values), "maxItems": len(values)})


# --- expressions -------------------------------------------------------------------------------

_LEVELS = (
    ("or",),
    ("and",),
    ("==", "!=", "<", "<=", ">", ">=", "in", "not"),
    ("+", "-"),
    ("~",),
    ("*", "/", "//", "%"),
    ("**",),
)
"""The signs between two operands, from the loosest; `not` is that of `not in`."""
_COMPARING = 2

_TO_TEXT = (
    "capitalize e escape filesizeformat format indent join lower replace safe string striptags title tojson trim"
    " truncate upper urlencode wordwrap"
)
_GIVES: dict[str, Schema] = {
    **dict.fromkeys(_TO_TEXT.split(), _STRING),
    **dict.fromkeys(("length", "count"), _LENGTH),
    **dict.fromkeys(("split", "lines"), _STRINGS),
    **dict.fromkeys(("batch", "dictsort", "groupby", "items", "slice", "zip"), _ARRAY),
    "bool": _BOOLEAN,
}
"""Filters that give one type, whatever they are given."""


@dataclass(slots=True)
class _Reader:
    """Reads the tokens of one expression; each method takes what it stands for and says what that gives."""

    tokens: Sequence[Token]
    scope: Scope
    at: int = 0
    depth: int = 0
    defs: dict[str, Schema] = field(default_factory=dict[str, Schema])

    def schema(self) -> Schema:
        """The schema of all that the expression can give, with the definitions it mentions; `{}` if not known."""
        try:
            schema = _present(self.expression())
        except _Unclear:
            return {}
        if isinstance(schema, bool) or self.at < len(self.tokens):  # there is no value, or more is written
            return {}
        text = repr(schema) if self.defs else ""
        defs = {name: root for name, root in self.defs.items() if f"#/$defs/{name}" in text}
        return {**schema, "$defs": defs} if defs else schema

    # Taking tokens. A literal string keeps its quotes, so no text of one is that of a sign.

    def next(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def take(self) -> Token:
        if self.at >= len(self.tokens):
            raise _Unclear
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, *texts: str) -> str:
        """The next sign, taken, if it is one of these; empty otherwise."""
        text = self.next()
        if text not in texts:
            return ""
        self.at += 1
        return text

    def expect(self, text: str) -> None:
        if not self.skip(text):
            raise _Unclear

    # From the loosest to the tightest

    def expression(self) -> _Value:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Unclear
        value = self.binary(0)
        while self.skip("if"):
            self.binary(0)
            value = _either(value, self.expression() if self.skip("else") else _NOTHING)
        self.depth -= 1
        return value

    def binary(self, level: int) -> _Value:
        if level == len(_LEVELS):
            return self.filtered()
        negated = False
        while level == _COMPARING and self.skip("not"):
            negated = True
        value = self.binary(level + 1)
        while sign := self.skip(*_LEVELS[level]):
            if sign == "not":
                self.expect("in")
            value = self.joined(sign, value, self.binary(level + 1))
        return _Value(_BOOLEAN) if negated else value

    def joined(self, sign: str, left: _Value, right: _Value) -> _Value:
        if sign == "or":  # nothing and null are false
            return _either(_Value(self.without_null(left.schema)), right)
        if sign == "and":
            return _either(left, right)
        if sign in _LEVELS[_COMPARING]:
            return _Value(_BOOLEAN)
        if sign == "~":
            return _Value(_STRING)
        types = self.types(left) | self.types(right)
        if sign == "+" and types == _ONLY["string"]:
            return _Value(_STRING)
        return _numeric(types, whole=sign not in ("/", "**"))

    def filtered(self) -> _Value:
        negative = False
        while self.skip("-"):
            negative = True
        value = self.operand()
        if negative:
            value = _numeric(self.types(value))
        while sign := self.skip("|", "is"):
            if sign == "is":
                value = self.test()
            else:
                name = self.dotted()
                value = self.filter(name, value, self.arguments())
        return value

    def test(self) -> _Value:
        self.skip("not")
        self.dotted()
        if self.next() == "(":
            self.pass_brackets()
        elif self.at < len(self.tokens) and self.tokens[self.at].kind in ("string", "integer", "number"):
            self.at += 1
        return _Value(_BOOLEAN)

    def operand(self) -> _Value:
        token = self.take()
        if token.kind == "name" and token.text not in WORDS:
            value = self.path([token.text, *self.steps()])
        else:
            value = self.literal(token)
            for step in self.steps():
                value = self.step(value, step)
        while self.next() in ("(", "["):  # a call, a slice, a computed key
            self.pass_brackets()
            list(self.steps())
            value = _UNKNOWN
        return value

    def steps(self) -> Iterator[str | int]:
        """The keys and indexes that are written next, taken one by one."""
        while self.at < len(self.tokens):
            dotted = self.next() == "."
            if not dotted and (self.next() != "[" or self.next(2) != "]"):
                return
            key = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
            if key is None or key.kind not in (("name", "integer") if dotted else ("string", "integer")):
                return
            if "\\" in key.text or (key.kind == "integer" and len(key.text) > _MOST_DIGITS):
                return
            self.at += 2 if dotted else 3
            yield _integer(key) if key.kind == "integer" else key.text if dotted else key.text[1:-1]

    def pass_brackets(self) -> None:
        depth = 0
        while True:
            text = self.take().text
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if depth == 0:
                return

    def dotted(self) -> str:
        """The name of a filter or test, taken."""
        name = self.take().text
        while self.skip("."):
            name += f".{self.take().text}"
        return name

    def arguments(self) -> dict[str | int, _Value]:
        """What stands in brackets behind a name, by position or name; empty where there are none."""
        found: dict[str | int, _Value] = {}
        closed = not self.skip("(")
        while not closed and not self.skip(")"):
            key: str | int = len(found)
            if self.next(1) == "=":
                key = self.take().text
                self.at += 1
            found[key] = self.expression()
            closed = not self.skip(",")
            if closed:
                self.expect(")")
        return found

    # Literals

    def literal(self, token: Token) -> _Value:
        if token.kind == "string":
            return _Value(_STRING if "\\" in token.text else {"const": token.text[1:-1]})
        if token.kind == "integer" and len(token.text) <= _MOST_DIGITS:
            return _Value({"const": _integer(token)})
        if token.kind in ("integer", "number"):
            return _Value(_NUMBER)
        if token.text in _CONSTANTS:
            return _Value({"const": _CONSTANTS[token.text]})
        if token.text == "[":
            return _exactly(self.items("]"))
        if token.text == "{":
            return self.object()
        if token.text != "(":
            raise _Unclear
        if self.skip(")"):
            return _exactly(())
        first = self.expression()
        if self.skip(")"):
            return first
        self.expect(",")
        return _exactly([first, *self.items(")")])

    def items(self, closing: str) -> list[_Value]:
        found: list[_Value] = []
        while not self.skip(closing):
            found.append(self.expression())
            if not self.skip(","):
                self.expect(closing)
                break
        return found

    def object(self) -> _Value:
        properties: dict[str, _Known] = {}
        written = True  # all its keys; a computed one may turn out to be no text
        while not self.skip("}"):
            key = self.expression().schema
            name = key.get("const") if isinstance(key, Mapping) else None
            self.expect(":")
            value = _present(self.expression())
            written = written and isinstance(name, str)
            properties[str(name)] = value
            if not self.skip(","):
                self.expect("}")
                break
        closed = {"required": list(properties), "additionalProperties": False}
        return _Value({"type": "object", "properties": properties, **closed}) if written else _UNKNOWN

    # Filters

    def filter(self, name: str, value: _Value, given: Mapping[str | int, _Value]) -> _Value:
        if name in _GIVES:
            return _Value(_GIVES[name])
        if name in ("int", "float"):  # an argument may be what it falls back to
            return _Value(_union(_INTEGER if name == "int" else _NUMBER, *map(_present, given.values())))
        if name == "abs":
            return _numeric(self.types(value))
        if name == "round":
            return _Value(_NUMBER if given else _INTEGER)
        if name in ("default", "d"):
            return self.default(value, list(given.values()))
        return self.reverse(value) if name == "reverse" else self.of_list(name, value, given)

    def of_list(self, name: str, value: _Value, given: Mapping[str | int, _Value]) -> _Value:
        items, some = self.elements(value)
        if name == "sum" and not given:
            return _numeric(self.types(items))
        if name in ("first", "last", "min", "max") and not given:
            return _Value(items.schema, absent=not some)
        if name in ("list", "sort", "unique"):
            return _list_of(items.schema, some=some)
        if name in ("select", "reject", "selectattr", "rejectattr"):
            return _list_of(items.schema)
        return self.map(items, given) if name == "map" else _UNKNOWN

    def default(self, value: _Value, given: Sequence[_Value]) -> _Value:
        other = given[0] if given else _Value({"const": ""})
        if len(given) > 1 and given[1].schema == {"const": True}:
            return _either(_Value(self.without_null(value.schema)), other)
        if not value.absent and "null" not in self.types(value):
            return value
        return _either(_Value(value.schema), other)

    def reverse(self, value: _Value) -> _Value:
        items, some = self.elements(value)
        backwards = _list_of(items.schema, some=some).schema
        types = self.types(value)
        absent = value.absent or "null" in types  # nothing, put into a list, is null there and nothing here
        return _Value(_union(backwards, _STRING if "string" in types else False), absent)

    def map(self, items: _Value, given: Mapping[str | int, _Value]) -> _Value:
        """`map(attribute="a.b")`, with or without `default`; other ways to call it give some list."""
        path = given.get("attribute", _UNKNOWN).schema
        names = str(path.get("const", "")).split(".") if isinstance(path, Mapping) else [""]
        if given.keys() - {"attribute", "default"} or not all(name.isidentifier() for name in names):
            return _Value(_ARRAY)
        for name in names:
            items = self.step(items, name)
        if "default" in given:
            items = _either(_Value(items.schema), given["default"])
        return _list_of(_present(items))

    # What schemas say. Once read, a schema has its references in `defs`.

    def path(self, path: Sequence[str | int]) -> _Value:
        """What stands at a path from a root name: see `Scope` for the names with dots."""
        for length in range(len(path), 0, -1):
            key = ".".join(str(step) for step in path[:length])
            if key in self.scope:
                break
        else:
            return _UNKNOWN
        root = {name: sub for name, sub in (self.scope[key] or {}).items() if name not in ("$id", "$schema")}
        value, filled = _Value(root), [root] if key == "input" else []
        for step in path[length:]:
            sure, filled = _defaults(root, filled, step) if len(path) <= _DEEPEST_FILLED else (False, [])
            value = _step(root, value, step, sure=sure)
        return self.adopt(f"from{list(self.scope).index(key)}", root, value)

    def adopt(self, name: str, root: Schema, value: _Value) -> _Value:
        """The value with its references moved to `defs`; not known where they cannot be moved."""
        schema = dict(standalone(root, value.schema, name)) if isinstance(value.schema, Mapping) else value.schema
        if isinstance(schema, dict) and "$defs" in schema:
            if _is_named(root):
                return _UNKNOWN
            self.defs |= schema.pop("$defs")
        return _Value(schema, value.absent)

    def step(self, value: _Value, step: str | int) -> _Value:
        return _step({"$defs": self.defs}, value, step)

    def elements(self, value: _Value) -> tuple[_Value, bool]:
        """What a loop over the value gives, and whether there is sure to be something."""
        items = _step({"$defs": self.defs}, value, Unwritten.ELEMENT)
        return _Value(items.schema), not items.absent

    def types(self, value: _Value) -> frozenset[str]:
        return _Look({"$defs": self.defs}).at(value.schema).types

    def without_null(self, schema: _Known) -> _Known:
        if isinstance(schema, bool) or not schema or "null" not in self.types(_Value(schema)):
            return schema
        if set(schema) == {"anyOf"}:
            return _union(*map(self.without_null, schema["anyOf"]))
        if schema.get("type") == "null" or schema == {"const": None}:
            return False
        if isinstance(schema.get("type"), list):
            return {**schema, "type": [name for name in schema["type"] if name != "null"]}
        return {"allOf": [schema, {"not": _NULL}]}


def _integer(token: Token) -> int:
    return int(token.text.replace("_", ""))


def _numeric(types: frozenset[str], *, whole: bool = True) -> _Value:
    """What arithmetic gives: it fails for nothing and null, and integers give integers where `whole`."""
    known = types - {"null"}
    if not known or not known <= {"integer", "number"}:
        return _UNKNOWN
    return _Value(_NUMBER if "number" in known or not whole else _INTEGER)


# --- what a schema says ------------------------------------------------------------------------

_ALL_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_ONLY = {name: frozenset({name}) for name in _ALL_TYPES}
_NAMES = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef"})
_MOST_VISITS = 500
_DEEPEST_LOOK = 16
_DEEPEST_FILLED = 8
_DEEPEST_CONJUNCTION = 4

_Step: TypeAlias = "str | int | Unwritten"


class _Facts(NamedTuple):
    """What is sure of the values of a schema.

    Attributes:
        types: they are of one of these; `integer` goes with every `number`.
        inner: the schema of what a step leads to, from those that have such a step and where it leads anywhere.
        there: whether it leads somewhere from each of those.
    """

    types: frozenset[str]
    inner: _Known = True
    there: bool = False


class _Look:
    """Looks at a schema and the schemas that it combines; `templates.paths.enter` asks what an author meant."""

    def __init__(self, root: Schema, step: _Step | None = None) -> None:
        self.root = root
        self.step = step
        self.kind = "object" if isinstance(step, str) else "array"
        self.left = _MOST_VISITS

    @cached_property
    def is_named(self) -> bool:
        return _is_named(self.root)

    def at(self, schema: Any, depth: int = 0) -> _Facts:
        self.left -= 1
        if schema is False:
            return _Facts(frozenset(), inner=False, there=True)
        if not isinstance(schema, Mapping) or self.left < 0 or depth > _DEEPEST_LOOK:
            return _Facts(_ALL_TYPES)
        node = cast("Schema", schema)
        parts = [self.own(node)]
        if isinstance(node.get("$ref"), str) and not self.is_named:
            parts.append(self.at(follow(self.root, node["$ref"]), depth + 1))
        parts += [self.at(sub, depth + 1) for sub in _list(node, "allOf")]
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                parts.append(_any([self.at(sub, depth + 1) for sub in _list(node, keyword)]))
        return _all(parts)

    def own(self, node: Schema) -> _Facts:
        types = _types(node)
        if self.kind not in types:
            return _Facts(types, inner=False, there=True)
        if isinstance(self.step, str):
            there = self.step in _list(node, "required")
            return _Facts(types, _property(node, self.step), there)
        at = self.step if isinstance(self.step, int) else 0
        return _Facts(types, _item(node, self.step), node.get("minItems", 0) > at)


def _is_named(root: Schema) -> bool:
    """Whether references may lead elsewhere than from the root, so that none is followed or moved."""
    return any(isinstance(sub, Mapping) and not _NAMES.isdisjoint(cast("Schema", sub)) for sub, _ in subschemas(root))


def _all(parts: list[_Facts]) -> _Facts:
    types = _ALL_TYPES.intersection(*(part.types for part in parts))
    there = any(part.there for part in parts)
    said = [part.inner for part in parts if part.inner and part.inner is not True]
    if any(part.inner is False for part in parts):
        return _Facts(types, inner=False, there=there)
    return _Facts(types, {"allOf": said} if len(said) > 1 else said[0] if said else True, there)


def _any(parts: list[_Facts]) -> _Facts:
    types = frozenset[str]().union(*(part.types for part in parts))
    return _Facts(types, _union(*(part.inner for part in parts)), all(part.there for part in parts))


def _step(root: Schema, value: _Value, step: _Step, *, sure: bool = False) -> _Value:
    """What a step from a value gives; `sure` where every object has it. From other types it gives nothing."""
    look = _Look(root, step)
    facts = look.at(value.schema)
    inner = facts.inner if look.kind in facts.types else False
    texts = {"string"} if isinstance(step, int) else {"string", "object"} if step is Unwritten.ELEMENT else set[str]()
    if facts.types & texts:  # characters and keys
        inner = _union(inner, _STRING)
    always = facts.types == _ONLY[look.kind] and (facts.there or sure)
    return _Value(_union(inner), absent=value.absent or not always)


def _property(node: Schema, name: str) -> _Known:
    declared = _mapping(node, "properties")
    if name in declared:
        return declared[name]
    return True if "patternProperties" in node else node.get("additionalProperties", True)


def _item(node: Schema, step: _Step | None) -> _Known:
    first, rest, longest = _list(node, "prefixItems"), node.get("items", True), node.get("maxItems")
    if isinstance(step, int):
        if longest is not None and step >= longest:
            return False
        return first[step] if step < len(first) else rest
    return _union(*first, False if longest is not None and longest <= len(first) else rest)


def _types(node: Schema) -> frozenset[str]:
    declared = node.get("type", _ALL_TYPES)
    types = frozenset[str]({declared} if isinstance(declared, str) else declared)
    for values in ([node["const"]] if "const" in node else None, node.get("enum")):
        if values is not None:
            types &= _with_integer(frozenset(map(type_of, values)))
    return _with_integer(types)


def _with_integer(types: frozenset[str]) -> frozenset[str]:
    return types | {"integer"} if "number" in types else types


def _defaults(root: Schema, schemas: list[Any], step: str | int) -> tuple[bool, list[Any]]:
    """Whether `Contract.with_defaults` gives every object this property, and the schemas that it then fills by.

    A default is taken as it stands: what it leaves out inside stays out.
    """
    nodes = [node for schema in schemas for node in _conjunction(root, schema)]
    if isinstance(step, int):
        return False, [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
    found = [declared[step] for node in nodes if step in (declared := _mapping(node, "properties"))]
    if any("default" in resolve(root, sub) for sub in found):
        return True, []
    return False, found


def _conjunction(root: Schema, schema: Any, depth: int = 0) -> Iterator[Schema]:
    node = resolve(root, schema)
    yield node
    for sub in _list(node, "allOf") if depth < _DEEPEST_CONJUNCTION else ():
        yield from _conjunction(root, sub, depth + 1)


def _list(node: Schema, keyword: str) -> list[Any]:
    found = node.get(keyword)
    return cast("list[Any]", found) if isinstance(found, list) else []


def _mapping(node: Schema, keyword: str) -> Mapping[str, Any]:
    found = node.get(keyword)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
