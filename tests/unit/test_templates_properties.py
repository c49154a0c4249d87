"""Templates under any text: bounded, verbatim, and never a failure of another kind."""

import contextlib
import time

from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.errors import TemplateError
from runllm.template import evaluate, findings, references, render
from runllm.template.environment import check_source, environment
from runllm.template.reads import read

PIECES = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{{-", "-}}", "{%+", "-%}", " ", "\n", "é", "'", '"', "\\", "(", ")", "[", "]", "{", "}",
    "|", ".", ",", ":", "=", "==", "~", "+", "*", "**", "0", "1.5", "9", "input", "x", "items", "loop", "if ", "else", "elif ",
    "endif", "for ", "in ", "endfor", "set ", "endset", "with ", "endwith", "macro ", "endmacro", "call ", "filter ", "upper",
    "is ", "not ", "defined", "raw", "endraw", "namespace", "range", "true", "none", "input.items", "input['a']", "x[0]",
    "{{ input.a }}", "{% for x in input.items %}", "{% endfor %}", "{% if input.a %}", "{% endif %}", "{% set x = input %}",
    "{% macro x(y) %}", "{% endmacro %}", "{% raw %}", "{% endraw %}", "\ud800", "\x00", "·", "𝕏", "\u2028",
]  # fmt: skip
SOURCES = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
NAMES = {"input": {"a": "A{{ x }}", "items": [{"b": 1}, {"b": None}], "n": 2}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "items": {"type": "array", "items": {"type": "object"}}},
}

calm = examples(400, suppress_health_check=[HealthCheck.too_slow])


@calm
@given(SOURCES)
@example("{{ 'a' \ud800 }}")
@example("{{ a·b }}{{ `")
@example("{{ 1__ }}{{ 0x }}{{ 1e }}{{ 1. }}")
@example("{%" * 300)
def test_any_text_ends_soon_and_fails_only_as_a_template(source: str) -> None:
    """Whatever the source, each function returns or raises TemplateError, within seconds."""
    start = time.monotonic()
    for call in (lambda: render(source, NAMES), lambda: evaluate(source, NAMES), lambda: references(source)):
        with contextlib.suppress(TemplateError):
            call()
    found = findings(source, {"input": SCHEMA})
    assert time.monotonic() - start < 10
    for finding in found:
        assert 0 <= finding.offset <= len(source)
        assert finding.offset + finding.length <= len(source)
        assert finding.length > 0
        assert finding.message


@calm
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(["", " ", "-", "{{ '{{' }}"]))
@example("{{ input.a }}{% raw %}<<<SYSTEM>>>{# #}", "")
@example("\r\n\x00\u2028", "")
def test_a_string_is_inserted_as_it_is(value: str, around: str) -> None:
    """Text from outside is never rendered again, escaped, or changed, by whatever way it comes to the output."""
    data = {"input": {"v": value, "list": [value]}}
    outside = "{{" if "{{" in around else around
    assert render(f"{around}{{{{ input.v }}}}{around}", data) == f"{outside}{value}{outside}"
    loop = "{% for x in input.list %}{% set y = x %}{{ y }}{% endfor %}"
    assert render(loop, data) == value
    assert evaluate("{{ input.v }}", data) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "keys", "get", "a", "é"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@calm
@given(JSON)
@example({"items": {"get": {}}})
@example([2**127, 2**128 - 1, 2**128, -(2**127), -(2**127) - 1])
def test_evaluate_gives_the_value_itself(value: object) -> None:
    """JSON goes through a whole expression unchanged, alone and inside an object."""
    assert evaluate("{{ v }}", {"v": value}) == value
    assert evaluate("{{ v.a }}", {"v": {"a": value}}) == value


@calm
@given(st.lists(st.sampled_from(PIECES[10:]), max_size=10).map("".join), SOURCES)
def test_no_root_is_missed(expression: str, source: str) -> None:
    """Every name that the engine would look up is one that the scanner found, or one the template binds."""
    for text in (
        source,
        f"{{{{ {expression} }}}}",
        f"{{% if {expression} %}}{{% endif %}}",
        f"{{% set q = {expression} %}}{{{{ q }}}}",
    ):
        try:
            roots = {path.partition(".")[0] for path in environment().undeclared_variables_in_str(text, nested=True)}
        except Exception:  # noqa: S112 - text with another error is the subject of the other test
            continue
        try:
            reading = read(check_source(text))
        except TemplateError:  # what is refused is not rendered
            continue
        seen = {chain.path[0] for chain in reading.chains if chain.path} | {call.name.text for call in reading.calls}
        assert roots <= seen | reading.assigned | {"self", "loop"}
