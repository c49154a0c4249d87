"""JSON Schemas as trees: walk one, say it another way, and estimate the work it makes."""

from runllm.schemas.complexity import intricacy, most_cases, plain, tractable
from runllm.schemas.rewriting import inlined, normal_form
from runllm.schemas.walking import (
    Schema,
    Scope,
    branches,
    declared_properties,
    declared_types,
    follow,
    leads_nowhere,
    resolve,
    schema_at,
    standalone,
    subschemas,
    type_of,
)
from runllm.schemas.workload import parts_of, rules_out, schemas_inside, workload

__all__ = [
    "Schema",
    "Scope",
    "branches",
    "declared_properties",
    "declared_types",
    "follow",
    "inlined",
    "intricacy",
    "leads_nowhere",
    "most_cases",
    "normal_form",
    "parts_of",
    "plain",
    "resolve",
    "rules_out",
    "schema_at",
    "schemas_inside",
    "standalone",
    "subschemas",
    "tractable",
    "type_of",
    "workload",
]
