"""What the library knows of schemas as sets of values: the normal form of one, and whether all of one is in another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, cast

from runllm.schema.contract import Contract
from runllm.schema.facts import listed
from runllm.schema.walk import Schema, mapping_in, places, resolve, subschemas
from runllm.schema.weigh import most_cases, tractable
from runllm.values import frozen

if TYPE_CHECKING:
    from jsonschema_rs import CanonicalSchema

Relation = Literal["fits", "never", "maybe"]

# Measured limits: beyond them the library takes from tens of milliseconds to minutes.
_MOST_CASES = 64  # that one schema may split into: its canonical form multiplies them out
_MOST_PAIRS = 200  # of cases: an intersection compares each of one schema with each of the other
_MOST_PARTS = 300  # of both schemas
_WIDEST = 12  # properties of one object, unless there are ...
_FEW_PARTS = 50  # ... no more of both: containment grows with the fourth power of the properties that differ
_MANY = 500  # values of an enumeration
_FORMATS = frozenset({
    "date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6", "iri",
    "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time", "uri", "uri-reference",
    "uri-template", "uuid",
})  # fmt: skip
"""The formats that a contract checks; it ignores any other."""


@frozen
class Fit:
    """How the values of one schema fit another.

    Attributes:
        verdict: `fits` when every value does, `never` when none does, `maybe` when that is not known or some may not.
        example: of a schema that lists its values, one that the other refuses; nothing without a `reason`.
        reason: what the other says of the example, with the place inside it.
    """

    verdict: Relation
    example: Any = None
    reason: str = ""


def fit(source: Schema, target: Schema) -> Fit:
    """How the values of `source` fit `target`. `fits` and `never` are proven; all else is `maybe`.

    Args:
        source: the schema of what flows; its references are local to it.
        target: the schema that is to admit it; likewise.
    """
    if source == target and json.dumps(source, sort_keys=True) == json.dumps(target, sort_keys=True):
        return Fit(verdict="fits")
    node = resolve(source, source)
    values = {"boolean": [False, True], "null": [None]}.get(str(node.get("type")), listed(node))
    if values is not None and len(values) <= _MANY:  # a validator looks through a list: many of many take seconds
        return _fit_of_values(values, Contract(source), Contract(target))
    return Fit(verdict=_compared(source, target))


def _fit_of_values(values: list[Any], source: Contract, target: Contract) -> Fit:
    admitted = [value for value in values if source.accepts(value)]
    refused = [value for value in admitted if not target.accepts(value)]
    if not refused:
        return Fit(verdict="fits")
    verdict: Relation = "never" if len(refused) == len(admitted) else "maybe"
    return Fit(verdict=verdict, example=refused[0], reason=str(next(iter(target.problems(refused[0])), "")))


def _compared(source: Schema, target: Schema) -> Relation:
    from jsonschema_rs.canonical import Containment, Satisfiability

    cases = [most_cases(schema) for schema in (source, target)]
    if max(cases) > _MOST_CASES or cases[0] * cases[1] > _MOST_PAIRS:
        return "maybe"
    try:
        given, wanted = _canonical(source), _canonical(target)
        if given == wanted or (_is_small(source, target) and wanted.covers(given) == Containment.YES):
            return "fits"
        return "never" if given.intersect(wanted).satisfiability() == Satisfiability.NO else "maybe"
    except ValueError:  # the base of all that the library raises for a schema
        return "maybe"


def _is_small(*schemas: Schema) -> bool:
    """Whether containment takes a bounded time."""
    found = list(islice(chain.from_iterable(map(subschemas, schemas)), _MOST_PARTS + 1))
    widest = max(len(mapping_in(cast("Schema", part), "properties")) for part, _ in found if isinstance(part, Mapping))
    return len(found) <= (_MOST_PARTS if widest <= _WIDEST else _FEW_PARTS)


def _canonical(schema: Schema) -> CanonicalSchema:
    """The form of a schema, in which a format is checked and one that no contract knows is ignored.

    A reference at its root is entered: the library compares no further than one that leads to itself.

    Raises:
        ValueError: the schema has no form.
    """
    import jsonschema_rs  # 15 ms: a run without dependencies never comes here
    from jsonschema_rs.canonical import ReferenceView

    known = jsonschema_rs.canonical.schema.clone(dict(schema))
    for place, _ in places(known):
        node = cast("dict[str, Any]", place)
        node.pop("$schema", None)  # a contract is read as draft 2020-12 whatever it says
        if node.get("format", "date") not in _FORMATS:
            del node["format"]
    form = jsonschema_rs.canonicalize(known, draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True)
    for _ in range(16):
        view = form.view()
        found = form.definition(view.uri) if isinstance(view, ReferenceView) else None
        if found is None:
            break
        form = found
    return form


def normal_form(schema: Schema) -> Schema:
    """A simpler schema with the same meaning: `allOf` merged, `if`, `oneOf` and `dependent...` made `anyOf`.

    The schema itself where no simpler one is known or its cases are too many. Annotations and `format` are lost.
    """
    if not tractable(schema):
        return schema
    import jsonschema_rs

    try:
        found: Any = jsonschema_rs.canonicalize(dict(schema), offline=True).to_json_schema()
    except ValueError:
        return schema
    return cast("Schema", found) if isinstance(found, Mapping) else schema
