"""What each part of a schema says about a value, worked out once per answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from runllm.schema import Contract, Schema, branches, declared_types, resolve, type_of
from runllm.values import frozen

_ROOT = "urn:runllm:root"
_DEEPEST = 16  # as far as `branches` follows a combination


@frozen
class Shape:
    """A schema, its references resolved and its alternatives taken together.

    Attributes:
        types: the JSON types it names; empty for any.
        free_text: whether it admits strings that are in no list.
        spellings: the strings of its `enum` and `const`, by their form without case and outer white space.
        tags: the properties whose strings are all listed, with these; they tell alternatives apart.
        unions: its `anyOf` and `oneOf`.
        together: itself and its `allOf`, each with `properties`, `items` and the like.
        required: the properties that it requires, by any part of `together`.
    """

    types: frozenset[str]
    free_text: bool
    spellings: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, Mapping[str, Any]]
    unions: tuple[tuple[Any, ...], ...]
    together: tuple[Schema, ...]
    required: frozenset[str]


_ANYTHING = Shape(
    types=frozenset(), free_text=False, spellings={}, tags={}, unions=(), together=(), required=frozenset()
)


class Shapes:
    """The shapes and contracts of one contract's parts; parts are known by their identity. Not thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._shapes: dict[int, Shape] = {}
        self._contracts: dict[int, Contract] = {}
        self._kept: list[Any] = []  # an identity stays taken as long as its object lives

    def of(self, part: Any) -> Shape:
        """The shape of a part of the contract's schema."""
        if not isinstance(part, Mapping):
            return _ANYTHING
        known = self._shapes.get(id(cast("Schema", part)))
        if known is None:
            known = self._shapes[id(cast("Schema", part))] = _shape(self.contract.schema, cast("Schema", part))
            self._kept.append(part)
        return known

    def contract_of(self, part: Any) -> Contract:
        """The contract that a part is by itself, its references resolved where it stands."""
        if id(part) not in self._contracts:
            root = self.contract.schema
            shared = {**root, "$id": _ROOT, "$defs": {**root.get("$defs", {}), _ROOT: part}}
            self._contracts[id(part)] = Contract({"$ref": f"{_ROOT}#/$defs/{_ROOT}", "$defs": {"root": shared}})
            self._kept.append(part)
        return self._contracts[id(part)]

    def accepts(self, part: Any, value: Any) -> bool:
        """Whether a part by itself takes `value`."""
        return self.contract_of(part).accepts(value)

    def admitting(self, union: tuple[Any, ...], value: Any) -> list[Any]:
        """The alternatives that may take `value`, as far as types, required keys and constants tell."""
        return [part for part in union if part is not False and self._may_take(self.of(part), value)]

    def _may_take(self, shape: Shape, value: Any) -> bool:
        if shape.types and type_of(value) not in shape.types:
            return False
        if not isinstance(value, dict):
            return True
        known = cast("dict[str, Any]", value)
        return shape.required <= known.keys() and all(
            not isinstance(text := known.get(name), str) or fold(text) in spellings
            for name, spellings in shape.tags.items()
        )


def fold(text: str) -> str:
    """`text` without case and outer white space."""
    return text.strip().casefold()


def _shape(root: Schema, schema: Schema) -> Shape:
    spellings, free = _strings(root, schema)
    together = _together(root, schema, 0)
    tags = {
        name: words
        for node in together
        for name, part in node.get("properties", {}).items()
        for words, others in [_strings(root, part)]
        if words and not others
    }
    return Shape(
        types=frozenset(declared_types(root, schema)),
        free_text=free,
        spellings=spellings,
        tags=tags,
        unions=tuple(tuple(part[word]) for part in together for word in ("anyOf", "oneOf") if word in part),
        together=together,
        required=frozenset(name for part in together for name in part.get("required", ())),
    )


def _strings(root: Schema, schema: Any) -> tuple[dict[str, tuple[str, ...]], bool]:
    """The strings that a schema lists, by their folded form, and whether it admits others."""
    free = False
    spellings: dict[str, tuple[str, ...]] = {}
    for part in branches(root, schema):
        if "enum" in part or "const" in part:
            for text in part.get("enum", [part.get("const")]):
                if isinstance(text, str):
                    spellings[fold(text)] = tuple({**dict.fromkeys(spellings.get(fold(text), ())), text: None})
        else:
            declared = part.get("type", ())
            free = free or "string" in ([declared] if isinstance(declared, str) else declared)
    return spellings, free


def _together(root: Schema, schema: Any, depth: int) -> tuple[Schema, ...]:
    node = resolve(root, schema)
    inner = node.get("allOf", ()) if depth < _DEEPEST else ()
    return (node, *(part for sub in inner for part in _together(root, sub, depth + 1)))


def parts(value: Any, node: Schema) -> list[tuple[str | int, Any, Any]]:
    """The items of an object or array that one schema node speaks of: key or index, item, its schema."""
    if isinstance(value, Mapping):
        declared = cast("Schema", node.get("properties", {}))
        others = None if "patternProperties" in node else node.get("additionalProperties")
        return [(key, item, declared.get(key, others)) for key, item in cast("Schema", value).items()]
    first = cast("list[Any]", node.get("prefixItems", []))
    rest = node.get("items")
    items = cast("list[Any]", value)
    return [(index, item, first[index] if index < len(first) else rest) for index, item in enumerate(items)]
