"""Templates: what they render to, what they may not do, and what is found wrong before they run."""

import json
import re
import threading
from pathlib import Path

import pytest

from runllm.errors import TemplateError
from runllm.template import Reference, evaluate, findings, references, render
from runllm.template.environment import check_source, environment
from runllm.template.rendering import builds_values
from runllm.template.signatures import FILTERS, FUNCTIONS, METHODS, TESTS

INPUT = {
    "text": "a {{ b }} {% c %}",
    "n": 3,
    "half": 0.5,
    "huge": 10**60,
    "yes": True,
    "nil": None,
    "items": [{"name": "é"}, {"name": "<b>"}],
    "map": {"keys": "own", "x": 1},
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain\r\n\n", "plain\r\n\n"),
        ("{{ input.n }}\n", "3\n"),
        ("{% if true %}\n  x\n{% endif %}\n", "\n  x\n\n"),
        ("a\n{%- if true -%}\n x {% endif %}", "ax "),
        ("{{ input.text }}", INPUT["text"]),
        ("{{ input.yes }} {{ input.half }} {{ input.huge }}", f"true 0.5 {10**60}"),
        ("{{ 1e300 }} {{ 1.0 }} {{ 2 ** 70 }}", f"1e+300 1 {2**70}"),
        ("[{{ input.nil }}{{ input.gone }}{{ input.gone.deep[0].er }}{{ input.nil.x }}]", "[]"),
        ("{{ input['items'] }}", '[{"name": "é"}, {"name": "<b>"}]'),
        ("{{ input.map }}", '{"keys": "own", "x": 1}'),
        ("{{ input.map.keys }} {{ input.map.keys() | list }}", 'own ["keys", "x"]'),
        ("{% for k, v in input.map.items() %}{{ k }}={{ v }};{% endfor %}", "keys=own;x=1;"),
        ("{% for k, v in input.map | items %}{{ k }}={{ v }};{% endfor %}", "keys=own;x=1;"),
        ("{{ input.map.get('x') }}{{ input.map.get('q', 7) }}", "17"),
        ("{{ input['items'].count(1) }}{{ input['items'].count }}", "0"),
        ("{{ input.map.items is defined }} {{ input.map.items | default('d') }}", "false d"),
        ("{{ input.map == input.map }} {{ 'x' in input.map }} {{ input.map | length }}", "true true 2"),
        ("{{ input.items[1].name }} {{ input.items.0.name }} {{ input.items[-1].name }}", "<b> é <b>"),
        ("{{ input.items[5] }}|{{ (input.items | first).name }}", "|é"),
        ("{{ input.items | map(attribute='name') | list }}", '["é", "<b>"]'),
        ("{{ input.text | tojson }} {{ '<é>' | tojson }}", json.dumps(INPUT["text"]) + ' "<é>"'),
        ("{{ [1, true, none] }} {{ {'a': 1} }} {{ (1, 2) }}", '[1, true, null] {"a": 1} [1, 2]'),
        ("{{ {'a': [1]} | tojson(indent=2) }}", '{\n  "a": [\n    1\n  ]\n}'),
        ("{{ [input.n, input.text | upper] }}", '[3, "A {{ B }} {% C %}"]'),
        ("{{ 'one two three' | truncate(10, leeway=0) }}", "one..."),
        ("{{ 'obj ' ~ input.map }}", 'obj {"keys": "own", "x": 1}'),
        ("{% set ns = namespace(t=0) %}{% for i in [1, 2] %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}", "3"),
        ("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(input.n) }}{{ m('{{ x }}') }}", "<3><{{ x }}>"),
        ("{% raw %}{{ input.n }}{% endraw %}{# {{ input.n }} #}", "{{ input.n }}"),
        ("{{ '{:>4}|{}'.format(input.n, 'é') }}", "   3|é"),
    ],
)
def test_renders(source: str, text: str) -> None:
    """Text stays as it is, other values are JSON, what is absent or null is nothing, and white space is kept."""
    assert render(source, {"input": INPUT}) == text


