"""Example values of a JSON Schema, the telling ones first: boundaries, empty things, null, one more than expected.

They are guesses, made without a validator: whoever uses one checks it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, cast

from runllm.schemas import Schema, follow

_MOST = 100
_MOST_INSIDE = 8  # values of one property or item that are tried
_MOST_STEPS = 1_500  # schemas looked at in one call: references can make a small schema unfold without end
_DEEPEST = 200
_LARGEST = 20_000  # a schema that wants more characters or items than this gets no specimen
_NEAR = 4  # steps from the root where an empty list or object tells most; further down the fullest one does
_SHORT = 20  # items that an array may have only to show its upper bound
_UNFOLDED = 2  # how often one reference is followed on the way down
_TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")
_ANYTHING: tuple[Any, ...] = ("", 0, None, False, [], {}, 0.5, "a")
_MISSING: Any = object()

_FORMATS = {
    "date": ("2024-02-29", "0001-01-01"),
    "time": ("00:00:00Z", "23:59:59.5+01:00"),
    "date-time": ("2024-02-29T00:00:00Z", "2024-02-29T23:59:59.5+01:00"),
    "duration": ("P1D", "PT0S"),
    "email": ("a@example.com", "a.b+c@example.co.uk"),
    "idn-email": ("a@example.com", "é@example.com"),
    "hostname": ("example.com", "a"),
    "idn-hostname": ("example.com", "é.com"),
    "ipv4": ("127.0.0.1", "0.0.0.0"),  # noqa: S104 - an example value, nothing listens on it
    "ipv6": ("::1", "2001:db8::1"),
    "uri": ("https://example.com", "a:b"),
    "uri-reference": ("https://example.com", "/a", ""),
    "iri": ("https://example.com", "https://example.com/é"),
    "iri-reference": ("https://example.com", "é"),
    "uri-template": ("https://example.com/{a}", ""),
    "uuid": ("00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
    "json-pointer": ("/a", "", "/a/b/0"),
    "relative-json-pointer": ("0", "1/a"),
    "regex": ("a", "^[0-9]+$"),
}
KNOWN_FORMATS = frozenset(_FORMATS)
"""The formats that a contract checks; it ignores any other."""


def specimens(schema: Schema) -> Iterator[Any]:
    """Some JSON values that `schema` probably admits, at most a hundred, small ones that test a boundary first.

    Args:
        schema: its references are local to it. No value is certain to satisfy it: check what you use.
    """
    seen: set[str] = set()
    for value in islice(_Maker(schema).values(schema, ()), 4 * _MOST):
        key = json.dumps(value, sort_keys=True, default=repr)
        if key not in seen:
            seen.add(key)
            yield value
            if len(seen) == _MOST:
                return


class _Maker:
    """Makes values for the parts of one schema, within a number of steps.

    `path` is the way down to a part: a reference that was followed, or an empty name for any other step.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = _MOST_STEPS

    def values(self, schema: Any, path: tuple[str, ...]) -> Iterator[Any]:
        """Values of a part of the schema; none when it is `false`, too deep, or the steps are used up."""
        self._steps -= 1
        if self._steps < 0 or len(path) > _DEEPEST:
            return
        settled = self._settled(schema, path)
        if settled is None:
            return
        node, path = settled
        if "const" in node:
            yield node["const"]
        elif isinstance(node.get("enum"), list):
            yield from _ends(cast("list[Any]", node["enum"]))
        elif branches := _branches(node):
            yield from _in_turn(self.values(branch, (*path, "")) for branch in branches)
        else:
            declared = node.get("type", _TYPES)
            types = cast("Sequence[str]", (declared,) if isinstance(declared, str) else declared)
            yield from _in_turn([*(self._typed(name, node, (*path, "")) for name in types), _annotated(node)])

    def _settled(self, schema: Any, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]] | None:
        """A part with its leading reference followed and its `allOf` merged; None where there is no value to find."""
        if not isinstance(schema, Mapping):
            return None if schema is False else ({}, path)
        written = cast("Schema", schema)
        node = {key: item for key, item in written.items() if key not in ("$ref", "allOf")}
        parts: list[Any] = [*written.get("allOf", ())]
        target = written.get("$ref")
        if isinstance(target, str):
            if path.count(target) >= _UNFOLDED:
                return None
            path = (*path, target)
            parts.append(follow(self._root, target))
        for part in parts:
            self._steps -= 1
            settled = self._settled(part, (*path, "")) if self._steps > 0 and len(path) < _DEEPEST else None
            if settled is None:
                return None
            other, path = settled
            node = _both(node, other)
        return node, path

    def _some(self, schema: Any, path: tuple[str, ...]) -> list[Any]:
        """Values for a place inside a value: fewer the deeper it is, so that their combinations stay few."""
        if schema is True or schema == {}:
            return [*_ANYTHING]
        return list(islice(self.values(schema, path), max(2, _MOST_INSIDE - len(path))))

    def _typed(self, name: str, node: Schema, path: tuple[str, ...]) -> Iterator[Any]:
        inside = {"object": self._objects, "array": self._arrays}
        try:
            yield from inside[name](node, path) if name in inside else dict.fromkeys(_SCALARS[name](node))
        except OverflowError:  # a bound that no float holds
            return

    def _arrays(self, node: Schema, path: tuple[str, ...]) -> Iterator[Any]:
        least, most = _bound(node, "minItems", 0), _bound(node, "maxItems", _LARGEST)
        if least > min(most, _LARGEST):
            return
        if least == 0 and len(path) < _NEAR:
            yield []
        columns = [self._some(sub, path) for sub in node.get("prefixItems", ())]
        rest = self._some(node.get("items", True), path)
        within = self._some(node["contains"], path) if "contains" in node else []
        step = 1 if node.get("uniqueItems") is True else 0

        def of(length: int) -> list[Any] | None:
            found = [columns[i] if i < len(columns) else rest for i in range(length)]
            return [c[i * step % len(c)] for i, c in enumerate(found)] if length <= most and all(found) else None

        wanted = within[:1] * min(_bound(node, "minContains", 1), _SHORT)
        lengths = dict.fromkeys(max(least, n) for n in (1, 2, 0, len(columns), len(columns) + 1))
        found = [array for length in lengths if (array := of(length)) is not None]
        yield from ([*wanted, *array][:most] for array in found if wanted)
        yield from found[:1]
        for place, column in enumerate([*columns, rest]):
            base = of(max(least, place + 1))
            for value in column[1:] if base else ():
                yield [*base[:place], value, *base[place + 1 :]] if base else []
        yield from found[1:]
        if most <= _SHORT and (longest := of(most)) is not None:
            yield longest

    def _objects(self, node: Schema, path: tuple[str, ...]) -> Iterator[Any]:
        declared = cast("dict[str, Any]", node.get("properties", {}))
        required = cast("list[str]", node.get("required", []))
        rest = node.get("additionalProperties", True)
        needed = {name: self._some(declared.get(name, rest), path) for name in required}
        if not all(needed.values()):
            return
        optional = {name: self._some(sub, path) for name, sub in declared.items() if name not in needed}
        chosen = needed | {name: found for name, found in optional.items() if found}
        base = {name: found[0] for name, found in needed.items()}
        if len(path) < _NEAR:
            yield base
        yield {name: found[0] for name, found in chosen.items()}
        if len(chosen) > _MOST_INSIDE:  # too many to take one by one: all of them together
            yield from (
                {name: found[pick % len(found)] for name, found in chosen.items()} for pick in range(1, _MOST_INSIDE)
            )
        changes = _in_turn(iter([(name, item) for item in found]) for name, found in chosen.items())
        extras = self._extras(node, path)
        yield from ({**base, **extra} for extra in _in_turn([({name: item} for name, item in changes), extras]))
        yield base

    def _extras(self, node: Schema, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Properties that the schema does not name but may admit."""
        declared = cast("Schema", node.get("properties", {}))
        for pattern, sub in cast("Schema", node.get("patternProperties", {})).items():
            names = [name for name in matching(pattern) if name not in declared][:2]
            yield from ({name: value} for value in self._some(sub, path) for name in names)
        names = self._some(node["propertyNames"], path) if "propertyNames" in node else ["other"]
        free = [name for name in names if isinstance(name, str) and name not in declared]
        values = self._some(node.get("additionalProperties", True), path)
        yield from ({name: value} for value in values for name in free)
        count = _bound(node, "minProperties", 2)
        if values and free and 0 < count <= _SHORT:
            yield {f"{free[0]}{i or ''}": values[0] for i in range(count)}


# --- scalars -----------------------------------------------------------------------------------


def _strings(node: Schema) -> Iterator[str]:
    yield from _FORMATS.get(str(node.get("format")), ())
    least, most = _bound(node, "minLength", 0), _bound(node, "maxLength", _LARGEST)
    if least > min(most, _LARGEST):
        return
    if isinstance(node.get("pattern"), str):
        yield from islice(_padded(node["pattern"], least), _MOST_INSIDE)
    yield "a" * least
    for text in ("", "a", "A", "0", " ", "é", "a b"):
        if least <= len(text) <= most:
            yield text
    if least < most:
        yield "a" * (least + 1)
    if most <= 10 * _MOST:  # a longer string is no example for a message
        yield "a" * most


def _padded(pattern: str, least: int) -> Iterator[str]:
    """Texts for a pattern, and longer ones where it leaves an end open."""
    for text in matching(pattern):
        yield text
        more = "a" * max(least - len(text), 3)
        if not pattern.endswith("$"):
            yield text + more
        elif not pattern.startswith("^"):
            yield more + text


def _numbers(node: Schema) -> Iterator[int | float]:
    step = node.get("multipleOf")
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    ends = [end for end in (low, high, above, below) if end is not None]
    if step:  # first what is a multiple, near each end
        for end in [0, *ends]:
            near = round(end / step) if abs(end / step) < 2**53 else 0
            yield from ((near + i) * step for i in (0, 1, -1))
    yield from (end for end in (low, high) if end is not None)
    yield from (above + 1, above + 0.5, above) if above is not None else ()
    yield from (below - 1, below - 0.5, below) if below is not None else ()
    if len(ends) > 1:
        yield (min(ends) + max(ends)) / 2
    for end in ends:
        yield from (end + 1, end - 1, end + 0.5, end - 0.5)
    yield from (0, 0.5, 1, -1, 2, 1_000_000, -0.5)


def _integers(node: Schema) -> Iterator[int]:
    for value in _numbers(node):
        if math.isfinite(value):
            yield math.ceil(value)
            yield math.floor(value)


_SCALARS: dict[str, Callable[[Schema], Iterator[Any]]] = {
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda _: iter((False, True)),
    "null": lambda _: iter((None,)),
}


def _bound(node: Schema, keyword: str, otherwise: int) -> int:
    found = node.get(keyword)
    return int(found) if isinstance(found, int | float) else otherwise


def _annotated(node: Schema) -> Iterator[Any]:
    """What the author gave as an example: the likeliest values where a pattern is hard to meet."""
    examples = node.get("examples")
    yield from cast("list[Any]", examples[:3]) if isinstance(examples, list) else ()
    if "default" in node:
        yield node["default"]


def _ends(items: list[Any]) -> list[Any]:
    return items if len(items) <= _MOST_INSIDE else [*items[: _MOST_INSIDE - 2], *items[-2:]]


def _in_turn(streams: Iterable[Iterator[Any]]) -> Iterator[Any]:
    """The first of each stream, then the second of each, and so on."""
    for row in zip_longest(*streams, fillvalue=_MISSING):
        yield from (value for value in row if value is not _MISSING)


# --- combining schemas -------------------------------------------------------------------------


def _branches(node: Schema) -> list[Schema]:
    """The schemas that a combination splits into, each with what stands beside it; none for a plain schema."""
    for keyword in ("anyOf", "oneOf"):
        if isinstance(node.get(keyword), list):
            rest = {key: item for key, item in node.items() if key != keyword}
            return [{"allOf": [rest, branch]} for branch in cast("list[Any]", node[keyword])]
    if "if" in node:
        rest = {key: item for key, item in node.items() if key not in ("if", "then", "else")}
        yes = [rest, node["if"], node.get("then", True)]
        return [{"allOf": yes}, {"allOf": [rest, node.get("else", True)]}]
    return []


def _both(one: dict[str, Any], other: Schema) -> dict[str, Any]:
    """A schema whose values probably satisfy both: properties together, the tighter bound, else the latter's word."""
    merged = dict(one)
    for key, item in other.items():
        mine = merged.get(key, _MISSING)
        if mine is _MISSING:
            merged[key] = item
        elif key in _TOGETHER:
            merged[key] = _TOGETHER[key](mine, item)
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(mine, item)
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(mine, item)
        else:
            merged[key] = item
    return merged


def _each_of_both(one: Schema, other: Schema) -> Schema:
    return {**one, **{name: {"allOf": [one[name], sub]} if name in one else sub for name, sub in other.items()}}


def _pairs(one: list[Any], other: list[Any]) -> list[Any]:
    return [{"allOf": [a, b]} for a in one[:_MOST_INSIDE] for b in other[:_MOST_INSIDE]]


def _common_types(one: str | list[str], other: str | list[str]) -> list[str]:
    mine, theirs = ({names} if isinstance(names, str) else set(names) for names in (one, other))
    mine |= {"integer"} if "number" in mine else set()
    theirs |= {"integer"} if "number" in theirs else set()
    return [name for name in _TYPES if name in mine & theirs and not (name == "integer" and "number" in mine & theirs)]


_TOGETHER: dict[str, Callable[[Any, Any], Any]] = {
    "properties": _each_of_both,
    "patternProperties": _each_of_both,
    "items": lambda one, other: {"allOf": [one, other]},
    "additionalProperties": lambda one, other: {"allOf": [one, other]},
    "propertyNames": lambda one, other: {"allOf": [one, other]},
    "anyOf": _pairs,
    "oneOf": _pairs,
    "required": lambda one, other: [*dict.fromkeys([*one, *other])],
    "enum": lambda one, other: [value for value in one[:_MOST] if value in other],
    "type": _common_types,
}


# --- text for a pattern ------------------------------------------------------------------------


def matching(pattern: str) -> Iterator[str]:
    """A few texts that match a regular expression, short ones first; none where it uses more than the common parts."""
    try:
        found = _Reader(pattern).read()
    except (ValueError, IndexError, OverflowError):
        return
    yield from dict.fromkeys(found)


class _Reader:
    """Reads a regular expression and gives, for each of its parts, a few texts that match it.

    It knows literals, classes, groups, alternatives and repetitions; the rest (look-around, back
    references, word borders) is a ValueError. Parts in a row go together by their position: the
    first text of each, the second of each.
    """

    _ESCAPES: Mapping[str, str] = {
        "d": "07", "w": "aZ0_", "s": " \t", "D": "a-", "W": " -", "S": "a0-", "n": "\n", "t": "\t", "r": "\r"
    }  # fmt: skip

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def read(self) -> list[str]:
        found = self._alternatives()
        if self._at < len(self._text):
            raise ValueError(f"unexpected {self._text[self._at]!r}")
        return found

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, expected: str) -> bool:
        if not self._text.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def _alternatives(self) -> list[str]:
        found = self._sequence()
        while self._take("|"):
            found = [*found, *self._sequence()]
        return found[:_MOST_INSIDE]

    def _sequence(self) -> list[str]:
        found = [""]
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repeated(self._part())
            count = max(len(found), len(part))
            found = [found[i % len(found)] + part[i % len(part)] for i in range(count)]
            if len(found[0]) > _LARGEST:
                raise ValueError("too long")
        return found

    def _part(self) -> list[str]:
        char = self._next()
        if char in "^$":
            return [""]
        if char == "(":
            if self._take("?") and not self._take(":"):
                raise ValueError("a special group")
            found = self._alternatives()
            if self._next() != ")":
                raise ValueError("an open group")
            return found
        if char == "[":
            return list(self._class())
        if char == "\\":
            return list(self._escape())
        if char in "*+?{":
            raise ValueError("nothing to repeat")
        return ["a", "0", "é"] if char == "." else [char]

    def _escape(self) -> str:
        char = self._next()
        if char.isalnum() and char not in self._ESCAPES:
            raise ValueError(f"an escape that is not read: {char!r}")
        return self._ESCAPES.get(char, char)

    def _class(self) -> str:
        """Some members of a character class: the first of each range, then the last."""
        negated, first, last, start = self._take("^"), "", "", self._at
        while not (self._at > start and self._take("]")):
            low = self._escape() if self._take("\\") else self._next()
            if self._text[self._at] == "-" and self._text[self._at + 1] != "]" and len(low) == 1:
                self._at += 1
                last += self._escape() if self._take("\\") else self._next()
            first += low
        inside = self._text[start : self._at]
        return "".join(c for c in "a0 A_~é" if c not in inside and c not in first) if negated else first + last

    def _repeated(self, found: list[str]) -> list[str]:
        least, most = 1, 1
        if self._take("*"):
            least, most = 0, _LARGEST
        elif self._take("+"):
            most = _LARGEST
        elif self._take("?"):
            least = 0
        elif self._take("{"):
            written = self._text[self._at : self._text.index("}", self._at)]
            self._at += len(written) + 1
            low, comma, high = written.partition(",")
            least = int(low)
            most = int(high) if high else _LARGEST if comma else least
        self._take("?")  # a lazy repetition matches the same texts
        if least * max(map(len, found), default=0) > _LARGEST or not found:
            raise ValueError("too long, or nothing to repeat")
        if (least, most) == (1, 1):
            return found
        counts = dict.fromkeys((least, max(least, min(1, most)), min(least + 1, most), min(most, least + _SHORT)))
        return [text * count for count in counts for text in found][:_MOST_INSIDE]
