"""The bounded form of a schema: covered by the original, closed, and within its budget."""

import random
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from runllm.engines.local.bounding import PATTERNS, BudgetTooSmallError, bounded
from runllm.engines.local.grammar import grammar, integer_pattern, number_form, number_pattern
from runllm.schema import Contract

CASES = yaml.safe_load((Path(__file__).parents[1] / "spec" / "schemas.yaml").read_text(encoding="utf-8"))


def sample(form, rng):
    """A random value of a form; text that a pattern describes is left to the model's own test."""
    if "enum" in form:
        return rng.choice(form["enum"])
    if "anyOf" in form:
        return sample(rng.choice(form["anyOf"]), rng)
    match form["type"]:
        case "object" if "x-keys" in form:
            count = rng.randint(form["minProperties"], len(form["x-keys"]))
            return {f"k{chr(97 + i)}": sample(form["additionalProperties"], rng) for i in range(count)}
        case "object":
            required = form.get("required", ())
            return {n: sample(s, rng) for n, s in form["properties"].items() if n in required or rng.random() < 0.5}
        case "array":
            count = rng.randint(form["minItems"], form["maxItems"])
            if form.get("uniqueItems"):
                return rng.sample(form["items"]["enum"], count)
            heads = form["prefixItems"][:count]
            return [sample(s, rng) for s in heads] + [sample(form["items"], rng) for _ in range(count - len(heads))]
        case "string":
            low = form["minLength"]
            return "".join(rng.choice("abcé ") for _ in range(rng.randint(low, form.get("maxLength", low + 20))))
        case "integer":
            step = form.get("multipleOf", 1)
            return rng.randrange(form["minimum"], form["maximum"] + 1, step)
        case _:
            low = form.get("minimum", form.get("exclusiveMinimum"))
            high = form.get("maximum", form.get("exclusiveMaximum"))
            value = low + (high - low) * rng.choice((0.25, 0.5))
            return round(value, 2) if "multipleOf" in form else value


def parts(form):
    yield form
    for sub in (*form.get("anyOf", ()), *form.get("prefixItems", ()), *form.get("properties", {}).values()):
        yield from parts(sub)
    for key in ("items", "additionalProperties"):
        if isinstance(form.get(key), dict):
            yield from parts(form[key])


BEYOND_A_GRAMMAR = {"unique-strings", "unique-objects", "forbidden", "pattern-map"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_value_of_the_form_satisfies_the_original(case):
    form = bounded(case["schema"], case.get("tokens", 250)).form
    if case["name"] in BEYOND_A_GRAMMAR or any("allOf" in p and not {"x-keys"} & p.keys() for p in parts(form)):
        pytest.skip("holds text that only the decoder makes")
    rng = random.Random(1)  # noqa: S311 - repeatable samples
    contract = Contract(case["schema"])
    for _ in range(50):
        value = sample(form, rng)
        assert contract.accepts(value), value


@pytest.mark.parametrize("budget", [120, 400, 4000])
def test_the_form_fits_its_budget_and_grows_with_it(budget):
    schema = next(c["schema"] for c in CASES if c["name"] == "people")
    plan = bounded(schema, budget)
    assert plan.tokens <= budget
    assert plan.tokens > budget / 2
    texts = [p for p in parts(plan.form) if "x-tokens" in p]
    assert texts
    assert all(text["x-tokens"] >= 5 for text in texts)


def test_nothing_in_a_form_is_open():
    """Objects are closed, lists and texts counted, and no reference is left."""
    for case in CASES:
        for part in parts(bounded(case["schema"], case.get("tokens", 250)).form):
            assert "$ref" not in part
            match part.get("type"):
                case "string":
                    assert "x-tokens" in part or "maxLength" in part
                case "array":
                    assert part["maxItems"] >= part["minItems"]
                case "object":
                    assert "x-keys" in part or part.get("additionalProperties") is False or not part["properties"]


def test_a_budget_too_small_says_what_is_needed():
    schema = {
        "type": "object",
        "required": ["code"],
        "properties": {"code": {"type": "string", "minLength": 90}},
    }
    with pytest.raises(BudgetTooSmallError) as caught:
        bounded(schema, 50)
    assert bounded(schema, caught.value.needed).tokens <= caught.value.needed


def test_the_authors_order_of_properties_is_kept():
    schema = {
        "type": "object",
        "properties": {"z": {"type": "string"}, "a": {"type": "string"}},
        "required": ["a", "z"],
    }
    assert list(bounded(schema, 200).form["properties"]) == ["z", "a"]


def test_properties_are_all_filled_when_none_is_required_and_optional_otherwise():
    properties = {"a": {"type": "string"}, "b": {"type": "string"}}
    assert bounded({"type": "object", "properties": properties}, 200).form["required"] == ["a", "b"]
    asked = {"type": "object", "properties": properties, "required": ["b"]}
    assert bounded(asked, 200).form["required"] == ["b"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"minProperties": 2, "properties": {"a": {"const": 1}}, "additionalProperties": {"const": 2}}, {"a": 1, "extra_2": 2}),
        ({"properties": {"a": {"enum": [1, 2], "not": {"const": 2}}}}, {"a": 1}),
        ({"required": ["a"], "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"anyOf": [{"const": 1}, {"$ref": "#/$defs/n"}]}}}, {"a": 1}),
    ],
)  # fmt: skip
def test_the_only_value_left_is_found(schema, value):
    schema = {"type": "object", **schema}
    assert sample(bounded(schema, 100).form, random.Random(3)) == value  # noqa: S311 - repeatable samples