SPELLED = {
    "3.0": "3", "-0.0": "0", "2.50": "2.5", "1e15": "1000000000000000", "1e16": "10000000000000000",
    "123456789012345680.0": "123456789012345680", "1e21": "1e+21", "1.5e300": "1.5e+300", "0.0001": "0.0001",
    "0.00001": "0.00001", "1.5e-6": "0.0000015", "1e-7": "1e-7", "2.5e-10": "2.5e-10", "5e-324": "5e-324", "7": "7",
    "1416806470266949.2": "1416806470266949.2", "170141183460469231731687303715884105728": str(2**127),
}  # fmt: skip
WAYS = [
    "x", "x | safe", "x ~ ''", "'' ~ x", "(x) ~ ''", "(x if true else 1) ~ ''", "x | string", "x | tojson", "x | trim", "x | upper | lower",
    "x | replace('q', '')", "x | escape", "x | indent", "[x] | join", "(x, 'a') | join | replace('a', '')", "''.join([x])",
    "l[0]", "l | first", "l | first ~ ''", "l | join", "l | map('string') | join", "o.x", "o['x'] ~ ''", "o.values() | join",
    "l | tojson | replace('[', '') | replace(']', '')", "('' ~ l).strip('[]')", "(l | string).strip('[]')", "'{}'.format(x)",
    "'%s' | format(x)", "'%(a)s' | format(a=x)", "'{a}'.format(a=x)",
    "'%s %.1f' | format(x, 1.5) | replace(' 1.5', '')", "('%9s' | format(x)).strip()", "'{:>9}'.format(x).strip()", "'%s' | format(l) | replace('[', '') | replace(']', '')",
    "'q' | replace('q', x)", "['', ''] | join(x)", "(o | tojson).split(': ')[1].strip('}')", "('' ~ [x]).strip('[]')", "{'a': x} | map('string') | first and x",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_number_has_one_spelling_wherever_it_stands(way: str) -> None:
    apart = builds_values(check_source(f"{{{{ {way} }}}}"))  # rendered in a process of its own, which takes its time
    for number in ("3.0", "1e21", "1e-7") if apart else SPELLED:
        text, value = SPELLED[number], json.loads(number)
        names = {"x": value, "l": [value], "o": {"x": value}}
        assert render(f"{{{{ {way} }}}}", names).lower() == text, number


@pytest.mark.parametrize("given", ["attribute='x'", "',', 'x'", "',', attribute='x'", "d=',', attribute='x' | trim"])
def test_what_is_joined_of_each_item_is_spelled_alike(given: str) -> None:
    comma = "," if "," in given.replace(", ", "") else ""
    assert render(f"{{{{ l | join({given}) }}}}", {"l": [{"x": 1.0}, {"x": 1e-7}, {}]}) == f"1{comma}1e-7{comma}"


def test_numbers_that_a_template_makes_are_spelled_alike() -> None:
    assert (
        render("{{ 6 / 2 }} {{ 6 / 2 ~ '' }} {{ (2.5 * 2) | string }} {{ 3.0 ~ '' }} {{ 1e21 ~ '' }}", {})
        == "3 3 5 3 1e+21"
    )
    assert render("{% for i in [1.0] %}{{ i ~ loop.index ~ '%' }}{% endfor %}", {}) == "11%"
    assert render("{% macro m(a) %}{{ a ~ '!' }}{% endmacro %}{{ m(2.0) }}", {}) == "2!"
    assert evaluate("{{ x ~ '' }}", {"x": 3.0}) == "3"
    assert evaluate("{{ x }}", {"x": 3.5}) == 3.5


def test_what_is_no_number_is_written_as_ever() -> None:
    written = "{{ t ~ '|' ~ n ~ '|' ~ gone ~ '|' ~ gone.deep ~ '|' ~ none | string }}|{{ [gone, n, t] | join('-') }}|{{ gone | upper }}"
    assert render(written, {"t": True, "n": None}) == "True|None|||None|-None-True|"
    assert (
        render("{{ o | urlencode }} {{ 3.0 | urlencode }} {{ '1e-05 3.0' ~ '' }}", {"o": {"a": "b c"}})
        == "a=b%20c 3 1e-05 3.0"
    )
    assert render("{{ o }}", {"o": {"a 1e-05 3.0": '"1e-05'}}) == '{"a 1e-05 3.0": "\\"1e-05"}'
    assert render("{% if x is float and x == 3 and x < l[0] %}yes{% endif %}", {"x": 3.0, "l": [3.5]}) == "yes"


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("{{ 'é' ~ x | string }} {{ y | batch(0) ~ 'a' }}", "batch(0)"),
        ("a\n{{ x ~ (l | first | indent(-1)) }}", "indent(-1)"),
        ("{{ (x ~ l | join(',')) ~ x.foo() }}", ".foo()"),
    ],
)
def test_what_fails_is_told_at_its_place_in_the_source(source: str, at: str) -> None:
    with pytest.raises(TemplateError) as failed:
        render(source, {"x": 1.0, "l": [1.0], "y": [1]})
    offset, length = (failed.value.details[key] for key in ("offset", "length"))
    assert source[offset : offset + length] == at


