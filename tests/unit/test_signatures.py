"""What filters, tests, functions and methods are given is judged before the run as the engine judges it in the run."""

import random
import time
from collections.abc import Sequence

import pytest
from tests.chances import some

from runllm.template import findings
from runllm.template.environment import environment
from runllm.template.signatures import FILTERS, FUNCTIONS, LOOP, METHODS, TESTS
from runllm.template.views import Meter, show

SCOPE = {"input": {"type": "object", "properties": {"x": {}, "a": {}, "t": {"type": "string"}, "l": {"type": "array"}}}}
VALUES = ("a b", "", "1", 0, 3, -1.5, True, None, ["b", "a"], [1, 2], [[1, 2]], {"a": 1}, [{"a": 1}])
LITERALS = ("'a b'", "'1'", "['b', 'a']", "[1]", "{'a': 1}", "3", "-1.5", "true", "none")
# Each type; nothing, negative, a fraction, too large, empty.
GIVEN = (
    "0", "1", "2", "-1", "2.5", "2.0", "1e300", "999", "'a'", "''", "'nope'", "true", "none", "[]", "['b']", "{}", "{'a': 1}",
)  # fmt: skip
KEYWORDS = (
    "width", "boolean", "default", "attribute", "count", "old", "new", "length", "separator", "indent", "reverse",
    "case_sensitive", "other", "base", "precision", "method", "fill", "killwords", "nonsense", "by", "value", "start",
)  # fmt: skip
READ = {"chain": "|list"}
"""What looks at nothing before it is read."""
OWNERS = {"object": [{"a": 1}], "array": [["b", "a"]], "string": ["a b", "1", ""]}


def argument_lists(seed: str) -> list[str]:
    """Ways in which arguments are given: each alone, some together, by name; too few and too many."""
    chance = random.Random(seed)  # noqa: S311 - the same ones each time
    lists = ["", *GIVEN, *(f"{name}={chance.choice(GIVEN)}" for name in chance.sample(KEYWORDS, 9))]
    lists += [
        "'value'",
        "by='value'",
        "by='size'",
        "method='floor'",
        "method='nope'",
        "2, 'ceil'",
        "base=16",
        "base=99",
    ]
    for size in (2, 2, 2, 2, 3, 3, 4, 5):
        lists.append(", ".join(chance.choices(GIVEN, k=size)))
    return lists + [f"{chance.choice(GIVEN)}, {name}={chance.choice(GIVEN)}" for name in chance.sample(KEYWORDS, 3)]


def renders(source: str, **values: object) -> bool:
    try:
        environment().render_str(source, input=show({"t": "a b", "l": ["b", "a"], **values}, Meter()))
    except Exception:
        return False
    return True


def refused(source: str) -> bool:
    return any(found.severity == "error" for found in findings(source, SCOPE))


def hold(source: str, values: Sequence[object] = VALUES) -> None:
    """A template that reads `input.x` is refused where it renders with no value, and nowhere else."""
    possible = any(renders(source, x=value) for value in values)
    assert refused(source) is not possible, f"{source} {'renders' if possible else 'never renders'}"


@pytest.mark.parametrize("name", some(FILTERS, 25))
def test_a_filter_is_refused_where_it_fails_for_every_value(name: str) -> None:
    """But for `format`: which arguments are right is for the text to say."""
    if name != "format":
        for given in argument_lists(name):
            hold(f"{{% set y = input.x|{name}({given}){READ.get(name, '')} %}}")
        hold(f"{{% set y = input.x|{name} %}}")


@pytest.mark.parametrize("name", TESTS)
def test_a_test_is_refused_where_it_fails_for_every_value(name: str) -> None:
    """As an argument or with arguments in brackets."""
    for given in argument_lists(name):
        hold(f"{{{{ input.x is {name}({given}) }}}}")
    for given in GIVEN:
        hold(f"{{{{ input.x is not {name} {given} }}}}") if not given.startswith(("-", "{")) else None
    hold(f"{{{{ input.x is {name} }}}}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_refused_where_it_fails(name: str) -> None:
    """In an expression, and in a block whose body it does not take."""
    for given in argument_lists(name):
        hold(f"{{% set y = {name}({given}) %}}", [None])
    hold(f"{{% call {name}(1) %}}{{% endcall %}}", [None])


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in METHODS for name in METHODS[kind]])
def test_a_method_is_refused_where_it_fails_for_every_owner(kind: str, name: str) -> None:
    """Of the data, and of a value that the template writes."""
    owner = {"object": "{'a': 1}", "array": "['b', 'a']", "string": "'a b'"}[kind]
    others = [value for owners in OWNERS.values() for value in owners]
    for given in argument_lists(name):
        if name == "format":
            continue
        hold(f"{{% set y = input.x.{name}({given}) %}}", others)
        source = f"{{% set y = {owner}.{name}({given}) %}}"
        assert not (refused(source) and renders(source)), source


