"""Schemas made to exhaust a library, and values that would: each in a child process, for some would end this one."""

import os
import signal
import subprocess
import sys
from typing import Any

import jsonschema_rs
import pytest

from runllm.parser import frontmatter_schema
from runllm.schema import Contract, normal_form, object_of, schema_problems
from runllm.schema.weigh import plain

STRING: dict[str, Any] = {"type": "string"}
NOT_SAFE = ["complexity"]
FINE: list[str] = []


def obj(properties: dict[str, Any] | None = None, *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties or {}, "required": list(required), **more}


def to(name: object) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def with_definitions(definitions: dict[str, Any], first: str = "n0", **more: Any) -> dict[str, Any]:
    return obj({"r": to(first)}, **{"$defs": definitions}, **more)


def itself(definition: dict[str, Any]) -> dict[str, Any]:
    return with_definitions({"it": definition}, "it")


def chain(length: int, step: Any, end: Any = STRING) -> dict[str, Any]:
    """Definitions that each lead to the next by `step`."""
    return with_definitions({**{f"n{i}": step(to(f"n{i + 1}")) for i in range(length)}, f"n{length}": end})


def conditions(count: int) -> dict[str, Any]:
    parts = [{"if": obj({f"a{i}": {"const": 1}}), "then": obj({}, f"b{i}")} for i in range(count)]
    return {"type": "object", "allOf": parts}


