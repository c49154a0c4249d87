"""The filters that are ours: what prompts need otherwise than the engine has it, and values as text."""

from __future__ import annotations

from typing import Any

from runllm.errors import TemplateError
from runllm.templates.views import as_json, hide

_MOST_SPACES = 16


def written(value: Any) -> str:
    """A value as an output tag writes it: text as it is, nothing for an absent value or null, JSON for the rest."""
    if isinstance(value, str):
        return value
    return "" if value is None else as_json(hide(value))


def tojson(value: Any, indent: int | None = None) -> str:
    """A value as JSON, text in quotes and every sign as it is; the engine's own escapes some for HTML.

    Raises:
        TemplateError: the value is not JSON, or `indent` is no small number of spaces.
    """
    if indent is not None and not 0 <= indent <= _MOST_SPACES:
        raise TemplateError(f"`tojson` indents by 0 to {_MOST_SPACES} spaces, not by {indent}")
    return as_json(hide(value), indent)


def truncate(value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5) -> str:
    """Text cut to `length` code points with `end`, at a space unless `killwords`; text longer by `leeway` stays whole.

    The engine's own takes no argument without its name.

    Raises:
        TemplateError: there is no room for `end`.
    """
    text = written(value)
    if len(text) <= length + leeway:
        return text
    if length < len(end):
        raise TemplateError(f"`truncate` to {length} leaves no room for {len(end)} characters of `end`")
    cut = text[: length - len(end)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + end
