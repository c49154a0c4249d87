"""The few changes a schema itself asks for, where a value can mean only one thing.

    number-from-string     "3" for an integer, "2.5" for a number, as JSON would write them
    boolean-from-string    "true", "false", "True", "False" for a boolean
    enum-spelling          " positive", "**positive**", "Positive." for `Positive`: what stands around, and case
    json-from-string       "[1, 2]" for a list or an object, where no text is allowed
    unicode-form           an enum value or a key that is written with other code points for the same letters
    null-dropped           null for an optional property that cannot be null
    key-dropped            a key that `additionalProperties: false` forbids
    integer-from-float     3.0 for an integer, which JSON Schema allows, becomes 3

Each is reported with its place: `number-from-string at /items/*/price`, `*` for every index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, cast
from unicodedata import normalize

from runllm.diagnostics import Problem, nearest, told_at
from runllm.reading.strict import finite, same, whole
from runllm.schema import (
    Contract,
    Schema,
    branches,
    declared_types,
    list_in,
    listed,
    mapping_in,
    stated,
    together,
    type_of,
)
from runllm.values import frozen

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MARKS = "*_`'.\u201c\u201d\u201e"
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
_EXACT = 2**53  # beyond it, a float no longer tells neighbouring integers apart

_MAX_STEPS = 150_000  # values looked at, alternatives included: a schema may refer to itself
_MAX_UNIONS = 2  # alternatives inside alternatives, where nothing tells them apart
_MAX_DROPPED = 20  # more keys than this are no remark beside an answer

_HEAVY = 20  # what a comparison costs, in steps

Path = tuple[str | int, ...]
_Variant = tuple[Any, list[tuple[str, Path]], list[Problem]]


@frozen
class Shape:
    """What one part of a schema says about a value: references resolved, alternatives taken together.

    Attributes:
        types: the JSON types it names; empty for any.
        free_text: whether it admits strings that are in no list.
        spellings: the strings of its `enum` and `const`, by their form without case and outer white space.
        tags: the properties whose strings are all listed, with these; they tell alternatives apart.
        unions: its `anyOf` and `oneOf`.
        together: itself and its `allOf`, each with `properties`, `items` and the like.
        required: the properties that it requires, by any part of `together`.
    """

    types: frozenset[str] = frozenset()
    free_text: bool = False
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    unions: tuple[tuple[Any, ...], ...] = ()
    together: tuple[Schema, ...] = ()
    required: frozenset[str] = frozenset()

    def may_take(self, value: Any) -> bool:
        """Whether `value` may be meant for this part, as far as types, required keys and constants tell."""
        if self.types and type_of(value) not in self.types:
            return False
        if not isinstance(value, dict):
            return True
        known = cast("dict[str, Any]", value)
        return self.required <= known.keys() and all(
            not isinstance(text := known.get(name), str) or _fold(text) in spellings
            for name, spellings in self.tags.items()
        )


def _shape(root: Schema, part: Any) -> Shape:
    if not isinstance(part, Mapping):
        return Shape()
    nodes = tuple(together(root, part))
    spellings, free = _strings(root, part)
    strings = {name: _strings(root, sub) for node in nodes for name, sub in mapping_in(node, "properties").items()}
    return Shape(
        types=frozenset(declared_types(root, part)),
        free_text=free,
        spellings=spellings,
        tags={name: words for name, (words, others) in strings.items() if words and not others},
        unions=tuple(tuple(subs) for node in nodes for word in ("anyOf", "oneOf") if (subs := list_in(node, word))),
        together=nodes,
        required=frozenset(name for node in nodes for name in node.get("required", ())),
    )


def _strings(root: Schema, schema: Any) -> tuple[dict[str, tuple[str, ...]], bool]:
    """The strings that a schema lists, by their folded form, and whether it admits others."""
    free = False
    spellings: dict[str, dict[str, None]] = {}
    for node in branches(root, schema):
        values = listed(node)
        free = free or (values is None and "string" in node.get("type", ()))
        for text in values or ():
            if isinstance(text, str):
                spellings.setdefault(_fold(text), {})[text] = None
    return {folded: tuple(texts) for folded, texts in spellings.items()}, free


def _fold(text: str) -> str:
    """`text` without case and outer white space, each letter in one form."""
    return (text if text.isascii() else normalize("NFC", text)).strip().casefold()


class _TooMuchError(Exception):
    """The schema asks for more comparisons than a value is worth."""


@frozen
class Coerced:
    """A value, and what was changed in it.

    Attributes:
        value: the value after the changes; the one given is never changed in place.
        repairs: each change with its place, without repetition, in the order made.
        inexact: whole floats too large to be handed on as integers without guessing.
        fits: whether it was held against the contract, and fits.
    """

    value: Any
    repairs: tuple[str, ...] = ()
    inexact: tuple[Problem, ...] = ()
    fits: bool = False


class Coercer:
    """Changes values towards one contract. Not thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._shapes: dict[int, tuple[Any, Shape]] = {}  # each with its part: an identity is taken as long as it lives
        self._steps = 0
        self._unions = 0
        self._changes: list[tuple[str, Path]] = []
        self._inexact: list[Problem] = []

    def coerce(self, value: Any) -> Coerced:
        """`value` with every change that the contract asks for; it may still not fit."""
        self._changes, self._inexact, self._unions = [], [], 0
        try:
            changed = self._value(value, self._contract.schema, ())
        except (_TooMuchError, RecursionError):
            return Coerced(value=value)
        repairs = dict.fromkeys(_named(change, path) for change, path in self._changes)
        return Coerced(value=changed, repairs=tuple(repairs), inexact=tuple(self._inexact))

    def _value(self, value: Any, schema: Any, path: Path) -> Any:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooMuchError
        shape = self._shape(schema)
        if isinstance(value, str):
            return self._text(value, shape, path)
        if isinstance(value, float):
            return self._float(value, shape, path)
        if not isinstance(value, dict | list):
            return value
        return self._container(cast("Any", value), shape, path)

    def _shape(self, part: Any) -> Shape:
        known = self._shapes.get(id(part))
        if known is None:
            known = self._shapes[id(part)] = (part, _shape(self._contract.schema, part))
        return known[1]

    # --- scalars -------------------------------------------------------------------------------

    def _text(self, text: str, shape: Shape, path: Path) -> Any:
        near = shape.spellings.get(_fold(text)) or self._marked(text, shape)
        if shape.free_text or text in near:
            return text
        if len(near) == 1:
            same_letters = not text.isascii() and normalize("NFC", text) == normalize("NFC", near[0])
            return self._change("unicode-form" if same_letters else "enum-spelling", path, near[0])
        written = _NUMBER if "number" in shape.types else _INTEGER if "integer" in shape.types else None
        if written and written.fullmatch(text):
            number = _read(text)
            return text if number is None else self._change("number-from-string", path, number)
        if "boolean" in shape.types and text in _BOOLEANS:
            return self._change("boolean-from-string", path, _BOOLEANS[text])
        if path and shape.types and shape.types <= {"object", "array", "null"} and text.lstrip()[:1] in ("{", "["):
            try:
                value, _ = whole(text)
            except ValueError:
                return text
            self._change("json-from-string", path, value)
            return self._container(value, shape, path) if isinstance(value, dict | list) else value
        return text

    def _marked(self, text: str, shape: Shape) -> tuple[str, ...]:
        """The listed strings that a text is but for Markdown, quotes or a full stop, where no listed one has such."""
        plain = _fold(text).strip(_MARKS).strip()
        is_plain = plain and plain != _fold(text) and all(known.strip(_MARKS) == known for known in shape.spellings)
        return shape.spellings.get(plain, ()) if is_plain else ()

    def _float(self, value: float, shape: Shape, path: Path) -> Any:
        if "integer" not in shape.types or "number" in shape.types or not value.is_integer():
            return value
        if abs(value) > _EXACT:
            message = f"{value!r} is too large to be an exact integer: write its digits, with no point or exponent"
            self._inexact.append(Problem(message=message, pointer=told_at(path), keyword="type"))
            return value
        return self._change("integer-from-float", path, int(value))

    def _change(self, name: str, path: Path, value: Any) -> Any:
        self._changes.append((name, path))
        return value

    # --- containers ----------------------------------------------------------------------------

    def _container(self, value: Any, shape: Shape, path: Path) -> Any:
        for node in shape.together:
            if isinstance(value, dict):
                value = self._fields(cast("dict[str, Any]", value), node, shape.required, path)
            elif "items" in node or "prefixItems" in node:
                items = cast("list[Any]", value)
                value = [self._value(item, stated(node, n), (*path, n)) for n, item in enumerate(items)]
        for union in shape.unions:
            value = self._one_of(value, union, path)
        return value

    def _fields(self, value: dict[str, Any], node: Schema, required: frozenset[str], path: Path) -> dict[str, Any]:
        declared = cast("Schema", node.get("properties", {}))
        value = self._spelt(value, declared, path)
        absent = [name for name in declared if name not in value]
        unknown = sum(key not in declared for key in value)
        closed = node.get("additionalProperties") is False and "patternProperties" not in node
        # Never the whole answer, never very many, and never what may be a misspelt property.
        droppable = closed and unknown < len(value) and unknown <= _MAX_DROPPED
        found: dict[str, Any] = {}
        for key, item in value.items():
            here, schema = (*path, key), stated(node, key)
            if droppable and key not in declared and not self._misspelt(str(key), absent):
                self._change("key-dropped", here, None)
            elif item is None and key in declared and key not in required and self._never_null(schema):
                self._change("null-dropped", here, None)
            else:
                found[str(key)] = self._value(item, schema, here)
        return found

    def _spelt(self, value: dict[str, Any], declared: Schema, path: Path) -> dict[str, Any]:
        """The object with its keys in the form that the schema has them in, where they are the same letters."""
        known = {normalize("NFC", name): name for name in declared if not name.isascii()}
        renamed = {key: known.get(normalize("NFC", key), key) for key in value} if known else {}
        for key, name in renamed.items():
            if name != key and name not in value:
                self._change("unicode-form", (*path, name), None)
        return {renamed.get(key, key) if renamed.get(key) not in value else key: item for key, item in value.items()}

    def _misspelt(self, key: str, absent: list[str]) -> bool:
        self._steps += _HEAVY * len(absent)
        return nearest(key, absent) is not None

    def _never_null(self, schema: Any) -> bool:
        types = self._shape(schema).types
        return bool(types) and "null" not in types

    def _one_of(self, value: Any, union: tuple[Any, ...], path: Path) -> Any:
        """`value` changed towards the one alternative that then takes it; unchanged if several would differ."""
        self._steps += len(union)
        fitting = [part for part in union if part is not False and self._shape(part).may_take(value)]
        if len(fitting) == 1:
            return self._value(value, fitting[0], path)  # whether it then fits, the whole contract says
        if not fitting or self._unions == _MAX_UNIONS:
            return value
        fitting = [part for part in fitting if self._accepts(part, value)] or fitting
        changes, inexact = self._changes, self._inexact
        results: list[_Variant] = []
        self._unions += 1
        for part in fitting:
            self._changes, self._inexact = [], []
            changed = self._value(value, part, path)
            if self._accepts(part, changed):
                results.append((changed, self._changes, self._inexact))
        self._unions -= 1
        self._changes, self._inexact = changes, inexact
        if not results or any(not same(results[0][0], other[0]) for other in results[1:]):
            return value
        changed, made, doubtful = min(results, key=lambda result: len(result[2]))
        self._changes += made
        self._inexact += doubtful
        return changed

    def _accepts(self, part: Any, value: Any) -> bool:
        self._steps += _HEAVY**2 * self._unions  # one alternative inside another is looked at many times
        return self._contract.part(part).accepts(value)


def _read(text: str) -> int | float | None:
    try:
        return int(text) if _INTEGER.fullmatch(text) else finite(text)
    except ValueError:
        return None


def _named(change: str, path: Path) -> str:
    if not path:
        return change
    return f"{change} at {told_at('*' if isinstance(step, int) else step for step in path)}"
