"""The one minijinja environment, and its errors as ours.

What a template may do is bounded here: fuel pays for every instruction and every byte the engine
makes, and an expression too long for the engine's own recursion is refused before it gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Never

from runllm.errors import TemplateError
from runllm.template.lexer import Tag, remembered, tags
from runllm.template.parsing import UnreadError, parse
from runllm.template.tree import Node
from runllm.template.views import spelt, tojson, truncate, whole, written

if TYPE_CHECKING:
    import minijinja


_UNWANTED_FILTERS = ("pprint",)
_UNWANTED_FUNCTIONS = ("debug",)  # it prints the state of the engine

MAX_OUTPUT = 16 * 2**20
"""The longest text that a rendering gives, in bytes."""
_FUEL = 1_000_000
"""One unit pays for one instruction or 64 bytes, so this is 64 MB of data at most."""
_MOST_SIGNS = 1000
"""Words and signs in one tag: the engine reads an expression recursively and ends the process when it is too long."""
_MOST_BRANCHES = 200
_MOST_UNREAD = 4000
"""Code points behind what cannot be read: the engine says better what is wrong, and survives any tag that short."""
_PANIC = "Unknown"
"""The kind that the binding gives a failure of the engine itself."""


@lru_cache(maxsize=2)
def environment(fuel: int = _FUEL) -> minijinja.Environment:
    """The environment that every rendering with so much fuel shares; nothing changes it after it is made."""
    import minijinja  # 12 ms, and only needed once a template is read

    made = minijinja.Environment(
        filters={"tojson": tojson, "truncate": truncate, "_spelt": spelt, "_whole": whole},
        undefined_behavior="chainable",  # an absent optional object is as empty as the value in it
        finalizer=written,
        fuel=fuel,
        keep_trailing_newline=True,
    )
    for name in _UNWANTED_FILTERS:
        made.remove_filter(name)
    for name in _UNWANTED_FUNCTIONS:
        made.remove_global(name)
    return made


# --- the source --------------------------------------------------------------------------------


@remembered
def check_source(source: str) -> Node:
    """The tree of a source that the engine can read.

    Raises:
        TemplateError: with `line` and `column` in its details, and `offset` and `length` where known.
    """
    found = tags(source)
    refuse_half_characters(source)
    _refuse_long_tags(source, found)
    unread = next((tag.start for tag in found if not tag.closed), None)
    if unread is None or len(source) - unread <= _MOST_UNREAD:
        _compile(source)
    if unread is None:
        try:
            return parse(found)
        except UnreadError as error:
            raise _at(source, error.offset, 1, "this is nested too deeply, or cannot be read") from None
    raise _at(source, unread, 2, "this tag is not closed, or holds a character that cannot be read")


def _compile(source: str) -> None:
    try:
        environment().undeclared_variables_in_str(source)  # compiles it, and nothing more
    except BaseException as error:  # a panic of the engine is no Exception
        raise_ours(error, source)


def refuse_half_characters(source: str) -> None:
    """Refuse a source that has no UTF-8 form.

    Raises:
        TemplateError: it holds a lone surrogate, which no request could carry.
    """
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise _at(source, error.start, 1, "the template holds half a character (a lone surrogate)") from None


def _refuse_long_tags(source: str, found: Sequence[Tag]) -> None:
    branches: list[int] = []
    for tag in found:
        signs = sum(token.kind in ("name", "operator") and token.text not in ",:" for token in tag.tokens)
        if signs > _MOST_SIGNS:
            raise _at(source, tag.start, 2, "this tag is too long: assign its parts with `{% set %}` first")
        if tag.keyword == "if":
            branches.append(0)
        elif tag.keyword == "endif" and branches:
            branches.pop()
        elif tag.keyword == "elif" and branches:
            branches[-1] += 1
            if branches[-1] > _MOST_BRANCHES:
                raise _at(source, tag.start, 2, f"more than {_MOST_BRANCHES} `elif` for one `if`")


# --- errors ------------------------------------------------------------------------------------


def raise_ours(
    error: BaseException, source: str, rendered: str | None = None, back: Callable[[int], int] = lambda at: at
) -> Never:
    """Raise what a template's failure means to its author.

    Args:
        error: what was raised.
        source: what the author wrote.
        rendered: what the engine was given, if that is something else.
        back: the offset in the source of one in `rendered`.

    Raises:
        TemplateError: for all that the engine, the data or Python's own bounds refuse.
        BaseException: the error itself where it is not about the template, such as an interrupt.
    """
    import minijinja

    if isinstance(error, TemplateError):
        raise error
    if isinstance(error, minijinja.TemplateError) and error.kind != _PANIC:
        raise _from_engine(error, source, source if rendered is None else rendered, back) from None
    if isinstance(error, TypeError | ValueError | ArithmeticError):  # what a Python filter makes of its arguments
        raise TemplateError(str(error)) from None
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        raise TemplateError("the template builds something that the engine cannot hold") from None
    raise error


def _from_engine(
    error: minijinja.TemplateError, source: str, rendered: str, back: Callable[[int], int]
) -> TemplateError:
    detail = error.detail or error.message.removesuffix(f" (in {error.name}:{error.line})")
    if error.kind == "OutOfFuel":
        detail = "the template does more work than a rendering may"
    if error.range is not None:
        start, end = (back(len(rendered.encode()[:at].decode(errors="ignore"))) for at in error.range)
        return _at(source, start, end - start, detail)
    details = {"line": error.line, "column": 1} if error.line else {}
    return TemplateError(detail, details=details)


def _at(source: str, offset: int, length: int, message: str) -> TemplateError:
    offset = min(offset, max(0, len(source) - 1))
    before = source[:offset]
    line = before.count("\n") + 1
    column = offset - (before.rfind("\n") + 1) + 1
    length = max(1, min(length, len(source) - offset))
    return TemplateError(message, details={"line": line, "column": column, "offset": offset, "length": length})
