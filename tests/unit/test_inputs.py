"""Text to input: what is JSON, YAML or plain text, and how arguments are read."""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runllm.errors import FileAccessError, InputSchemaError, RunllmError, UsageError
from runllm.inputs import accepted, form_of, from_arguments, from_text, given_input, read_file
from runllm.results import Event
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
        ("{}", "guess", {}),
        ("{text: 'a # b', n: 3}", "guess", {"text": "a # b", "n": 3}),
        ("text: |\n  # Title\n\n  words\nn: 3\n", "guess", {"text": "# Title\n\nwords\n", "n": 3}),
        ("text: a\n  b\n", "guess", {"text": "a b"}),
        ("'text': é", "guess", {"text": "é"}),
    ],
)
def test_a_text_is_read_by_its_form(text: str, form: str, value: dict) -> None:
    assert from_text(text, TEXT, form=form, name="in") == value


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ('{"text": ', "json", "not valid JSON: line 1, column 10"),
        ('{"text": "a", "text": "b"}', "guess", "stands twice"),
        ('{"text": NaN}', "guess", "`NaN` is not a JSON value"),
        ('{"n": ' + "9" * 5000 + "}", "guess", "not valid JSON"),
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


@pytest.mark.parametrize(
    "text",
    [
        "text: fix # 12 now",
        "# fix\ntext: a",
        "text: |  # fix\n  a",
        "text: |\n  a\n# end",
        "n: 3  # three\ntext: a",
        "text: &a b",
        "text: !!str b",
        "text: &a b\nn: *a",
        "---\ntext: a",
        "text: a\n...",
        "text: a\n---\ntext: b",
        "%YAML 1.2\n---\ntext: a",
        "text: a\ntext: b",
        "text: a\nwords after it",
        "text: a\nother: b",
        "text: see: this",
        "txet: a",
        "{text}",
        "{name}, hello",
        "{{ input.text }}",
        "{",
        '{"text": "a"} and more',
        '{"text": "a"} # fix',
        '{"text": "a"}\n{"text": "b"}',
        '{"id": 1, "title": "a"}',
        '{"id": 1, "id": 2}',
        '{"score": NaN}',
        '["a"]',
        '"a"',
        "text\n: a",
        "---\ntitle: a\n---\n# Title",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b",
        "[12:30] INFO: {user: 3}",
        "text: " + "[" * 1000,
        "{text",
        '{"te',
        '{"text"',
        '{"text" is no key',
        '{"text": fix it',
        '{"text": "a"}\n{"text": "b',
        '{"title": "a',
    ],
)
def test_what_is_no_mapping_of_declared_names_or_says_more_is_one_text(text: str) -> None:
    assert from_text(text, TEXT, form="guess", name="in") == {"text": text}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"txet": "a"}', "`text` is required but missing"),
        ('{"TEXT": "a"}', "`text` is required but missing"),
        ('{"id": 1, "n": 3}', "`text` is required but missing"),
        ('{"text": 3}', "/text"),
        ("text: ~", "/text"),
        ("text: [3]", "/text"),
        ('{"text": "abc', "line 1, column 10: Unterminated string"),
        ('{"text": "abc\\', "line 1, column 10: Unterminated string"),
        ('{"text": "a"', "column 13: Expecting ',' delimiter"),
        ('{\n  "n" : 3,\n  "text": "a",\n', "not valid JSON: line"),
        ('{"text":', "column 9: Expecting value"),
        ('{"txet": "abc', "Unterminated string"),
        ('{"n": [1, {"a": ', "Expecting value"),
        ('{"text": ' + "[" * 100_000, "nests too deeply"),
    ],
)
def test_a_mapping_is_no_text_however_wrong_it_is(text: str, words: str) -> None:
    with pytest.raises(InputSchemaError, match=words):
        from_text(text, TEXT, form="guess", name="in")


def test_a_mapping_is_held_against_the_contract_with_what_is_given_beside_it() -> None:
    assert given_input(TEXT, text='{"n": 3}', literal=[("text", "x")]) == {"n": 3, "text": "x"}
    with pytest.raises(InputSchemaError, match="/n"):
        given_input(TEXT, text='{"text": "x"}', arguments=["n=three"])


def test_an_object_of_any_names_is_the_input_of_an_app_that_takes_any() -> None:
    assert from_text('{"any": 1}', Contract({"type": "object"}), form="guess", name="in") == {"any": 1}
    numbers = Contract({"type": "object", "additionalProperties": {"type": "number"}})
    assert from_text('{"any": 1}', numbers, form="guess", name="in") == {"any": 1}


def test_one_text_feeds_the_input_that_is_left() -> None:
    assert given_input(TWO, text="hello", literal=[("a", "x")]) == {"a": "x", "b": "hello"}
    assert given_input(TEXT, text="hello", literal=[("text", "x")]) == {"text": "x"}, "arguments win"


