"""A JSON Schema (draft 2020-12) as a type: does a value fit, what does a default or a text give.

Values typed by their source (YAML, JSON) are never changed; text is read as the declared type: see `read_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from runllm.diagnostics import Problem, clip, pointer, told_at
from runllm.schema import walk
from runllm.schema.facts import declared_properties, declared_types, stated
from runllm.schema.walk import Schema, mapping_in, places, resolve, standalone, together
from runllm.schema.weigh import intricacy, parts_of, plain, rules_out, workload
from runllm.schema.words import LONGEST, problem_of

if TYPE_CHECKING:
    import jsonschema_rs

MAX_PROBLEMS = 20
_MOST_LISTED = 5_000  # times that parts meet: 76,000 take 0.7 s and 140 MB; and what is narrowed down is told better
_MOST_CHECKED = 3_000_000  # 1.3 million take 0.14 s
_DEEPEST = 200  # as deep as an answer may nest
_DEEPEST_FILLED = 64  # as deep as a file may nest
_LONGEST_INTEGER = 4000
_HINT = "Nest it less, or give the schema's alternatives a property with a `const` that tells them apart."
_INTEGER = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SINGLE = frozenset({str, int, float, bool, type(None)})
_SURE = (int, bool, type(None))  # JSON, whatever the value
_WORDS = {"true": True, "false": False}


class Contract:
    """A schema together with what is known about it; compiled on first use, safe to share.

    The schema must have passed `schema_problems`.

    Args:
        schema: the schema.
        known_plain: whether it is known that no value takes long to check, so that it need not be weighed.
    """

    def __init__(self, schema: Schema, *, known_plain: bool = False) -> None:
        self.schema: dict[str, Any] = dict(schema)
        self._known_plain = known_plain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contract) and self.schema == other.schema

    def __hash__(self) -> int:
        return hash(json.dumps(self.schema, sort_keys=True, default=str))

    def __repr__(self) -> str:
        return f"Contract({self.schema!r})"

    def __reduce__(self) -> tuple[type[Contract], tuple[Schema]]:
        return Contract, (self.schema,)  # what is compiled stays in its process

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        import jsonschema_rs  # 15 ms: not for a caller who only asks for a version

        return jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True, offline=True)

    @cached_property
    def _plain(self) -> bool:
        # One that `schema_problems` refuses cannot be weighed; it is here only where nothing better is at hand.
        return self._known_plain or plain(self.schema) or bool(intricacy(self.schema))

    @cached_property
    def _has_defaults(self) -> bool:
        return any("default" in place for place in walk.reachable(self.schema, self.schema))

    @cached_property
    def _parts(self) -> dict[int, tuple[Any, Contract]]:
        return {}

    def part(self, schema: Any) -> Contract:
        """A part of the schema as a contract of its own; made once, since a list holds all its items against one."""
        known = self._parts.get(id(schema))
        if known is None:  # the part is kept with it, so that no other object gets its identity
            known = self._parts[id(schema)] = (schema, Contract(standalone(self.schema, schema)))
        return known[1]

    def _within(self, most: int, value: Any, *, thorough: bool) -> bool:
        return self._plain or workload(self.schema, value, most, thorough=thorough) <= most

    def accepts(self, value: Any) -> bool:
        """Whether `value` satisfies the schema; one that is not JSON, or would take too long to check, does not.

        NaN and infinity count as null here, half a character as a whole one, and a `Decimal` as a number; `problems`
        refuses them.
        """
        try:
            return self._within(_MOST_CHECKED, value, thorough=False) and self._validator.is_valid(value)
        except ValueError:
            return False

    def problems(self, value: Any) -> tuple[Problem, ...]:
        """Every violation in `value`, at most `MAX_PROBLEMS`, in document order; empty when it fits.

        The library explains a failed alternative by every violation of every one, each with the value it belongs
        to. Where these are many, the small parts of the value that do not fit are explained instead.
        """
        try:
            return tuple(islice(_not_json(value), MAX_PROBLEMS)) or tuple(islice(self._found(value), MAX_PROBLEMS))
        except ValueError as error:
            return (Problem(message=f"the value is not JSON: {clip(str(error), LONGEST)}", keyword="json"),)

    def _found(self, value: Any) -> Iterator[Problem]:
        if self._plain and self._validator.is_valid(value):
            return  # as nearly every value, for which nothing else has to be weighed
        if self._listable(value):
            yield from self._listed(value)
        elif not self._within(_MOST_CHECKED, value, thorough=False):
            yield Problem(message="the value takes too long to check", keyword="complexity", hint=_HINT)
        elif not self._validator.is_valid(value):
            yield from self._faults(self.schema, value)

    def _listable(self, value: Any) -> bool:
        """Whether every violation can be listed in a bounded time."""
        if self._plain and not self._has_alternatives:
            return True
        return bool(intricacy(self.schema)) or workload(self.schema, value, _MOST_LISTED, thorough=True) <= _MOST_LISTED

    @cached_property
    def _has_alternatives(self) -> bool:
        return any("anyOf" in place or "oneOf" in place for place, _ in places(self.schema))

    def _listed(self, value: Any) -> Iterator[Problem]:
        return (problem_of(error, self.schema) for error in self._validator.iter_errors(value))

    def _faults(self, schema: Any, value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
        """What is wrong with `value`, in its smallest parts that do not fit where one alternative alone is likely.

        The work of the whole has been weighed, and with it that of every part.
        """
        inside = False
        nodes = list(_likely(self.schema, schema, value))
        for key, inner in parts_of(value):
            subs = (stated(node, key) for node in nodes)
            at_fault = [sub for sub in subs if sub is not None and not self.part(sub)._validator.is_valid(inner)]  # noqa: SLF001 - it is a contract too
            for sub in at_fault[:1]:
                inside = True
                yield from self._faults(sub, inner, (*path, key))
        part: Contract = self.part(schema)
        if not inside and part._listable(value):
            for problem in part._listed(value):
                yield replace(problem, pointer=pointer(path) + problem.pointer)
        elif not inside:
            message = "the value fits none of the alternatives of its schema"
            yield Problem(message=message, pointer=pointer(path), keyword="anyOf", hint=_HINT)

    def with_defaults(self, value: Any) -> Any:
        """`value` with absent properties filled from `default`, at every depth; never changed in place."""
        if not self._has_defaults and isinstance(value, dict):
            given = cast("dict[str, Any]", value)
            if _SINGLE.issuperset(map(type, given.values())):
                return dict(given)
        return _filled(value, self.schema, [self.schema])

    def misfits(self) -> Iterator[Problem]:
        """A warning for each `default` of a property that does not fit that property: filled in, it is refused."""
        from runllm.schema import meant  # likewise

        for place, path in places(self.schema):
            if path[-2:-1] != ("properties",) or "default" not in place:
                continue
            part = Contract(standalone(self.schema, place))
            for found in part.problems(part.with_defaults(place["default"]))[:1]:
                yield Problem(
                    message=f"the default of `{path[-1]}` does not fit: {found.message}",
                    keyword="default",
                    pointer=f"{pointer((*path, 'default'))}{found.pointer}",
                    hint=meant.misfit(place["default"], place)
                    or "Correct it, or take it out: a run that is not given the value would be refused.",
                    severity="warning",
                )

    @property
    def properties(self) -> dict[str, Schema]:
        """The declared properties of the root object, `$ref` resolved."""
        return {name: resolve(self.schema, sub) for name, sub in declared_properties(self.schema, self.schema).items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The root's required properties, in the schema's order."""
        return tuple(resolve(self.schema, self.schema).get("required", ()))

    def read_text(self, name: str, text: str) -> Any:
        """`text` read as the declared type of property `name`: see the function `read_text`."""
        sub = self.properties.get(name)
        return text if sub is None else read_text(text, sub, self.schema)


