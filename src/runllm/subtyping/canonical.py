"""The canonical form of a JSON Schema, as the library gives it, and what it says of two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runllm.schemas import Schema, subschemas
from runllm.specimens import KNOWN_FORMATS

if TYPE_CHECKING:
    from jsonschema_rs import CanonicalSchema


def canonical(schema: Schema | bool) -> CanonicalSchema:
    """The form of a schema, in which a format is checked and one that no contract knows is ignored.

    Raises:
        ValueError: the schema has no form.
    """
    import jsonschema_rs  # 15 ms: a run without dependencies never comes here

    known = jsonschema_rs.canonical.schema.clone(dict(schema) if isinstance(schema, Mapping) else schema)
    for sub, _ in subschemas(known):
        if isinstance(sub, dict):
            node = cast("dict[str, Any]", sub)
            node.pop("$schema", None)  # a contract is read as draft 2020-12 whatever it says
            if node.get("format", "date") not in KNOWN_FORMATS:
                del node["format"]
    return jsonschema_rs.canonicalize(known, draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True)


def entered(form: CanonicalSchema) -> CanonicalSchema:
    """What a form refers to at its root: the library compares no further than a reference that leads to itself."""
    from jsonschema_rs.canonical import ReferenceView

    for _ in range(16):
        view = form.view()
        found = form.definition(view.uri) if isinstance(view, ReferenceView) else None
        if found is None:
            break
        form = found
    return form


def covers(target: CanonicalSchema, source: CanonicalSchema) -> bool:
    """Whether the library proves that every value of `source` is one of `target`."""
    from jsonschema_rs.canonical import Containment

    try:
        return target.covers(source) == Containment.YES
    except ValueError:
        return False
