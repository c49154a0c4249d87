"""Which templates build values: put data together in ways that the engine's fuel does not count.

Fuel pays for the text a template makes, not for what stands behind a list. `[a, a]`, repeated, holds 2 to the
power of n elements after n steps, and the engine walks all of them at once, or dies of the depth. A template
that only reads and writes cannot do that, and most do no more. This looks at its signs alone: where it errs,
a harmless template takes the slower way.
"""

from __future__ import annotations

from collections.abc import Sequence

from runllm.templates.engine import LIST_FILTERS
from runllm.templates.reading import read
from runllm.templates.scanning import Tag, Token

_MOST_LISTS = 30
_MOST_SUMS = 3
_DIGITS_OF_COPIES = 2
_CONSTANTS = frozenset({"true", "True", "false", "False", "none", "None"})


def builds_values(found: Sequence[Tag]) -> bool:
    """Whether the template can put values together in more ways than fuel counts."""
    reading = read(found)
    return (
        any(token.text in ("macro", "call") for token in reading.statements)
        or any(token.text != "range" for token in reading.calls)
        or any(chain.method is not None and chain.method.text == "format" for chain in reading.chains)
        or sum(token.text in LIST_FILTERS for token in reading.filters) > _MOST_LISTS
        or sum(_sums(tag.tokens) for tag in found) > _MOST_SUMS
        or any(_builds(tag) for tag in found)
    )


def _builds(tag: Tag) -> bool:
    tokens = tag.tokens
    if tag.keyword == "set" and _is_tuple(tokens[_index(tokens, "=") :]):
        return True
    return any(
        _is_growing_product(tokens, at)
        or (token.text == "." and _texts(tokens[at + 1 : at + 3]) == ["format", "("])
        or _is_variable_literal(tokens, at)
        or (
            token.text in LIST_FILTERS
            and _texts(tokens[at - 1 : at]) == ["|"]
            and _has_variable_argument(tokens, at + 1)
        )
        for at, token in enumerate(tokens)
        if token.kind in ("name", "operator")
    )


def _sums(tokens: Sequence[Token]) -> int:
    """How many `+` may join lists: neither side is a literal, which only adds to its like."""
    return sum(
        token.text == "+"
        and token.kind == "operator"
        and not any(
            side.kind in ("string", "integer", "number") for side in (*tokens[at - 1 : at], *tokens[at + 1 : at + 2])
        )
        for at, token in enumerate(tokens)
        if at
    )


def _is_growing_product(tokens: Sequence[Token], at: int) -> bool:
    """Whether a `*` may repeat a list many times."""
    if tokens[at].text != "*" or tokens[at].kind != "operator" or at == 0:
        return False
    sides = (tokens[at - 1], *tokens[at + 1 : at + 2])
    if any(side.kind in ("string", "number") for side in sides):
        return False  # text is paid for, and a fraction repeats nothing
    counts = [side.text for side in sides if side.kind == "integer"]
    return not counts or any(len(count) > _DIGITS_OF_COPIES for count in counts)


def _is_variable_literal(tokens: Sequence[Token], at: int) -> bool:
    """Whether a list, tuple or object begins here that holds more than constants."""
    if tokens[at].text not in ("[", "(", "{") or (at and _ends_value(tokens[at - 1])):
        return False
    inside = _inside(tokens, at)
    return any(_is_variable(token) for token in inside) and (tokens[at].text != "(" or _is_tuple(inside))


def _has_variable_argument(tokens: Sequence[Token], at: int) -> bool:
    """Whether brackets open here with more than constants in them; the names of arguments do not count."""
    if at >= len(tokens) or tokens[at].text != "(":
        return False
    inside = _inside(tokens, at)
    return any(_is_variable(token) and _texts(inside[i + 1 : i + 2]) != ["="] for i, token in enumerate(inside))


def _is_tuple(tokens: Sequence[Token]) -> bool:
    """Whether a comma stands outside all brackets, and a variable anywhere."""
    depth = 0
    for token in tokens:
        if token.kind != "operator":
            continue
        depth += (token.text in "([{") - (token.text in ")]}")
        if depth == 0 and token.text == ",":
            return any(_is_variable(other) for other in tokens)
    return False


def _inside(tokens: Sequence[Token], at: int) -> Sequence[Token]:
    depth = 0
    for end in range(at, len(tokens)):
        if tokens[end].kind == "operator":
            depth += (tokens[end].text in "([{") - (tokens[end].text in ")]}")
        if depth == 0:
            return tokens[at + 1 : end]
    return tokens[at + 1 :]


def _ends_value(token: Token) -> bool:
    words = ("in", "is", "and", "or", "not", "if", "else", "elif", "set", "for", "with", "do", "call", "filter")
    return token.text in (")", "]", "}") if token.kind == "operator" else token.text not in words


def _is_variable(token: Token) -> bool:
    return token.kind == "name" and token.text not in _CONSTANTS


def _index(tokens: Sequence[Token], text: str) -> int:
    return next((at for at, token in enumerate(tokens) if token.text == text), len(tokens))


def _texts(tokens: Sequence[Token]) -> list[str]:
    return [token.text for token in tokens]
