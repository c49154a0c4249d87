"""What an author meant who wrote a schema in the words of another language: hints, none of which decides anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, cast

from runllm.diagnostics import clip, nearest
from runllm.schema.words import LIKE

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
KEYWORDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "$comment",
                     "$defs", "definitions", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "type", "enum",
                     "const", "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples",
                     ), frozenset(TYPES)),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType",
                     "contentSchema"), frozenset({"string"})),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
                    frozenset({"integer", "number"})),
    **dict.fromkeys(("items", "prefixItems", "contains", "minContains", "maxContains", "minItems", "maxItems",
                     "uniqueItems", "unevaluatedItems"), frozenset({"array"})),
    **dict.fromkeys(("properties", "patternProperties", "additionalProperties", "unevaluatedProperties",
                     "propertyNames", "minProperties", "maxProperties", "required", "dependentRequired",
                     "dependentSchemas"), frozenset({"object"})),
}  # fmt: skip
"""The words of JSON Schema, each with the types of which it says something."""

FORMATS = tuple(LIKE)
"""The formats that are checked."""

_SHOWN = 60
_LOOKED_AT = 200
_FEW = 12
_HOLD_SCHEMAS = ("properties", "patternProperties", "items", "$defs", "not", "if", "then", "else", "contains")
_SIZES = {
    "min": {"string": "minLength", "integer": "minimum", "number": "minimum", "array": "minItems"},
    "max": {"string": "maxLength", "integer": "maximum", "number": "maximum", "array": "maxItems"},
}
_SAME: Mapping[str, str] = {
    **dict.fromkeys(("fields", "props", "attributes", "members", "property"), "properties"),
    **dict.fromkeys(("choices", "options", "values", "allowed", "allowedvalues", "enumeration"), "enum"),
    **dict.fromkeys(("regex", "regexp", "match", "matches"), "pattern"),
    **dict.fromkeys(("desc", "help", "doc", "docs", "note", "notes", "info", "hint", "summary"), "description"),
    **dict.fromkeys(("label", "name", "caption", "displayname"), "title"),
    **dict.fromkeys(("kind", "datatype", "dtype", "typ"), "type"),
    **dict.fromkeys(("element", "elements", "itemtype", "of"), "items"),
    **dict.fromkeys(("fallback", "defaultvalue", "initial"), "default"),
    **dict.fromkeys(("value", "fixed", "constant"), "const"),
    **dict.fromkeys(("unique", "distinct"), "uniqueItems"),
    **dict.fromkeys(("divisibleby", "step", "multiple"), "multipleOf"),
    **dict.fromkeys(("def", "defs"), "$defs"),
    **dict.fromkeys(("ref", "recursiveref"), "$ref"),
    **dict.fromkeys(("extends", "inherits"), "allOf"),
    **dict.fromkeys(("union",), "anyOf"),
    **dict.fromkeys(("disallow", "except", "exclude"), "not"),
    **dict.fromkeys(("minvalue", "gte", "ge"), "minimum"),
    **dict.fromkeys(("maxvalue", "lte", "le"), "maximum"),
    **dict.fromkeys(("gt",), "exclusiveMinimum"),
    **dict.fromkeys(("lt",), "exclusiveMaximum"),
    **dict.fromkeys(("comment", "comments"), "$comment"),
    **dict.fromkeys(("id",), "$id"),
    **dict.fromkeys(("schema",), "$schema"),
}  # fmt: skip
_INSTEAD: Mapping[str, str] = {
    "optional": "A property is optional unless `required`, beside `properties`, names it.",
    "mandatory": "A property is required where `required`, beside `properties`, names it.",
    "length": "Write the least and the most, as `minLength` and `maxLength`, of a list `minItems` and `maxItems`.",
    "strict": "To allow the declared properties only, write `additionalProperties: false`.",
    "additionalitems": "Write `prefixItems` for the first items, and `items` for those behind them.",
    "dependencies": "Write `dependentRequired`, or `dependentSchemas`.",
    "discriminator": "It is a word of OpenAPI: take it out.",
    "enumnames": "Say in `description` what the values mean.",
    "placeholder": "Say in `description` what the value is.",
}
_LIKEWISE: Mapping[str, str] = {
    "notrequired": "optional", "isrequired": "mandatory", "size": "length", "len": "length", "closed": "strict",
    "extra": "strict", "xml": "discriminator", "externaldocs": "discriminator", "enumdescriptions": "enumnames",
    "enumtitles": "enumnames", "errormessage": "placeholder",
}  # fmt: skip


def keyword(key: str, value: Any, place: Mapping[str, Any]) -> str:
    """A hint for a key of a schema that is none of its words."""
    folded = re.sub(r"[-_$ ]", "", key[:_LOOKED_AT].lower())
    kind = place.get("type")
    if folded in ("nullable", "allownull", "null"):
        others = ", ".join(kinds_of(kind)) or "string"
        write = f'Write `type: [{others}, "null"]`.'
        return write if value is not False else "Take it out: a value is not null unless `type` says so."
    if folded in _SIZES and isinstance(kind, str):
        return f"Did you mean `{_SIZES[folded].get(kind, _SIZES[folded]['number'])}`?"
    if folded == "example":
        return f"Write `examples: [{_written(value)}]`."
    if instead := _INSTEAD.get(_LIKEWISE.get(folded, folded)):
        return instead
    near = _SAME.get(folded) or nearest(key, KEYWORDS)
    if is_schema(value) and near not in _HOLD_SCHEMAS:
        return "If it is a property, write it below `properties`."
    return f"Did you mean `{near}`?" if near else "Take it out; words of your own begin with `x-`."


def is_schema(value: Any) -> bool:
    """Whether a value is surely meant as a schema: a mapping with a word of its own and nothing else."""
    held: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
    return bool(held) and set(KEYWORDS).issuperset(held)


def kinds_of(kind: Any) -> list[str]:
    """The names of types under `type`, one or several; empty where it names none."""
    kinds = cast("list[Any]", kind if isinstance(kind, list) else [kind])
    return [name for name in kinds if isinstance(name, str) and name in TYPES]


def _written(value: Any) -> str:
    """A value as an author may write it, shortened."""
    return clip(json.dumps(value, ensure_ascii=False, default=str), _SHOWN)


# --- types ---------------------------------------------------------------------------------------

_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("str", "text", "txt", "char", "varchar", "strings", "markdown", "html"), "string"),
    **dict.fromkeys(("int", "long", "bigint", "int32", "int64", "short", "integers"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "real", "numeric", "num", "numbers", "percent"), "number"),
    **dict.fromkeys(("bool", "yesno"), "boolean"),
    **dict.fromkeys(("list", "tuple", "set", "sequence", "arrays"), "array"),
    **dict.fromkeys(("dict", "dictionary", "map", "mapping", "record", "struct", "json", "obj", "hash"), "object"),
    **dict.fromkeys(("none", "nil", "undefined", "void"), "null"),
}  # fmt: skip
_FORMATS: Mapping[str, str] = {
    **{name: name for name in FORMATS},
    **dict.fromkeys(("datetime", "timestamp", "date_time"), "date-time"),
    **dict.fromkeys(("url", "link", "website", "href"), "uri"),
    **dict.fromkeys(("mail", "e-mail", "email-address", "email_address"), "email"),
    **dict.fromkeys(("guid", "uuid4"), "uuid"),
    **dict.fromkeys(("ip", "ip-address", "ipaddress"), "ipv4"),
    **dict.fromkeys(("host", "domain", "host-name"), "hostname"),
    **dict.fromkeys(("regexp",), "regex"),
}
_INSIDE = {
    "array": ", and what is in it as `items: {type: string}`",
    "object": ", and what is in it below `properties`",
}
_ANY = frozenset({"any", "mixed", "unknown", "anything"})
_ENUM = frozenset({"enum", "literal", "choice", "select"})
_LIST_OF = r"(?:list|array|sequence|set|tuple) ?(?:of |[\[<(]) ?([\w-]+?)s?[\])>]?|([\w-]+)\[\]|\[([\w-]+)\]"
_MAYBE = r"optional ?[\[<( ] ?([\w-]+)[\])>]?|([\w-]+)\?"


def kind(written: str) -> str:
    """A hint for a text under `type` that is the name of no type."""
    word = written[:_LOOKED_AT].strip().lower()
    if word in TYPES:
        return f"Types are written in small letters: `type: {_type(word)}`."
    if word in _ANY:
        return "Leave `type` out: then any value is right."
    if word in _ENUM:
        return "Write `type: string`, and the values as `enum: [a, b]`."
    if one := _one(word):
        return f"Write `{one}`{_INSIDE.get(_name(word), '')}."
    if found := re.fullmatch(_LIST_OF, word):
        return f"Write `type: array` and `items: {{{_one(_first(found)) or 'type: string'}}}`."
    if found := re.fullmatch(_MAYBE, word):
        return f'Write `type: [{_name(_first(found)) or "string"}, "null"]`.'
    words = [part.strip(" \"'") for part in re.split(r"[|,/]| or ", word)]
    if len(words) > 1 and all(_name(part) for part in words):
        return f"Write `type: [{', '.join(_type(_name(part)) for part in words)}]`."
    if 1 < len(words) <= _FEW and all(words):
        return f"Write `type: string` and `enum: [{clip(', '.join(words), _SHOWN)}]`."
    near = nearest(word, TYPES)
    return f"Did you mean `{_type(near)}`?" if near else f"Types are {', '.join(f'`{_type(name)}`' for name in TYPES)}."


def _first(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()), "")


def _name(word: str) -> str:
    """The type that a word means; empty for none."""
    return word if word in TYPES else _TYPES.get(word, "")


def _one(word: str) -> str:
    """What to write for the name of a type in another language; empty where it is none."""
    name = _name(word)
    if not name and word in _FORMATS:
        return f"type: string, format: {_FORMATS[word]}"
    return f"type: {_type(name)}" if name else ""


def _type(name: str) -> str:
    """The name of a type as it stands in YAML, where a bare null is none."""
    return '"null"' if name == "null" else name


def checked_format(name: str) -> str:
    """A hint for the name of a format that is not checked."""
    near = _FORMATS.get(name.lower()) or nearest(name, FORMATS)
    if near and (near[0] == name[:1].lower() or name.lower() in _FORMATS):
        return f"Did you mean `{near}`?"
    return "Say in `description` what is meant, or write a `pattern`. Checked are " + ", ".join(
        f"`{known}`" for known in FORMATS if not known.startswith(("idn", "iri", "uri-", "relative"))
    ) + "."  # fmt: skip


# --- values --------------------------------------------------------------------------------------

_SAY_YES = {**dict.fromkeys(("yes", "y", "on", "true"), "true"), **dict.fromkeys(("no", "n", "off", "false"), "false")}
_FIRST_YEAR = 1000
_DATE = r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})"


def misfit(given: Any, place: Mapping[str, Any]) -> str:
    """A hint for a value that does not fit the type or the format of a place; empty where there is nothing to say."""
    kinds = kinds_of(place.get("type"))
    if place.get("format") == "date" and isinstance(given, str):
        return _date(given)
    if not isinstance(given, str):
        return _quoted(given, kinds)
    word = given.strip().lower()
    if "boolean" in kinds and word in _SAY_YES:
        return f"`{clip(given, _SHOWN)}` is a text in YAML 1.2: write `{_SAY_YES[word]}`, without quotes."
    if {"integer", "number"}.intersection(kinds) and re.fullmatch(r"[-+]?\d{1,18}(?:\.\d{1,18})?", word):
        return f"Write it without quotes: `{word}`."
    if "null" in kinds and word in ("null", "none", "nil", "~"):
        return "Write `null`, without quotes."
    return ""


def _quoted(given: Any, kinds: Sequence[str]) -> str:
    """A hint for what would be a text in quotes, and for a null."""
    if given is None and kinds:
        return f'Where null is right, too, write `type: [{", ".join(kinds)}, "null"]`.'
    pairs = list(cast("dict[str, Any]", given).items()) if isinstance(given, dict) else []
    shown = f"{pairs[0][0]}: {pairs[0][1]}" if len(pairs) == 1 else ""  # `[Note: b]` holds a mapping
    shown = _written(given) if isinstance(given, bool | int | float) else shown
    return f'Quote it: `"{clip(shown, _SHOWN)}"`.' if shown and "string" in kinds else ""


def _date(text: str) -> str:
    """How a date in another order is written, where one order alone is possible."""
    plain = "A date is written as year, month, day: `2026-11-30`."
    found = re.fullmatch(_DATE, text.strip())
    if found is None:
        return plain
    first, second, third = (int(part) for part in found.groups())
    orders = [(third, second, first)] if "." in text else [(third, second, first), (third, first, second)]
    possible = {written for order in [(first, second, third), *orders] if (written := _day(*order))}
    return f"Write `{possible.pop()}`: year, month, day." if len(possible) == 1 else plain


def _day(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat() if year >= _FIRST_YEAR else ""
    except ValueError:
        return ""


# --- what the definition of JSON Schema refuses --------------------------------------------------

_MISPLACED = frozenset(KEYWORDS) - {"title", "description", "default", "format", "pattern", "type", "not", "if"}
"""Words that are hardly ever the name of a property."""


def fault(path: Sequence[str | int], given: Any) -> str:
    """A hint for a part of a schema that is refused where it stands; empty where there is nothing to say."""
    last = path[-1] if path else ""
    if path[-2:-1] == ["properties"] and path[-3:-2] != ["properties"]:
        return _property(str(last), given)
    if last == "type" or path[-2:-1] == ["type"]:
        return _null_type(given)
    if last == "required":
        if given is False:
            return "Take it out: a property is optional unless it is named under `required`."
        if given is True:
            name = path[-2] if len(path) > 1 else "name"
            return f"Take it out, and name the property beside `properties`: `required: [{name}]`."
        return f"Write a list: `required: [{clip(given, _SHOWN)}]`." if isinstance(given, str) else ""
    if path[-2:-1] in (["oneOf"], ["anyOf"]) and isinstance(given, str) and not _name(given.lower()):
        return f"Values to choose from stand under `enum`: `enum: [{clip(given, _SHOWN)}, ...]`."
    return _setting(str(last), given)


_BRACED = r"([\w-]+) ?:? ?\{ ?(\w+)\Z"
"""A name whose colon or blank is missing before its schema: `mood {type` is the key then."""


def _property(name: str, given: Any) -> str:
    """For a name below `properties` that has no schema."""
    if braced := re.match(_BRACED, name):
        return f"Behind the name stand a colon and a blank: `{braced[1]}: {{{braced[2]}: {clip(str(given), _SHOWN)}`."
    if isinstance(given, str) and (name not in KEYWORDS or (name in ("type", "format") and given != "object")):
        one = _one(given.lower()) or "type: string"
        return f"Write `{clip(name, _SHOWN)}: {{{one}}}`."
    if name in KEYWORDS and given is not None:
        return f"`{name}` is a word of the schema around: write it beside `properties`, not below."
    return f"Write what `{clip(name, _SHOWN)}` is: `{{type: string}}`."


def _null_type(given: Any) -> str:
    if given is None:
        return 'Quote it: `type: "null"`.'
    kinds = cast("list[Any]", given) if isinstance(given, list) else []
    if None in kinds:
        shown = ", ".join(_type("null") if name is None else str(name) for name in kinds[:_FEW])
        return f"Quote the null: `type: [{clip(shown, _SHOWN)}]`."
    wrong = next((name for name in kinds if isinstance(name, str) and name not in TYPES), None)
    return f"`{clip(wrong, _SHOWN)}` is no type. {kind(wrong)}" if wrong else ""


def _setting(name: str, given: Any) -> str:
    """For a word whose value has another type than it must have."""
    if isinstance(given, str):
        if name in ("items", "contains", "additionalProperties", "propertyNames") and (one := _one(given.lower())):
            return f"Write `{name}: {{{one}}}`."
        if name in ("enum", "examples"):
            words = [part.strip(" \"'") for part in re.split(r"[|,/]", given[:_LOOKED_AT])]
            return f"Write a list: `{name}: [{clip(', '.join(words), _SHOWN)}]`."
        if re.fullmatch(r"\d{1,18}(?:\.\d{1,18})?", given):
            return f"Write it without quotes: `{given}`."
        if given.lower() in _SAY_YES:
            return f"Write `{_SAY_YES[given.lower()]}`, without quotes."
    if name in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(given, bool):
        return f"Write the bound itself, as `{name}: 0`, without `{name[9:].lower()}`."
    if name in ("properties", "$defs", "patternProperties") and not isinstance(given, Mapping):
        return "Write a name and its schema on each line below it, indented, without `-`: `text: {type: string}`."
    if name in ("title", "description", "pattern", "format", "$comment") and isinstance(given, bool | int | float):
        return f'Quote it: `"{_written(given)}"`.'
    return f"Write a list: `examples: [{_written(given)}]`." if name in ("enum", "examples") else ""
