"""Subtyping is sound: no value contradicts a verdict, for schemas and values of every shape."""

import json
from itertools import chain
from typing import Any

from fuzz.specimens import specimens
from hypothesis import assume, event, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.schema import Contract, described, fit

Json = Any
NAMES = ("a", "b", "c")
DEFINITIONS = ("one", "two")
TEXTS = ("", "a", "b", "ab", "A1", "é", "😀", "a\n", "2024-02-29", "P1D", "/a")
NUMBERS = (0, 1, 2, 3, 10, -1, 0.5, 1.0, 2.5, 0.1, 0.3, 1e300, 10**30, 2**53 + 1)
PATTERNS = ("^a", "b$", "^[a-z]+$", "^(a|b)*$", "^[A-Z][0-9]$", "^$", r"^\w$", "^.{2}$", "^[^a]$", "(?=a)", "^P")
FORMATS = ("date", "duration", "uri-reference", "json-pointer", "time", "colour")

scalars = st.sampled_from([*TEXTS, *NUMBERS, True, False, None])
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "other"]), inner, max_size=3),
    max_leaves=5,
)
# What every pair of schemas is held against, beside the specimens of both and what hypothesis draws.
POOL: list[Json] = [
    *TEXTS, *NUMBERS, True, False, None, [], {},
    *([x] for x in ("a", 0, 0.5, None, [], {})), *([x, y] for x in ("a", 1, None) for y in ("a", 1, True)), [1, 2, 3],
    *({name: x} for name in (*NAMES, "other") for x in ("", "a", 0, 0.5, None, [], {}, "2024-02-29")),
    *({"a": x, "b": y} for x in ("", "ab", 1, None) for y in ("a", 2, True)),
    *({"a": {name: x}} for name in NAMES for x in ("", "a", 1, None)), {"a": 1, "b": 1, "c": 1},
]  # fmt: skip


@st.composite
def optional(draw: st.DrawFn, keywords: dict[str, st.SearchStrategy[Json]]) -> dict[str, Json]:
    """Some of the keywords; each is there one time in four."""
    return {key: draw(value) for key, value in keywords.items() if draw(st.integers(0, 3)) == 0}


number, count = st.sampled_from(NUMBERS[:10]), st.integers(0, 3)
strings = optional(
    {
        "minLength": count,
        "maxLength": count,
        "pattern": st.sampled_from(PATTERNS),
        "format": st.sampled_from(FORMATS),
    }
).map(lambda more: {"type": "string", **more})
numbers = st.builds(
    lambda kind, more: {"type": kind, **more},
    st.sampled_from(["integer", "number"]),
    optional(
        {
            "minimum": number,
            "maximum": number,
            "exclusiveMinimum": number,
            "exclusiveMaximum": number,
            "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.1, 1.5]),
        }
    ),
)
kinds = st.lists(
    st.sampled_from(["string", "integer", "number", "null", "boolean", "array", "object"]),
    min_size=1,
    max_size=3,
    unique=True,
)
leaves = st.one_of(
    strings,
    numbers,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    kinds.map(lambda names: {"type": names}),
    values.map(lambda value: {"const": value}),
    st.lists(values, min_size=1, max_size=4, unique_by=lambda value: json.dumps(value, sort_keys=True)).map(
        lambda found: {"enum": found}
    ),
    st.sampled_from(DEFINITIONS).map(lambda name: {"$ref": f"#/$defs/{name}"}),
    st.sampled_from([True, False, {}, {"format": "date"}, {"required": ["a"]}, {"minimum": 1}, {"minLength": 1}]),
)


