"""The type that is inferred for a template holds for every value that the engine gives."""

import contextlib
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.blocks.made import vars_schema
from runllm.errors import TemplateError
from runllm.program import Block
from runllm.schema import Contract, resolve, schema_problems
from runllm.template.rendering import evaluate_here
from runllm.template.types import infer

NULL, STRING, INTEGER, NUMBER, BOOLEAN = ({"type": t} for t in ("null", "string", "integer", "number", "boolean"))
NODE = {"type": "object", "properties": {"name": STRING, "next": {"$ref": "#"}}, "required": ["name"]}
INPUT = {
    "type": "object",
    "properties": {
        "text": STRING,
        "n": INTEGER,
        "x": NUMBER,
        "maybe": STRING,
        "null": {"type": ["string", "null"]},
        "tone": {"enum": ["dry", "warm"], "default": "dry"},
        "any": {"description": "whatever"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "some": {"type": "array", "items": INTEGER, "minItems": 1},
        "pair": {"type": "array", "prefixItems": [STRING, INTEGER], "items": False, "minItems": 1},
        "inner": {"type": "object", "properties": {"d": {**STRING, "default": "d"}}},
        "whole": {"type": "object", "properties": {"d": {**STRING, "default": "d"}}, "default": {}},
        "open": {"anyOf": [{"type": "object", "properties": {"a": STRING}}, {"type": "object", "properties": {"b": STRING}}]},
        "either": {
            "oneOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]}, {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}]
        },
        "loose": {"anyOf": [{"type": "object", "properties": {"a": STRING}, "required": r} for r in (["a"], [])]},
        "both": {"allOf": [NUMBER, INTEGER]},
        "exact": {"type": "integer", "const": 1.0},
        "if": {"if": {"type": "object"}, "then": {"properties": {"a": STRING}}, "else": {"properties": {"a": INTEGER}}},
        "beside": {"$ref": "#/$defs/item", "properties": {"b": INTEGER}},
        "pattern": {"type": "object", "patternProperties": {"^a": STRING}, "additionalProperties": INTEGER},
    },
    "required": ["text", "n", "x", "null", "list", "some", "pair", "inner", "open", "either", "loose", "beside"],
    "$defs": {"item": {"type": "object", "properties": {"a": STRING, "b": BOOLEAN}, "required": ["a"], "additionalProperties": False}},
}  # fmt: skip
SCOPE = {"input": INPUT, "uses.node": NODE, "vars": None}


def or_null(schema: dict) -> dict:
    return {"anyOf": [schema, NULL]}


def list_of(schema: dict, **more: object) -> dict:
    return {"type": "array", "items": schema, **more}


@pytest.mark.parametrize(
    ("expression", "schema"),
    [
        # Paths, and what may be absent on them
        ("input.text", STRING),
        ('input["text"]', STRING),
        ("input.maybe", or_null(STRING)),
        ("input.null", {"type": ["string", "null"]}),
        ("input.tone", {"enum": ["dry", "warm"], "default": "dry"}),
        ("input.list[0].a", or_null(STRING)),
        ("input.some[0]", INTEGER),
        ("input.some.1", or_null(INTEGER)),
        ("input.pair[0]", STRING),
        ("input.pair[1]", or_null(INTEGER)),
        ("input.pair[2]", NULL),
        ("input.inner.d", {**STRING, "default": "d"}),
        ("input.whole.d", or_null({**STRING, "default": "d"})),  # the default of `whole` stays as it is: empty
        ("input.open.a", {}),  # the other branch says nothing of it
        ("input.either.a", {"anyOf": [STRING, INTEGER]}),
        ("input.loose.a", or_null(STRING)),
        ("input.if.a", {}),
        ("input.beside.a", STRING),
        ("input.beside.b", or_null({"allOf": [INTEGER, BOOLEAN]})),
        ("input.beside.c", NULL),
        ("input.pattern.ab", or_null(STRING)),
        ("input.any", {}),
        ("input.nothing", {}),
        ("uses.node.next.next.name", or_null(STRING)),
        ("vars.x", {}),
        ("nothing", {}),
        # Literals
        ("'a'", {"const": "a"}),
        (r"'\n'", STRING),
        ("-1_0", INTEGER),
        ("0x1F", NUMBER),
        ("True", {"const": True}),
        ("[1, input.maybe]", {"type": "array", "prefixItems": [{"const": 1}, or_null(STRING)], "minItems": 2, "maxItems": 2}),
        ("()", {"type": "array", "minItems": 0, "maxItems": 0}),
        ("{'a': input.n}", {"type": "object", "properties": {"a": INTEGER}, "required": ["a"], "additionalProperties": False}),
        ("{input.text: 1}", {}),
        ("{'a': 'b'}.a", {"const": "b"}),
        # Signs, by how tightly they bind
        ("input.n ~ 1 + 2", {}),
        ("input.text + 'a' ~ 1", STRING),
        ("input.n + 2 * input.n // 3 - 1", INTEGER),
        ("input.n + input.x", NUMBER),
        ("input.both | abs", INTEGER),
        ("input.exact | abs", INTEGER),
        ("input.n / 1", NUMBER),
        ("2 ** input.n", NUMBER),
        ("input.text * 2", {}),
        ("not input.n + 1 in input.some and true", {"anyOf": [BOOLEAN, {"const": True}]}),
        ("input.n is divisibleby 2 or input.n is not odd", BOOLEAN),
        ("input.maybe or input.null or 1", {"anyOf": [STRING, {"type": ["string"]}, {"const": 1}]}),
        ("'a' if input.n else 1", {"anyOf": [{"const": "a"}, {"const": 1}]}),
        ("1 if input.n else true", {"anyOf": [{"const": 1}, {"const": True}]}),
        ("'a' if input.n", or_null({"const": "a"})),
        # Filters
        ("input.n | string | length", {**INTEGER, "minimum": 0}),
        ("input.x | round", NUMBER),
        ("input.x | round(1)", NUMBER),
        ("-input.n | abs", INTEGER),
        ("input.some | sum", {}),
        ("input.text | int(default=none)", {"anyOf": [INTEGER, {"const": None}]}),
        ("input.some | sort | last", INTEGER),
        ("input.pair | reverse | first", {}),
        ("input.list | map(attribute='a')", list_of(STRING)),
        ("input.list | map(attribute='b') | first", {"anyOf": [BOOLEAN, NULL]}),
        ("input.list | map(attribute='b', default=1)", list_of({"anyOf": [BOOLEAN, {"const": 1}]})),
        ("(input.list | first).a", or_null(STRING)),
        ("input.some | select('odd')", list_of(INTEGER)),
        ("input.text | reverse", {}),
        ("input.text | split", list_of(STRING)),
        ("input.inner | items", {"type": "array"}),
        ("input.maybe | default('a')", {"anyOf": [STRING, {"const": "a"}]}),
        ("input.null | default('a')", {"anyOf": [{"type": ["string", "null"]}, {"const": "a"}]}),
        ("input.null | default('a', true)", {"anyOf": [{"type": ["string"]}, {"const": "a"}]}),
        ("input.text | d('a')", STRING),
        ("input.text | unheard_of", {}),
        # What is not read
        ("input.inner.get('d')", {}),
        ("input.some[0:1]", {}),
        ("range(3)", {}),
        ("f(input.n) | string", STRING),
    ],
)  # fmt: skip
def test_expressions(expression: str, schema: dict) -> None:
    """What is said of an expression is neither wider nor narrower than this."""
    inferred = infer(f"{{{{ {expression} }}}}", SCOPE)
    assert (dict(inferred.schema), inferred.whole, inferred.known) == (schema, True, schema != {})
    assert inferred.literal == ()


def test_a_reference_keeps_leading_where_it_did() -> None:
    """A part of a schema that refers to itself stands alone, beside a part of another schema."""
    contract = Contract(infer("{{ [input.list, uses.node.next] }}", SCOPE).schema)
    assert contract.accepts([[{"a": "x"}], {"name": "x", "next": {"name": "y"}}])
    assert contract.accepts([[], None])
    assert not contract.accepts([[{"a": 1}], None])
    assert not contract.accepts([[], {"name": "x", "next": {"name": 1}}])


def test_a_schema_that_names_its_parts_is_not_followed() -> None:
    """References by `$id` or `$anchor` lead elsewhere once the schema is part of another."""
    part = {"$id": "https://example.com/part", "$defs": {"x": STRING}, "$ref": "#/$defs/x"}
    root = {
        "$id": "https://example.com/",
        "type": "object",
        "properties": {"a": part, "b": INTEGER},
        "required": ["a", "b"],
    }
    assert infer("{{ input.a }}", {"input": root}).schema == {}
    assert infer("{{ input.b }}", {"input": root}).schema == INTEGER


@pytest.mark.parametrize(
    ("source", "schema", "literal"),
    [
        ("", {"const": ""}, ()),
        (" a { b\n", {"const": " a { b\n"}, (" a { b\n",)),
        ("{# c -#} a{% raw %}{{{% endraw %}", {"const": "a{{"}, ("a{{",)),
        ("é {{ input.n }}\r\n", {**STRING, "minLength": 4}, ("é ", "\r\n")),
        ("{{ input.n }}{# c -#} {{ input.n }}", STRING, ()),
        ("{{ input.n }}{# c -#} .{{ -1 }}", {**STRING, "minLength": 1}, (".",)),
        ("a {{- input.n }}", STRING, ()),
        ("{{ input.n -}} a", STRING, ()),
        ("{% if input.n %}a{% endif %}", STRING, ()),
    ],
)
def test_texts(source: str, schema: dict, literal: tuple[str, ...]) -> None:
    """A text holds what stands outside its tags, as far as that is certain."""
    inferred = infer(source, SCOPE)
    assert (inferred.schema, inferred.literal, inferred.whole, inferred.known) == (schema, literal, False, True)


# --- held against the engine -------------------------------------------------------------------

calm = examples(150, suppress_health_check=list(HealthCheck))
KEYS = ("a", "b")
NUMBERS = (0, 1, 2, -3, 2.0, 2.5, 2**127, -(2**127), 2**128, 1e300)
TEXTS = ("", "ab c", "12", "é\n")
SIMPLE = (
    STRING, INTEGER, NUMBER, BOOLEAN, NULL, {}, {"type": ["string", "null"]}, {"const": 1}, {"enum": ["ab c", None, 1, True]},
    {"$ref": "#"}, {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"},
)  # fmt: skip
SIGNS = ("+", "-", "/", "//", "%", "~", "and", "or", "or", "==", "<", "in", "not in")
STEPS = (".a", ".b", ".a", ".b", "['b']", "[0]", ".1", "[0]", "[0:1]", "[input.a]")
FILTERS = (
    "upper", "title", "trim", "escape", "string", "tojson", "join(',')", "truncate(3)", "urlencode", "indent", "striptags", "safe",
    "length", "int", "int(default=none)", "float", "float('x')", "bool", "abs", "round", "round(1)", "sum", "min", "max", "first", "last",
    "list", "sort", "unique", "reverse", "map(attribute='a')", "map(attribute='a.b')", "map(attribute='b', default=1)", "map('upper')",
    "select", "rejectattr('a')", "default('x')", "default('x', true)", "d(none)", "split", "lines", "items", "dictsort", "batch(2)",
    "slice(2)", "groupby('a')", "zip", "attr('a')", "first", "last", "list", "reverse", "filesizeformat", "chain([1])", "default([])",
)  # fmt: skip


class Maker:
    """Makes schemas, values that probably fit them, and expressions over them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - it guards nothing
        self.one_of = self.random.choice

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def json(self, depth: int = 0) -> object:
        kind = self.random.randrange(6 if depth < 3 else 4)
        if kind == 5:
            return {key: self.json(depth + 1) for key in KEYS if self.chance(0.5)}
        if kind == 4:
            return [self.json(depth + 1) for _ in range(self.random.randrange(3))]
        return self.one_of([None, True, self.one_of(NUMBERS), self.one_of(TEXTS)])

    def root(self) -> dict:
        defs = {"a": self.schema(1), "b": self.mapping(1)}
        return {**self.mapping(0), "type": "object", "$defs": defs}

    def schema(self, depth: int) -> dict:
        if depth > 2 or self.chance(0.35):
            return self.one_of(SIMPLE)
        kinds = [self.mapping, self.mapping, self.array, self.array, self.combined, self.beside]
        return self.one_of(kinds)(depth + 1)

    def mapping(self, depth: int) -> dict:
        found = {"type": self.one_of(["object", "object", ["object", "null"], ["object", "array"]])}
        found["properties"] = {key: self.schema(depth) for key in KEYS if depth < 2 or self.chance(0.7)}
        found["properties"] |= {
            key: {**sub, "default": self.json(2)} for key, sub in found["properties"].items() if self.chance(0.25)
        }
        found["required"] = [key for key in KEYS if self.chance(0.5)]
        rest = {"additionalProperties": False} if self.chance(0.5) else {"additionalProperties": self.schema(depth)}
        pattern = {"patternProperties": {"^a": self.schema(depth)}} if self.chance(0.1) else {}
        return {**found, **(rest if self.chance(0.3) else {}), **pattern}

    def array(self, depth: int) -> dict:
        found = {"type": self.one_of(["array", "array", ["array", "null"], ["array", "string"]])}
        more = {
            "items": self.schema(depth),
            "prefixItems": [self.schema(depth)],
            "minItems": self.random.randrange(3),
            "maxItems": 2,
        }
        return found | {keyword: said for keyword, said in more.items() if self.chance(0.5)}

    def combined(self, depth: int) -> dict:
        keyword = self.one_of(["anyOf", "anyOf", "oneOf", "allOf"])
        return {keyword: [self.schema(depth), self.schema(depth)], **(self.mapping(depth) if self.chance(0.3) else {})}

    def beside(self, depth: int) -> dict:
        if self.chance(0.5):
            return {"$ref": self.one_of(["#/$defs/a", "#/$defs/b"]), **self.mapping(depth)}
        return {keyword: self.schema(depth) for keyword in ("if", "then", "else")}

    def value(self, root: dict, schema: object, depth: int = 0) -> object:
        node = resolve(root, schema)
        parts = [sub for keyword in ("anyOf", "oneOf", "allOf") for sub in node.get(keyword, ())]
        if depth > 5 or self.chance(0.05):
            return self.json(2)
        if parts and self.chance(0.7):
            return self.value(root, self.one_of(parts), depth + 1)
        if "const" in node or "enum" in node:
            return self.one_of(node.get("enum") or [node["const"]])
        kind = node.get("type", "")
        kind = self.one_of(kind) if isinstance(kind, list) else kind
        if kind == "object":
            here = [key for key in KEYS if key in node.get("required", ()) or self.chance(0.4)]
            return {key: self.value(root, node.get("properties", {}).get(key, {}), depth + 1) for key in here}
        if kind == "array":
            first = node.get("prefixItems", [])
            length = max(node.get("minItems", 0), self.random.randrange(3))
            return [
                self.value(root, [*first, node.get("items", {})][min(i, len(first))], depth + 1) for i in range(length)
            ]
        scalars = {
            "string": TEXTS,
            "number": NUMBERS,
            "integer": [n for n in NUMBERS if n != 2.5],
            "boolean": [True, False],
        }
        return self.one_of(scalars[kind]) if kind in scalars else None if kind == "null" else self.json(depth)

    def path(self) -> str:
        return self.one_of(["input", "uses.child"]) + "".join(self.random.choices(STEPS, k=self.one_of([1, 1, 2, 3])))

    def expression(self, depth: int = 0) -> str:
        if depth > 2 or self.chance(0.3):
            return (
                self.path()
                if self.chance(0.8)
                else self.one_of(["'a'", "1", "2.5", "true", "none", "[]", "0x1F", "()"])
            )
        one, two, three = (self.expression(depth + 1) for _ in range(3))
        if self.chance(0.4):
            return f"{self.one_of([one, self.path()])} | {self.one_of(FILTERS)}"
        forms = [
            f"{one} {self.one_of(SIGNS)} {two}", f"{one} {self.one_of(SIGNS)} {two}", f"{one} if {two} else {three}", f"{one} if {two}",
            f"[{one}, {two}]", f"({one}, {two})[1]", f"{{'a': {one}, 'b': {two}}}", f"{{{one}: {two}}}", f"({one}).a", f"({one})",
            f"not {one}", f"-{one}", f"{one} is defined", f"{one} is not eq({two})", f"{one} is eq 1", f"{one} is eq -1",
        ]  # fmt: skip
        return self.one_of(forms)

    def source(self) -> str:
        before, after = self.one_of(["", "", "", " ", "x"]), self.one_of(["", "", "", "\n", " y\n"])
        return f"{before}{{{{ {self.expression()} }}}}{after}"


@calm
@given(st.integers(0, 2**64))
def test_every_value_is_of_the_type(seed: int) -> None:
    """What the engine makes of values that fit the scope fits what is inferred from the scope alone."""
    maker = Maker(seed)
    root, child = maker.root(), maker.root()
    assume(not any(problem.severity == "error" for schema in (root, child) for problem in schema_problems(schema)))
    inputs = [Contract(root).with_defaults(maker.value(root, root)) for _ in range(30)]
    inputs = [value for value in inputs if Contract(root).accepts(value)][:6]
    outputs = [value for value in (maker.value(child, child) for _ in range(30)) if Contract(child).accepts(value)]
    for source in [maker.source() for _ in range(25)]:
        inferred = infer(source, {"input": root, "uses.child": child})
        contract = Contract(inferred.schema)
        for given_input, output in zip(inputs, outputs, strict=False):
            with contextlib.suppress(TemplateError):
                value = evaluate_here(source, {"input": given_input, "uses": {"child": output}})
                assert contract.accepts(value), (source, given_input, output, value, inferred)
                assert all(part in value for part in inferred.literal)


PIECES = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{{-", "-}}", " ", "\n", "é", "'", '"', "\\", "(", ")", "[", "]", "{", "}", "|", ".", ",", ":", "=",
    "==", "~", "+", "-", "*", "**", "0", "1__", "1.5", "0x", "input", "x", "if ", "else ", "not ", "in ", "is ", "upper", "map(", "attribute=",
    "default", "raw", "endraw", "true", "none", "input.list", "input['a']", "[0]", "(" * 99, "- " * 99, "not " * 999, "[" * 999, "\ud800", "\x00",
]  # fmt: skip
DATA = {"input": {"a": "x", "list": [{"a": "y"}]}}
DATA_SCHEMA = {"type": "object", "properties": {"a": STRING, "list": list_of({"$ref": "#"})}}
PARTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@calm
@given(st.text(max_size=40) | PARTS | st.builds("{{{{ {} }}}}".format, PARTS))
def test_any_text_has_a_type(source: str) -> None:
    """Whatever the source, something true is said of it, if only that it may be anything."""
    inferred = infer(source, {"input": DATA_SCHEMA})
    assert inferred.known or inferred.schema == {}
    with contextlib.suppress(TemplateError):
        assert Contract(inferred.schema).accepts(evaluate_here(source, DATA))


def test_an_endless_schema_is_left_soon() -> None:
    """A schema that refers to itself in every branch, and a path that never ends in it, are no more than unknown."""
    root = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 9}},
    }
    assert infer("{{ input" + ".a" * 200 + " }}", {"input": root}).schema == {}


@pytest.mark.parametrize(
    ("code", "schema"),
    [
        ("n = 5", {"type": ["integer"]}),
        ("if text:\n    n = 'a'\nelse:\n    n = None", {"type": ["null", "string"]}),
        ("n = [1]\nn.append('a')", {"type": ["array"]}),
        ("n = {'a': 1}", {"type": ["object"]}),
        ("n = f'{text}!'", {"type": ["string"]}),
        ("n = len(text)", {}),
        ("n = 0\nfor n in [1]:\n    pass", {}),
        ("n = 0\nn += 1.5", {}),
        ("n = m = 1", {}),
        ("n = 1\ndef n():\n    pass", {}),
        ("n = (", {}),
    ],
)
def test_what_a_pre_block_gives_has_the_type_of_its_literals(code: str, schema: dict[str, list[str]]) -> None:
    block = Block(phase="pre", name="a", inputs=("input.text",), outputs=("n",), code=code, line=1)
    assert (vars_schema([block]) or {})["properties"] == {"n": schema}
    own = Block(phase="pre", name="a", inputs=("input.n",), outputs=("n",), code=code, line=1)
    assert (vars_schema([own]) or {})["properties"] == {"n": {}}
