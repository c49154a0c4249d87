"""A JSON Schema (draft 2020-12) as a type: check a value, fill defaults, read text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from runllm.contracts.messages import clip, problem_of
from runllm.contracts.reading import filled, read_text
from runllm.diagnostics import Problem, pointer
from runllm.schemas import (
    Schema,
    declared_properties,
    intricacy,
    parts_of,
    plain,
    resolve,
    rules_out,
    schemas_inside,
    standalone,
    subschemas,
    workload,
)

if TYPE_CHECKING:
    import jsonschema_rs

MAX_PROBLEMS = 20
_MOST_LISTED = 20_000  # times that parts meet: 76,000 take 0.7 s and 140 MB, and memory that is short ends the process
_MOST_CHECKED = 3_000_000  # 1.3 million take 0.14 s
_DEEPEST = 200  # as deep as an answer may nest
_HINT = "Nest it less, or give the schema's alternatives a property with a `const` that tells them apart."


class Contract:
    """A schema together with what is known about it; compiled on first use, safe to share.

    The schema must have passed `schema_problems`.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema: dict[str, Any] = dict(schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contract) and self.schema == other.schema

    def __hash__(self) -> int:
        return hash(json.dumps(self.schema, sort_keys=True, default=str))

    def __repr__(self) -> str:
        return f"Contract({self.schema!r})"

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        import jsonschema_rs  # 15 ms: not for a caller who only asks for a version

        return jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True, offline=True)

    @cached_property
    def _plain(self) -> bool:
        # One that `schema_problems` refuses cannot be weighed; it is here only where nothing better is at hand.
        return plain(self.schema) or bool(intricacy(self.schema))

    @cached_property
    def _parts(self) -> dict[int, tuple[Any, Contract]]:
        return {}

    def _part(self, schema: Any) -> Contract:
        """A part of the schema as a contract of its own; made once, since a list holds all its items against one."""
        known = self._parts.get(id(schema))
        if known is None:  # the part is kept with it, so that no other object gets its identity
            known = self._parts[id(schema)] = (schema, Contract(standalone(self.schema, schema)))
        return known[1]

    def _within(self, most: int, value: Any, *, thorough: bool) -> bool:
        return self._plain or workload(self.schema, value, most, thorough=thorough) <= most

    def accepts(self, value: Any) -> bool:
        """Whether `value` satisfies the schema; one that is not JSON, or would take too long to check, does not.

        NaN and infinity count as null here; `problems` refuses them.
        """
        try:
            return self._within(_MOST_CHECKED, value, thorough=False) and self._validator.is_valid(value)
        except ValueError:
            return False

    def problems(self, value: Any) -> tuple[Problem, ...]:
        """Every violation in `value`, at most `MAX_PROBLEMS`, in document order; empty when it fits.

        Where alternatives that refer to each other make them too many to go through, the first part
        of the value that does not fit is explained.
        """
        try:
            return tuple(islice(_not_json(value), MAX_PROBLEMS)) or self._violations(value)
        except ValueError as error:
            return (Problem(message=f"the value is not JSON: {clip(str(error))}", keyword="json"),)

    def _violations(self, value: Any) -> tuple[Problem, ...]:
        if self._within(_MOST_LISTED, value, thorough=True):
            return self._listed(value)
        if not self._within(_MOST_CHECKED, value, thorough=False):
            return (Problem(message="the value takes too long to check", keyword="complexity", hint=_HINT),)
        return () if self._validator.is_valid(value) else self._fault(self.schema, value)

    def _listed(self, value: Any) -> tuple[Problem, ...]:
        return tuple(
            problem_of(error, self.schema) for error in islice(self._validator.iter_errors(value), MAX_PROBLEMS)
        )

    def _fault(self, schema: Any, value: Any) -> tuple[Problem, ...]:
        """What is wrong with `value`, in its deepest part that does not fit where one alternative alone is likely.

        The work of the whole has been weighed, and with it that of every part.
        """
        for key, inner in parts_of(value):
            for node in _likely(self.schema, schema, value):
                for sub in schemas_inside(node, key):
                    if sub is None or self._part(sub)._validator.is_valid(inner):  # noqa: SLF001 - it is a contract too
                        continue
                    found = self._fault(sub, inner)
                    return tuple(replace(problem, pointer=pointer([key]) + problem.pointer) for problem in found)
        part: Contract = self._part(schema)
        if part._within(_MOST_LISTED, value, thorough=True):
            return part._listed(value)
        return (Problem(message="the value fits none of the alternatives of its schema", keyword="anyOf", hint=_HINT),)

    def with_defaults(self, value: Any) -> Any:
        """`value` with absent properties filled from `default`, at every depth; never changed in place."""
        return filled(value, self.schema, [self.schema])

    def misfits(self) -> Iterator[Problem]:
        """A warning for each `default` of a property that does not fit that property: filled in, it is refused."""
        for sub, path in subschemas(self.schema):
            if path[-2:-1] != ("properties",) or not isinstance(sub, Mapping) or "default" not in sub:
                continue
            part = Contract(standalone(self.schema, sub))
            for found in part.problems(part.with_defaults(sub["default"]))[:1]:
                yield Problem(
                    message=f"the default of `{path[-1]}` does not fit: {found.message}",
                    keyword="default",
                    pointer=f"{pointer((*path, 'default'))}{found.pointer}",
                    hint="Correct it, or take it out: a run that is not given the value would be refused.",
                    severity="warning",
                )

    @property
    def properties(self) -> dict[str, Schema]:
        """The declared properties of the root object, `$ref` resolved."""
        return {name: resolve(self.schema, sub) for name, sub in declared_properties(self.schema, self.schema).items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The root's required properties, in the schema's order."""
        return tuple(resolve(self.schema, self.schema).get("required", ()))

    def read_text(self, name: str, text: str) -> Any:
        """`text` read as the declared type of property `name`: see the function `read_text`."""
        sub = self.properties.get(name)
        return text if sub is None else read_text(text, sub, self.schema)


def _not_json(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """What the library does not see: NaN and infinity are null to it, and a value too deep can end the process."""
    if isinstance(value, float):
        if not isfinite(value):
            yield Problem(message=f"{value} is not a JSON number", pointer=pointer(path), keyword="json")
    elif isinstance(value, dict | list | tuple):
        if len(path) >= _DEEPEST:
            yield Problem(
                message=f"the value nests deeper than {_DEEPEST} levels", pointer=pointer(path), keyword="json"
            )
            return
        whole = cast("dict[str | int, Any] | list[Any]", value)
        for key, item in whole.items() if isinstance(whole, dict) else enumerate(whole):
            if isinstance(item, float | dict | list | tuple):
                yield from _not_json(item, (*path, key))


def _likely(root: Schema, schema: Any, value: Any) -> Iterator[Schema]:
    """The schemas that are to hold for a value: combined, or the only alternative that it may be meant for."""
    node = resolve(root, schema)
    yield node
    for sub in node.get("allOf", ()):
        yield from _likely(root, sub, value)
    for keyword in ("anyOf", "oneOf"):
        open_ = [sub for sub in node.get(keyword, ()) if not rules_out(root, sub, value)]
        if len(open_) == 1:
            yield from _likely(root, open_[0], value)