@pytest.mark.parametrize("name", LOOP)
def test_what_a_loop_has_is_refused_where_it_fails(name: str) -> None:
    """Most of it is no function."""
    for given in argument_lists(name):
        hold(f"{{% for y in [1, 2] %}}{{% set z = loop.{name}({given}) %}}{{% endfor %}}", [None])


@pytest.mark.parametrize("name", some([*FILTERS, "nope"], 15))
def test_a_filter_within_map_is_held_like_any_other(name: str) -> None:
    """With what it is handed, in a list of each kind."""
    lists = [[value] for value in VALUES]
    for given in [f", {one}" for one in argument_lists(name) if one] + [""]:
        if name != "format":
            hold(f"{{% set y = input.x|map('{name}'{given}) %}}", lists)


@pytest.mark.parametrize("name", some([*TESTS, "nope", "==", "<", ">=", "!="], 15))
def test_a_test_within_select_is_held_like_any_other(name: str) -> None:
    """In lists of each kind, and of objects that hold each kind."""
    lists: list[object] = [*([value] for value in VALUES), *([{"k": value}] for value in VALUES)]
    for at, given in enumerate([f", {one}" for one in argument_lists(name) if one] + [""]):
        use = ["select(", "selectattr('k', ", "reject(", "rejectattr('k', "][at % 4]
        hold(f"{{% set y = input.x|{use}'{name}'{given}) %}}", lists)


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_not_written_out_may_be_anything(name: str) -> None:
    """One argument from the data is refused where none would do; with two, nothing that could render is."""
    chance = random.Random(name)  # noqa: S311 - the same ones each time
    for given in ("input.a", "width=input.a", "attribute=input.a", "2, input.a", "'a', input.a"):
        source = f"{{% set y = input.x|{name}({given}){READ.get(name, '')} %}}"
        possible = any(renders(source, x=x, a=a) for x in VALUES for a in [*VALUES, "upper", "eq", "ceil"])
        if refused(source) or name != "format":
            assert refused(source) is not possible, f"{source} {'renders' if possible else 'never renders'}"
    source = f"{{% set y = input.x|{name}(input.a[0], input.a[1]) %}}"
    pairs = [[chance.choice(VALUES), chance.choice(VALUES)] for _ in range(30)]
    assert not (refused(source) and any(renders(source, x=x, a=pair) for x in VALUES for pair in pairs)), source


