"""Text to input: what is JSON, YAML or plain text, and how arguments are read."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runllm.errors import FileAccessError, InputSchemaError, RunllmError, UsageError
from runllm.inputs import form_of, from_arguments, from_text, read_file
from runllm.schema import Contract

TEXT = Contract(
    {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}, "required": ["text"]}
)
TWO = Contract(
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]}
)


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ('{"text": "x", "n": 3}', "guess", {"text": "x", "n": 3}),
        ("text: x\nn: 3", "guess", {"text": "x", "n": 3}),
        ("plain words", "guess", {"text": "plain words"}),
        ("Note: buy milk", "guess", {"text": "Note: buy milk"}),
        ("42", "guess", {"text": "42"}),
        ("[a, b]", "guess", {"text": "[a, b]"}),
        ("- a\n- b\n", "guess", {"text": "- a\n- b"}),
        ('{"text": "x"}', "text", {"text": '{"text": "x"}'}),
        ("line\n", "text", {"text": "line"}),
        ('{"text": "no"}', "json", {"text": "no"}),
        ("text: no", "yaml", {"text": "no"}),
        ('{"n": "3"}', "json", {"n": "3"}),
        ("", "yaml", {}),
    ],
)
def test_a_text_is_read_by_its_form(text: str, form: str, value: dict) -> None:
    assert from_text(text, TEXT, form=form, name="in") == value


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ('{"text": ', "guess", "not valid JSON: line 1, column 10"),
        ('{"a": 1, "a": 2}', "json", "stands twice"),
        ('{"a": NaN}', "json", "`NaN` is not a JSON value"),
        ("a: 1\na: 2", "yaml", "stands twice"),
        ("a: [1", "yaml", "not valid YAML: line"),
        ("[1]", "json", "must hold a mapping"),
        ("[" * 100_000, "json", "nests too deeply"),
    ],
)
def test_a_text_that_is_not_its_form_says_where(text: str, form: str, words: str) -> None:
    with pytest.raises(InputSchemaError, match=words.replace("(", r"\(")):
        from_text(text, TEXT, form=form, name="in.json")


def test_plain_text_for_an_app_of_two_texts_lists_the_inputs() -> None:
    with pytest.raises(InputSchemaError, match="`a`, `b`"):
        from_text("hello", TWO, form="guess", name="in")


@given(st.text())
def test_any_text_is_an_input_or_a_catalogued_error(text: str) -> None:
    with contextlib.suppress(RunllmError):
        assert isinstance(from_text(text, TEXT, form="guess", name="in"), dict)


def test_arguments_are_read_as_their_declared_types(tmp_path) -> None:
    file = tmp_path / "long.txt"
    file.write_text("from a file", encoding="utf-8")
    assert from_arguments([f"text=@{file}", "n=3"], TEXT) == {"text": "from a file", "n": 3}
    assert from_arguments(["text=a=b"], TEXT) == {"text": "a=b"}
    assert from_arguments(["text=@@home"], TEXT) == {"text": "@home"}


@pytest.mark.parametrize("text", ["@{file}", "@@x", "@", "-", "--dry-run", "a=b", "", "{{ 1 }}", "@/dev/zero", "no\n"])
def test_a_literal_text_is_that_text(text: str, tmp_path) -> None:
    file = tmp_path / "hidden"
    file.write_text("hidden", encoding="utf-8")
    text = text.replace("{file}", str(file))
    assert from_arguments([], TEXT, [("text", text)]) == {"text": text}


@given(st.text())
def test_any_literal_text_is_that_text(text: str) -> None:
    assert from_arguments(["n=1"], TEXT, [("text", text)]) == {"n": 1, "text": text}


def test_a_literal_text_is_read_as_its_declared_type() -> None:
    assert from_arguments(["text=x"], TEXT, [("n", "3")]) == {"n": 3, "text": "x"}
    assert from_arguments([], TEXT, [("n", "@3")]) == {"n": "@3"}, "which the contract then refuses"
    with_sign = Contract({"type": "object", "properties": {"a=b": {"type": "string"}}})
    assert from_arguments([], with_sign, [("a=b", "x")]) == {"a=b": "x"}


@pytest.mark.parametrize(
    ("literal", "arguments", "words"),
    [
        ([("text", "a"), ("text", "b")], [], "`text` is given twice"),
        ([("text", "a")], ["text=b"], "`text` is given twice"),
        ([("txt", "a")], [], "the app takes no input `txt`"),
        ([("text=", "a")], [], "the app takes no input `text=`"),
        ([("", "a")], [], "`--arg` is not understood: an input is written `--arg NAME VALUE`"),
    ],
)
def test_a_literal_text_for_no_input(literal: list[tuple[str, str]], arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        from_arguments(arguments, TEXT, literal)
    assert raised.value.recovery_hint


@pytest.mark.parametrize("name", ["none", "", "folder", "latin", "nul\0"])
def test_a_file_that_cannot_be_read_may_be_meant_as_text(name: str, tmp_path) -> None:
    """Whatever is wrong with the file, the error says how to write a text that begins with `@`."""
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileAccessError) as raised:
        from_arguments([f"text=@{name and tmp_path / name}"], TEXT)
    assert "`text=@@...`" in raised.value.recovery_hint
    assert "`--arg text VALUE`" in raised.value.recovery_hint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["words"], "`key=value`"),
        (["text=a", "text=b"], "given twice"),
        (["txt=a"], "no input `txt`"),
        (["=a"], "not understood"),
    ],
)
def test_an_argument_that_makes_no_sense(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_arguments(arguments, TEXT)


def test_files_that_cannot_be_read(tmp_path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for path, words in (
        (tmp_path / "no", "there is no file"),
        (tmp_path, "cannot be read"),
        (tmp_path / "latin", "not UTF-8"),
    ):
        with pytest.raises(FileAccessError, match=words):
            read_file(str(path))


def test_a_file_is_read_by_its_ending() -> None:
    assert [form_of(p) for p in ("a.json", "a.YAML", "a.yml", "a.txt", "a.md", "-")] == [
        "json",
        "yaml",
        "yaml",
        "text",
        "text",
        "guess",
    ]


def test_an_app_without_inputs_is_not_said_to_take_nothing_by_name() -> None:
    with pytest.raises(UsageError) as raised:
        from_arguments(["words"], Contract({"type": "object"}))
    assert raised.value.recovery_hint == "The app names no input."