def nested(depth: int, step: Any, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = step(leaf)
    return leaf


def kinds(count: int) -> dict[str, Any]:
    """Nodes of several kinds, each with a list of nodes of any kind: what a syntax tree looks like."""
    kids = {"type": "array", "items": {"anyOf": [to(f"n{i}") for i in range(count)]}}
    nodes = {f"n{i}": obj({"kids": kids, "kind": {"const": i}}, "kind", additionalProperties=False)
             for i in range(count)}  # fmt: skip
    return with_definitions(nodes)


def node(depth: int, leaf: Any) -> dict[str, Any]:
    return nested(depth, lambda inner: {"kind": 0, "kids": [inner]}, leaf)


LOOP = {"if": {"unevaluatedProperties": False, "allOf": [to("it")]}, "then": STRING, "else": {"type": "null"}}
TWICE = obj({"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}})
DEEP = nested(60, lambda inner: {"a": inner}, {})
CALM = {"r": {}}

HOSTILE: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "a condition on itself": (itself(LOOP), CALM, NOT_SAFE),
    "a root that is its own condition": (
        {"type": "object", "if": {"unevaluatedProperties": False, "allOf": [{"$ref": "#"}]}, "then": {}}, {}, NOT_SAFE
    ),
    "a definition that is itself": (itself(to("it")), CALM, NOT_SAFE),
    "by a dynamic reference": (
        itself({"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}], "unevaluatedItems": False}), CALM, NOT_SAFE
    ),
    "in a place that is no schema": (
        {**obj({"r": {"$ref": "#/x"}}), "x": obj({"a": {"$ref": "#/y"}}), "y": {"not": {"$ref": "#/y"}}}, CALM, NOT_SAFE
    ),
    "behind an identifier": ({**itself(STRING), "not": {"$id": "urn:x", "$defs": {"it": LOOP}, **to("it")}}, CALM, NOT_SAFE),
    "alternatives of each other": (
        with_definitions(
            {f"n{i}": {"anyOf": [to(f"n{j}") for j in range(8)], "unevaluatedProperties": False} for i in range(8)}
        ),
        CALM,
        NOT_SAFE,
    ),
    "2^40 parts of one value": (chain(40, lambda ref: {"anyOf": [ref, ref]}), CALM, NOT_SAFE),
    "evaluated again at each step": (
        chain(15, lambda ref: {"allOf": [ref, ref], "unevaluatedProperties": False}), CALM, NOT_SAFE
    ),
    "a long chain of references": (chain(5_000, lambda ref: {"allOf": [ref]}), CALM, NOT_SAFE),
    "a schema without end": (obj({"r": nested(2_000, lambda inner: {"items": inner}, {})}), CALM, NOT_SAFE),
    "a long chain down the value": (chain(5_000, lambda ref: obj({"a": ref})), CALM, FINE),
    "a tree of 2^40 places": (chain(40, lambda ref: obj({"x": ref, "y": ref})), {"r": {"x": {"x": {}}}}, FINE),
    "a million cases": (conditions(20), {}, FINE),
    "cases of dependencies": (obj(dependentRequired={f"a{i}": [f"b{i}"] for i in range(20)}), {"a1": 1}, FINE),
    "a thousand alternatives": (
        obj({"r": {"oneOf": [obj({"kind": {"const": i}}, "kind") for i in range(1_000)]}}), CALM, FINE
    ),
    "sixty alternatives within each other": (
        obj({"r": nested(60, lambda inner: {"oneOf": [inner]}, STRING)}), CALM, FINE
    ),
    "a deep value, doubled at each step": (TWICE, DEEP, FINE),
    "twice the next, down the value": (
        chain(40, lambda ref: obj({"a": {"anyOf": [ref, ref]}})), {"r": DEEP}, FINE
    ),
    "a wrong leaf of a tree of many kinds": (kinds(8), {"r": node(20, {"kind": 9})}, FINE),
    "a large enumeration": (obj({"r": {"enum": [{"a": i} for i in range(10_000)]}}), {"r": {"a": -1}}, FINE),
    "a pattern that repeats repetitions": (
        obj({"r": {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"}}), {"r": "a" * 1000}, ["schema"]
    ),
    "a number that no float holds": (obj({"r": {"type": "integer", "minimum": 10**400}}), {"r": 1}, FINE),
}  # fmt: skip


def exhaust(name: str) -> None:
    """What a stranger's schema and value go through; an assertion fails where the schema is not refused as expected."""
    if sys.platform == "linux":  # a limit that holds
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    schema, value, rules = HOSTILE[name]
    refused = [problem.keyword for problem in schema_problems(schema) if problem.severity == "error"]
    assert refused == rules
    normal_form(schema)
    if not refused:
        contract = Contract(schema)
        assert contract.accepts(value) == (contract.problems(value) == ())
        contract.with_defaults(value)
        object_of({"it": schema})


def exhaust_each() -> None:
    """Each in a fork, of a process that has imported all of it; what ended in another way than well is printed."""
    for name in HOSTILE:
        if not (pid := os.fork()):
            signal.alarm(60)
            exhaust(name)
            os._exit(0)
        if status := os.waitpid(pid, 0)[1]:
            sys.stdout.write(f"{name}: {os.waitstatus_to_exitcode(status)}\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each is tried in a fork")
def test_a_hostile_schema_is_refused_or_takes_bounded_work() -> None:
    """Each takes a second at most on an idle machine, and 50 MB; the bound is against hangs, the exit against crashes."""
    program = (
        "import sys; sys.path.insert(0, '.'); from tests.unit.test_schema_complexity import exhaust_each as it; it()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr[-2000:]


def test_a_refusal_says_what_is_too_much() -> None:
    (problem,) = schema_problems(itself(to("it")))
    assert str(problem) == "the schema is too intricate: a part refers to itself without a step into the value"
    assert problem.hint


@pytest.mark.parametrize(("depth", "kind"), [(2, 9), (30, 9), (60, "0")])
def test_the_fault_of_a_deep_tree_is_found_at_any_depth(depth: int, kind: Any) -> None:
    """Where the errors of all alternatives would be without end, those of the likely ones lead to the place."""
    contract = Contract(kinds(8))
    (problem,) = contract.problems({"r": node(depth, {"kind": kind})})
    assert problem.pointer == "/r" + "/kids/0" * depth or depth == 2
    assert contract.problems({"r": node(depth, {"kind": 7})}) == ()


def test_the_fault_of_a_long_list_is_found_with_each_schema_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    real = jsonschema_rs.Draft202012Validator
    monkeypatch.setattr(
        jsonschema_rs, "Draft202012Validator", lambda schema, **rest: compiled.append(schema) or real(schema, **rest)
    )
    tree = obj({"value": STRING, "kids": {"type": "array", "items": {"$ref": "#"}}}, "value")
    (problem,) = Contract(tree).problems({"value": "x", "kids": [{"value": "x"}] * 10_000 + [{"value": 1}]})
    assert problem.pointer == "/kids/10000/value"
    assert len(compiled) < 10


def test_a_value_that_takes_too_long_is_refused_in_words() -> None:
    (problem,) = Contract(TWICE).problems(DEEP)
    assert (problem.keyword, problem.message) == ("complexity", "the value takes too long to check")
    assert not Contract(TWICE).accepts(DEEP)
    assert Contract(TWICE).problems({"a": {"a": {"b": 1}}}) == ()


def test_a_trusted_recursion_stays_allowed() -> None:
    """Trees, lists and expressions refer to themselves inside the value, which ends."""
    tree = obj({"value": STRING, "kids": {"type": "array", "items": {"$ref": "#"}}}, "value")
    assert schema_problems(tree) == []
    assert Contract(tree).problems({"value": "x", "kids": [{"value": 1}]})[0].pointer == "/kids/0/value"
    assert schema_problems(kinds(8)) == []


def test_defaults_are_filled_once_where_many_references_meet() -> None:
    """The first default counts, and what it lacks is filled by the schemas beside it."""
    schema = {
        "type": "object",
        "allOf": [
            {"properties": {"a": {"default": {"x": 1}}}},
            {"properties": {"a": {"default": {"x": 2}, "properties": {"x": {"default": 3}, "y": {"default": 4}}}}},
        ],
    }
    assert Contract(schema).with_defaults({}) == {"a": {"x": 1, "y": 4}}
    assert Contract(schema).with_defaults({"a": {}}) == {"a": {"x": 3, "y": 4}}


def test_what_a_list_must_contain_is_no_fault_of_its_other_items() -> None:
    """Also where a long value is narrowed down to its parts."""
    item = {"anyOf": [obj({"n": {"type": "integer"}}, "n"), {"type": "null"}]}
    contract = Contract(obj({"r": {"type": "array", "items": item, "contains": {"type": "null"}}}))
    problems = contract.problems({"r": [None, *[{"n": 1}] * 3_000, {"n": "x"}]})
    assert [(problem.pointer, problem.message) for problem in problems] == [
        ("/r/3001/n", '"x" is not of type "integer"')
    ]


def test_no_frontmatter_takes_long_to_check() -> None:
    """The parser takes that for granted, and does not weigh the definition for each file."""
    assert plain(frontmatter_schema())
