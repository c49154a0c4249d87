"""JSON Schema (draft 2020-12): the one place that walks a schema, and what all others ask it.

`walk` goes through a schema, `facts` says what holds at a place, `weigh` what a schema costs before a library is let
near it, `contract` holds values against one, `fit` one schema against another, `words` says them, `answer` is
the form in which a model is asked for their values. `doubts` finds what is allowed and hardly meant, and `meant` says
what was.
"""

from runllm.schema.answer import VALUE, asked_as, given_as, is_object, is_text
from runllm.schema.contract import Contract, read_text, schema_problems
from runllm.schema.facts import (
    ANNOTATIONS,
    Found,
    Impossible,
    Known,
    Step,
    Undeclared,
    Unwritten,
    Value,
    declared_properties,
    declared_types,
    defaults,
    enter,
    filling,
    listed,
    schema_at,
    stated,
    step_from,
    types_of,
    union,
)
from runllm.schema.fit import Fit, fit, normal_form
from runllm.schema.walk import (
    Schema,
    Scope,
    branches,
    follow,
    is_named,
    list_in,
    mapping_in,
    object_of,
    reachable,
    resolve,
    side_by_side,
    standalone,
    subschemas,
    together,
    type_of,
)
from runllm.schema.words import described

__all__ = [
    "ANNOTATIONS",
    "VALUE",
    "Contract",
    "Fit",
    "Found",
    "Impossible",
    "Known",
    "Schema",
    "Scope",
    "Step",
    "Undeclared",
    "Unwritten",
    "Value",
    "asked_as",
    "branches",
    "declared_properties",
    "declared_types",
    "defaults",
    "described",
    "enter",
    "filling",
    "fit",
    "follow",
    "given_as",
    "is_named",
    "is_object",
    "is_text",
    "list_in",
    "listed",
    "mapping_in",
    "normal_form",
    "object_of",
    "reachable",
    "read_text",
    "resolve",
    "schema_at",
    "schema_problems",
    "side_by_side",
    "standalone",
    "stated",
    "step_from",
    "subschemas",
    "together",
    "type_of",
    "types_of",
    "union",
]  # fmt: skip
