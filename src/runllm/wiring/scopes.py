"""What templates and blocks may read of the apps that a file uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runllm.program import Dependency, Program
from runllm.schemas import Schema, Scope, standalone

NOTHING: Schema = {"type": "object", "additionalProperties": False}


def uses_scope(uses: Sequence[Dependency], children: Mapping[str, Program | None]) -> Scope:
    """What `uses.NAME` holds for each dependency: its output, or under `for_each` the list of its outputs.

    Args:
        uses: the dependencies of a file.
        children: the program of each; None or left out where it has none, because it is wrong.
    """
    if not uses:
        return {"uses": NOTHING}
    return {f"uses.{dependency.name}": _given(dependency, children.get(dependency.name)) for dependency in uses}


def _given(dependency: Dependency, child: Program | None) -> Schema | None:
    if child is None:
        return None
    output = child.output_contract.schema
    if dependency.for_each is None:
        return output
    moved = dict(standalone(output, output))
    definitions = moved.pop("$defs", {})
    return {"type": "array", "items": moved, **({"$defs": definitions} if definitions else {})}
