"""JSON Schemas as Python type stubs, for the checker that reads a block before it runs.

A stub says what a schema promises about a value and no more: where a schema admits more than Python's types can
say, the type is wider, never narrower. `Any` stands where nothing is known.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from runllm.schema import resolve, type_of

Schema = Mapping[str, Any]

_MOST_CLASSES = 300
_MOST_TEXT = 48 * 1024
_DEEPEST = 24
_MOST_PROPERTIES = 500
_MOST_VALUES = 64  # of an enum, and branches of a union
_LONGEST_VALUE = 80
_ANY = "_t.Any"
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_BUILTINS = ("str", "int", "float", "bool", "list", "dict")


def module(names: Mapping[str, Schema | None], sinks: Mapping[str, Schema], extra: Mapping[str, str]) -> str:
    """The text of a stub module: names, and functions that take a value of a schema.

    Args:
        names: each name with the JSON Schema of its value, which is the root of its own references; None for
            anything. A name that is no Python identifier is left out.
        sinks: the name of each function with the schema that its argument must be able to satisfy. Its type is
            looser than the schema, so that what it refuses the schema refuses as well.
        extra: further names, with the text of their declarations.
    """
    usable = {name: schema for name, schema in names.items() if is_name(name)}
    writer = _Writer({*usable, *sinks, *extra})
    body = [f"{name}: {writer.type_of_root(name, schema)}" for name, schema in usable.items()]
    loose = _Loose({*usable, *sinks, *extra})
    body += [f"def {name}(value: {loose.type_of_root(name, schema)}, /) -> None: ..." for name, schema in sinks.items()]
    exported = json.dumps([*usable, *sinks, *extra])
    parts = ["import typing as _t", *writer.header, f"__all__ = {exported}", *writer.classes]
    parts += [*([_ARRAY] if sinks else []), *body, *extra.values()]
    return "\n".join(parts) + "\n"


def is_name(text: str) -> bool:
    """Whether `text` can be the name of a Python local."""
    return text.isidentifier() and not keyword.iskeyword(text)


class _Writer:
    """Writes the types of one module; classes are made as schemas of objects are met."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {*taken, "_t"}
        shadowed = [name for name in _BUILTINS if name in self.taken]
        self._builtin = {name: f"_{name}" if name in shadowed else name for name in _BUILTINS} | {"None": "None"}
        self.header = [f"from builtins import {name} as _{name}" for name in shadowed]
        self.classes: list[str] = []
        self._written = 0
        self._made = 0
        self._by_reference: dict[tuple[int, str], str] = {}
        self._open: set[tuple[int, str]] = set()

    def type_of_root(self, name: str, schema: Schema | None) -> str:
        return _ANY if schema is None else self.type(schema, schema, name, 0)

    def type(self, root: Schema, schema: Any, name: str, depth: int) -> str:
        """The type of `schema`; `name` is what a class made for it is called after."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._written > _MOST_TEXT:
            return _ANY
        node = cast("Schema", schema)
        reference = node.get("$ref", "#" if node is root else None)
        if not isinstance(reference, str):
            return self._resolved(root, node, name, depth)
        key = (id(root), reference)
        if key in self._by_reference:
            return self._by_reference[key]
        if key in self._open:
            return _ANY  # a type that holds itself with no class in between
        self._open.add(key)
        try:
            called = reference.rsplit("/", 1)[-1] if reference != "#" else name
            found = resolve(root, node)
            if self.is_object(found):
                return self.object(root, found, called, depth, key=key)
            return self._resolved(root, found, called, depth)
        finally:
            self._open.discard(key)

    def _resolved(self, root: Schema, node: Schema, name: str, depth: int) -> str:
        if "const" in node or isinstance(node.get("enum"), list):
            return self.values([node["const"]] if "const" in node else node["enum"])
        for word in ("anyOf", "oneOf"):
            if isinstance(node.get(word), list):
                return self._union(root, node, node[word], name, depth)
        if "allOf" in node:
            return self._all(root, node, name, depth)
        declared = node.get("type")
        kinds = cast("list[Any]", declared) if isinstance(declared, list) else [declared]
        if declared is None and ("properties" in node or "required" in node or "additionalProperties" in node):
            return _ANY  # such a schema says nothing of a value that is no object
        return self.union(self._kind(root, node, kind, name, depth) for kind in kinds)

    def _kind(self, root: Schema, node: Schema, kind: Any, name: str, depth: int) -> str:
        if kind == "object":
            return self.object(root, node, name, depth)
        if kind == "array":
            prefix = node.get("prefixItems")
            item = _ANY if prefix else self.type(root, node.get("items", True), f"{name}_item", depth + 1)
            return self.array(item)
        return self._builtin[_SCALARS[kind]] if isinstance(kind, str) and kind in _SCALARS else _ANY

    def _union(self, root: Schema, node: Schema, branches: Sequence[Any], name: str, depth: int) -> str:
        shared = {"type", "properties", "required", "items", "allOf", "additionalProperties"} & set(node)
        if len(branches) > _MOST_VALUES or (shared and shared != {"type"}):
            return _ANY
        around = {"type": node["type"]} if shared else {}
        return self.union(
            self.type(root, {**around, **cast("Schema", branch)} if isinstance(branch, Mapping) else branch,
                      f"{name}_{number}", depth + 1)
            for number, branch in enumerate(branches, 1)
        )  # fmt: skip

    def _all(self, root: Schema, node: Schema, name: str, depth: int) -> str:
        """The one part that says what the value is; with several, too much to say."""
        own = {key: value for key, value in node.items() if key != "allOf"}
        parts: list[Any] = [*node["allOf"], own] if isinstance(node["allOf"], list) else [own]
        schemas = [cast("Schema", part) for part in parts if isinstance(part, Mapping)]
        telling = [part for part in schemas if {"$ref", "type", "enum", "const"} & part.keys()]
        return self.type(root, telling[0], name, depth + 1) if len(telling) == 1 else _ANY

    def is_object(self, node: Schema) -> bool:
        """Whether a class will stand for it, so that it may be referred to from inside."""
        return (
            node.get("type") == "object"
            and isinstance(node.get("properties"), Mapping)
            and node.get("additionalProperties", False) is False
            and not {"anyOf", "oneOf", "allOf", "enum", "const", "patternProperties"} & node.keys()
        )

    def object(self, root: Schema, node: Schema, name: str, depth: int, key: tuple[int, str] | None = None) -> str:
        """A class for declared properties, a `dict` for a map."""
        properties = cast("Schema", node.get("properties", {}))
        if not self.is_object(node) or not properties:
            rest = node.get("additionalProperties", True)
            plain = isinstance(rest, Mapping) and not properties and "patternProperties" not in node
            item = self.type(root, rest, f"{name}_value", depth + 1) if plain else _ANY
            return f"{self._builtin['dict']}[{self._builtin['str']}, {item}]"
        if self._made >= _MOST_CLASSES or len(properties) > _MOST_PROPERTIES:
            return f"{self._builtin['dict']}[{self._builtin['str']}, {_ANY}]"
        called = self._class_name(name)
        if key is not None:
            self._by_reference[key] = called
        required = cast("Sequence[str]", node.get("required", ()))
        fields: dict[str, str] = {}
        for prop, sub in properties.items():
            found = self.type(root, sub, f"{name}_{prop}", depth + 1)
            fields[prop] = found if prop in required else f"_t.NotRequired[{found}]"
        self._write(called, fields)
        return called

    def _write(self, called: str, fields: Mapping[str, str]) -> None:
        if all(is_name(prop) and not prop.startswith("__") for prop in fields):
            text = f"class {called}(_t.TypedDict):\n" + "\n".join(f"    {prop}: {t}" for prop, t in fields.items())
        else:  # the functional form takes any key; its types are text, since they may name what comes later
            inside = ", ".join(f"{_literal(prop)}: {_literal(t)}" for prop, t in fields.items())
            text = f"{called} = _t.TypedDict({_literal(called)}, {{{inside}}})"
        self._written += len(text)
        self.classes.append(text)

    def _class_name(self, name: str) -> str:
        self._made += 1
        words = re.findall(r"[A-Za-z0-9]+", name)[-3:]
        base = "_" + "".join(word[:24].capitalize() for word in words if word) if words else "_Object"
        called, number = base, 2
        while called in self.taken:
            called, number = f"{base}{number}", number + 1
        self.taken.add(called)
        return called

    def array(self, item: str) -> str:
        return f"{self._builtin['list']}[{item}]"

    def values(self, values: Sequence[Any]) -> str:
        """The type of one of these values."""
        exact = all(value is None or isinstance(value, str | bool | int) for value in values)
        short = all(len(str(value)) <= _LONGEST_VALUE for value in values) and 0 < len(values) <= _MOST_VALUES
        if exact and short:
            return f"_t.Literal[{', '.join(_literal(value) for value in values)}]"
        return self.base(values)

    def base(self, values: Sequence[Any]) -> str:
        return self.union(self._builtin.get(_SCALARS.get(type_of(value), ""), _ANY) for value in values[:500])

    def union(self, types: Iterable[str]) -> str:
        found = list(dict.fromkeys(types))
        return _ANY if not found or _ANY in found else " | ".join(found)


_ARRAY = """_T = _t.TypeVar("_T", covariant=True)
class _Array(_t.Protocol[_T]):
    def __iter__(self) -> _t.Iterator[_T]: ...
    def __getitem__(self, index: _t.SupportsIndex, /) -> _T: ...
    def __contains__(self, key: object, /) -> _t.Any: ..."""  # lists and tuples, but neither text nor maps


class _Loose(_Writer):
    """Types that take whatever a schema might accept: texts for any text, maps for any object."""

    def is_object(self, node: Schema) -> bool:
        del node
        return False

    def object(self, root: Schema, node: Schema, name: str, depth: int, key: tuple[int, str] | None = None) -> str:
        del root, node, name, depth, key
        return "_t.Mapping[_t.Any, _t.Any]"

    def array(self, item: str) -> str:
        return f"_Array[{item}]"

    def values(self, values: Sequence[Any]) -> str:
        return self.base(values)


def _literal(value: Any) -> str:
    """A value as Python source, in ASCII: nothing in it can end the line or the string."""
    return ascii(value)