@pytest.mark.parametrize("text", ["hello", '{"id": 1}', '{"a": 1}', '{"b', '{"a": "b', "a: 1", '{"x": 1}\n{"x": 2}'])
def test_every_refusal_says_how_to_give_one_text(text: str, tmp_path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(text, encoding="utf-8")
    for contract, names in ((TWO, ("a", "b")), (Contract({**TWO.schema, "required": ["b", "c"]}), ("a", "b"))):
        with pytest.raises(InputSchemaError) as raised:
            given_input(contract, text=text)
        assert all(f"`--arg {name} TEXT`" in raised.value.recovery_hint for name in names)
        with pytest.raises(InputSchemaError) as raised:
            from_text(text, contract, form="guess", name="in")
        if "a" not in text:
            assert "the app takes `a`, `b`" in raised.value.message
    with pytest.raises(InputSchemaError) as raised:
        given_input(TWO, path=str(path))
    assert f"`a={path}`".replace("=", "=@") in raised.value.recovery_hint


@given(
    st.text()
    | st.from_regex(r"\{?(text|n|\"text\"):( |\n  )[\-|#&*!'\"{\[]?[\w #:'\"]*\}?( #|\n[\w:]*)*", fullmatch=True)
)
def test_any_text_arrives_unchanged_or_is_a_mapping_that_says_the_same(text: str) -> None:
    """Refused is only what is a mapping, and does not fit."""
    try:
        found = from_text(text, TEXT, form="guess", name="in")
    except InputSchemaError:
        found = None
    if found != {"text": text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")}:
        said = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes no objects; of a foreign reader, to whom every value is a text
        assert isinstance(said, dict)
        assert found is None or (found["text"] == said["text"] and found.keys() == said.keys())
        assert "#" not in text or "#" in str(said)


def test_what_was_read_as_what_is_told(tmp_path) -> None:
    told: list[tuple[str, str]] = []
    table = tmp_path / "x.CSV"
    table.write_text("a,b\n1,2\n", encoding="utf-8")

    def heard(event) -> None:
        told.append((event.step, event.message.replace(str(table), "x.CSV")))

    given_input(TEXT, text='{"text": "x"}', listener=heard)
    given_input(TEXT, text="text: x", listener=heard)
    given_input(TEXT, text="x", listener=heard)
    assert given_input(TEXT, path=str(table), listener=heard) == {"text": "a,b\n1,2"}
    assert given_input(TEXT, arguments=[f"text=@{table}"], listener=heard) == {"text": "a,b\n1,2\n"}
    given_input(TEXT, arguments=["text=x"], listener=heard)
    assert told == [
        ("input", "the input is read as a JSON mapping of inputs"),
        ("input", "the input is read as a YAML mapping of inputs"),
        ("input", "the input is read as one text, `text`"),
        (
            "warning",
            "`x.CSV` is a table, and all of it is read as one text; `runllm batch` runs a file on each of its rows",
        ),
        ("input", "x.CSV is read as one text, `text`"),
        (
            "warning",
            "`x.CSV` is a table, and all of it is read as one text; `runllm batch` runs a file on each of its rows",
        ),
        ("input", "`text` is given the text of x.CSV"),
    ]


@pytest.mark.parametrize(
    "text", ["a\r\nb\r\n", "a\rb\n\n", "\r\n a \t\n", "a\u2028\x85\x0c\x0b\x1c\n", "\n", "a", "\ufeffa\n", "a\0b"]
)
def test_a_text_arrives_as_it_came(text: str, tmp_path) -> None:
    """Of a file and a pipe that are one text, the line end that ends the last line is left out."""
    file = tmp_path / "x.txt"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert given_input(TEXT, arguments=[f"text=@{file}"]) == {"text": text}
    last = 2 if text.endswith("\r\n") else int(text.endswith("\n"))
    assert given_input(TEXT, path=str(file)) == {"text": text[: len(text) - last]}


WRITTEN = ["007", "1_000", "0o17", "0x1F", "1e3", "1.50", ".5", "+49", "true", "False", "on", "yes", "no", "2026-11-30", "12:30:00", "1.0.0",
           "9007199254740993.0", "12345678901234567890123", "-0", "1,5", "50%", "=1+1"]  # fmt: skip


@pytest.mark.parametrize("word", WRITTEN)
@pytest.mark.parametrize("form", ["guess", "yaml"])
def test_a_plain_word_of_yaml_is_the_text_that_was_written(word: str, form: str) -> None:
    text = {"type": "string"}
    declared = {
        "text": text,
        "l": {"type": "array", "items": text},
        "o": {"type": "object", "properties": {"k": {"enum": [word]}}},
    }
    contract = Contract({"type": "object", "properties": declared, "required": ["text"]})
    told: list[Event] = []
    written = f"text: {word}\r\nl: [{word.replace(',', '')}, a]\nl2: {{}}\no: {{k: '{word}'}}\n".replace("l2: {}\n", "")
    found = (
        given_input(contract, text=written, listener=told.append)
        if form == "guess"
        else from_text(written, contract, form="yaml", name="in")
    )
    assert found == {"text": word, "l": [word.replace(",", ""), "a"], "o": {"k": word}}
    assert [event.step for event in told if event.step == "warning"] == []


def test_a_value_of_another_declared_type_stays_one_where_nothing_is_lost() -> None:
    contract = Contract(
        {"type": "object", "properties": {"a": {"type": ["string", "number", "boolean", "null"]}, "b": {}}}
    )
    for word, value in (
        ("7", 7),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("007", "007"),
        ("1.50", "1.50"),
        ("True", "True"),
    ):
        assert from_text(f"a: {word}\nb: {word}", contract, form="yaml", name="in")["a"] == value


NUMBERS = Contract(
    {"type": "object", "properties": {"n": {"type": "number"}, "l": {"type": "array", "items": {"type": "number"}}}}
)


@pytest.mark.parametrize(
    ("literal", "kept"),
    [
        ("9007199254740993.0", "9007199254740992.0"), ("3.14159265358979323846", "3.141592653589793"), ("1e-400", "0.0"),
        ("-9007199254740993.00", "-9007199254740992.0"), ("12345678901234567890e0", "1.2345678901234567e+19"),
        ("0.1", ""), ("0.10000000000000001", ""), ("0.1000000000000000055511151231257827", ""), ("1.10", ""), ("0.0", ""),
        ("9007199254740993", ""), ("1e23", ""), ("5e-324", ""), ("4.35", ""), ("0.30000000000000004", ""), ("100.00", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("way", "place"),
    [
        ('{{"l": [1, {}]}}', "the input, line 1, column 11"),
        ("n: 1\nl: [ {} ]", "the input, line 2, column 6"),
        ("n={}", "`n`, line 1, column 1"),
        ("l=[1.5, {}]", "`l`, line 1, column 7"),
    ],
)
def test_a_number_that_loses_digits_is_told_at_its_place(literal: str, kept: str, way: str, place: str) -> None:
    told: list[Event] = []
    text = way.format(literal)
    if "=" in way:
        given_input(NUMBERS, listener=told.append, arguments=[text])
    else:
        given_input(NUMBERS, listener=told.append, text=text)
    said = [event.message for event in told if event.step == "warning"]
    assert said == (
        [f"{place}: `{literal}` has more digits than a number with a fraction holds: it is read as {kept}"]
        if kept
        else []
    )


@pytest.mark.parametrize("name", ["x.xlsx", "X.XLS", "x.ods"])
def test_a_spreadsheet_is_no_text_whatever_its_bytes(name: str, tmp_path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    for way in ({"path": str(tmp_path / name)}, {"arguments": [f"text=@{tmp_path / name}"]}):
        with pytest.raises(FileAccessError, match="is a spreadsheet, which is no text") as raised:
            given_input(TEXT, **way)
        assert raised.value.recovery_hint.startswith("`runllm batch` runs a file on each")


@pytest.mark.parametrize("arguments", [["text=@-", "n=@-"], ["text=@-"]])
def test_standard_input_is_named_once(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="named twice"):
        given_input(TEXT, path=None if len(arguments) > 1 else "-", arguments=arguments)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"text": "a\ud800"}, "/text"),
        ({"text": "x", "more": {"in": ["a", "\udcff"]}}, "/more/in/1"),
        ({"text": "x", "more": {"\udcff": 1}}, "/more"),
        ({"\udcff": 1}, ""),
    ],
)
def test_what_is_no_unicode_is_refused_at_its_place(value: dict, at: str) -> None:
    with pytest.raises(InputSchemaError, match="half a character") as raised:
        accepted(Contract({"type": "object"}), value)
    assert [(one.pointer, one.keyword) for one in raised.value.problems] == [(at, "unicode")]
    raised.value.payload()


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


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("text", "Write `text=VALUE`, without blanks beside the `=`."), ("text:hi", "Write `text=hi`."), ("text: hi", "Write `text=hi`."),
        ("n:3", "Write `n=3`."), ("hello you", "Write `'text=hello you'`."), ("--text", "Write `text=VALUE`"), ("--text=hi", "Write `text=VALUE`"),
        ("=", "The app takes: text, n."), ("--dry-run", "The app takes: text, n."),
    ],
)  # fmt: skip
def test_an_input_in_another_form_is_told_how_it_is_written(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        from_arguments([word], TEXT)
    assert hint in raised.value.recovery_hint
    with pytest.raises(UsageError) as raised:
        from_arguments([], TEXT, [("text=hi", "x")])
    assert raised.value.recovery_hint == "Write `text=hi`."


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
