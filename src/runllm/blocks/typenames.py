"""Types as the checker writes them, taken apart and made plain."""

from __future__ import annotations

import re

# Classes that our stubs made for objects, or that the checker made of them.
OUR_CLASS = re.compile(r"\b_[A-Z][A-Za-z0-9]*\b|<TypedDict[^>]*>")


def parts_of(text: str) -> list[str]:
    """The members of a union, at the outside of all brackets and quotes."""
    depth, quote, start = 0, "", 0
    found: list[str] = []
    for at, c in enumerate(text):
        if quote:
            quote = "" if c == quote and text[at - 1] != "\\" else quote
        elif c in "\"'":
            quote = c
        elif c in "[(<":
            depth += 1
        elif c in "])>":
            depth -= 1
        elif c == "|" and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


def base_of(text: str) -> str:
    """A type without its exact values: `Literal["a"]` is `str`."""
    return " | ".join(dict.fromkeys(one_of(part) for part in parts_of(text)))


def one_of(text: str) -> str:
    """One member of a union without its exact value."""
    if text.startswith("Literal["):
        first = text.removeprefix("Literal[")
        kinds = {'"': "str", "'": "str", "T": "bool", "F": "bool", "b": "bytes", "N": "None"}
        return kinds.get(first[:1], "int")
    if text == "LiteralString":
        return "str"
    text = text.removesuffix("*")
    return "dict" if OUR_CLASS.fullmatch(text) else text


def kind_of(text: str) -> str:
    """A type without what it holds: `list[str]` is `list`."""
    return base_of(text).partition("[")[0]


def plain(text: str) -> str:
    """A type as an author would say it, in backticks."""
    text = OUR_CLASS.sub("dict", base_of(text).replace("_Array[", "list[")).replace("Mapping[Any, Any]", "dict")
    text = (
        text.replace("[Unknown]", "").replace("[Unknown, Unknown]", "").replace("[Any, Any]", "").replace("[Any]", "")
    )
    text = re.sub(r'Literal\["[^\]]*\]', "str", text)
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"  # noqa: PLR2004 - a long type says no more