def _not_json(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """What the library does not see: NaN and infinity, half characters, and what is so deep as to end the process.

    Of what Python alone has it takes some (a `Decimal`, an `Enum`), and does not say where others are.
    """
    if isinstance(value, float):
        if not isfinite(value):
            yield Problem(message=f"{value} is not a JSON number", pointer=told_at(path), keyword="json")
    elif isinstance(value, str):
        yield from _half_characters(value, "the text", path)
    elif isinstance(value, dict | list | tuple):
        if len(path) >= _DEEPEST:
            message = f"the value nests deeper than {_DEEPEST} levels"
            yield Problem(message=message, pointer=told_at(path), keyword="json")
            return
        whole = cast("dict[str | int, Any] | list[Any]", value)
        for key, item in whole.items() if isinstance(whole, dict) else enumerate(whole):
            if isinstance(key, str) and not key.isascii():
                yield from _half_characters(key, "a key", path)
            if type(item) not in _SURE and not (isinstance(item, str) and item.isascii()):
                yield from _not_json(item, (*path, key))
    elif type(value) not in _SURE:
        message = f"a value of type {type(value).__name__} is not JSON"
        yield Problem(message=message, pointer=told_at(path), keyword="json")


def _half_characters(text: str, name: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        yield Problem(
            message=f"{name} is no Unicode: it holds half a character (a lone surrogate, {half})",
            pointer=told_at(path),
            keyword="unicode",
            hint="Give arguments in UTF-8, and in JSON both halves of an escaped character, as in `\\ud83d\\ude00`.",
        )


def _likely(root: Schema, schema: Any, value: Any) -> Iterator[Schema]:
    """The schemas that are to hold for a value: combined, or the only alternative that it may be meant for."""
    for node in together(root, schema):
        yield node
        for keyword in ("anyOf", "oneOf"):
            for loosely in (False, True):
                left = [sub for sub in walk.list_in(node, keyword) if not rules_out(root, sub, value, loosely=loosely)]
                if len(left) == 1:
                    yield from _likely(root, left[0], value)
                if left:
                    break


# --- values made to fit, without a guess ---------------------------------------------------------


def _filled(value: Any, root: Schema, schemas: Iterable[Any], depth: int = 0) -> Any:
    """`value` with absent properties filled from the `default`s of `schemas`, which all hold for it; a copy."""
    if depth > _DEEPEST_FILLED:
        return value
    once = {id(schema): schema for schema in schemas}  # however many references lead to it
    nodes = {id(node): node for schema in once.values() for node in together(root, schema)}.values()
    if isinstance(value, Mapping):
        given = dict(cast("Mapping[str, Any]", value))
        declared: dict[str, list[Any]] = {}
        for node in nodes:
            for name, sub in mapping_in(node, "properties").items():
                declared.setdefault(name, []).append(sub)
        for name, subs in declared.items():
            if name in given:
                given[name] = _filled(given[name], root, subs, depth + 1)
            elif defaults := [i for i, sub in enumerate(subs) if "default" in resolve(root, sub)]:
                first = defaults[0]
                default = deepcopy(resolve(root, subs[first])["default"])  # whoever gets it may change it
                given[name] = _filled(default, root, subs[first + 1 :], depth + 1)
        return given
    items = [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
    if isinstance(value, list) and items:
        return [_filled(item, root, items, depth + 1) for item in cast("list[Any]", value)]
    return cast("Any", value)


def read_text(text: str, schema: Any, root: Schema) -> Any:
    """`text` as a value of the declared type, strictly; the text itself where it cannot be read so.

    A schema that admits a string takes the text as it is. Otherwise an integer, a number, `true`,
    `false` and `null` are read as written, and an object or array as JSON. What cannot be read
    stays text, so that the schema check can name the type it wanted.
    """
    types = declared_types(root, schema)
    if "string" in types:
        return text
    stripped = text.strip()
    whole = re.fullmatch(_INTEGER, stripped) is not None and len(stripped) <= _LONGEST_INTEGER
    if whole and types & {"integer", "number"}:
        return int(stripped)
    if "number" in types and re.fullmatch(_NUMBER, stripped):
        return float(stripped)
    if "boolean" in types and stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    if "null" in types and stripped == "null":
        return None
    if types & {"object", "array"} or not types:
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):
            return text
    return text
