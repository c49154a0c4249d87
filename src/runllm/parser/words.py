"""One TYPE of a short contract that is written in words, as JSON Schema: the table of `docs/spec.md`, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from runllm.diagnostics import clip
from runllm.parser import slips
from runllm.parser.slips import Spot

MAX_LISTS = 8
_LONGEST_BOUND = 18  # characters: what every reader of JSON keeps exactly
_SHOWN = 40

TYPES: Mapping[str, Mapping[str, str]] = {
    "string": {"type": "string"},
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "any": {},
}
_BOUNDED = {
    **dict.fromkeys(("string", "text"), ("minLength", "maxLength")),
    **dict.fromkeys(("integer", "number"), ("minimum", "maximum")),
}
_BOUNDED_LIST = ("minItems", "maxItems")

_FORM = re.compile(r"((?:[^\W\d][\w-]*)?)((?:\[\])*)(\s*)(.*)", re.DOTALL)  # NAME, `[]`s, space, the rest
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_BOUNDS = rf"({_NUMBER})?\.\.({_NUMBER})?"
_OPEN = r"[\[({<]"  # as in `enum(a, b)`, whose comma begins no description
_NO_WORD = "[\\[\\](){}<>?=\"`\u201c-\u201f\u00ab\u00bb]|\\.\\.|^['\u2018-\u201b]|['\u2018-\u201b]$"
_COLON = re.compile(r"([^\W\d]\w*\??)\s*[:\uff1a]\s*(?=\S)")


class NoTypeError(ValueError):
    """A text is no TYPE; `start` and `length` say which stretch of it."""

    def __init__(self, message: str, start: int, length: int, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.length = length
        self.hint = hint


def read_type(text: str, spot: Spot) -> dict[str, Any]:
    """A TYPE with its description.

    Raises:
        NoTypeError: the text is none.
    """
    head, _, said = text.partition(",")
    words, start = head.strip(), len(head) - len(head.lstrip())
    if not words:
        raise NoTypeError("the type is missing before the comma", start, 1, "Write `string, the text of the letter`.")
    if named := _COLON.match(words):
        _no_blank(words, named, start)
    schema = _enum(words, start, spot) if "|" in words else _one(words, start, text, spot)
    return {**schema, "description": said.strip()} if said.strip() else schema


def _no_blank(words: str, named: re.Match[str], start: int) -> None:
    """Refuse a name and a type that YAML takes for one text: behind the colon stands no blank, or none of YAML's."""
    others = words[named.end() :].split("|")[1:]
    if others and all(_COLON.match(other.strip()) for other in others):
        return  # words of an enum that are written so, `size:s | size:l`
    hint = f"Write `{named[1]}: {clip(words[named.end() :], _SHOWN)}`, with an ordinary blank behind the colon."
    message = f"`{clip(words, _SHOWN)}` is one text: behind the colon stands no blank"
    raise NoTypeError(message, start, len(words), hint)


def is_type(text: str) -> bool:
    """Whether a text is a TYPE."""
    try:
        read_type(text, Spot("", ""))
    except NoTypeError:
        return False
    return True