def containers(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    few = st.lists(inner, min_size=1, max_size=3)
    subset = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
    objects = optional(
        {
            "additionalProperties": st.just(False) | inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "^o", "."]), inner, max_size=1),
            "minProperties": count,
            "maxProperties": count,
            "propertyNames": st.sampled_from([{"maxLength": 1}, {"enum": ["a", "b"]}, {"pattern": "^[a-z]$"}]),
            "dependentRequired": st.sampled_from([{"a": ["b"]}, {"b": ["a", "c"]}]),
        }
    )
    arrays = optional(
        {
            "items": inner,
            "prefixItems": few,
            "minItems": count,
            "maxItems": count,
            "uniqueItems": st.booleans(),
            "contains": inner,
        }
    )
    properties = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    return st.one_of(
        st.builds(
            lambda p, r, more: {"type": "object", "properties": p, "required": r, **more}, properties, subset, objects
        ),
        st.builds(lambda p, r: {"type": "object", "properties": p, "required": r}, properties, subset),
        arrays.map(lambda more: {"type": "array", **more}),
        st.builds(lambda keyword, branches: {keyword: branches}, st.sampled_from(["anyOf", "oneOf", "allOf"]), few),
        inner.map(lambda schema: {"not": schema}),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
    )


parts = st.recursive(leaves, containers, max_leaves=6)


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Json]:
    """A schema with two definitions, which it and they may refer to."""
    root = draw(parts)
    root = root if isinstance(root, dict) else {"anyOf": [root]}
    return {**root, "$defs": {name: draw(parts) for name in DEFINITIONS}}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Json], dict[str, Json]]:
    """Two schemas, often the second a changed copy of the first: two drawn apart seldom have much in common."""
    source = draw(schemas())
    if draw(st.booleans()):
        return source, draw(schemas())
    target: dict[str, Json] = json.loads(json.dumps(source))
    places = [target]
    for place in places:
        places.extend(
            value
            for value in chain.from_iterable(
                [v] if isinstance(v, dict) else v for v in place.values() if isinstance(v, dict | list)
            )
            if isinstance(value, dict)
        )
    place = draw(st.sampled_from(places))
    keywords = [key for key in place if key not in ("$defs", *DEFINITIONS, *NAMES)]
    if keywords and draw(st.booleans()):
        del place[draw(st.sampled_from(keywords))]
    else:
        place.update(draw(st.sampled_from([{"minLength": 1}, {"minimum": 1}, {"required": ["a"]}, {"format": "date"}])))
    return (source, target) if draw(st.booleans()) else (target, source)


def usable(schema: dict[str, Json]) -> bool:
    """Whether a changed schema is still one."""
    try:
        Contract(schema)._validator  # noqa: B018 - compiling is the check
    except ValueError:
        return False
    return True


@given(pair=pairs(), drawn=st.lists(values, max_size=20))
@examples(1_000)
def test_no_value_contradicts_a_verdict(pair: tuple[dict[str, Json], dict[str, Json]], drawn: list[Json]) -> None:
    """Fits: no value of the source is refused. Never: no value is of both. An example is of the source alone."""
    source, target = pair
    assume(usable(source) and usable(target))
    found = fit(source, target)
    event(found.verdict)
    given_, wanted = Contract(source), Contract(target)
    for value in chain(POOL, drawn, specimens(source), specimens(target)):
        if given_.accepts(value):
            if found.verdict == "fits":
                assert wanted.accepts(value), value
            if found.verdict == "never":
                assert not wanted.accepts(value), value
    assert not found.reason or (given_.accepts(found.example) and not wanted.accepts(found.example))


@given(schema=schemas())
@examples(300)
def test_a_schema_fits_itself_and_has_few_words(schema: dict[str, Json]) -> None:
    """Also when it says the same in another order, except where the comparison gives up; then no example is made up."""
    assume(usable(schema))
    assert fit(schema, schema).verdict == "fits"
    again = fit(schema, {"title": "the same", **dict(reversed(schema.items()))})
    assert again.verdict in ("fits", "maybe")
    assert not again.reason
    assert 0 < len(described(schema)) <= 80


@given(schema=schemas())
@examples(300)
def test_specimens_are_bounded_json(schema: dict[str, Json]) -> None:
    found = list(specimens(schema))
    assert len(found) <= 100
    assert len({json.dumps(value, sort_keys=True) for value in found}) == len(found)
