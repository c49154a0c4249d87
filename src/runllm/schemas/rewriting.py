"""A JSON Schema said another way: its references replaced, or in its normal form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runllm.schemas.complexity import tractable, unfolded
from runllm.schemas.walking import Schema, subschemas


def inlined(schema: Schema) -> Schema:
    """A schema whose references are replaced by what they refer to, but for those that lead back to themselves.

    The schema itself where that would make it longer than 20,000 places, it is too intricate, or a `$ref` stands
    where it is no reference: in a constant, a default, an example or a keyword that is not known.
    """
    if unfolded(schema) is None or _named_refs(schema) > sum(map(_refers, _places(schema))):
        return schema
    import jsonschema_rs

    return jsonschema_rs.dereference(dict(schema), offline=True)


def _places(schema: Schema) -> Iterator[Any]:
    return (sub for sub, _ in subschemas(schema))


def _refers(schema: Any) -> bool:
    return isinstance(schema, Mapping) and "$ref" in schema


def _named_refs(value: Any) -> int:
    """How many mappings inside a value, itself included, have a `$ref`; the library takes each for a reference."""
    waiting, count = [value], 0
    for inner in waiting:  # which grows as it goes
        count += _refers(inner)
        if isinstance(inner, Mapping):
            waiting += cast("Schema", inner).values()
        elif isinstance(inner, list):
            waiting += cast("list[Any]", inner)
    return count


def normal_form(schema: Schema) -> Schema:
    """A simpler schema with the same meaning: `allOf` merged, `if`, `oneOf` and `dependent...` made `anyOf`.

    The schema itself where no simpler one is known or its cases are too many. Annotations and `format` are lost.
    """
    if not tractable(schema):
        return schema
    import jsonschema_rs

    try:
        found: Any = jsonschema_rs.canonicalize(dict(schema), offline=True).to_json_schema()
    except ValueError:  # the base of all that the library raises for a schema
        return schema
    return cast("Schema", found) if isinstance(found, Mapping) else schema
