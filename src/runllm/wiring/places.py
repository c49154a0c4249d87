"""A place in a contract, as a value flows into it: what must be there, and what becomes of the value on its way.

`building` makes values by this and `flows` types them by this, so what is checked is what happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from runllm.contracts import Contract
from runllm.schemas import Schema, resolve, standalone
from runllm.templates.values import Value, step_from, types_of

_SCALARS = {"integer", "number", "boolean", "null"}
_PLAIN_OBJECT = {"type", "properties", "required", "additionalProperties", "$ref", "$defs", "definitions"}
_PLAIN = _PLAIN_OBJECT | {"items", "minItems", "maxItems"}
_ANNOTATIONS = {"title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly", "$comment", "$id"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a contract.

    Attributes:
        root: the contract.
        schema: what must hold for a value here.
        filling: the schemas whose defaults are filled in here; none in a contract where nothing is.
        plain: whether nothing else must hold: the contract says no more of the values around this place.
    """

    root: Schema
    schema: Any
    filling: tuple[Any, ...] = ()
    plain: bool = True

    @classmethod
    def of(cls, contract: Schema, *, filled: bool) -> Place:
        """The place of a whole value; `filled` where defaults are filled in before it is held against the contract."""
        return cls(contract, contract, (contract,) if filled else ())

    @property
    def target(self) -> Schema:
        """What must hold here, as a schema of its own."""
        return standalone(self.root, self.schema)

    def inside(self, step: str | int) -> Place:
        """The place at a key or an index of a value that is here."""
        kind = "array" if isinstance(step, int) else "object"
        inner = step_from(self.root, Value({"allOf": [self.schema, {"type": kind}]}), step).schema
        nodes = [node for schema in self.filling for node in _conjunction(self.root, schema)]
        if isinstance(step, int):
            filling = [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
        else:
            filling = [node["properties"][step] for node in nodes if step in node.get("properties", {})]
        plain = self.plain and _is_plain(resolve(self.root, self.schema))
        return Place(self.root, {} if inner is True else inner, tuple(filling), plain)

    def takes(self, kind: str) -> bool:
        """Whether a value of this JSON type may fit here."""
        return kind in types_of(self.root, Value(self.schema))

    def reads_text_as(self) -> list[str]:
        """The scalar types that a text with templates is read as here; `string` where it stays a text."""
        types = types_of(self.root, Value(self.schema))
        return ["string"] if "string" in types or not types & _SCALARS else sorted(types & _SCALARS)

    def leaves_out(self, name: str) -> bool:
        """Whether an object here is made without `name` where that is null: it need not be there and cannot be null."""
        inner = step_from(self.root, Value(self.schema), name)
        cannot_be_null = "null" not in types_of(self.root, Value(inner.schema))
        return cannot_be_null and (inner.absent or name in self.filled({}))

    def filled(self, value: Any) -> Any:
        """A value here after defaults are filled in, at every depth."""
        return Contract(standalone(self.root, {"allOf": list(self.filling)})).with_defaults(value)

    def is_simple(self) -> bool:
        """Whether an object here must satisfy no more than its properties must, one by one."""
        node = resolve(self.root, self.schema)
        return node.keys() <= _PLAIN_OBJECT | _ANNOTATIONS and node.get("type") in ("object", None)

    def is_settled(self) -> bool:
        """Whether defaults that are filled in here and below never change whether a value fits."""
        nodes = list(_filled(self.root, self.filling, set()))
        if not any(_defaults(self.root, node) for node in nodes):
            return True
        return self.plain and all(_is_plain(node) and _is_harmless(self.root, node) for node in nodes)


def _conjunction(root: Schema, schema: Any) -> Iterator[Schema]:
    node = resolve(root, schema)
    yield node
    for part in node.get("allOf", ()):
        yield from _conjunction(root, part)


def _filled(root: Schema, schemas: Iterable[Any], seen: set[Any]) -> Iterator[Schema]:
    """Every part that `Contract.with_defaults` fills in, or that holds one, once."""
    for schema in schemas:
        reference = cast("Schema", schema).get("$ref") if isinstance(schema, Mapping) else None
        if reference in seen:
            continue
        seen |= {reference} if reference else set()
        node = resolve(root, schema)
        parts = [*node.get("allOf", ()), *node.get("properties", {}).values(), node.get("items")]
        inner: list[Any] = [part for part in parts if isinstance(part, Mapping)]
        if inner:
            yield node
            yield from _filled(root, inner, seen)


def _defaults(root: Schema, node: Schema) -> dict[str, Any]:
    declared = {name: resolve(root, sub) for name, sub in node.get("properties", {}).items()}
    return {name: sub["default"] for name, sub in declared.items() if "default" in sub}


def _is_harmless(root: Schema, node: Schema) -> bool:
    """Whether the defaults of an object's properties fit, and are of such as need not be there."""
    found = _defaults(root, node)
    return not found.keys() & set(node.get("required", ())) and all(
        Contract(standalone(root, node["properties"][name])).accepts(value) for name, value in found.items()
    )


def _is_plain(node: Schema) -> bool:
    return node.keys() <= _PLAIN | _ANNOTATIONS
