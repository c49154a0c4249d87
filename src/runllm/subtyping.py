"""Whether every value of one JSON Schema is a value of another, and a value that is not.

Three things decide, the quick one first: a proof over the canonical forms of both schemas, part by
part; example values held against both; the library's own containment, where the schemas are small.
`fits` and `never` are proven, and no example may contradict them; all else is `maybe`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from math import prod
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from runllm.contracts import Contract
from runllm.schemas import Schema, follow, resolve, subschemas
from runllm.specimens import KNOWN_FORMATS, specimens

if TYPE_CHECKING:
    from jsonschema_rs import CanonicalSchema
    from jsonschema_rs.canonical import ArrayView, ObjectView

Verdict = Literal["fits", "never", "maybe"]

# Measured limits: beyond them the library takes from tens of milliseconds to minutes.
_MOST_CASES = 64  # that one schema may split into: its canonical form multiplies them out
_MOST_PAIRS = 200  # of cases: an intersection compares each of one schema with each of the other
_MOST_PARTS = 50  # of both schemas: containment grows with the fourth power of the properties that differ
_MOST_STEPS = 1_000  # of a proof
_ENDLESS = 10**6  # cases
_MANY = 500  # values of an enumeration
_FEW = 20
_LONGEST = 80
_NAMED = 4  # properties, values and alternatives that a description names


class _Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""Stands for an example that was not found: null would be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the values of one schema fit another.

    Attributes:
        verdict: `fits` when every value does, `never` when none does, `maybe` when that is not known or some may not.
        example: a value that the source admits and the target refuses; UNKNOWN where none was found.
        reason: what the target says of the example, with the place inside it; empty without one.
    """

    verdict: Verdict
    example: Any = UNKNOWN
    reason: str = ""


def fit(source: Schema, target: Schema) -> Fit:
    """How the values of `source` fit `target`.

    Args:
        source: the schema of what flows; its references are local to it.
        target: the schema that is to admit it; likewise.
    """
    if source == target and json.dumps(source, sort_keys=True) == json.dumps(target, sort_keys=True):
        return Fit(verdict="fits")
    values = _listed(source)
    if values is not None:
        return _fit_of_values(values, Contract(source), Contract(target))
    forms = _Forms.of(source, target)
    if forms is not None and forms.proven():
        return Fit(verdict="fits")
    return _searched(source, target, forms)


def _listed(source: Schema) -> list[Any] | None:
    """Every value that a source may have, and perhaps more; None unless it lists them."""
    node = resolve(source, source)
    if "const" in node:
        return [node["const"]]
    if isinstance(node.get("enum"), list):  # a validator looks through a list of objects: many of many take seconds
        return cast("list[Any]", node["enum"]) if len(node["enum"]) <= _MANY else None
    return {"boolean": [False, True], "null": [None]}.get(str(node.get("type")))


def _fit_of_values(values: list[Any], source: Contract, target: Contract) -> Fit:
    admitted = [value for value in values if source.accepts(value)]
    refused = [value for value in admitted if not target.accepts(value)]
    if not refused:
        return Fit(verdict="fits")
    return _explained("never" if len(refused) == len(admitted) else "maybe", refused[0], target)


def _searched(source: Schema, target: Schema, forms: _Forms | None) -> Fit:
    """The verdict on schemas of which it is not proven that one fits the other."""
    given, wanted = Contract(source), Contract(target)
    shared, example = False, UNKNOWN
    for value in chain(specimens(source), islice(specimens(target), _FEW)):
        if given.accepts(value):
            fits = wanted.accepts(value)
            shared = shared or fits
            example = value if example is UNKNOWN and not fits else example
        if shared and example is not UNKNOWN:
            break
    if example is UNKNOWN and forms:
        apart = (value for value in forms.difference() if given.accepts(value) and not wanted.accepts(value))
        example = next(apart, UNKNOWN)
    if example is UNKNOWN and forms and forms.covered():
        return Fit(verdict="fits")
    verdict: Verdict = "never" if forms and not shared and forms.disjoint() else "maybe"
    return Fit(verdict=verdict) if example is UNKNOWN else _explained(verdict, _smaller(example, given, wanted), wanted)


def _explained(verdict: Verdict, example: Any, target: Contract) -> Fit:
    return Fit(verdict=verdict, example=example, reason=str(next(iter(target.problems(example)), "")))


def _smaller(example: Any, given: Contract, wanted: Contract) -> Any:
    """An example without the properties that it can do without."""
    if not isinstance(example, dict):
        return example
    kept = cast("dict[str, Any]", example)
    for name in list(kept):
        less = {key: item for key, item in kept.items() if key != name}
        if given.accepts(less) and not wanted.accepts(less):
            kept = less
    return kept


