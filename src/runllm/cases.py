"""A test of an app as a value: an input, and what must hold of what comes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, cast

from runllm.diagnostics import Span
from runllm.program import Block
from runllm.values import frozen

CONDITIONS = ("output", "partial", "contains", "matches", "near", "one_of", "check", "most", "error")
"""The keys of a case that say what must hold."""
BY_PLACE = ("contains", "matches", "near", "one_of")
"""Those whose value, where the output is an object or a list, is a mapping from places in it."""
_STEP = re.compile(r'\["([^"]*)"\]|\[([0-9]{1,9})\]|\.?([^.\[\]"]+)')


@frozen
class Case:
    """One test.

    Attributes:
        name: what it is called; unique in its file.
        input: as `run` is given it.
        expect: what must hold, under the keys of `CONDITIONS`, as it is written; with none the run must succeed.
        tags: words by which it is chosen.
        only: whether it is run alone, with others that say so.
        skip: why it is not run; empty where it is.
        check: the Python of `check`, as a block that sees `input` and `output`.
        span: where it stands.
    """

    name: str
    input: Mapping[str, Any]
    expect: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: tuple[str, ...] = ()
    only: bool = False
    skip: str = ""
    check: Block | None = None
    span: Span | None = field(default=None, repr=False, compare=False)

    def at_places(self, condition: str) -> dict[str, Any]:
        """What a condition of `BY_PLACE` says of each place in the output; the empty one is the whole."""
        said = self.expect.get(condition)
        if said is None:
            return {}
        whole = not isinstance(said, dict) or (condition == "near" and "value" in said)
        return {"": said} if whole else dict(cast("dict[str, Any]", said))


def steps_to(place: str) -> tuple[str | int, ...] | None:
    """The steps to a place such as `lines[0].total` or `["first name"]`; None where it is no place."""
    found: list[str | int] = []
    at = 0
    while at < len(place):
        step = _STEP.match(place, at)
        if step is None:
            return None
        key, index, name = step.groups()
        found.append(int(index) if index else name if name is not None else key)
        at = step.end()
    return tuple(found)