@pytest.mark.parametrize("literal", LITERALS)
def test_a_literal_is_refused_exactly_where_it_fails(literal: str) -> None:
    """What is given a value that is written out has one outcome only."""
    for name in FILTERS:
        for given in argument_lists(name + literal)[::8]:
            source = f"{{% set y = {literal}|{name}({given}){READ.get(name, '')} %}}"
            assert refused(source) is not renders(source), source
    for name in TESTS:
        for given in argument_lists(name + literal)[::8]:
            source = f"{{% set y = {literal} is {name}({given}) %}}"
            assert refused(source) is not renders(source), source


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("{{ input.t|wordwrap(60) }}", "60"),
        ("{{ input.t|default('q', boolean=true) }}", "boolean=true"),
        ("{{ input.t|round(method='nope') }}", "method='nope'"),
        ("{{ input.l|batch(0) }}", "0"),
        ("{{ input.l|batch(2.5, fill) }}{% set fill = 1 %}", "2.5"),
        ("{{ input.l|chain(1) }}", "1"),
        ("{{ input.l|batch }}", "batch"),
        ("{{ input.t|replace('a') }}", "replace"),
        ("{{ input.l|map('multiply', 2) }}", "'multiply'"),
        ("{{ input.l|map('uper') }}", "'uper'"),
        ("{{ input.l|select('match', 'a') }}", "'match'"),
        ("{{ input.l|rejectattr('a', 'nothing') }}", "'nothing'"),
        ("{{ input.t|uper }}", "uper"),
        ("{{ input.t is oddd }}", "oddd"),
        ("{{ input.t.uper() }}", "uper"),
        ("{{ input.t.split(1) }}", "1"),
        ("{{ rang(3) }}", "rang"),
        ("{{ range('a') }}", "'a'"),
        ("{% for x in input.l %}{{ loop.cycle() }}{% endfor %}", "cycle"),
        ("{% for x in input.l %}{{ loop.index() }}{% endfor %}", "index"),
        ("{% for x in input.l recursive %}{{ loop() }}{% endfor %}", "loop"),
        ("{% for x in input.l %}{{ x() }}{% endfor %}", "x"),
        ("{% for x in input.l %}{% for y in x %}{{ y() }}{% endfor %}{% endfor %}", "y"),
        ("{% for x in range(3) %}{{ x() }}{% endfor %}", "x"),
        ("{% for k, v in input.items() %}{{ v() }}{% endfor %}", "v"),
        ("{% set x = input.t %}{{ x() }}", "x"),
        ("{% set x = 'a' %}{{ x() }}", "x"),
        ("{% set x = input.l|length + 1 %}{{ x() }}", "x"),
        ("{% with x = [1] %}{{ x(1) }}{% endwith %}", "x"),
        ("{{ 'a'() }}", "'a'"),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "2"),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "b=2"),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{% call m(1) %}x{% endcall %}", "m"),
        ("{% call nothing() %}x{% endcall %}", "nothing"),
        ("{% call range(3) %}x{% endcall %}", "range"),
        ("{{ self.b() }}", "b"),
        ("{% block a %}{% endblock %}{{ self.b() }}", "b"),
        ("{% block a %}{{ super() }}{% endblock %}", "super"),
        ("{{ self() }}", "self"),
        ("{{ loop() }}", "loop"),
        ("{{ caller() }}", "caller"),
    ],
)  # fmt: skip
def test_a_use_that_fails_in_every_run_is_an_error_at_its_place(source: str, place: str) -> None:
    """At the argument that is wrong, or at the name."""
    assert not renders(source, x=1)
    (found,) = findings(source, SCOPE)
    assert found.severity == "error"
    assert source[found.offset : found.offset + found.length] == place


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}x{% endcall %}",
        "{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(a) m() %}{{ a }}{% endcall %}",
        "{% macro m() %}x{% endmacro %}{% for f in [m] %}{{ f() }}{% endfor %}",
        "{% macro m(f) %}{{ f() }}{% endmacro %}{% macro n() %}y{% endmacro %}{{ m(n) }}",
        "{% macro m() %}x{% endmacro %}{% set f = m %}{{ f() }}{% set g = f|default(m) %}{{ g() }}{% set h = m or 1 %}{{ h() }}",
        "{% macro m() %}x{% endmacro %}{% set f = [m]|first %}{{ f() }}{% set f = {'a': m}|attr('a') %}{{ f() }}",
        "{% macro m() %}x{% endmacro %}{% set f = m if true %}{{ f() }}{% set f = {'a': m}.a %}{{ f() }}",
        "{% macro m() %}x{% endmacro %}{% if true %}{% set f = m %}{% else %}{% set f = 1 %}{% endif %}{{ f() }}",
        "{% set r = range %}{{ r(2)|list }}{% set j = joiner(',') %}{{ j() }}{{ j() }}",
        "{% set c = cycler([1, 2]) %}{{ c.next() }}{{ c.current }}",
        "{% block b %}x{% endblock %}{{ self.b() }}",
        "{% for x in [[1], [2]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}",
        "{% for x in input.l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}{% endfor %}",
    ],
)
def test_what_may_be_called_is_called(source: str) -> None:
    """A function may be held by a name, a list, a filter, a parameter."""
    assert renders(source)
    assert findings(source, SCOPE) == []


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            "{{ input.t|wordwrap(60) }}",
            "`wordwrap` fails like this: too many arguments",
            "It is written `wordwrap(width=, break_long_words=, wrapstring=, break_on_hyphens=)`.",
        ),
        ("{{ input.l|batch(0) }}", "`batch` fails like this: count cannot be 0", "It is written `batch(count, fill)`."),
        ("{{ input.l|map('uper') }}", "there is no filter `uper`", "Did you mean `upper`?"),
        ("{{ input.l|select('evn') }}", "there is no test `evn`", "Did you mean `even`?"),
    ],
)
def test_a_wrong_use_is_told_in_the_engines_words_and_how_it_is_written(source: str, message: str, hint: str) -> None:
    """What fails, why, and what to write."""
    (found,) = findings(source, SCOPE)
    assert (found.message, found.hint) == (message, hint)


def test_many_dear_uses_are_judged_soon() -> None:
    """A use that makes much is not tried to its end; here each alone would take a twentieth of a second."""
    start = time.monotonic()
    source = "".join(
        f"{{{{ input.x|slice({100_000 + number}) }}}}{{{{ 'a'|indent(1{number:09}) }}}}" for number in range(500)
    )
    assert findings(source, SCOPE) == []
    assert time.monotonic() - start < 20
