"""What can be proven of two JSON Schemas within a bounded time: one in the other, nothing in common, the difference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from runllm.schemas import Schema, most_cases, subschemas
from runllm.specimens import specimens
from runllm.subtyping.canonical import canonical, covers, entered
from runllm.subtyping.proof import Proof
from runllm.values import frozen

if TYPE_CHECKING:
    from jsonschema_rs import CanonicalSchema

# Measured limits: beyond them the library takes from tens of milliseconds to minutes.
_MOST_CASES = 64  # that one schema may split into: its canonical form multiplies them out
_MOST_PAIRS = 200  # of cases: an intersection compares each of one schema with each of the other
_MOST_PARTS = 50  # of both schemas: containment grows with the fourth power of the properties that differ


@frozen
class Forms:
    """The canonical forms of two schemas, and the questions that the library answers about them.

    Attributes:
        source: of what flows.
        target: of what is to admit it.
        comparable: whether an intersection takes a bounded time.
        small: whether containment and difference do.
    """

    source: CanonicalSchema
    target: CanonicalSchema
    comparable: bool
    small: bool

    @classmethod
    def of(cls, source: Schema, target: Schema) -> Forms | None:
        """The forms of two schemas; None where one has no form or is too large for it."""
        cases = [most_cases(schema) for schema in (source, target)]
        if max(cases) > _MOST_CASES:
            return None
        parts = sum(1 for _ in islice(chain(subschemas(source), subschemas(target)), _MOST_PARTS + 1))
        comparable = cases[0] * cases[1] <= _MOST_PAIRS
        try:
            return cls(
                source=entered(canonical(source)),
                target=entered(canonical(target)),
                comparable=comparable,
                small=comparable and parts <= _MOST_PARTS,
            )
        except ValueError:  # the base of all that the library raises for a schema
            return None

    def proven(self) -> bool:
        """Whether it is proven part by part, in linear time, that the target admits all of the source."""
        try:
            return Proof().holds(self.source, self.target)
        except ValueError:
            return False

    def disjoint(self) -> bool:
        """Whether it is proven that no value is of both."""
        from jsonschema_rs.canonical import Satisfiability

        try:
            return self.comparable and self.source.intersect(self.target).satisfiability() == Satisfiability.NO
        except ValueError:
            return False

    def covered(self) -> bool:
        """Whether the library proves that the target admits all of the source."""
        return self.small and covers(self.target, self.source)

    def difference(self) -> Iterator[Any]:
        """Values that are probably of the source and not of the target."""
        if not self.small:
            return
        try:
            left = self.source.subtract(self.target).to_json_schema()
        except ValueError:
            return
        plain: Any = json.loads(json.dumps(left, default=float))  # a number beyond 64 bits comes as a Decimal
        yield from specimens(cast("Schema", plain)) if isinstance(plain, dict) else ()