def test_brackets_may_be_as_deep_as_ever_where_numbers_are_joined() -> None:
    for deep in ("(" * 55 + "x" + " ~ x)" * 55, "(x ~ " * 50 + "x" + ")" * 50, "x" + " ~ x" * 499):
        assert set(render(f"{{{{ {deep} }}}}", {"x": 1.0})) == {"1"}


def test_a_template_cannot_change_or_leave_its_input() -> None:
    """Only the reading methods of the data exist; Python's others and its attributes do not."""
    before = json.dumps(INPUT)
    for call in ("map.pop('x')", "map.update({'z': 1})", "items.append(1)", "map.clear()", "map.__class__()"):
        with pytest.raises(TemplateError):
            render(f"{{{{ input.{call} }}}}", {"input": INPUT})
    assert (
        render(
            "{{ input.__class__ }}{{ input.items.append }}{{ input.map._data }}{{ input.map.data }}{{ input.items._meter }}",
            {"input": INPUT},
        )
        == ""
    )
    assert json.dumps(INPUT) == before


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input.items }}", INPUT["items"]),
        (" {{- input.huge -}}\n", 10**60),
        ("{{ input.nil }}", None),
        ("{{ input.gone }}", None),
        ("{{ input.yes }}", True),
        ("{{ {'a': input.items, 'b': [input.n]} }}", {"a": INPUT["items"], "b": [3]}),
        ("{{ input.n }} {{ input.n }}", "3 3"),
        ("n={{ input.n }}", "n=3"),
        ("{{ '}}' }}", "}}"),
        ("plain", "plain"),
        ("{{ input.text }}", INPUT["text"]),
    ],
)
def test_evaluate_keeps_the_type_of_one_whole_expression(source: str, value: object) -> None:
    """One whole expression keeps its type; anything else is text."""
    result = evaluate(source, {"input": INPUT})
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "words", "line", "column"),
    [
        ("é\n  {{ foo bar }}", "unexpected identifier", 2, 10),
        ("é {{ 1 // 0 }}", "unable to calculate", 1, 6),
        ("{{ input.n | nope }}", "filter nope is unknown", 1, 14),
        ("{{ 'open", "unexpected end of string", 1, 8),
        ("{% if %}", "unexpected end of block", 1, 7),
        ("x\ud800", "half a character", 1, 2),
        ("{% include 'secret' %}", "non-existing template", 1, 4),
    ],
)
def test_an_error_says_where(source: str, words: str, line: int, column: int) -> None:
    """Syntax and run-time errors carry line and column in code points."""
    with pytest.raises(TemplateError, match=words) as caught:
        render(source, {"input": INPUT})
    assert (caught.value.details["line"], caught.value.details["column"]) == (line, column)