def _one(words: str, start: int, text: str, spot: Spot) -> dict[str, Any]:
    kind, lists, space, rest = cast("re.Match[str]", _FORM.match(words)).groups()
    if kind not in TYPES:
        alone = kind and (not rest or re.fullmatch(_BOUNDS, rest))
        wrong = kind if alone else text.strip() if re.search(_OPEN, words) else words
        hint = slips.unknown(text, list(TYPES), spot)
        raise NoTypeError(f"`{clip(wrong, _SHOWN)}` is not a type", start, len(wrong), hint)
    if len(lists) > 2 * MAX_LISTS:
        raise NoTypeError(f"lists nest deeper than {MAX_LISTS} levels", start, len(words), "Nest them less.")
    bounds = _bounds(kind + lists, space, rest, start + len(words) - len(rest), spot) if rest else {}
    schema: dict[str, Any] = dict(TYPES[kind])
    for _ in range(len(lists) // 2):
        schema = {"type": "array", "items": schema}
    return {**schema, **bounds}


# --- bounds --------------------------------------------------------------------------------------


def _bounds(kind: str, space: str, rest: str, start: int, spot: Spot) -> dict[str, int | float]:
    """The keywords for what stands after a type."""
    found = re.fullmatch(_BOUNDS, rest) if space else None
    if found is None or rest == "..":
        said = f"`{clip(rest, _SHOWN)}` cannot stand after `{kind}`"
        raise NoTypeError(said, start, len(rest), slips.after(kind, rest, spot))
    keywords = _BOUNDED_LIST if kind.endswith("]") else _BOUNDED.get(kind)
    if keywords is None:
        bounded = ", ".join(f"`{name}`" for name in _BOUNDED)
        raise NoTypeError(f"`{kind}` takes no bounds", start, len(rest), f"What has bounds is {bounded} and lists.")
    low, high = (_bound(kind, found[group], start + found.start(group)) for group in (1, 2))
    if low is not None and high is not None and low > high:
        hint = f"Write `{kind} {found[2]}..{found[1]}`."
        raise NoTypeError(f"the bounds `{rest}` are the wrong way round", start, len(rest), hint)
    return {keyword: bound for keyword, bound in zip(keywords, (low, high), strict=True) if bound is not None}


def _bound(kind: str, text: str | None, start: int) -> int | float | None:
    """A number of the bounds as its type takes it; None for an open end."""
    if text is None:
        return None
    is_list, said, hint = kind.endswith("]"), "", ""
    sized = "a count of items" if is_list else "a length" if kind in ("string", "text") else ""
    if len(text) > _LONGEST_BOUND:
        said, hint = f"the bound has more than {_LONGEST_BOUND} characters", "Write a smaller number."
    elif sized and text.startswith("-"):
        said, hint = f"{sized} is not negative", "Begin with 0."
    elif "." in text and kind != "number":
        said = f"{sized or 'an integer'} is a whole number"
        hint = f"To bound the items write `[{kind[:-2]} ...]`." if is_list else "Write the bound without a fraction."
    if said:
        raise NoTypeError(said, start, len(text), hint)
    return float(text) if "." in text else int(text)


# --- enums ---------------------------------------------------------------------------------------


def _enum(words: str, start: int, spot: Spot) -> dict[str, Any]:
    pieces: list[tuple[str, int]] = []
    at = start
    for piece in words.split("|"):
        pieces.append((" ".join(piece.split()), at + len(piece) - len(piece.lstrip())))
        at += len(piece) + 1
    seen: set[str] = set()
    for word, at in pieces:
        if not word:
            several = sum(bool(one) for one, _ in pieces) > 1
            hint = "Write the word, or one `|` less." if several else "An enum has two words or more: `calm | upset`."
            raise NoTypeError("a word of the enum is missing", min(at, start + len(words) - 1), 1, hint)
    _no_types(pieces, spot)
    for word, at in pieces:
        _word(word, at, spot)
        if word in seen:
            raise NoTypeError(f"`{clip(word, _SHOWN)}` stands twice in the enum", at, len(word), "Keep one of them.")
        seen.add(word)
    return {"type": "string", "enum": [word for word, _ in pieces]}


def _no_types(pieces: Sequence[tuple[str, int]], spot: Spot) -> None:
    """Refuse a union of types, which would silently be an enum of their names."""
    small = [word.lower() for word, _ in pieces]
    all_types = all(word in TYPES or word in slips.FOREIGN for word in small)
    absent = slips.NOTHING if all_types else {"null"}
    for (word, at), plain in zip(pieces, small, strict=True):
        if plain in absent:
            others = " | ".join(other for other, _ in pieces if other.lower() not in absent) or "string"
            hint = f"Write `{spot.optional}: {clip(others, _SHOWN)}`: an optional property may be absent."
            raise NoTypeError(f"`{word}` is a type, and an enum is of words", at, len(word), hint)
    for word, at in pieces:
        kind, _, space, rest = cast("re.Match[str]", _FORM.match(word)).groups()
        if all_types or (kind in TYPES and (not rest or (space and re.fullmatch(_BOUNDS, rest)))):
            hint = f"A value of several types is written in `{spot.long}`, and so is an enum with the word `{kind}`."
            raise NoTypeError(f"`{clip(word, _SHOWN)}` is a type, and an enum is of words", at, len(word), hint)


def _word(word: str, at: int, spot: Spot) -> None:
    """Refuse what would not be meant as a word."""
    if re.fullmatch(_NUMBER, word):
        hint = f"Write `integer 1..3` for numbers in a row; others are written in `{spot.long}`."
        raise NoTypeError(f"`{clip(word, _SHOWN)}` is a number, and an enum is of words", at, len(word), hint)
    if word.lower() in ("true", "false"):
        raise NoTypeError(f"`{word}` is no word of an enum", at, len(word), "Write `boolean` for true or false.")
    if found := re.search(_NO_WORD, word):
        raise NoTypeError(f"`{found[0]}` cannot stand in a word of an enum", at, len(word), slips.in_word(word, spot))