@pytest.mark.parametrize("most", [{}, {"maxItems": 3}])
def test_what_a_list_must_contain_is_in_it(most):
    """Also where it need not have any other item."""
    listed = {
        "type": "array",
        "items": {"enum": ["a", "b", 1]},
        "contains": {"type": "number"},
        "minContains": 2,
        **most,
    }
    schema = {"type": "object", "properties": {"list": listed}, "required": ["list"]}
    form, contract = bounded(schema, 200).form, Contract(schema)
    rng = random.Random(4)  # noqa: S311 - repeatable samples
    assert all(contract.accepts(sample(form, rng)) for _ in range(50))


def test_a_list_that_cannot_hold_what_it_must_is_left_out():
    """Here no item is both what the list contains and what it may contain."""
    listed = {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "uniqueItems": True,
              "contains": {"const": [1]}, "minContains": 2}  # fmt: skip
    schema = {"type": "object", "properties": {"list": listed, "n": {"type": "null"}}}
    assert list(bounded(schema, 200, distinct=True).form["properties"]) == ["n"]


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "contains": {"type": "integer"}, "minContains": 10**9},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 10**9},
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
    ],
)
def test_a_schema_that_wants_a_billion_things_is_too_large_at_once(schema, distinct):
    """They are never built."""
    with pytest.raises(BudgetTooSmallError):
        bounded({"type": "object", "properties": {"a": schema}, "required": ["a"]}, 1000, distinct=distinct)


@pytest.mark.parametrize(("count", "more"), [(30, {}), (30, {"minItems": 12}), (3000, {}), (3000, {"maxItems": 15})])
@pytest.mark.parametrize("distinct", [False, True])
def test_a_list_of_different_values_of_many_has_a_small_grammar(count, more, distinct):
    """It says of each value in turn whether it is in, not which of all the subsets it is."""
    listed = {"type": "array", "items": {"enum": [f"tag{i}" for i in range(count)]}, "uniqueItems": True, **more}
    schema = {"type": "object", "properties": {"tags": listed}, "required": ["tags"]}
    text = grammar(bounded(schema, 1024, distinct=distinct).form)
    assert len(text) < 80_000


def test_branching_recursion_is_cut_short():
    """Eight definitions that each refer to all would have a million parts."""
    names = range(8)
    node = {"type": "object", "properties": {f"p{j}": {"$ref": f"#/$defs/d{j}"} for j in names}}
    schema = {"type": "object", "properties": {"r": {"$ref": "#/$defs/d0"}}, "$defs": {f"d{i}": node for i in names}}
    assert bounded(schema, 300).tokens <= 300


def test_kept_apart_unique_texts_and_map_keys_cannot_repeat():
    """In the second form each item and each key opens with letters of its own."""
    text = {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 3}
    schema = {"type": "object", "properties": {"t": text, "m": {"type": "object"}}, "required": ["t", "m"]}
    form = bounded(schema, 400, distinct=True).form["properties"]
    for listed in (form["t"]["prefixItems"], form["m"]["x-keys"]):
        openings = [part["allOf"][-1]["pattern"].split("]")[0] for part in listed]
        assert len(openings) >= 3
        assert not any(set(a[2:]) & set(b[2:]) for i, a in enumerate(openings) for b in openings[:i])


