"""Where a long value breaks its contract.

The validator explains a failed `anyOf` by every violation of every alternative, each with the value
it belongs to: for a long answer and nested alternatives that takes minutes. So a long value is first
narrowed down to the small pieces that do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from runllm.diagnostics import Problem, pointer
from runllm.extraction.shapes import Shapes, parts
from runllm.extraction.strict import inside
from runllm.schema import MAX_PROBLEMS, subschemas

_LONG = 5_000  # characters
_SMALL = 200  # values

Path = tuple[str | int, ...]


def problems(shapes: Shapes, value: Any, length: int) -> tuple[Problem, ...]:
    """What keeps `value` from fitting the contract.

    Args:
        shapes: the contract and its parts.
        value: a value that does not fit.
        length: characters of the text it was read from.
    """
    schema = shapes.contract.schema
    if length <= _LONG or not any(_is_union(sub) for sub, _ in subschemas(schema)):
        return shapes.contract.problems(value)
    found = (problem for piece in _pieces(shapes, value, schema, ()) for problem in _explain(shapes, *piece))
    return tuple(islice(found, MAX_PROBLEMS))


def _is_union(schema: Any) -> bool:
    return isinstance(schema, dict) and ("anyOf" in schema or "oneOf" in schema)


def _pieces(shapes: Shapes, value: Any, schema: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """The innermost pieces of `value` that do not fit, each with its schema and place."""
    shape = shapes.of(schema)
    inside = False
    if isinstance(value, dict | list):
        for node in shape.together:
            for step, item, part in parts(value, node):
                if part not in (None, True, False) and not shapes.accepts(part, item):
                    inside = True
                    yield from _pieces(shapes, item, part, (*path, step))
    for union in shape.unions if not inside else ():
        alternatives = shapes.admitting(union, value)
        if len(alternatives) == 1 and not shapes.accepts(alternatives[0], value):
            inside = True
            yield from _pieces(shapes, value, alternatives[0], path)
    if not inside:
        yield value, schema, path


def _explain(shapes: Shapes, value: Any, schema: Any, path: Path) -> Iterator[Problem]:
    if shapes.of(schema).unions and _more_than(_SMALL, value):
        yield Problem(message="this fits none of the alternatives", pointer=pointer(path), keyword="anyOf")
        return
    for problem in shapes.contract_of(schema).problems(value):
        yield replace(problem, pointer=pointer(path) + problem.pointer)


def _more_than(count: int, value: Any) -> bool:
    waiting = [value]
    while waiting and count >= 0:
        holder = waiting.pop()
        count -= 1
        if isinstance(holder, dict | list):
            waiting += inside(holder)
    return count < 0
