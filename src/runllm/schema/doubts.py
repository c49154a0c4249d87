"""What in a schema is allowed and hardly ever meant: warnings, each at the word or value that is wrong.

JSON Schema passes over what it does not know, so that a mistyped word checks nothing and nobody hears of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any, cast

from runllm.diagnostics import Problem, clip, nearest, pointer, steps
from runllm.schema import meant
from runllm.schema.contract import Contract
from runllm.schema.walk import Schema, list_in, mapping_in, places, type_of

MAX_DOUBTS = 50
KEY = "keyword"
"""The keyword of a doubt about a key, whose pointer leads to its value."""

_SHOWN = 40
_LONGEST_TEXT = 80
_LONGEST_PATTERN = 1000
_SLASHES = r"/(\^.*\$?|.*\$)/([a-z]{0,6})|/(.+)/([gimsuy]{1,6})"
_TWICE = r"(?<!\\)\\\\(?:[dwsDWS](?:[+*?{]|\]?\$|$)|\.\w|[dw]\\\\)|^\^?\[?\\\\[dwsDWS]"
_MOST_COMPARED = 200
"""Names that are held against those of an open object, where a new one is as likely as a slip."""
_TEXTS = frozenset({"title", "description", "default", "const", "pattern", "$comment"})
_BESIDE = frozenset(
    {"required", "additionalProperties", "nullable", "unevaluatedProperties", "uniqueItems", "readOnly"}
)
"""Words that are no names of properties where their value is true or false."""
_COMBINED = frozenset({"allOf", "anyOf", "oneOf", "dependentSchemas"})
_CONDITIONS = frozenset({"if", "then", "else", "not"})
Path = tuple[str | int, ...]


def doubts(schema: Schema, found: Sequence[Problem] = ()) -> list[Problem]:
    """The problems that are found already, and the doubts, at most 50: what explains a problem better stands for it."""
    told = {problem.pointer for problem in found}
    mine = [doubt for doubt in islice(_Reader(schema).all(), MAX_DOUBTS) if doubt.pointer not in told]
    kept: list[Problem] = []
    for problem in found:
        reasons = [doubt for doubt in mine if _explains(doubt, problem)]
        if reasons:
            mine = [replace(doubt, severity=problem.severity) if doubt in reasons else doubt for doubt in mine]
        else:
            kept.append(problem)
    return [*kept, *mine]


def _explains(doubt: Problem, problem: Problem) -> bool:
    """Whether a doubt is why no value satisfies a schema: one about a value or a name in that very place."""
    place = steps(doubt.pointer)[:-1]
    place = place[:-1] if place[-1:] in (["enum"], ["required"]) else place
    return (
        problem.keyword == "unsatisfiable"
        and doubt.keyword in ("enum", "const", "required")
        and pointer(place) == problem.pointer
    )


class _Reader:
    def __init__(self, root: Schema) -> None:
        self.root = root
        self.names: dict[Path, tuple[set[str], bool]] = {}
        self.compared = 0

    @cached_property
    def at(self) -> dict[Path, Schema]:
        return {path: place for place, path in places(self.root)}

    def all(self) -> Iterator[Problem]:
        for path, place in self.at.items():
            yield from _unknown(place, path)
            yield from self.idle(place, path)
            yield from _among_properties(place, path)
            yield from self.undeclared(place, path)
            yield from _values(place, path)
            yield from _pattern(place, path)

    # --- words that say nothing where they stand ---------------------------------------------------

    def idle(self, place: Schema, path: Path) -> Iterator[Problem]:
        """Words that say nothing of a value of the type there."""
        kinds = set(meant.kinds_of(place.get("type")))
        for key in place if kinds else ():
            if key in meant.KEYWORDS and not (meant.KEYWORDS[key] & _with_integers(kinds)):
                shown = " or ".join(f"`{kind}`" for kind in sorted(kinds))
                said = f"`{key}` says nothing of the type {shown}"
                yield _doubt(said, (*path, key), KEY, self.moved(key, place, path, kinds))

    def moved(self, key: str, place: Schema, path: Path, kinds: set[str]) -> str:
        """A hint for a word of another type: where it belongs, or which one was meant."""
        if key == "required" and path[-2:-1] == ("properties",):
            around = mapping_in(self.at[path[:-2]], "properties")
            if all(name in around for name in list_in(place, key)):
                return "It names what stands beside this property: write it beside `properties`, less indented."
        if key == "format" and "string" not in kinds:
            return "Take it out: only texts have a format."
        for family in (("minLength", "minimum", "minItems"), ("maxLength", "maximum", "maxItems")):
            if key in family:
                fits = next((word for word in family if meant.KEYWORDS[word] & _with_integers(kinds)), "")
                return f"Did you mean `{fits}`?" if fits else "Take it out."
        (first, *_) = sorted(meant.KEYWORDS[key], reverse=True)
        return f"Take it out, or write `type: {first}`."

    # --- names ---------------------------------------------------------------------------------------

    def undeclared(self, place: Schema, path: Path) -> Iterator[Problem]:
        """Names under `required` that no property has."""
        for index, name in enumerate(list_in(place, "required")):
            if not isinstance(name, str):
                return
            declared, is_open = self.declared(path)
            if not declared or name in declared:
                continue
            self.compared += is_open
            near = nearest(name, declared) if self.compared <= _MOST_COMPARED else None
            if near or not is_open:
                hint = f"Did you mean `{near}`?" if near else "Write it below `properties`, or take it out here."
                said = f"`{clip(name, _SHOWN)}` is required, and no property is called so"
                yield _doubt(said, (*path, "required", index), "required", hint)

    def declared(self, path: Path) -> tuple[set[str], bool]:
        """The properties of the object that a place speaks of, and whether it may well have others."""
        while path:
            if path[-1] in _CONDITIONS:
                path = path[:-1]
            elif path[-2:-1] and path[-2] in _COMBINED:
                path = path[:-2]
            else:
                break
        if path not in self.names:
            group = list(_combined(self.at.get(path, {})))
            names = {name for place in group for name in mapping_in(place, "properties")}
            is_open = any(
                "$ref" in place or "patternProperties" in place or place.get("additionalProperties", False) is not False
                for place in group
            )
            self.names[path] = (names, is_open)
        return self.names[path]


def _combined(place: Any) -> Iterator[Schema]:
    """A place and all that is combined with it for the same value."""
    if isinstance(place, Mapping):
        node = cast("Schema", place)
        yield node
        inner = [sub for key in ("allOf", "anyOf", "oneOf") for sub in list_in(node, key)]
        inner += [node[key] for key in _CONDITIONS if key in node]
        for sub in (*inner, *mapping_in(node, "dependentSchemas").values()):
            yield from _combined(sub)


def _with_integers(kinds: set[str]) -> set[str]:
    return kinds | {"integer"} if "number" in kinds else kinds


def _doubt(message: str, path: Path, keyword: str, hint: str) -> Problem:
    return Problem(message=message, pointer=pointer(path), keyword=keyword, hint=hint, severity="warning")


# --- one place -----------------------------------------------------------------------------------


def _unknown(place: Schema, path: Path) -> Iterator[Problem]:
    """Keys that are no words of JSON Schema, and formats that are not checked."""
    cut = _cut(place)
    for head, rest in cut.items():
        whole = clip(", ".join([place[head], *rest]), _LONGEST_TEXT)
        said = f"a comma ended the text of `{head}` before this"
        yield _doubt(said, (*path, rest[0]), KEY, f'Quote the text: `{head}: "{whole}"`.')
    told = {piece for rest in cut.values() for piece in rest}
    for key, value in place.items():
        if key not in meant.KEYWORDS and key not in told and not key.startswith("x-"):
            said = f"`{clip(key, _SHOWN)}` is no word of JSON Schema, and checks nothing"
            yield _doubt(said, (*path, key), KEY, meant.keyword(key, value, place))
    form = place.get("format")
    kinds = meant.kinds_of(place.get("type"))
    if isinstance(form, str) and form not in meant.FORMATS and (not kinds or "string" in kinds):
        said = f"the format `{clip(form, _SHOWN)}` is not checked"
        yield _doubt(said, (*path, "format"), "format", meant.checked_format(form))


def _cut(place: Schema) -> dict[str, list[str]]:
    """The keys of texts that a comma ended, inside braces, each with the pieces behind it: keys without a value."""
    found: dict[str, list[str]] = {}
    head = ""
    for key, value in place.items():
        if head and value is None and key not in meant.KEYWORDS:
            found.setdefault(head, []).append(key)
        else:
            head = key if isinstance(value, str) and key in _TEXTS else ""
    return found


def _pattern(place: Schema, path: Path) -> Iterator[Problem]:
    """A pattern that is right, and hardly matches what is meant: one of another language, or escaped twice."""
    pattern = place.get("pattern")
    if not isinstance(pattern, str) or len(pattern) > _LONGEST_PATTERN:
        return
    said = hint = ""
    if slashes := re.fullmatch(_SLASHES, pattern):
        said = "the slashes around this pattern are part of it"
        flags = " Signs behind it are not read: `[Aa]` is either letter." if slashes[2] or slashes[4] else ""
        hint = f"Write `{clip(slashes[1] or slashes[3], _LONGEST_TEXT)}`.{flags}"
    elif re.search(_TWICE, pattern):
        said = "a doubled backslash in this pattern is the sign itself"
        single = clip(pattern.replace("\\\\", "\\"), _LONGEST_TEXT)
        hint = f"Write `{single}`: one does, but between double quotes."
    elif named := re.search(r"\[\[:(\w+):\]", pattern):
        said = f"`[:{clip(named[1], _SHOWN)}:]` is no class of signs here"
        hint = "Write the signs, as `[A-Za-z]` or `[0-9]`."
    if said:
        yield _doubt(said, (*path, "pattern"), "pattern", hint)


def _among_properties(place: Schema, path: Path) -> Iterator[Problem]:
    """Words of the schema around that stand one level too deep."""
    for name, sub in mapping_in(place, "properties").items():
        if name in _BESIDE and isinstance(sub, bool):
            said = f"`{name}` is taken for a property here"
            hint = "Write it beside `properties`, not below."
            yield _doubt(said, (*path, "properties", name), KEY, hint)


def _values(place: Schema, path: Path) -> Iterator[Problem]:
    """Values that the type or the format beside them excludes."""
    kinds = meant.kinds_of(place.get("type"))
    form = place.get("format")
    form = form if form in meant.FORMATS else None
    if not kinds and not form:
        return
    holds = Contract({**({"type": kinds} if kinds else {}), **({"format": form} if form else {})})
    for keyword in ("const", "default", "enum", "examples"):
        listed = keyword in ("enum", "examples")
        for index, value in enumerate(
            list_in(place, keyword) if listed else [place[keyword]] if keyword in place else []
        ):
            if _is_of(value, kinds) and not (form and isinstance(value, str)):
                continue
            for wrong in holds.problems(value)[:1]:
                at = (*path, keyword, index) if listed else (*path, keyword)
                said = f"a value of `{keyword}` does not fit: {wrong.message}"
                yield _doubt(said, at, keyword, meant.misfit(value, place))


def _is_of(value: Any, kinds: Sequence[str]) -> bool:
    name = type_of(value)
    return not kinds or name in kinds or (name == "integer" and "number" in kinds)
