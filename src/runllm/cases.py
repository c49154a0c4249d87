"""The words of a test: what it may expect, and how it names a place in the output."""

from __future__ import annotations

import re

CONDITIONS = ("output", "partial", "contains", "matches", "near", "one_of", "check", "most", "error")
"""The keys of a case that say what must hold."""
BY_PLACE = ("contains", "matches", "near", "one_of")
"""Those whose value, where the output is an object or a list, is a mapping from places in it."""
_STEP = re.compile(r'\["([^"]*)"\]|\[([0-9]{1,9})\]|\.?([^.\[\]"]+)')


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
