"""Example values of a JSON Schema, the telling ones first: boundaries, empty things, null, one more than expected.

They are guesses, made without a validator: whoever uses one checks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, cast

from fuzz.specimens.merging import TYPES, both, branches
from fuzz.specimens.patterns import matching
from fuzz.specimens.scalars import LARGEST, SCALARS, bound
from runllm.schema import Schema, follow

_MOST = 100
_MOST_INSIDE = 8  # values of one property or item that are tried
_MOST_STEPS = 1_500  # schemas looked at in one call: references can make a small schema unfold without end
_DEEPEST = 200
_NEAR = 4  # steps from the root where an empty list or object tells most; further down the fullest one does
_SHORT = 20  # items that an array may have only to show its upper bound
_UNFOLDED = 2  # how often one reference is followed on the way down
_ANYTHING: tuple[Any, ...] = ("", 0, None, False, [], {}, 0.5, "a")
_MISSING: Any = object()


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
        elif split := branches(node):
            yield from _in_turn(self.values(branch, (*path, "")) for branch in split)
        else:
            declared = node.get("type", TYPES)
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
            node = both(node, other)
        return node, path

    def _some(self, schema: Any, path: tuple[str, ...]) -> list[Any]:
        """Values for a place inside a value: fewer the deeper it is, so that their combinations stay few."""
        if schema is True or schema == {}:
            return [*_ANYTHING]
        return list(islice(self.values(schema, path), max(2, _MOST_INSIDE - len(path))))

    def _typed(self, name: str, node: Schema, path: tuple[str, ...]) -> Iterator[Any]:
        inside = {"object": self._objects, "array": self._arrays}
        try:
            yield from inside[name](node, path) if name in inside else dict.fromkeys(SCALARS[name](node))
        except OverflowError:  # a bound that no float holds
            return

    def _arrays(self, node: Schema, path: tuple[str, ...]) -> Iterator[Any]:
        least, most = bound(node, "minItems", 0), bound(node, "maxItems", LARGEST)
        if least > min(most, LARGEST):
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

        wanted = within[:1] * min(bound(node, "minContains", 1), _SHORT)
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
        count = bound(node, "minProperties", 2)
        if values and free and 0 < count <= _SHORT:
            yield {f"{free[0]}{i or ''}": values[0] for i in range(count)}


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
