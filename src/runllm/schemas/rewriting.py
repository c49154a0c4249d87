"""A JSON Schema said another way: its references replaced, or in its normal form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from runllm.schemas.complexity import tractable, unfolded
from runllm.schemas.walking import Schema


def inlined(schema: Schema) -> Schema:
    """A schema whose references are replaced by what they refer to, but for those that lead back to themselves.

    The schema itself where that would make it longer than 20,000 places, or it is too intricate.
    """
    if unfolded(schema) is None:
        return schema
    import jsonschema_rs

    return jsonschema_rs.dereference(dict(schema), offline=True)


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
