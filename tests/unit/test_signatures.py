"""What is known of filters, tests, functions and methods is what the engine does with them."""

import random

import pytest

from runllm.errors import TemplateError
from runllm.template import findings
from runllm.template.rendering import render_here
from runllm.template.signatures import FILTERS, FUNCTIONS, METHODS, TESTS

NAMES = {"input": {"x": None}}
SCOPE = {"input": {"type": "object", "properties": {"x": {}, "t": {"type": "string"}, "l": {"type": "array"}}}}
BY_PLACE = ("2", "'a'", "true", "['b']")
BY_NAME = (
    "width", "boolean", "default", "attribute", "count", "old", "new", "length", "separator", "indent", "reverse",
    "case_sensitive", "other", "base", "precision", "method", "fill", "killwords", "nonsense", "by", "value", "start",
)  # fmt: skip
VALUES = ("'a b'", "['b', 'a']", "{'a': 1}", "3", "1.5", "true", "none")
# The words with which the engine says that the arguments are wrong, whatever the value is.
OF_ARGUMENTS = (
    "missing argument", "too many arguments", "unknown keyword argument", "unknown filter", "unknown test",
    "unknown function", "unknown method", "duplicate keyword argument",
)  # fmt: skip


def said(source: str) -> str:
    """What the engine says against a template that is rendered; empty where it renders."""
    try:
        render_here(source, {"input": {"x": 1, "t": "a b", "l": ["b", "a"]}})
    except TemplateError as error:
        return error.message
    return ""


def uses() -> list[tuple[str, list[str]]]:
    """Each name with a template for each way in which some arguments are given."""
    chance = random.Random(5)  # noqa: S311 - the same ones each time
    lists = ["", *(f"({', '.join(BY_PLACE[:n])})" for n in range(5)), *(f"({value})" for value in BY_PLACE)]
    lists += [f"({name}={chance.choice(BY_PLACE)})" for name in BY_NAME]
    lists += [f"({chance.choice(BY_PLACE)}, {name}={chance.choice(BY_PLACE)})" for name in chance.sample(BY_NAME, 8)]
    called = [given for given in lists if given]
    return [
        *((f"filter {name}", [f"|{name}{given}" for given in lists]) for name in FILTERS),
        *((f"test {name}", [f" is {name}{given}" for given in lists]) for name in TESTS),
        *((f"{kind} {name}", [f".{name}{given}" for given in called]) for kind in METHODS for name in METHODS[kind]),
        *((f"function {name}", [f"{name}{given}" for given in called]) for name in FUNCTIONS),
    ]


@pytest.mark.parametrize(("name", "given"), uses(), ids=lambda one: one if isinstance(one, str) else "")
def test_what_validates_has_its_arguments_and_what_renders_validates(name: str, given: list[str]) -> None:
    """No use that nothing is found against fails for its arguments with every value, and none that renders is refused."""
    owners = VALUES if not name.startswith("function") else ("",)
    kind = {"object": "{'a': 1}", "array": "['b', 'a']", "string": "'a b'"}.get(name.split(maxsplit=1)[0])
    for use in given:
        sources = [f"{{{{ {kind or owner}{use} }}}}" for owner in ((kind,) if kind else owners)]
        answers = [said(source) for source in sources]
        wrong = [bool([found for found in findings(source, SCOPE) if found.severity == "error"]) for source in sources]
        for source, answer, refused in zip(sources, answers, wrong, strict=True):
            assert not (refused and not answer), f"{source} renders, and is refused"
        if all(any(words in answer for words in OF_ARGUMENTS) for answer in answers):
            assert all(wrong), f"{sources} fail with {answers[0]}, and nothing is found"


@pytest.mark.parametrize(
    "source",
    [
        "{{ input.t|wordwrap(60) }}",
        "{{ input.t|default('q', boolean=true) }}",
        "{{ input.l|map('multiply', 2) }}",
        "{{ input.l|select('match', 'a') }}",
        "{{ input.l|rejectattr('a', 'nothing') }}",
        "{{ input.t|uper }}",
        "{{ input.t is oddd }}",
        "{{ input.t.uper() }}",
        "{{ rang(3) }}",
        "{% for x in input.l %}{{ loop.indx }}{% endfor %}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    ],
)
def test_a_use_that_fails_in_every_run_is_an_error_at_its_place(source: str) -> None:
    """Unknown names and wrong arguments are found before the run, at the name or the argument."""
    (found, *_) = findings(source, SCOPE)
    assert found.severity == "error"
    assert source[found.offset : found.offset + found.length].strip("'")
    assert 0 < found.length < len(source)