VALUES = {
    "date": ["2024-02-28", "2024-01-31", "1999-04-30"],
    "time": ["23:59:59Z"],
    "date-time": ["2024-12-31T00:00:00Z"],
    "duration": ["P3D", "PT4H", "P2M"],
    "email": ["a.b@c-d.com"],
    "hostname": ["www.example.org"],
    "ipv4": ["255.0.10.9"],
    "ipv6": ["2001:0:1:2:3:4:5:ff"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "uri": ["https://example.org/a/b_c"],
    "json-pointer": ["/a/b", ""],
    "relative-json-pointer": ["0/a"],
}


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in VALUES.items() for t in texts])
def test_a_format_is_read_as_a_pattern_that_it_covers(name, text):
    assert jsonschema_rs.is_valid({"type": "string", "pattern": f"^({PATTERNS[name]})$"}, text)
    assert jsonschema_rs.is_valid({"type": "string", "format": name}, text, validate_formats=True)


@pytest.mark.parametrize("text", ["2023-02-29", "2024-04-31", "2024-13-01"])
def test_days_that_do_not_exist_are_left_out(text):
    assert not jsonschema_rs.is_valid({"type": "string", "pattern": f"^({PATTERNS['date']})$"}, text)


def test_integer_patterns_match_their_range_and_nothing_else():
    rng = random.Random(2)  # noqa: S311 - repeatable samples
    for _ in range(300):
        low = rng.randint(-300, 1500)
        high = low + rng.randint(0, 1200)
        pattern = f"^({integer_pattern({'minimum': low, 'maximum': high})})$"
        probes = {low - 1, low, high, high + 1, *(rng.randint(low - 40, high + 40) for _ in range(8))}
        for n in probes:
            assert jsonschema_rs.is_valid({"pattern": pattern}, str(n)) == (low <= n <= high), (low, high, n)


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"minimum": 0, "maximum": 1}, ["0", "0.5", "1.0"], ["1.01", "-0.1", "00", "2"]),
        ({"exclusiveMinimum": 0, "maximum": 0.05}, ["0.01", "0.05"], ["0", "0.0", "0.06"]),
        ({"minimum": -2.5, "maximum": -0.25}, ["-2.5", "-1", "-0.25"], ["0", "-0.24", "-2.51"]),
        ({"minimum": 0, "maximum": 9, "multipleOf": 0.1}, ["0.1", "9"], ["0.15", "9.1"]),
    ],
)
def test_number_patterns_keep_to_their_bounds(schema, inside, outside):
    pattern = f"^({number_pattern(number_form('number', schema))})$"
    assert all(jsonschema_rs.is_valid({"pattern": pattern}, text) for text in inside)
    assert not any(jsonschema_rs.is_valid({"pattern": pattern}, text) for text in outside)


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize(
    "schema",
    [
        {"minimum": -1e308, "maximum": 1e308},
        {"multipleOf": 1e-300},
        {"minimum": -(2**63), "maximum": 2**64},
    ],
)
def test_a_number_of_any_size_has_a_small_pattern(kind, schema):
    """With thousands of pieces, llama.cpp drops the grammar, or never comes to an end."""
    form = number_form(kind, schema)
    contract = Contract({"type": kind, **schema})
    assert len(number_pattern(form)) < 40_000
    assert all(contract.accepts(form[edge]) for edge in ("minimum", "maximum"))


def test_all_of_64_bits_stay_within_reach():
    form = number_form("integer", {"minimum": -(2**63), "maximum": 2**64})
    assert (form["minimum"], form["maximum"]) == (-(2**63), 2**64)


@pytest.mark.parametrize("heads", [[], [{"type": "integer"}]])
def test_a_grammar_never_repeats_up_to_zero_times(heads):
    """llguidance refuses such a range, and llama.cpp then decodes without any grammar."""
    listed = {"type": "array", "prefixItems": heads, "items": {"type": "string"}, "maxItems": 1}
    schema = {"type": "object", "properties": {"list": listed}}
    assert ",0}" not in grammar(bounded(schema, 200).form)