@pytest.mark.parametrize("value", [object(), {"x": {1, 2}}, "\ud800", float("nan"), {"f": [float("inf")]}])
def test_what_is_not_json_is_refused(value: object) -> None:
    """A value that is not JSON is an error, not a repr in a prompt."""
    with pytest.raises(TemplateError):
        render("{{ v.f }}{{ v.x }}{{ v }}", {"v": value})


def test_an_error_in_a_whole_expression_says_where() -> None:
    """The place counts from the start of the source, although the engine sees the expression alone."""
    with pytest.raises(TemplateError) as caught:
        evaluate("\u00a0\n{{ 1 // 0 }}", {})
    assert (caught.value.details["line"], caught.value.details["column"]) == (2, 4)


def test_what_an_expression_makes_must_be_json() -> None:
    """A key that is no text and a number that is not finite have no JSON form."""
    for source in (
        "{{ {1: 2} }}",
        "{{ 1e308 * 10 }}",
        "{{ input.map.items.x.y ~ namespace }}{{ 'a'.upper }}{{ 1e999 }}",
    ):
        with pytest.raises(TemplateError):
            evaluate(source, {"input": INPUT})


GROW = "{% set ns = namespace(x=[1]) %}{% for i in range(90000) %}"
BOMBS = {
    "text": "{{ 'x' * 10**9 }}",
    "text unseen": "{{ ('x' * 10**9) | length }}",
    "doubling": "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "range": "{% for i in range(10**9) %}{% endfor %}",
    "loops": "{% for i in range(9999) %}{% for j in range(9999) %}" + "x" * 9999 + "{% endfor %}{% endfor %}",
    "output": "{% for i in range(9999) %}" + "x" * 2000 + "{% endfor %}",
    "replace": "{{ ('x' * 10**6) | replace('x', 'y' * 1000) }}",
    "join": "{{ range(99999) | join('x' * 99999) }}",
    "indent": "{{ 'x' | indent(10**9, true) }}",
    "tojson": "{{ {'a': 1} | tojson(indent=10**9) }}",
    "printf": "{{ '%999999999d' | format(1) }}",
    "format": "{{ '{:>9999999999}'.format(1) }}",
    "macro": "{% macro f(a) %}{{ f(a ~ a) }}{% endmacro %}{{ f('x') }}",
    "recursive": "{% for i in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
    "power": "{{ 10**10**10 }}",
    "shared lists": GROW.replace("90000", "40") + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "shared, compared": GROW.replace("90000", "60")
    + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == [[1]] ~ ns.x }}",
    "deep list": GROW + "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x ~ '' }}",
    "repeated": "{% set s = 'x' * 10**6 %}{{ ([s] * 10000) | join | length }}",
    "lists added": "{% set a = [1] %}" + "{% set a = a + a %}" * 50 + "{{ a | length }}",
    "tuples": "{% set a = 1, 1 %}" + "{% set a = a, a %}" * 40 + "{{ a }}",
    "input repeated": "{{ input.big | map(attribute='no', default=input.big[0]) | join | length }}",
    "long sum": "{{ 1" + " + x" * 50000 + " }}",
    "long not": "{{ " + "not " * 50000 + "1 }}",
    "elif": "{% if 0 %}" + "{% elif 0 %}" * 50000 + "{% endif %}",
    "nested": "{{ " + "(" * 50000 + "1" + ")" * 50000 + " }}",
    "unread": "{{ ` " + "+ x" * 50000 + " }}",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_every_bomb_ends_as_an_error(bomb: str) -> None:
    """Work, memory, depth and output are bounded, and the process lives."""
    with pytest.raises(TemplateError):
        render(bomb, {"input": {"big": ["x" * 10**6] + ["y"] * 10**4}})