# --- canonical forms ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forms:
    """The canonical forms of two schemas, and the questions that the library answers about them.

    Attributes:
        source: of what flows.
        target: of what is to admit it.
        comparable: whether an intersection takes a bounded time.
        small: whether containment and difference do.
    """

    source: CanonicalSchema
    target: CanonicalSchema
    comparable: bool
    small: bool

    @classmethod
    def of(cls, source: Schema, target: Schema) -> _Forms | None:
        """The forms of two schemas; None where one has no form or is too large for it."""
        cases = [_most_cases(schema) for schema in (source, target)]
        if max(cases) > _MOST_CASES:
            return None
        parts = sum(1 for _ in islice(chain(subschemas(source), subschemas(target)), _MOST_PARTS + 1))
        comparable = cases[0] * cases[1] <= _MOST_PAIRS
        try:
            return cls(
                source=_entered(_canonical(source)),
                target=_entered(_canonical(target)),
                comparable=comparable,
                small=comparable and parts <= _MOST_PARTS,
            )
        except ValueError:  # the base of all that the library raises for a schema
            return None

    def proven(self) -> bool:
        """Whether it is proven part by part, in linear time, that the target admits all of the source."""
        try:
            return _Proof().holds(self.source, self.target)
        except ValueError:
            return False

    def disjoint(self) -> bool:
        """Whether it is proven that no value is of both."""
        from jsonschema_rs.canonical import Satisfiability

        try:
            return self.comparable and self.source.intersect(self.target).satisfiability() == Satisfiability.NO
        except ValueError:
            return False

    def covered(self) -> bool:
        """Whether the library proves that the target admits all of the source."""
        return self.small and _covers(self.target, self.source)

    def difference(self) -> Iterator[Any]:
        """Values that are probably of the source and not of the target."""
        if not self.small:
            return
        try:
            left = self.source.subtract(self.target).to_json_schema()
        except ValueError:
            return
        plain: Any = json.loads(json.dumps(left, default=float))  # a number beyond 64 bits comes as a Decimal
        yield from specimens(cast("Schema", plain)) if isinstance(plain, dict) else ()


def _canonical(schema: Schema | bool) -> CanonicalSchema:
    import jsonschema_rs  # 15 ms: a run without dependencies never comes here

    known = jsonschema_rs.canonical.schema.clone(dict(schema) if isinstance(schema, Mapping) else schema)
    for sub, _ in subschemas(known):
        if isinstance(sub, dict):
            node = cast("dict[str, Any]", sub)
            node.pop("$schema", None)  # a contract is read as draft 2020-12 whatever it says
            if node.get("format", "date") not in KNOWN_FORMATS:
                del node["format"]
    return jsonschema_rs.canonicalize(known, draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True)


def _entered(form: CanonicalSchema) -> CanonicalSchema:
    """What a form refers to at its root: the library compares no further than a reference that leads to itself."""
    from jsonschema_rs.canonical import ReferenceView

    for _ in range(16):
        view = form.view()
        found = form.definition(view.uri) if isinstance(view, ReferenceView) else None
        if found is None:
            break
        form = found
    return form


def _covers(target: CanonicalSchema, source: CanonicalSchema) -> bool:
    from jsonschema_rs.canonical import Containment

    try:
        return target.covers(source) == Containment.YES
    except ValueError:
        return False


def _most_cases(schema: Schema) -> int:
    """The largest number of cases that a place of the schema splits into when its combinations are multiplied out."""
    known: dict[str, int] = {}
    return max(_cases(schema, sub, known) for sub, _ in subschemas(schema))


