"""Values that an expression makes of others, known by their schemas only."""

from __future__ import annotations

from collections.abc import Sequence

from runllm.schema import Known, Value, union

NULL, STRING, BOOLEAN = {"type": "null"}, {"type": "string"}, {"type": "boolean"}
INTEGER, NUMBER, ARRAY = {"type": "integer"}, {"type": "number"}, {"type": "array"}
UNKNOWN, NOTHING = Value({}, absent=True), Value(False, absent=True)


def present(value: Value) -> Known:
    """The schema of a value where nothing counts as null."""
    return union(value.schema, NULL) if value.absent else value.schema


def either(left: Value, right: Value) -> Value:
    """What is one of these two values."""
    return Value(union(left.schema, right.schema), absent=left.absent or right.absent)


def list_of(schema: Known, *, some: bool = False) -> Value:
    """A list of such items, with at least one where `some`."""
    items = {"items": schema} if schema or schema is False else {}
    return Value({**ARRAY, **items, **({"minItems": 1} if some else {})})


def exactly(values: Sequence[Value]) -> Value:
    """A list of these values, one by one."""
    items = {"prefixItems": [present(value) for value in values]} if values else {}
    return Value({**ARRAY, **items, "minItems": len(values), "maxItems": len(values)})