def test_a_long_expression_is_refused_before_it_can_end_a_thread() -> None:
    """The engine reads an expression recursively: one within the bound is read even on a small stack."""
    outcomes: list[str] = []

    def work() -> None:
        for signs in (450, 4000):
            try:
                outcomes.append(render("{{ 0" + " + x" * signs + " }}", {"x": 1}))
            except TemplateError as error:
                outcomes.append(error.message)

    before = threading.stack_size(512 * 1024)
    thread = threading.Thread(target=work)
    thread.start()
    threading.stack_size(before)
    thread.join()
    assert outcomes[0] == "450"
    assert "too long" in outcomes[1]


@pytest.mark.parametrize(
    ("source", "apart"),
    [
        ("{% for x in input.items %}{{ loop.index + 1 }}{{ x.name | upper | truncate(9) }}{% endfor %}", False),
        ("{% if input.a in ['x', 'y'] and input.b[0] %}{{ input.t | tojson(indent=2) }}{% endif %}", False),
        ("{{ input.a + input.b }} {{ 'x' ~ input.c }} {{ (input.a) }} {{ input.tags | join(', ') }}", False),
        ("{{ [input.a, 1] }}", True),
        ("{{ {'a': input.a} }}", True),
        ("{{ input.qty * input.price }}", True),
        ("{% set a = input.x, 1 %}", True),
        ("{% set ns = namespace(x=1) %}", True),
    ],
)
def test_only_a_template_that_builds_values_runs_apart(source: str, apart: bool) -> None:
    """The common templates never pay for a process."""
    assert builds_values(check_source(source)) is apart


def test_threads_share_the_environment() -> None:
    """Eight threads render different inputs at once and each gets its own."""
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(200):
            data = {"items": [{"name": f"{number}-{turn}-{i}"} for i in range(5)], "n": number}
            text = render(
                "{% for x in input.items %}{{ x.name }} {% endfor %}{{ input.items() | length }}", {"input": data}
            )
            if text != "".join(f"{item['name']} " for item in data["items"]) + "2":
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_known_names_are_those_of_the_engine() -> None:
    """What the check lets pass exists, and what was taken away does not."""
    shown = environment()
    assert [name for name in FILTERS if not shown.eval_expr("n is filter", n=name)] == []
    assert [name for name in TESTS if not shown.eval_expr("n is test", n=name)] == []
    assert set(FUNCTIONS) == set(shown.globals)


def test_the_page_for_authors_lists_the_known_names() -> None:
    """`docs/templates.md` names exactly what there is."""
    page = (Path(__file__).parents[2] / "docs" / "templates.md").read_text().partition("## Filters")[2]
    listed = [re.findall("`([^`]+)`", line) for line in page.splitlines() if "`" in line and "tests/" not in line]
    methods = [name for names in METHODS.values() for name in names]
    assert listed == [list(FILTERS), list(TESTS), list(FUNCTIONS), methods]


# --- the check -----------------------------------------------------------------------------------

NODE = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
}
SCHEMA = {
    "type": "object",
    "$defs": {"node": NODE},
    "properties": {
        "text": {"type": "string"},
        "n": {"type": ["integer", "null"]},
        "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "object", "properties": {"x": {}}}],
            "items": False,
        },
        "tree": {"$ref": "#/$defs/node"},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]},
        "short": {"type": "array", "maxItems": 1},
        "either": {
            "oneOf": [
                {"type": "string"},
                {"type": "object", "properties": {"left": {}}},
                {"type": "object", "properties": {"right": {}}},
            ]
        },
        "both": {"allOf": [{"properties": {"p": {"type": "string"}}}, {"properties": {"q": {"type": "number"}}}]},
        "open": {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        "typed": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"v": {"type": "string"}}},
        },
        "like": {"type": "object", "patternProperties": {"^x_": {"type": "string"}}, "additionalProperties": False},
        "free": {"type": "object"},
        "any": {},
        "color": {"enum": ["red", "green"]},
    },
}
SCOPE = {"input": SCHEMA, "vars": None, "uses.child": {"type": "object", "properties": {"out": {"type": "string"}}}}


