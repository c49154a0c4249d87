"""HTML and SVG as text that cannot be broken."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = ("link", "meta")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str | Iterable[Markup], **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: a plain text is escaped; markup, and markup in a row, is kept.
        attributes: by name, with `_` for `-`, and `_` after a Python word; None leaves one out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(_inner(child) for child in children)
    return Markup(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{inner}</{name}>")


def raw(*parts: str) -> Markup:
    """Our own text as markup, unescaped. Never for words of a user or a model."""
    return Markup("".join(parts))


def _inner(child: str | Iterable[Markup]) -> str:
    if isinstance(child, Markup):
        return child
    return escape(child) if isinstance(child, str) else "".join(child)


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
