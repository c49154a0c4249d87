"""What an author meant who wrote a short contract in the words of another language: a hint for each slip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from runllm.diagnostics import clip, nearest
from runllm.documents import DocumentError, Mark, Node

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
_COMPARED = r"(>=|<=|max|min) ?(-?[0-9]+(?:\.[0-9]+)?)"
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
    if rest.startswith("?") or rest.lower() in _OR_NOTHING:
        return f"Write `{spot.optional}: {kind}`: the `?` stands after the name."
    if rest.startswith("["):
        return f"A list is written `{kind}[]`, with its count of items `{kind}[] 2..4`."
    if rest.endswith("[]"):
        return f"A list of what has bounds is written `[{kind} {rest.removesuffix('[]')}]`."
    if rest.startswith("..") and rest[2:].isdecimal():
        return f"Write a space before the bounds: `{kind} {rest}`."
    if found := re.fullmatch(_THEN_WORDS, rest):
        return f"A comma comes before the description: `{clip(f'{kind} {found[1]}, {found[2]}', _SHOWN)}`."
    if found := re.fullmatch(_COMPARED, rest):
        return f"Write `{kind} {found[2]}..`." if found[1] in (">=", "min") else f"Write `{kind} ..{found[2]}`."
    if "=" in rest or rest.lstrip("([").lower().startswith("default"):
        return f"A default is written in `{spot.long}`."
    if rest.isdecimal():
        return f"Write `{kind} ..{rest}` for at most, `{rest}..` for at least, `{rest}..{rest}` for exactly."
    if rest[:1].isalpha() and ".." not in rest and not any(sign.isdecimal() for sign in rest):
        return f"A comma comes before the description: `{clip(f'{kind}, {rest}', _SHOWN)}`."
    return f"Bounds are written `{kind} 1..60`, `{kind} 1..` or `{kind} ..60`."


def in_word(word: str, spot: Spot) -> str:
    """A hint for a sign that is in no word of an enum."""
    if word.endswith("?"):
        return f"Write `{spot.optional}` for what may be absent: the `?` stands after the name."
    plain = word.strip("\"'`")
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


# --- values of another type -----------------------------------------------------------------------


def other_type(value: Any, wanted: str) -> str:
    """What to write where the frontmatter takes a value of the type `wanted` and has another; empty for what is far."""
    if wanted in ("number", "integer") and isinstance(value, str):
        pointed = value.strip().replace(",", ".", 1)
        if re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", pointed):
            return f"Write it without quotes: {pointed}." if "," not in value else f"Write it with a point: {pointed}."
    if wanted == "array" and isinstance(value, str) and value.strip():
        items = [item.strip() for item in clip(value, _LOOKED_AT).split(",")]
        return f"Write a list: `[{clip(', '.join(filter(None, items)), _SHOWN)}]`."
    if wanted == "array" and isinstance(value, dict) and {"input", "output"} & value.keys():
        return "Write each pair as an entry of a list: `- {input: ..., output: ...}`."
    if wanted == "boolean" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"Write `{'true' if value.lower() in ('yes', 'on', 'true') else 'false'}`, without quotes."
    return ""


# --- JSON Schema where a short contract should stand ---------------------------------------------

_SCHEMA_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_NO_WORDS = frozenset({"object", "array", "null"})
_MARKERS = ("$schema", "$ref", "$defs", "$id")
_KEYWORDS = (
    "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf", "allOf",
    "description", "title", "default", "examples", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "multipleOf",
)  # fmt: skip


def schema_key(node: Node, is_type: Callable[[str], bool]) -> str | None:
    """The key that shows a map to be JSON Schema; None for one that may be a short contract.

    A contract may well have a property that is called `type`. What gives JSON Schema away is a `type` that is none
    here, or a keyword beside it whose value is none.
    """
    mapping = node.mapping or {}
    for key in _MARKERS:
        if key in mapping:
            return key
    if isinstance(mapping.get("properties"), dict) and isinstance(mapping.get("required"), list):
        return "properties"
    kinds: Any = mapping.get("type")
    kinds = cast("list[Any]", kinds if isinstance(kinds, list) else [kinds])
    if not kinds or not all(isinstance(kind, str) and kind in _SCHEMA_TYPES for kind in kinds):
        return None
    given = any(key in mapping and not _may_be_type(mapping[key], is_type) for key in _KEYWORDS)
    return "type" if given or not _NO_WORDS.isdisjoint(kinds) else None


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
    kind, said = node.value.get("type"), node.value.get("description")
    if isinstance(kind, str) and kind not in _NO_WORDS and set(node.value) == {"type", "description"}:
        return f"Write `{name}: {clip(f'{kind}, {said}', _SHOWN)}`."
    return f"Write the type in words, as in `{name}: string`, or the whole contract as `{long}`."


# --- what YAML cuts ----------------------------------------------------------------------------------

_CUT = re.compile(r"[ \t]+#(?=\w)(?![\w-]+:(?:\s|$))(.*)")


def cut(root: Node, lines: Sequence[str]) -> Iterator[tuple[Mark, str]]:
    """Texts that a ` #` cuts and that were probably meant whole: where the sign stands, and a hint.

    A comment begins with a blank behind its sign, or says what a key would: `#temperature: 0`.
    """
    for _, node in root.walk():
        mark, text = node.mark, node.value if isinstance(node.value, str) else ""
        line = lines[mark.line] if mark.line < len(lines) else ""
        if not line.startswith(text, mark.column) or not (text or node.value is None):
            continue  # in quotes, over several lines, or no text at all
        end = mark.column + len(text)
        found = _CUT.fullmatch(line, end)
        if found and (" " in text or found[1][:1].isdigit()):
            start = line.index("#", end)
            whole = f"{text}{line[end:]}".strip()
            if re.search(r"[{\[]", line[: mark.column]):  # what follows in the braces is cut as well
                whole = re.split(r"[,}\]]", whole)[0]
            yield Mark(mark.line, start, len(line) - start), f"Quote it: `{_quoted(clip(whole, _SHOWN))}`."


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text and "\\" not in text else "'" + text.replace("'", "''") + "'"


# --- what is no YAML -----------------------------------------------------------------------------

_CONTRACT = r"(?:input|returns)\s*:"
_QUOTED = re.compile(r'(?<!\\)"([^"\n]{0,200}\{[{%][^"}\n]{0,200}[\[(|= ]"[^"}\n]{0,200}"[^"\n]{0,40})')
"""A template in double quotes that quotes something itself."""
_LAST_WORD = r"[\w-]{1,40}\Z"


def in_yaml(text: str, error: DocumentError) -> str:
    """A hint for a short contract that is no YAML; empty for another place of the text."""
    lines = text.split("\n")[: error.mark.line + 1]
    if quoted := next(filter(None, map(_QUOTED.search, reversed(lines[-2:]))), None):
        return f"Inside double quotes a `\"` ends the text: put single ones around it, `'{clip(quoted[1], _SHOWN)}'`."
    key = next((line for line in reversed(lines) if line[:1] not in ("", " ", "\t", "#", "}", "]")), "")
    if not lines or not re.match(_CONTRACT, key):
        return ""
    before, rest = lines[-1][: error.mark.column], lines[-1][error.mark.column :]
    if "',' or '" in error.message and rest.startswith("["):
        found = re.search(_LAST_WORD, before[-_SHOWN:])
        item = found[0] if found and found[0].lower() not in _LISTS else "string"
        return f'Inside braces and brackets a `[` begins a list: quote the type, `"{item}[]"`.'
    if rest.startswith(":") and re.search(r"[(\[]\s*default\Z", before, re.IGNORECASE):
        return "A default is written in `input_schema`; a description stands after a comma."
    if rest.startswith(":") and ": " in before:
        return "The description of a type stands after a comma; quote a type whose description contains `: `."
    if "block scalar" in error.message:
        return "An enum is written without quotes: `calm | upset`."
    return "A list is written `string[]`, the brackets behind." if before.endswith("[]") else ""