@pytest.mark.parametrize(
    "source",
    [
        "{{ input.text }}{{ input['text'] }}{{ input.items[0].name }}{{ input.items.0.name }}",
        "{% for x in input.items %}{{ loop.index }} {{ x.name }}{% else %}{{ input.n }}{% endfor %}",
        "{% for x in input.items if x.name %}{% for c in x.name %}{{ c }}{% endfor %}{% endfor %}",
        "{% for x in input.tree.kids %}{% for y in x.kids %}{{ y.label.upper() }}{% endfor %}{% endfor %}",
        "{% for x in input.items %}{% else %}{{ x.nothing }}{% endfor %}",
        "{% set t = input.tree %}{{ t.kids[0].label }}{% set t = 5 %}{{ t }}",
        "{% with t = input.maybe %}{{ t.a }}{% endwith %}{{ input.either.left }}{{ input.both.p }}{{ input.both.q }}",
        "{{ input.open.z }}{{ input.typed.foo.v }}{{ input.like.x_1 }}{{ input.free.a.b }}{{ input.any[3].c.d }}",
        "{% for k, v in input.typed.items() %}{{ k }}{{ v.v }}{% endfor %}{{ input.typed.items() }}",
        "{{ vars.anything.at[0] }}{{ uses.child.out }}{% for x in uses.child.out.split(',') %}{{ x.y }}{% endfor %}",
        "{% macro f(a, b=input.n) %}{{ a.x }}{{ b }}{{ caller() }}{% endmacro %}{% call f(input.text) %}{% endcall %}",
        "{{ f(1) }}{% macro f(a) %}{{ later }}{% endmacro %}{% set later = 1 %}",
        "{{ dict(text=1) }}{{ input.text | replace('a', 'b') }}{{ input.n is divisibleby 2 }}{{ input.n is not none }}",
        "{% raw %}{{ nope }}{% endraw %}{# {{ nope }} #}{{ '{{ nope }}' }}{{ input.text[nope:] if false }}".replace(
            "nope:", "1:"
        ),
        "{% set ns = namespace(seen=[]) %}{% if 'x' in ns.seen %}{% set ns.seen = ns.seen + [1] %}{% endif %}",
        "{{ input.pair[1].x }}{{ input.color.upper() }}{{ input.text[0] }}{% if input.n %}{% set z = 1 %}{% endif %}{{ z }}",
        "{{ input.gone is defined }}".replace("gone", "n"),
        "",
    ],
)
def test_nothing_is_wrong(source: str) -> None:
    """A path is possible when some branch of the schemas has it; a template's own names are its own."""
    assert findings(source, SCOPE) == []