def _cases(root: Schema, schema: Any, known: dict[str, int]) -> int:
    if not isinstance(schema, Mapping):
        return 1
    node = cast("Schema", schema)
    dependent: Schema = node.get("dependentSchemas", {})
    factors = [3 ** min(len(dependent) + len(node.get("dependentRequired", ())), 9)]
    factors += [_cases(root, part, known) for part in (*node.get("allOf", ()), *dependent.values())]
    for keyword, each in (("anyOf", 1), ("oneOf", 2)):
        if keyword in node:
            factors.append(each * sum(_cases(root, part, known) for part in node[keyword]))
    if "if" in node:
        factors.append(2 * max(_cases(root, node.get(keyword), known) for keyword in ("if", "then", "else")))
    if "not" in node:
        parts = sum(1 for _ in subschemas(node["not"]))
        factors.append(max(_cases(root, node["not"], known), parts * parts // 16))
    target = node.get("$ref")
    if isinstance(target, str):
        if target not in known:
            known[target] = _ENDLESS  # back at itself with no step into the value: the library may never return
            known[target] = _cases(root, follow(root, target), known)
        factors.append(known[target])
    return min(max(prod(factors), len(node.get("patternProperties", ()))), _ENDLESS)


# --- the proof ---------------------------------------------------------------------------------


class _Proof:
    """That one canonical form admits all of another, part by part.

    Linear where the library's own containment is not, and it follows references: a pair of forms
    that turns up again, deeper in the value, may be taken as proven, since values end somewhere.
    """

    def __init__(self) -> None:
        self._steps = _MOST_STEPS
        self._depth = 0  # in the value
        self._open: dict[tuple[CanonicalSchema, CanonicalSchema], int] = {}

    def holds(self, source: CanonicalSchema, target: CanonicalSchema) -> bool:
        """Whether every value of `source` is proven to be one of `target`; False when it is not known."""
        from jsonschema_rs import canonical as forms

        self._steps -= 1
        if self._steps < 0:
            return False
        given, wanted = source.view(), target.view()
        if isinstance(given, forms.ReferenceView) or isinstance(wanted, forms.ReferenceView):
            return self._referred(source, target)
        if isinstance(given, forms.AnyOfView | forms.OneOfView):
            return all(self.holds(branch, target) for branch in given.branches)
        if isinstance(wanted, forms.AllOfView):
            return all(self.holds(source, branch) for branch in wanted.branches)
        if isinstance(given, forms.AllOfView):
            return any(self.holds(branch, target) for branch in given.branches)
        if isinstance(wanted, forms.AnyOfView) and any(self.holds(source, branch) for branch in wanted.branches):
            return True
        if isinstance(given, forms.ObjectView) and isinstance(wanted, forms.ObjectView):
            return self._objects(given, wanted)
        if isinstance(given, forms.ArrayView) and isinstance(wanted, forms.ArrayView):
            return self._arrays(given, wanted)
        if isinstance(given, forms.EnumView) and isinstance(wanted, forms.EnumView):
            return {*map(forms.json.to_string, given.values)} <= {*map(forms.json.to_string, wanted.values)}
        # For objects and lists the library's answer is cheap only where the target looks at the type alone.
        simple = not isinstance(given, forms.ObjectView | forms.ArrayView)
        return (simple or isinstance(wanted, forms.MultiTypeView | forms.TrueView)) and _covers(target, source)

    def _referred(self, source: CanonicalSchema, target: CanonicalSchema) -> bool:
        pair = (source, target)
        if pair in self._open:
            return self._depth > self._open[pair]
        self._open[pair] = self._depth
        try:
            entered = (_entered(source), _entered(target))
            return entered != pair and self.holds(*entered)
        finally:
            del self._open[pair]

    def _inside(self, source: CanonicalSchema | None, target: CanonicalSchema | None) -> bool:
        """Whether a part of a value holds; None is a part that may be anything."""
        if target is None:
            return True
        self._depth += 1
        try:
            return self.holds(_canonical(True) if source is None else source, target)
        finally:
            self._depth -= 1

    def _objects(self, given: ObjectView, wanted: ObjectView) -> bool:
        if wanted.violations or wanted.pattern_properties:
            return False
        names, required = _closed(given), set(given.required)
        most = given.max_properties if names is None else len(names)
        if not required.issuperset(wanted.required) or not _within(
            (max(given.min_properties or 0, len(required)), most), (wanted.min_properties, wanted.max_properties)
        ):
            return False
        if wanted.property_names is not None and not self._inside(given.property_names, wanted.property_names):
            return False
        mine, theirs = given.properties, wanted.properties
        patterns = given.pattern_properties
        rest = None if patterns else given.additional_properties
        named = {**theirs, **mine}
        return all(
            self._inside(mine.get(name, rest), theirs.get(name, wanted.additional_properties))
            for name in named
            if names is None or name in names
        ) and (
            wanted.additional_properties is None
            or (names is not None and names <= named.keys())
            or self._inside(rest, wanted.additional_properties)
        )

    def _arrays(self, given: ArrayView, wanted: ArrayView) -> bool:
        from jsonschema_rs.canonical import Distinctness

        if wanted.contains or wanted.distinctness not in (Distinctness.UNCONSTRAINED, given.distinctness):
            return False
        if not _within((given.min_items or 0, given.max_items), (wanted.min_items, wanted.max_items)):
            return False
        mine, theirs = given.prefix_items, wanted.prefix_items
        first = max(len(mine), len(theirs)) + 1  # one of those that `items` describes is as good as all
        return all(
            self._inside(_item(mine, given.items, i), _item(theirs, wanted.items, i))
            for i in range(first if given.max_items is None else min(first, given.max_items))
        )


def _closed(view: ObjectView) -> set[str] | None:
    """The names that an object may have when they are listed; None when others are possible."""
    from jsonschema_rs.canonical import ConstView, EnumView

    names = view.property_names.view() if view.property_names is not None else None
    if isinstance(names, EnumView):
        return {name for name in names.values if isinstance(name, str)}
    return {names.value} if isinstance(names, ConstView) and isinstance(names.value, str) else None


def _within(given: tuple[int, int | None], wanted: tuple[int | None, int | None]) -> bool:
    """Whether counts in one range are in the other; None is no bound."""
    least, most = wanted
    return given[0] >= (least or 0) and (most is None or (given[1] is not None and given[1] <= most))


def _item(prefix: list[CanonicalSchema], rest: CanonicalSchema | None, index: int) -> CanonicalSchema | None:
    return prefix[index] if index < len(prefix) else rest


# --- in words ----------------------------------------------------------------------------------


def described(schema: Schema) -> str:
    """A schema in a few words for a message, such as `a list of strings`; at most 80 characters."""
    return _clip(_words(schema, schema, depth=0), _LONGEST)


def _words(root: Schema, schema: Any, *, depth: int) -> str:
    node = resolve(root, schema)
    if node == {"not": {}}:
        return "nothing"
    if "const" in node or node.get("enum"):
        return _one_of(node["enum"] if "const" not in node else [node["const"]])
    if depth > _NAMED:
        return "anything"
    for keyword in ("anyOf", "oneOf"):
        if node.get(keyword):
            return _any_of(_words(root, branch, depth=depth + 1) for branch in node[keyword][: _NAMED + 1])
    if node.get("allOf"):
        rest: dict[str, Any] = {key: item for key, item in node.items() if key != "allOf"}
        for part in node["allOf"]:
            rest = {**resolve(root, part), **rest}
        return _words(root, rest, depth=depth + 1)
    declared = node.get("type", ())
    types = [declared] if isinstance(declared, str) else cast("list[str]", declared)
    return _any_of(_typed(name, root, node, depth) for name in types) or "anything"


def _typed(name: str, root: Schema, node: Schema, depth: int) -> str:
    if name == "string":
        return _text(node)
    if name in ("integer", "number"):
        article = "an integer" if name == "integer" else "a number"
        return " ".join(filter(None, (article, _range(node))))
    if name == "object":
        names = list(dict.fromkeys([*node.get("required", ()), *node.get("properties", {})]))
        shown = [f"`{_clip(item, 20)}`" for item in names[:_NAMED]]
        more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        return "an object" + (f" with {_listing([*shown, *more], 'and')}" if names else "")
    if name == "array":
        return _list_of(_words(root, node.get("items", True), depth=depth + 1))
    return "null" if name == "null" else f"a {name}"


def _text(node: Schema) -> str:
    least, most = node.get("minLength", 0), node.get("maxLength")
    if "format" in node:
        return f"a string with the format `{_clip(str(node['format']), 20)}`"
    if "pattern" in node:
        return f"a string that matches `{_clip(str(node['pattern']), 40)}`"
    if most is not None:
        return f"a string of {f'{least} to' if least else 'at most'} {most} characters"
    return (
        "a string" if least == 0 else "a non-empty string" if least == 1 else f"a string of at least {least} characters"
    )


def _range(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    step = f"in steps of {node['multipleOf']}" if "multipleOf" in node else ""
    bounds = [
        f"from {low} to {high}" if low is not None and high is not None else "",
        f"of at least {low}" if low is not None and high is None else "",
        f"of at most {high}" if high is not None and low is None else "",
        f"above {above}" if above is not None else "",
        f"below {below}" if below is not None else "",
    ]
    return " ".join(filter(None, (" and ".join(filter(None, bounds)), step)))


def _list_of(item: str) -> str:
    if item == "anything":
        return "a list"
    article, _, rest = item.partition(" ")
    kind = next((word for word in _KINDS if word in rest.split()), "")
    if not kind or article not in ("a", "an") or " or " in item:
        return f"a list, each item {item}"
    return f"a list of {rest.replace(kind, kind + 's', 1)}"


_KINDS = ("list", "string", "integer", "number", "boolean", "object")


def _one_of(values: list[Any]) -> str:
    shown = [_clip(json.dumps(value, ensure_ascii=False), 20) for value in values[: _NAMED + 1]]
    if len(values) > len(shown):
        shown.append("…")
    return shown[0] if len(shown) == 1 else "one of " + ", ".join(shown)


def _any_of(parts: Iterable[str]) -> str:
    different = list(dict.fromkeys(parts))
    return "anything" if "anything" in different else _listing(different, "or")


def _listing(parts: list[str], word: str) -> str:
    return f" {word} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
