"""What an author wrote, as it may stand in the comments of a program."""

from __future__ import annotations

_MOST = 40  # lines of one text


def lines_of(text: str) -> list[str]:
    """The lines of a text, in which nothing ends a line or reorders it; none of a blank one."""
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.strip().split("\n")]
    return lines[:_MOST] if any(lines) else []
