"""What an author meant who wrote a short contract in the words of another language: a hint for each slip."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from runllm.diagnostics import clip, nearest
from runllm.documents import Node
from runllm.parser.mistakes import unseen

_LOOKED_AT = 200  # characters of a type: enough to see what it was meant to be
_SHOWN = 60
_FEW = 12  # words of an enum that a hint writes out

_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("str", "char", "varchar"), "string"),
    **dict.fromkeys(("int", "long", "bigint", "int32", "int64"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "real", "numeric"), "number"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("datetime", "timestamp"), "date-time"),
    **dict.fromkeys(("uri", "link"), "url"),
    **dict.fromkeys(("json", "mixed"), "any"),
}
_LISTS = frozenset({"list", "array", "sequence", "set", "tuple"})
_MAPS = frozenset({"object", "dict", "dictionary", "map", "mapping", "record", "struct"})
_ENUMS = frozenset({"enum", "literal", "oneof", "choice", "union"})
NOTHING = frozenset({"null", "none", "nil", "undefined"})
FOREIGN = frozenset({*_NAMES, *_LISTS, *_MAPS, *NOTHING})
"""Names of types in other languages, in small letters."""

_ENUM_FORM = "An enum is written `a | b | c`."
# Patterns are compiled where something is wrong: nearly every contract is right.
_WRAPPED = r"(?s)([\w-]+) ?[\[<({](.*)"
_LIST_OF = r"([\w-]+) of ([\w-]+)"
_TAIL = r"(?:\[\])*(?: [-.0-9]+)?"
_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)"
_LEAST = r">=|min(?:imum|\.)?|at least|from"
_MOST = r"<=|max(?:imum|\.)?|at most|up to|no more than|until"
_COMPARED = rf"\(?({_LEAST}|{_MOST})[ :]*{_NUMBER}{{}}\)?"
_FROM_TO = rf"\(?(?:between |from )?{_NUMBER} ?(?:-|\u2013|\u2014|\u2026|\.\.\.|to|and) ?{_NUMBER}{{}}\)?"
_UNIT = r"(?: ?(?!words?\b)([^\W\d]+|%))?"
_LENGTH = ("character", "characters", "chars", "char", "letters", "items", "entries")
_MAY_BE = frozenset({"optional", "nullable", "not required", "if any"})
_THEN_WORDS = r"(-?[\d.]*\.\.-?[\d.]*)[ ;:(-]+([^\W\d].*)"
_OR_NOTHING = frozenset(f"or {word}" for word in NOTHING)
_SEPARATOR = r"[|,;/]| or "
_WORD = r"\w[\w-]*"


class Spot(NamedTuple):
    """Where a type stands: the property around it, empty in the root, and the key of the long form."""

    name: str
    long: str

    @property
    def optional(self) -> str:
        """The property as one that may be absent."""
        return f"{self.name or 'name'}?"


# --- what is no TYPE -----------------------------------------------------------------------------


def unknown(text: str, types: Sequence[str], spot: Spot) -> str:
    """A hint for a text that begins with none of the types there are."""
    text = clip(text.strip(), _LOOKED_AT)
    head = text.partition(",")[0].strip()
    found = re.match(_WORD, head)
    kind = found[0].lower() if found else ""
    tail = head[len(kind) :]
    if kind in types:
        return f"Types are written in small letters: `{kind}{tail}`."
    if kind in _NAMES:
        here = (
            f"{spot.optional}: {_NAMES[kind]}" if tail == "?" else _NAMES[kind] + (re.fullmatch(_TAIL, tail) or [""])[0]
        )
        return f"Write `{here}`."
    if kind in _MAY_BE and tail[:1] == " ":
        return f"Write `{spot.optional}: {_item(tail, types)}`: an optional property may be absent."
    if hint := _wrapped(text, types, spot) or _bare(kind, spot):
        return hint
    if head.startswith(("[", "{")):
        return "Take the quotes away: a list is written `[string]`, a map `{name: string}`."
    if head[:1] in "-.0123456789" and ".." in head:
        return f"Write the type before its bounds: `number {head}`."
    if kind == head.lower() and (near := nearest(kind, types)):
        return f"Did you mean `{near}`?"
    return _enum_of(text if kind == head.lower() else head) or f"Types are {_listed(types)}. {_ENUM_FORM}"


def _wrapped(text: str, types: Sequence[str], spot: Spot) -> str:
    """For `list[string]`, `enum(a, b)`, `list of strings` and their like."""
    found = re.match(_WRAPPED, text) or re.match(_LIST_OF, text)
    kind, inner = (found[1].lower(), found[2]) if found else ("", "")
    if kind in _LISTS:
        return f"Write `{_item(inner, types)}[]`."
    if kind == "optional":
        return f"Write `{spot.optional}: {_item(inner, types)}`."
    return _enum_of(inner) if kind in _ENUMS else ""


def _bare(kind: str, spot: Spot) -> str:
    """For the name of what has a form of its own here."""
    if kind in _LISTS:
        return "Write `string[]`, with the type of an item before `[]`."
    if kind in _MAPS:
        return (
            "An object is a map: write each of its properties on a line below, indented, as `name: string`."
            f" One of any names is written in `{spot.long}`."
        )
    if kind in NOTHING or kind == "optional":
        return f"Write `{spot.optional}: string`: an optional property may be absent."
    return _ENUM_FORM if kind in _ENUMS else ""


def _item(inner: str, types: Sequence[str]) -> str:
    """The type that is named first in a text, in the words of a short contract."""
    found = re.search(_WORD, inner.lower())
    word = found[0] if found else ""
    return word if word in types else _NAMES.get(word) or nearest(word, types) or "string"


def _enum_of(text: str) -> str:
    """A hint for what lists words in another way; empty where it does not."""
    words = [word.strip(" \"'()[]{}<>") for word in re.split(_SEPARATOR, text)]
    if not 2 <= len(words) <= _FEW or not all(re.fullmatch(_WORD, word) for word in words):  # noqa: PLR2004 - two make an enum
        return ""
    return f"An enum is written `{clip(' | '.join(words), _SHOWN)}`."


def _listed(types: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in types)


def after(kind: str, rest: str, spot: Spot) -> str:
    """A hint for what stands after a type and is no bounds."""
    rest = clip(rest, _LOOKED_AT)
    if rest.startswith("?") or rest.lower() in _OR_NOTHING or rest.strip("() ").lower() in _MAY_BE:
        return f"Write `{spot.optional}: {kind}`: the `?` stands after the name."
    if rest.startswith("["):
        return f"A list is written `{kind}[]`, with its count of items `{kind}[] 2..4`."
    if rest.endswith("[]"):
        return f"A list of what has bounds is written `[{kind} {rest.removesuffix('[]')}]`."
    if rest.startswith("..") and rest[2:].isdecimal():
        return f"Write a space before the bounds: `{kind} {rest}`."
    if found := re.fullmatch(_THEN_WORDS, rest):
        return f"A comma comes before the description: `{clip(f'{kind} {found[1]}, {found[2]}', _SHOWN)}`."
    bounds = _bounds(rest)
    if bounds or rest in ("*", "+", "s"):
        return f"Write `{clip(f'{kind} {bounds}', _SHOWN)}`." if bounds else f"A list is written `{kind}[]`."
    if "=" in rest or rest.lstrip("([").lower().startswith("default"):
        return f"A default is written in `{spot.long}`."
    return _of_size(kind, rest)


def _of_size(kind: str, rest: str) -> str:
    """A hint for what stands where bounds do, and is nothing that is known."""
    if rest.isdecimal():
        return f"Write `{kind} ..{rest}` for at most, `{rest}..` for at least, `{rest}..{rest}` for exactly."
    if rest[:1].isalpha() and ".." not in rest and not any(sign.isdecimal() for sign in rest):
        return f"A comma comes before the description: `{clip(f'{kind}, {rest}', _SHOWN)}`."
    return f"Bounds are written `{kind} 1..60`, `{kind} 1..` or `{kind} ..60`."


def _bounds(rest: str) -> str:
    """Bounds that are written as one speaks, `0-10`, `max 60 characters`, in the form that there is; else empty."""
    both = re.fullmatch(_FROM_TO.format(_UNIT), rest, re.IGNORECASE)
    one = re.fullmatch(_COMPARED.format(_UNIT), rest, re.IGNORECASE)
    dotted = re.fullmatch(rf"{_NUMBER}\.\.{_NUMBER}{_UNIT}", rest)
    if found := both or dotted:
        bounds = f"{found[1]}..{found[2]}"
    elif one:
        bounds = f"{one[2]}.." if re.fullmatch(_LEAST, one[1], re.IGNORECASE) else f"..{one[2]}"
    else:
        return ""
    unit = (both or dotted or one or {3: ""})[3]
    return bounds if not unit or unit.lower() in _LENGTH else f"{bounds}, in {unit}"


def in_word(word: str, spot: Spot) -> str:
    """A hint for a sign that is in no word of an enum."""
    if word.endswith("?"):
        return f"Write `{spot.optional}` for what may be absent: the `?` stands after the name."
    plain = word.strip("\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb ")
    if plain != word:
        return f"Write the words without quotes: `{clip(plain, _SHOWN)}`."
    if ".." in word:
        return "An enum takes no bounds."
    if set(word) & set("[]()"):
        return "A list of the words of an enum is written `[a | b]`."
    return f"An enum with such a word is written in `{spot.long}`."


def several(items: Sequence[Any], spot: Spot, is_type: Callable[[str], bool]) -> str:
    """A hint for a list of more than one type."""
    texts = [clip(item, _LOOKED_AT) for item in items[:_FEW] if isinstance(item, str)]
    if len(texts) < len(items[:_FEW]) or is_type(texts[1]):
        return f"Keep one of them; a list of several types is written in `{spot.long}`."
    if is_type(texts[0]):
        shown = clip(", ".join(texts), _SHOWN)
        return f'Inside brackets a comma ends the type. Quote one that has a description: `["{shown}"]`.'
    shown = clip(" | ".join(texts), _SHOWN)
    return f"An enum is written `{shown}`, and a list of its words `[{shown}]`."


def named(key: str) -> str:
    """A hint for a key that is no name."""
    if hint := unseen(key):
        return hint
    bare = clip(key, _SHOWN).strip().removesuffix("?")
    found = re.sub(r"\W+", "_", bare).strip("_")
    name = found if found.isidentifier() else f"n{found}" if found else "name"
    mark = "?" if key.strip().endswith("?") else ""
    return (
        f"Write `{name}{mark}: string[]`." if bare.endswith("[]") else f"Write `{name}{mark}`: letters, digits and `_`."
    )


_MAY_BE_ABSENT = "Write `?` behind the name of what may be absent, as `name?: string`, and take this out."
BESIDE: Mapping[str, str] = {
    "required": "Every name is required unless it ends in `?`: take this out.",
    "optional": _MAY_BE_ABSENT,
    "nullable": _MAY_BE_ABSENT,
    "additionalProperties": "A contract in words takes its own names and no others: take this out.",
}
"""Words of JSON Schema that stand among the names, where their value is no TYPE: hints."""


# --- JSON Schema where a short contract should stand ---------------------------------------------

_SCHEMA_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_NO_WORDS = frozenset({"object", "array", "null"})
_MARKERS = ("$schema", "$ref", "$defs", "$id")
_CHOICES = ("enum", "choices", "options", "values", "allowed", "oneOf", "one_of")
_SAID = ("description", "desc", "help", "title")
_LOWEST, _HIGHEST = ("minimum", "min", "minLength", "minItems"), ("maximum", "max", "maxLength", "maxItems")
_KEYWORDS = (
    "properties", "required", "additionalProperties", "items", "const", "anyOf", "allOf", "default", "examples",
    "format", "pattern", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "multipleOf", "example", "optional",
    "nullable", "regex", *_CHOICES, *_SAID, *_LOWEST, *_HIGHEST,
)  # fmt: skip


def schema_key(node: Node, is_type: Callable[[str], bool]) -> str | None:
    """The key that shows a map to be JSON Schema, or like it; None for one that may be a short contract.

    A contract may well have a property that is called `type`. What gives JSON Schema away is a `type` that is none
    here, or a keyword beside it whose value is none; or words to choose from, and nothing but keywords.
    """
    mapping = node.mapping or {}
    for key in _MARKERS:
        if key in mapping:
            return key
    if isinstance(mapping.get("properties"), dict) and isinstance(mapping.get("required"), list):
        return "properties"
    of_none = [key for key in mapping if key in _KEYWORDS and not _may_be_type(mapping[key], is_type)]
    kinds: Any = mapping.get("type")
    kinds = cast("list[Any]", kinds if isinstance(kinds, list) else [kinds])
    telling = [key for key in of_none if key == "description" or (key in _CHOICES and isinstance(mapping[key], list))]
    if kinds == [None] and telling and set(_KEYWORDS).issuperset(mapping):
        return of_none[0]
    if not kinds or not all(isinstance(kind, str) and _is_kind(kind, is_type) for kind in kinds):
        return None
    return "type" if of_none or not _NO_WORDS.isdisjoint(kinds) else None


def _is_kind(kind: str, is_type: Callable[[str], bool]) -> bool:
    return kind in _SCHEMA_TYPES or kind in FOREIGN or kind in _ENUMS or is_type(kind[:_LOOKED_AT])


def _may_be_type(value: Any, is_type: Callable[[str], bool]) -> bool:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return len(items) == 1 and isinstance(items[0], str | dict)
    return isinstance(value, dict) or (isinstance(value, str) and is_type(value[:_LOOKED_AT]))


def is_schema_of_one_key(node: Node) -> bool:
    """Whether a map says `type: string` and nothing else, which in a contract would be an object with a `type`."""
    kind = (node.mapping or {}).get("type")
    return len(node.keys) == 1 and isinstance(kind, str) and kind in _SCHEMA_TYPES


def from_schema_of_one_key(node: Node) -> str:
    """A hint for such a map: of its two meanings."""
    kind = node.value["type"]
    named = "`returns: {type: text}`" if kind == "string" else "the whole contract as `output_schema`"
    words = "any" if kind == "object" else f"{kind}" if kind not in _NO_WORDS else "any[]"
    return f"Write `returns: {words}`; for an object with a `type` in it, {named}."


def from_schema(node: Node, name: str, long: str) -> str:
    """A hint for a map that is JSON Schema: the whole contract, or the property of that name."""
    if not name:
        return f"Call the key `{long}`."
    said = _in_words(node.mapping or {})
    if not said:
        return f"Write the type in words, as in `{name}: string`, or the whole contract as `{long}`."
    mark = "?" if node.value.get("optional") is True or node.value.get("required") is False else ""
    return f"Write `{name}{mark}: {clip(said, _SHOWN)}`."


def _in_words(said: Mapping[str, Any]) -> str:
    """A map of keywords as one TYPE; empty where it says more than one can."""
    choices = next((said[key] for key in _CHOICES if isinstance(said.get(key), list)), ())
    words = [word for word in choices if isinstance(word, str) and re.fullmatch(r"[^|,:\"']+", word)]
    low, high = (next((said[key] for key in keys if isinstance(said.get(key), int | float)), None)
                 for keys in (_LOWEST, _HIGHEST))  # fmt: skip
    kind = said.get("type", "string")
    told = {"type", "optional", "required", "nullable", *_CHOICES, *_SAID, *_LOWEST, *_HIGHEST, "example", "examples"}
    if not told.issuperset(said) or len(words) < len(choices) or not isinstance(kind, str):
        return ""
    if words:
        kind = " | ".join(words)
    elif (kind := _NAMES.get(kind, kind)) in _NO_WORDS | _LISTS | _MAPS | _ENUMS:
        return ""
    elif low is not None or high is not None:
        kind += f" {'' if low is None else low}..{'' if high is None else high}"
    description = next((said[key] for key in _SAID if isinstance(said.get(key), str)), "")
    return f"{kind}, {description}" if description else kind
