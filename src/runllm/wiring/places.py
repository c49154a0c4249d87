"""A place in a contract, as a value flows into it: what must be there, and what becomes of the value on its way.

`building` makes values by this and `flows` types them by this, so what is checked is what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from runllm.contracts import Contract
from runllm.schemas import Schema, resolve, standalone
from runllm.templates.values import Value, step_from, types_of

_SIMPLE = {"type", "properties", "required", "additionalProperties", "$ref", "$defs", "definitions"}
_ANNOTATIONS = {"title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly", "$comment", "$id"}
_SCALARS = {"integer", "number", "boolean", "null"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a contract.

    Attributes:
        root: the contract.
        schema: what must hold for a value here; necessary, and enough where the schemas around it are simple.
        filling: the schemas whose defaults are filled in here; none for a contract that nothing is filled in for.
    """

    root: Schema
    schema: Any
    filling: tuple[Any, ...] = ()

    @classmethod
    def of(cls, contract: Schema, *, filled: bool) -> Place:
        """The place of a whole value; `filled` where its defaults are filled in before it is held against the contract."""
        return cls(contract, contract, (contract,) if filled else ())

    @property
    def target(self) -> Schema:
        """What must hold here, as a schema of its own."""
        return standalone(self.root, self.schema)

    def inside(self, step: str | int) -> Place:
        """The place at a key or an index of a value that is here."""
        inner = step_from(self.root, Value(self.schema), step).schema
        nodes = [node for schema in self.filling for node in _conjunction(self.root, schema)]
        if isinstance(step, int):
            filling = [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
        else:
            filling = [node["properties"][step] for node in nodes if step in node.get("properties", {})]
        return Place(self.root, {} if inner is True else inner, tuple(filling))

    def reads_text_as(self) -> list[str]:
        """The scalar types that a text with templates is read as here; `string` where it stays a text."""
        types = types_of(self.root, Value(self.schema))
        return ["string"] if "string" in types or not types & _SCALARS else sorted(types & _SCALARS)

    def leaves_out(self, name: str) -> bool:
        """Whether an expression that gives null is left out of an object here: it need not have it, and not as null."""
        inner = step_from(self.root, Value(self.schema), name)
        return inner.absent and "null" not in types_of(self.root, Value(inner.schema))

    def defaults(self) -> dict[str, Any]:
        """What is filled in to an object here that has no properties."""
        return Contract({**self.root, **standalone(self.root, {"allOf": [*self.filling]})}).with_defaults({})

    def is_simple(self) -> bool:
        """Whether an object here must satisfy nothing but what its properties, one by one, must."""
        return is_simple(resolve(self.root, self.schema))

    def is_settled(self) -> bool:
        """Whether filling in defaults below this place changes nothing for a value: whether it fits, or not."""
        return all(_is_settled(self.root, node) for node in _filled(self.root, self.filling, set()))
