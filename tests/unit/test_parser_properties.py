"""Whatever the text, parsing ends in problems with places inside it, never in an exception."""

import time
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from tests.chances import examples

from runllm.documents import DocumentError, read
from runllm.errors import class_of
from runllm.parser import parse
from runllm.project.check import analyse

EXAMPLES = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parents[2].glob("examples/*.rllm"))]
PIECES = [
    "---", "---\n", "\n", "name: x\n", "llm: {model: m}\n", "input_schema: {type: object}\n", "output_schema: [", "input:\n",
    "  text: text ..60\n", "  a?: b | c, d\n", "returns: [{a: strng}]\n", "{{", "}}", "{%",
    "{{ input.text }}", "<<<SYSTEM>>>\n", "<<<USER>>>", "<<<", "```rllm-python pre\n", "```\n", "~~~~rllm-python check a=b\n", "&a", "*a",
    "!!str", ": ", "- ", "  ", "\t", "'", '"', "|", ">", "#", "\ufeff", "\r\n", "\x00", "\x85", "\u2028", "\ud800", "😀", "\x1b[31m", "?", "~",
]  # fmt: skip


def check(text: str | bytes) -> None:
    """Parse and analyse; the problems must be catalogued and lie inside the text."""
    start = time.monotonic()
    parsed = parse(text, name="f")
    for problem in analyse(parsed):
        assert problem.message
        assert class_of(problem.kind)
        assert problem.span is not None
        assert 1 <= problem.span.line <= max(1, parsed.source.text.count("\n") + 1)
        assert problem.span.column >= 1
    assert time.monotonic() - start < 10


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_sequence_of_what_files_are_made_of(text: str) -> None:
    check("---\n" + text)


@examples(200)
@given(st.sampled_from(EXAMPLES), st.data())
def test_a_good_file_with_a_stretch_replaced(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=10)))
    check(text[:start] + piece + text[end:])


@example("a: " + "[" * 5000)
@example("a: " + "{a: " * 5000)
@example("- " * 5000)
@example("? " * 3000)
@example("&a [*a]")
@example("a: &x {b: *x}")
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_yaml_is_a_value_or_a_document_error(text: str) -> None:
    try:
        root, _ = read(text)
    except DocumentError:
        return
    for _, node in root.walk():
        assert node.value is None or isinstance(node.value, str | int | float | bool | list | dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_read_as_yaml_with_the_same_meaning(value: object) -> None:
    import json

    text = json.dumps(value)
    if len(text) < 500 and "\\u" not in text and "\\" not in text:
        assert read(text)[0].value == value
