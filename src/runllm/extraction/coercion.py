"""The few changes a schema itself asks for, where a value can mean only one thing.

    number-from-string     "3" for an integer, "2.5" for a number, as JSON would write them
    boolean-from-string    "true", "false", "True", "False" for a boolean
    enum-spelling          " positive" for `Positive`: white space around and case, one match
    null-dropped           null for an optional property that cannot be null
    key-dropped            a key that `additionalProperties: false` forbids
    integer-from-float     3.0 for an integer, which JSON Schema allows, becomes 3

Each is reported with its place: `number-from-string at /items/*/price`, `*` for every index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from runllm.contracts import Contract, Schema, branches, declared_types, resolve, type_of
from runllm.diagnostics import Problem, nearest, pointer
from runllm.extraction.strict import canonical, finite

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
_EXACT = 2**53  # beyond it, a float no longer tells neighbouring integers apart

_MAX_STEPS = 150_000  # values looked at, alternatives included: a schema may refer to itself
_MAX_UNIONS = 4  # alternatives inside alternatives
_MAX_DROPPED = 20  # more keys than this are no remark beside an answer
_ROOT = "urn:runllm:root"

Path = tuple[str | int, ...]


class _TooMuchError(Exception):
    """The schema asks for more comparisons than a value is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coerced:
    """A value, and what was changed in it.

    Attributes:
        value: the value after the changes; the one given is never changed in place.
        repairs: each change with its place, without repetition, in the order made.
        inexact: whole floats too large to be handed on as integers without guessing.
    """

    value: Any
    repairs: tuple[str, ...]
    inexact: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What one schema says about a value, its alternatives taken together.

    Attributes:
        types: the JSON types it names; empty for any.
        free_text: whether it admits strings that are in no list.
        spellings: the strings of its `enum` and `const`.
        unions: its `anyOf` and `oneOf`.
        together: itself and its `allOf`, each with `properties`, `items` and the like.
        required: the properties that it requires, by any part of `together`.
    """

    types: frozenset[str]
    free_text: bool
    spellings: tuple[str, ...]
    unions: tuple[tuple[Any, ...], ...]
    together: tuple[Schema, ...]
    required: frozenset[str]


@dataclass(slots=True)
class Coercer:
    """Changes values towards one contract. Keeps what it learns about the schema; not thread-safe."""

    contract: Contract
    _facts: dict[int, _Facts] = field(default_factory=dict[int, _Facts])
    _contracts: dict[int, Contract] = field(default_factory=dict[int, Contract])
    _kept: list[Any] = field(default_factory=list[Any])  # keeps the ids above valid
    _changes: list[tuple[str, Path]] = field(default_factory=list[tuple[str, Path]])
    _inexact: list[Problem] = field(default_factory=list[Problem])
    _steps: int = 0
    _unions: int = 0

    def coerce(self, value: Any) -> Coerced:
        """`value` with every change that the contract asks for; it may still not fit."""
        self._changes, self._inexact, self._unions = [], [], 0
        try:
            changed = self._value(value, self.contract.schema, ())
        except (_TooMuchError, RecursionError):
            return Coerced(value=value, repairs=(), inexact=())
        repairs = dict.fromkeys(_named(change, path) for change, path in self._changes)
        return Coerced(value=changed, repairs=tuple(repairs), inexact=tuple(self._inexact))

    def _value(self, value: Any, schema: Any, path: Path) -> Any:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooMuchError
        if not isinstance(schema, Mapping):
            return value
        facts = self._facts_of(cast("Schema", schema))
        if isinstance(value, str):
            return self._text(value, facts, path)
        if isinstance(value, float):
            return self._float(value, facts, path)
        return self._container(value, facts, path) if isinstance(value, dict | list) else value

    # --- scalars -------------------------------------------------------------------------------

    def _text(self, text: str, facts: _Facts, path: Path) -> Any:
        if facts.free_text or text in facts.spellings:
            return text
        folded = text.strip().casefold()
        near = {spelling for spelling in facts.spellings if spelling.strip().casefold() == folded}
        if len(near) == 1:
            return self._change("enum-spelling", path, near.pop())
        if "number" in facts.types and _NUMBER.fullmatch(text):
            number = _read(text)
            return text if number is None else self._change("number-from-string", path, number)
        if "integer" in facts.types and _INTEGER.fullmatch(text):
            number = _read(text)
            return text if number is None else self._change("number-from-string", path, number)
        if "boolean" in facts.types and text in _BOOLEANS:
            return self._change("boolean-from-string", path, _BOOLEANS[text])
        return text

    def _float(self, value: float, facts: _Facts, path: Path) -> Any:
        if "integer" not in facts.types or "number" in facts.types or not value.is_integer():
            return value
        if abs(value) > _EXACT:
            message = (
                f"{value!r} is too large to be an exact integer: write all its digits, without a point or exponent"
            )
            self._inexact.append(Problem(message=message, pointer=pointer(path), keyword="type"))
            return value
        return self._change("integer-from-float", path, int(value))

    def _change(self, name: str, path: Path, value: Any) -> Any:
        self._changes.append((name, path))
        return value

    # --- containers ----------------------------------------------------------------------------

    def _container(self, value: Any, facts: _Facts, path: Path) -> Any:
        change: Callable[..., Any] = self._fields if type_of(value) == "object" else self._items
        for part in facts.together:
            value = change(value, part, facts.required, path)
        for union in facts.unions:
            value = self._one_of(value, union, path)
        return value

    def _fields(self, value: dict[str, Any], part: Schema, required: frozenset[str], path: Path) -> dict[str, Any]:
        declared = cast("Schema", part.get("properties", {}))
        others = part.get("additionalProperties")
        closed = others is False and "patternProperties" not in part
        absent = [name for name in declared if name not in value]
        unknown = sum(name not in declared for name in value)
        droppable = closed and unknown < len(value) and unknown <= _MAX_DROPPED
        found: dict[str, Any] = {}
        for key, item in value.items():
            here = (*path, key)
            if key in declared:
                if item is None and key not in required and self._never_null(declared[key]):
                    self._change("null-dropped", here, None)
                else:
                    found[key] = self._value(item, declared[key], here)
            # Never the whole answer, and never what may be a misspelt property.
            elif droppable and nearest(key, absent) is None:
                self._change("key-dropped", here, None)
            else:
                found[key] = item if closed or "patternProperties" in part else self._value(item, others, here)
        return found

    def _never_null(self, schema: Any) -> bool:
        types = self._facts_of(cast("Schema", schema)).types if isinstance(schema, Mapping) else frozenset[str]()
        return bool(types) and "null" not in types

    def _items(self, value: list[Any], part: Schema, _: frozenset[str], path: Path) -> list[Any]:
        first = cast("list[Any]", part.get("prefixItems", []))
        rest = part.get("items")
        if not first and not isinstance(rest, Mapping):
            return value
        return [
            self._value(item, first[index] if index < len(first) else rest, (*path, index))
            for index, item in enumerate(value)
        ]

    def _one_of(self, value: Any, union: tuple[Any, ...], path: Path) -> Any:
        """`value` changed towards the one alternative that then takes it; unchanged if several would differ."""
        kind = type_of(value)
        fitting = [branch for branch in union if self._admits(branch, kind)]
        if not fitting or self._unions == _MAX_UNIONS:
            return value
        fitting = [branch for branch in fitting if self._accepts(branch, value)] or fitting
        changes, inexact = self._changes, self._inexact
        results: dict[str, tuple[Any, list[tuple[str, Path]], list[Problem]]] = {}
        self._unions += 1
        for branch in fitting:
            self._changes, self._inexact = [], []
            changed = self._value(value, branch, path)
            known = results.get(key := canonical(changed))
            if self._accepts(branch, changed) and (known is None or known[2]):
                results[key] = (changed, self._changes, self._inexact)
        self._unions -= 1
        self._changes, self._inexact = changes, inexact
        if len(results) != 1:
            return value
        changed, made, doubtful = next(iter(results.values()))
        self._changes += made
        self._inexact += doubtful
        return changed

    def _admits(self, branch: Any, kind: str) -> bool:
        if not isinstance(branch, Mapping):
            return branch is not False
        types = self._facts_of(cast("Schema", branch)).types
        return not types or kind in types

    def _accepts(self, branch: Any, value: Any) -> bool:
        """Whether one alternative takes `value`, its references resolved where it stands."""
        if id(branch) not in self._contracts:
            root = self.contract.schema
            shared = {**root, "$id": _ROOT, "$defs": {**root.get("$defs", {}), _ROOT: branch}}
            self._contracts[id(branch)] = Contract({"$ref": f"{_ROOT}#/$defs/{_ROOT}", "$defs": {"root": shared}})
            self._kept.append(branch)
        return self._contracts[id(branch)].accepts(value)

    # --- the schema ----------------------------------------------------------------------------

    def _facts_of(self, schema: Schema) -> _Facts:
        known = self._facts.get(id(schema))
        if known is None:
            known = self._facts[id(schema)] = _facts_of(self.contract.schema, schema)
            self._kept.append(schema)
        return known


def _facts_of(root: Schema, schema: Schema) -> _Facts:
    parts = branches(root, schema)
    free = False
    spellings: list[str] = []
    for part in parts:
        if "enum" in part or "const" in part:
            spellings += [s for s in part.get("enum", [part.get("const")]) if isinstance(s, str)]
        else:
            declared = part.get("type", ())
            free = free or "string" in ([declared] if isinstance(declared, str) else declared)
    together = _together(root, schema, 0)
    unions = [tuple(part[word]) for part in together for word in ("anyOf", "oneOf") if word in part]
    return _Facts(
        types=frozenset(declared_types(root, schema)),
        free_text=free,
        spellings=tuple(dict.fromkeys(spellings)),
        unions=tuple(unions),
        together=together,
        required=frozenset(name for part in together for name in part.get("required", ())),
    )


def _together(root: Schema, schema: Any, depth: int) -> tuple[Schema, ...]:
    """A schema and everything in its `allOf`, references resolved."""
    node = resolve(root, schema)
    inner = node.get("allOf", ()) if depth < 16 else ()  # noqa: PLR2004 - as deep as `branches` looks
    return (node, *(part for sub in inner for part in _together(root, sub, depth + 1)))


def _read(text: str) -> int | float | None:
    try:
        return int(text) if _INTEGER.fullmatch(text) else finite(text)
    except ValueError:
        return None


def _named(change: str, path: Path) -> str:
    if not path:
        return change
    return f"{change} at {pointer('*' if isinstance(step, int) else step for step in path)}"