@pytest.mark.parametrize(
    ("source", "marked", "words"),
    [
        ("é {{ input.txt }}", "txt", "`input` has no property `txt`|Did you mean `text`?"),
        ("{{ inptu.text }}", "inptu", "a template reads `input`, `vars`, `uses`|Did you mean `input`?"),
        ("{{ input['txt'] }}", "'txt'", "no property `txt`"),
        ("{{ input.items[0].nam }}", "nam", "`input.items[0]` has no property `nam`|`name`"),
        ("{% for x in input.items %}{{ x.nam }}{% endfor %}", "nam", "`input.items[…]` has no property"),
        ("{% for x in input.items %}{% endfor %}{{ x.name }}", None, ""),
        ("{% set t = input.tree %}{{ t.kids[0].labl }}", "labl", "`input.tree.kids[0]` has no property"),
        ("{% for k, v in input.typed.items() %}{{ v.w }}{% endfor %}", "w", "no property `w`"),
        ("{% for k, v in input.typed | dictsort %}{{ v.w }}{% endfor %}", "w", "no property `w`"),
        ("{{ input.text.length }}", "length", "`input.text` is a string: it has no `length`"),
        ("{{ input.items.name }}", "name", "is an array: it has no `name`|loop over it"),
        ("{{ input.n.x }}", "x", "is an integer"),
        ("{{ input.color.x }}", "x", "is a string"),
        ("{{ input.maybe.b }}", "b", "`input.maybe` has no property `b`|`a`"),
        ("{{ input.either.centre }}", "centre", "no property `centre`"),
        ("{{ input.both.r }}", "r", "no property `r`|`p`, `q`"),
        ("{{ input.like.y }}", "y", "no property `y`"),
        ("{{ input.pair[2] }}", "2", "`input.pair` has no item 2"),
        ("{{ input.short[0] }}{{ input.short[1] }}", "1", "`input.short` has no item 1"),
        ("{{ input.n[0] }}", "0", "is an integer: it has no `0`"),
        ("{% for x in input.n %}{% endfor %}", "input.n", "a loop cannot run over it"),
        ("{{ uses.chid.out }}", "chid", "`uses` has no `chid`|Did you mean `child`?"),
        ("{{ uses.child.ot }}", "ot", "`uses.child` has no property `ot`"),
        ("{{ input.text | uper }}", "uper", "no filter `uper`|Did you mean `upper`?"),
        ("{% filter uper %}{% endfilter %}", "uper", "no filter `uper`"),
        ("{{ input.text is definde }}", "definde", "no test `definde`|`defined`"),
        ("{{ rnage(3) }}", "rnage", "no function `rnage`|`range`"),
        ("{{ input.text.uper() }}", "uper", "no method `uper`|`upper`"),
        ("{{ input.free.item() }}", "item", "is an object: it has no method `item`"),
        ("{{ debug() }}", "debug", "no function `debug`"),
        ("{{ input.text | default(input.txt) }}", "txt", "no property `txt`"),
        ("{% if input.txt is defined %}{% endif %}", "txt", "no property `txt`"),
        ("{{ {'a': input.txt}['a'] }}", "txt", "no property `txt`"),
        ("{{ input.any[input.txt] }}", "txt", "no property `txt`"),
        ("{% include 'x' %}", "include", "not available"),
        ("{% autoescape true %}{% endautoescape %}", "autoescape", "not available|escape"),
        ("é {{ 1 + }}", "}}", "unexpected end of variable block"),
    ],
)
def test_what_is_wrong_is_marked(source: str, marked: str | None, words: str) -> None:
    """A finding covers the faulty step alone and names the nearest one that exists."""
    found = findings(source, SCOPE)
    if marked is None:  # bound somewhere in the template: not surely wrong
        assert found == []
        return
    assert [source[f.offset : f.offset + f.length] for f in found] == [marked]
    for part in words.split("|"):
        assert part in f"{found[0].message} {found[0].hint}"


def test_all_findings_come_at_once_in_order() -> None:
    """Several mistakes are several findings, by their place."""
    found = findings("{{ input.a | foo }}{{ b }}{{ input.text is bar }}", SCOPE)
    assert [f.offset for f in found] == sorted(f.offset for f in found)
    assert len(found) == 4


def test_a_schema_that_refers_to_itself_everywhere_ends() -> None:
    """A pathological schema is treated as anything, soon."""
    loop = {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 8}}, "$ref": "#/$defs/a"}
    assert findings("{{ input.x.y.z }}", {"input": loop}) == []


def test_references() -> None:
    """Each path is listed where it is written, up to the first computed step, through the template's own names."""
    source = (
        "{{ a.b[0]['c d'][x].e }}{% for y in uses.k.list %}{{ y.n }}{% endfor %}{% set u = uses %}{{ u.k.get('q') }}"
    )
    assert [(r.path, source[r.offset : r.offset + r.length]) for r in references(source)] == [
        (("a", "b", 0, "c d"), "a.b[0]['c d'"),
        (("x",), "x"),
        (("uses", "k", "list"), "uses.k.list"),
        (("uses", "k", "list"), "y.n"),
        (("uses",), "uses"),
        (("uses", "k"), "u.k"),
    ]
    assert references("{{ a }}") == [Reference(path=("a",), offset=3, length=1)]
    with pytest.raises(TemplateError):
        references("{{ a")
