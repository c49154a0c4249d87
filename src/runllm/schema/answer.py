"""In which form a model is asked for a value: as text, as a JSON object, or as an object around another value."""

from __future__ import annotations

from typing import Any

from runllm.schema.walk import Schema, object_of, resolve

VALUE = "value"
"""The key under which a value that is neither text nor object stands in the object that is asked for."""


def is_text(schema: Schema) -> bool:
    """Whether the values of a schema are asked for as text, not JSON: its root says `type: string`."""
    return resolve(schema, schema).get("type") == "string"


def is_object(schema: Schema) -> bool:
    """Whether the values of a schema are objects, as its root says."""
    return resolve(schema, schema).get("type") == "object"


def is_wrapped(schema: Schema) -> bool:
    """Whether a value of a schema is asked for inside an object: many providers give no other JSON."""
    return not is_text(schema) and not is_object(schema)


def asked_as(schema: Schema) -> Schema:
    """The schema that an answer must satisfy for a value of this one to be read in it."""
    return object_of({VALUE: schema}) if is_wrapped(schema) else schema


def given_as(value: Any, schema: Schema) -> Any:
    """A value of a schema as a model would answer it."""
    return {VALUE: value} if is_wrapped(schema) else value
