"""`runllm.rendering`: a value as YAML is the same value to whoever reads it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runllm.documents import read
from runllm.dumping import as_yaml
from runllm.rendering import one_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_any_value_is_the_same_in_yaml(value: object) -> None:
    root, problems = read(as_yaml({"value": value}) + "\n")
    assert (root.value, problems) == ({"value": value}, [])


@pytest.mark.parametrize(
    "text",
    ["1e3", "-1E+5", ".5e3", "0o17", "0x1F", "1_000", "12:30", "no", "2026-11-01", "~", "a\u2028b", "a\x85", "a\u2029"],
)
def test_a_text_that_one_yaml_takes_for_something_else_is_quoted(text: str) -> None:
    value = {"a": text, text: [text]}
    assert read(as_yaml(value) + "\n")[0].value == value
    assert yaml.safe_load(as_yaml(value)) == value


@pytest.mark.parametrize("text", ["1.2.3", "10 apples", "192.168.0.1", "v1", "0o9"])
def test_a_text_that_looks_like_nothing_else_is_plain(text: str) -> None:
    assert as_yaml({"a": text}) == f"a: {text}"


def test_one_line_is_one_line_and_keeps_its_margin() -> None:
    assert one_line("  a\n\n  b\tc\x1b\n") == "  a b c\\x1b"
