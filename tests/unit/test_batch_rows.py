"""Rows as real files hold them: each is read right, or refused with its place and a hint; and rows as they are written."""

import contextlib
import csv
import datetime as dt
import io
import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chances import examples

from runllm import files
from runllm.batch import journal, opening
from runllm.batch.checking import checked_rows
from runllm.batch.columns import FAILED, MORE, Feeding, Shape, cell
from runllm.batch.sources import Reading, Row
from runllm.batch.tally import Tally
from runllm.batch.writers import Layout, form_of, types_of, write
from runllm.errors import FileAccessError, InputSchemaError, RunllmError, UsageError
from runllm.schema import Contract

OPEN_NOW = []
HELLO = [{"id": "1", "text": "Hello"}, {"id": "2", "text": "Bye"}]


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN_NOW:
        OPEN_NOW.pop().close()


def opened(paths, reading):
    OPEN_NOW.append(opening.opened(paths, reading))
    return OPEN_NOW[-1]


def source(folder, name, data, **reading):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return opened([str(path)], Reading(**reading))


def cells(found):
    return [dict(row.cells) for row in found.rows()]


# What is in the file, how it is read, and the rows it means.
READ = {
    "plain": ("id,text\n1,Hello\n2,Bye\n", {}, HELLO),
    "no line end at the end": ("id,text\n1,Hello\n2,Bye", {}, HELLO),
    "CRLF, as Excel writes it": ("id,text\r\n1,Hello\r\n2,Bye\r\n", {}, HELLO),
    "CR alone, as an old Mac wrote it": ("id,text\r1,Hello\r2,Bye\r", {}, HELLO),
    "empty lines": ("\n\nid,text\n\n1,Hello\n\n\n2,Bye\n\n", {}, HELLO),
    "lines of blanks and of delimiters": ("id,text\n  \n1,Hello\n,\n , \n2,Bye\n,\n", {}, HELLO),
    "empty rows above the header": (",\n,\nid,text\n1,Hello\n2,Bye\n", {}, HELLO),
    "German": ("id;text\n1;Hello\n2;Bye\n", {}, HELLO),
    "tabs in a .csv": ("id\ttext\n1\tHello\n2\tBye\n", {}, HELLO),
    "bars": ("id|text\n1|Hello\n2|Bye\n", {}, HELLO),
    "another delimiter": ("id^text\n1^Hello\n2^Bye\n", {"delimiter": "^"}, HELLO),
    "Excel's first line": ("sep=;\r\nid;text\r\n1;Hello\r\n2;Bye\r\n", {}, HELLO),
    "Excel's first line, quoted, and a mark": ('\ufeff"sep=|"\r\nid|text\r\n1|Hello\r\n2|Bye\r\n', {}, HELLO),
    "Excel's first line with a tab": ("sep=\t\nid\ttext\n1\tHello\n2\tBye\n", {}, HELLO),
    "Excel's first line against what would be guessed": ("sep=;\na,b;c\n1,2;3\n", {}, [{"a,b": "1,2", "c": "3"}]),
    "a column that looks like Excel's first line": ("sep=x,text\n1,Hello\n", {}, [{"sep=x": "1", "text": "Hello"}]),
    "a mark": ("\ufeffid,text\n1,Hello\n2,Bye\n", {}, HELLO),
    "a mark and the encoding named": ("\ufeffid,text\n1,Hello\n2,Bye\n", {"encoding": "UTF-8"}, HELLO),
    "UTF-16": ("id,text\n1,Hello\n2,Bye\n".encode("utf-16"), {}, HELLO),
    "UTF-16, the other end first": (b"\xfe\xff" + "id,text\n1,Hello\n2,Bye\n".encode("utf-16-be"), {}, HELLO),
    "UTF-16 without a mark": ("id,text\n1,Hello\n2,Bye\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, HELLO),
    "Excel's Unicode text": ("id\ttext\r\n1\tHello\r\n2\tBye\r\n".encode("utf-16"), {}, HELLO),
    "cp1252": ("text\nGrüße\n".encode("cp1252"), {"encoding": "cp1252"}, [{"text": "Grüße"}]),
    "blanks around names, not in cells": (" id , text \n1, Hello \n", {}, [{"id": "1", "text": " Hello "}]),
    "a line end in a name": ('id,"full\r\ntext"\n1,Hello\n', {}, [{"id": "1", "full text": "Hello"}]),
    "names in other scripts": ("id,テキスト\n1,Hello\n", {}, [{"id": "1", "テキスト": "Hello"}]),
    "delimiters at the end": ("id,text,\n1,Hello,\n2,Bye,\n", {}, HELLO),
    "a header wider than its names": ("id,text,,,\n1,Hello,,,\n2,Bye\n", {}, HELLO),
    "longer rows, of nothing": ("id,text\n1,Hello,\n2,Bye,,,\n", {}, HELLO),
    "an unnamed column of nothing": ("id,,text\n1,,Hello\n2,,Bye\n", {}, HELLO),
    "line ends in cells": ('id,text\n1,"a\nb\r\nc\rd"\n2,e\n', {}, [{"id": "1", "text": "a\nb\r\nc\rd"}, {"id": "2", "text": "e"}]),
    "quotes": ('text\n"say ""hi"""\n5" pipe\n', {}, [{"text": 'say "hi"'}, {"text": '5" pipe'}]),
    "a cell like a file": ("text\n@/etc/hostname\n=1+1\n", {}, [{"text": "@/etc/hostname"}, {"text": "=1+1"}]),
    "numbers and dates as they stand": ('a,b,c\n"1,234.5",007,24.12.2026\n', {}, [{"a": "1,234.5", "b": "007", "c": "24.12.2026"}]),
    "a row of totals": ("id,text\n1,Hello\nTotal,\n", {}, [{"id": "1", "text": "Hello"}, {"id": "Total", "text": ""}]),
    "other line ends of Unicode": ("text\na\u2028b\x0bc\x85d\n", {}, [{"text": "a\u2028b\x0bc\x85d"}]),
    "commas in a name of a German table": ("id;Wie alt, ungefähr, etwa, sind Sie?\n1;30\n", {}, [{"id": "1", "Wie alt, ungefähr, etwa, sind Sie?": "30"}]),
    "decimal commas": ("id;a;b\n1;1,5;2,5\n2;3,5;4,5\n", {}, [{"id": "1", "a": "1,5", "b": "2,5"}, {"id": "2", "a": "3,5", "b": "4,5"}]),
    "a quoted line end in the header": ('"a\nb; c";text\n1;x\n', {}, [{"a b; c": "1", "text": "x"}]),
    "one column": ("text\nHello\n", {}, [{"text": "Hello"}]),
    "a header alone": ("id,text\n", {}, []),
    "a large cell": ("text\n" + "x" * (10 << 20) + "\n", {}, [{"text": "x" * (10 << 20)}]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reading", "rows"), READ.values(), ids=READ)
def test_a_table_is_read_as_it_is_meant(tmp_path, data, reading, rows):
    found = source(tmp_path, "rows.csv", data, **reading)
    assert cells(found) == rows
    assert cells(found) == rows  # once to be checked, once to be run
    found.close()


# What is in the file, how it is read, the line that is named, and words of the message and of the hint.
REFUSED = {
    "a row with too little": ("id,text\n1,Hello\n2\n", {}, 3, "it has 1 cells, and line 1 has 2", "still has its delimiter"),
    "a row with too much": ("id,text\n1,Hello, Ann\n", {}, 2, "it has 3 cells, and line 1 has 2", "is quoted"),
    "too much after a cell of lines": ('id,text\n1,"a\nb"\n2,c,d\n', {}, 4, "it has 3 cells", "is quoted"),
    "a text in an unnamed column": (",text\n0,Hello\n", {}, 2, "its cell 1 (`0`) stands in a column without a name", "line 1"),
    "one name twice": ("id,text,id\n1,a,2\n", {}, 1, "two columns are called `id`", "a name of its own"),
    "one name twice, but for blanks": ("\n\nid,id \n1,a\n", {}, 3, "two columns are called `id`", "a name of its own"),
    "a quote that never ends": ('id,text\n1,a\n2,"b\n3,c\n', {}, 3, "it is no CSV", "doubled"),
    "a quote within quotes": ('id,text\n1,"say "hi""\n', {}, 2, "it is no CSV", "doubled"),
    "NUL": ("id,text\n1,a\0b\n", {}, 2, "NUL", "CSV UTF-8"),
    "UTF-16 without a mark": ("id,text\n1,a\n".encode("utf-16-le"), {}, 1, "NUL", "utf-16-le"),
    "cp1252 unnamed": ("id,text\n1,a\n2,Grüße\n".encode("cp1252"), {}, 3, "it is not utf-8 text", "--encoding cp1252"),
    "UTF-16 cut off": ("id,text\n1,a\n2,b".encode("utf-16")[:-1], {}, 3, "it is not utf-16 text", "--encoding"),
    "a wrong encoding": ("id,text\n1,ü\n".encode(), {"encoding": "ascii"}, 2, "it is not ascii text", "UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reading", "line", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_with_its_line(tmp_path, data, reading, line, message, hint):
    with pytest.raises(InputSchemaError) as caught:
        cells(source(tmp_path, "rows.csv", data, **reading))
    assert f"rows.csv, line {line}: " in caught.value.message
    assert message in caught.value.message
    assert hint in (caught.value.recovery_hint or "")
    span = caught.value.problems[0].span
    assert span is not None
    assert span.line == line


@pytest.mark.soak  # 64 MiB
def test_a_cell_beyond_all_bounds_is_refused_with_its_line(tmp_path):
    with pytest.raises(InputSchemaError, match="line 2: it is no CSV: field larger"):
        cells(source(tmp_path, "rows.csv", "id,text\n1," + "x" * ((64 << 20) + 1)))


@pytest.mark.parametrize("data", ["", "\n\n", ",,\n , \n", "\ufeff", "sep=;\r\n"])
def test_a_table_of_nothing_is_empty(tmp_path, data):
    with pytest.raises(InputSchemaError, match="is empty"):
        source(tmp_path, "rows.csv", data)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"delimiter": ",,"}, "one character"),
        ({"delimiter": "\n"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"delimiter": ""}, "one character"),
        ({"encoding": "klingon"}, "`klingon` is no encoding"),
        ({"encoding": "base64"}, "`base64` is no encoding"),
    ],
)
def test_a_reading_that_means_nothing_is_refused(tmp_path, reading, message):
    with pytest.raises(UsageError, match=message):
        source(tmp_path, "rows.csv", "id,text\n1,a\n", **reading)


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2), max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)  # fmt: skip
@examples(300)
def test_whatever_a_program_writes_as_csv_is_read_back(tmp_path_factory, rows, delimiter, end, encoding):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["one", "two"], *rows])
    folder = tmp_path_factory.mktemp("csv")
    found = cells(source(folder, "rows.csv", text.getvalue().encode(encoding)))
    assert found == [{"one": a, "two": b} for a, b in rows if a.strip() or b.strip()]


# --- JSON -------------------------------------------------------------------------------------------


def test_json_lines_are_objects_of_any_keys(tmp_path):
    data = '\ufeff{"id": 1, "text": "a\\u2028"}\r\n\n  \n{"n": [1, {"x": null}]}\n{}\n'
    found = source(tmp_path, "rows.jsonl", data)
    assert [(row.line, dict(row.cells)) for row in found.rows()] == [
        (1, {"id": 1, "text": "a\u2028"}),
        (4, {"n": [1, {"x": None}]}),
        (5, {}),
    ]


BROKEN = {
    "cut off": ('{"a": 1}\n{"a": \n', 2, "it is no JSON", "one whole JSON object"),
    "over several lines": ('{\n"a": 1\n}\n', 1, "it is no JSON", "one whole JSON object"),
    "one key twice": ('{"a": 1, "a": 2}\n', 1, "the key `a` stands twice", ""),
    "NaN": ('{"a": 1}\n\n{"a": NaN}\n', 3, "`NaN` is not a JSON value", ""),
    "a number beyond all": ('{"a": 1e999}\n', 1, "it is no JSON", ""),
    "an endless number": ('{"a": ' + "9" * 5000 + "}\n", 1, "it is no JSON", ""),
    "single quotes": ("{'a': 1}\n", 1, "it is no JSON", "one whole JSON object"),
    "cp1252": ('{"a": 1}\n{"a": "ü"}\n'.encode("cp1252"), 2, "it is not utf-8 text", "--encoding"),
}


@pytest.mark.parametrize(("data", "line", "message", "hint"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_of_json_is_refused(tmp_path, data, line, message, hint):
    with pytest.raises(InputSchemaError) as caught:
        cells(source(tmp_path, "rows.jsonl", data))
    assert f"rows.jsonl, line {line}: " in caught.value.message
    assert message in caught.value.message
    assert hint in (caught.value.recovery_hint or "")


def contract(properties, required=(), **more):
    return Contract({"type": "object", "properties": properties, "required": list(required), **more})


OPTIONAL = contract({"text": {"type": "string"}}, additionalProperties=False)


def checked(found, expects, maps=()):
    feeding = Feeding(expects, found, dict(maps))
    return checked_rows(found.rows(), feeding, expects, None)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_row_that_is_no_object_does_not_fit_and_ends_nothing(tmp_path, name):
    values = ["null", "3", '"text"', "[]", "{}", "false"]
    data = "\n".join(values) if name.endswith("l") else f"[{', '.join(values)}]"
    found = checked(source(tmp_path, name, data), OPTIONAL)
    assert (found.rows, [one.line for one in found.misfits]) == (6, [1, 2, 3, 4, 6])


def test_a_json_list_is_rows_and_a_json_file_of_lines_is_read_as_them(tmp_path):
    assert cells(source(tmp_path, "a.json", '[{"a": 1},\n {"b": 2}]')) == [{"a": 1}, {"b": 2}]
    assert cells(source(tmp_path, "b.json", '{"a": 1}\n{"b": 2}\n')) == [{"a": 1}, {"b": 2}]
    with pytest.raises(InputSchemaError, match="no list of rows"):
        source(tmp_path, "c.json", "3")
    with pytest.raises(InputSchemaError, match="line 3: it is no JSON") as caught:
        source(tmp_path, "d.json", '[{"a": 1},\n {"b": 2}\n {"c": 3}]')
    assert "--input-format jsonl" in caught.value.recovery_hint


# --- Parquet and workbooks ----------------------------------------------------------------------------


def test_parquet_cells_are_values_of_json(tmp_path):
    table = pa.table(
        {
            "day": pa.array([dt.date(2026, 12, 24), None]),
            "at": pa.array([dt.datetime.fromisoformat("2026-12-24T18:30"), None], pa.timestamp("ns")),
            "price": pa.array([Decimal("1234.50"), None]),
            "large": pa.array([2**64 - 1, None], pa.uint64()),
            "part": pa.array([float("nan"), float("inf")]),
            "deep": pa.array([{"a": [{"b": dt.date(2026, 1, 2)}]}, None]),
            "pairs": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "data": pa.array([b"text", b"\xff\xfe"]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    first, second = cells(opened([str(tmp_path / "rows.parquet")], Reading()))
    assert first == {
        "day": "2026-12-24",
        "at": first["at"],
        "price": "1234.50",
        "large": 2**64 - 1,
        "part": None,
        "deep": {"a": [{"b": "2026-01-02"}]},
        "pairs": [["k", 1]],
        "data": "text",
    }
    assert first["at"].startswith("2026-12-24T18:30:00")
    assert second == {**dict.fromkeys(first), "part": "inf", "data": "//4="}
    json.dumps([first, second], allow_nan=False)


def test_a_parquet_cell_feeds_what_it_can_and_a_missing_one_nothing(tmp_path):
    table = {"price": [Decimal("1.5"), None], "text": ["a", None], "maybe": ["x", None]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    expects = contract(
        {"price": {"type": "number"}, "text": {"type": "string"}, "maybe": {"type": ["string", "null"]}}, ["maybe"]
    )
    found = opened([str(tmp_path / "rows.parquet")], Reading())
    feeding = Feeding(expects, found, {})
    assert [feeding.given(row) for row in found.rows()] == [{"price": 1.5, "text": "a", "maybe": "x"}, {"maybe": None}]


def test_what_is_no_parquet_or_breaks_off_is_refused(tmp_path):
    with pytest.raises(InputSchemaError, match="no Parquet file"):
        source(tmp_path, "rows.parquet", "id,text\n1,a\n")
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.table({"a": [f"{n:09}" for n in range(20_000)]}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[100:2000] = bytes(1900)
    with pytest.raises(InputSchemaError, match=r"row [\d,]+: it cannot be read from here on"):
        cells(source(tmp_path, "rows.parquet", bytes(data)))


def workbook(path, sheets):
    """Write a workbook: rows by sheet."""
    book = openpyxl.Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


def test_a_workbook_gives_the_texts_that_its_cells_show(tmp_path):
    day, at = dt.date(2026, 12, 24), dt.datetime.fromisoformat("2026-12-24T18:30")
    rows = [
        [],
        [None, " n ", "day", "ok", "part"],
        [None, 12.0, day, True, 0.1 + 0.2],
        [],
        [None, 1e20, at, False, "007"],
        [None, 2**53 + 2, dt.time(8, 5), None, "=1+1"],
    ]
    path = workbook(tmp_path / "rows.xlsx", {"First": rows, "Second": [["text"], ["a"]]})
    found = opened([path], Reading())
    assert [(row.line, dict(row.cells)) for row in found.rows()] == [
        (3, {"n": "12", "day": "2026-12-24", "ok": "true", "part": "0.3"}),
        (5, {"n": "1e+20", "day": "2026-12-24T18:30:00", "ok": "false", "part": "007"}),
        (6, {"n": "9.00719925474099e+15", "day": "08:05:00", "ok": "", "part": ""}),  # a formula that nothing computed
    ]
    assert cells(opened([path], Reading(sheet="Second"))) == [{"text": "a"}]
    with pytest.raises(UsageError, match="no sheet `Third`") as caught:
        opened([path], Reading(sheet="Third"))
    assert caught.value.recovery_hint == "It has: First, Second."


def test_a_workbook_that_is_none_or_has_no_table_is_refused(tmp_path):
    with pytest.raises(InputSchemaError, match="no workbook"):
        source(tmp_path, "rows.xlsx", "id,text\n1,a\n")
    with pytest.raises(InputSchemaError, match="nothing in its sheet"):
        opened([workbook(tmp_path / "empty.xlsx", {"One": [[]]})], Reading())
    twice = workbook(tmp_path / "twice.xlsx", {"One": [["a", "a"], [1, 2]]})
    with pytest.raises(InputSchemaError, match="row 1: two columns are called `a`"):
        opened([twice], Reading())
    beside = workbook(tmp_path / "beside.xlsx", {"One": [["a"], [1], [2, None, "a remark"]]})
    with pytest.raises(InputSchemaError, match="row 3: it has 3 cells"):
        cells(opened([beside], Reading()))


def test_a_workbook_named_csv_is_read_as_what_it_is(tmp_path):
    path = workbook(tmp_path / "rows.xlsx", {"One": [["text"], ["a"]]})
    Path(path).rename(tmp_path / "rows.csv")
    assert cells(opened([str(tmp_path / "rows.csv")], Reading())) == [{"text": "a"}]


# --- texts, and what comes through a pipe -------------------------------------------------------------------


@pytest.fixture
def letters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "b.txt").write_bytes(b"\xef\xbb\xbfDear Ann\r\n")
    (folder / "a.txt").write_bytes("Grüße".encode("utf-16"))
    (folder / ".hidden").write_text("no")
    (folder / "inner").mkdir()
    return folder


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("paths", [["letters"], ["letters/*.txt"], ["letters/a.txt", "letters/b.txt"]])
def test_texts_are_rows(paths):
    found = cells(opened(paths, Reading()))
    assert found == [{"file": "letters/a.txt", "text": "Grüße"}, {"file": "letters/b.txt", "text": "Dear Ann\r\n"}]


def test_texts_of_another_encoding_and_paths_of_any_kind(letters):
    (letters / "c.txt").write_bytes("Grüße".encode("cp1252"))
    with pytest.raises(InputSchemaError, match=r"letters/c.txt: it is not utf-8 text") as caught:
        cells(opened(["letters"], Reading()))
    assert "--encoding cp1252" in caught.value.recovery_hint
    named = opened([str(letters / "c.txt"), "letters/c.txt"], Reading(encoding="cp1252"))
    assert [one["text"] for one in cells(named)] == ["Grüße", "Grüße"]


@pytest.mark.usefixtures("letters")
def test_one_text_is_a_row_where_that_is_said():
    with pytest.raises(UsageError, match="nothing says what kind") as caught:
        opened(["letters/b.txt"], Reading())
    assert "`--input-format text`" in caught.value.recovery_hint
    assert cells(opened(["letters/b.txt"], Reading(form="text"))) == [{"file": "letters/b.txt", "text": "Dear Ann\r\n"}]


def test_texts_that_are_none_are_refused(letters):
    with pytest.raises(FileAccessError, match="no file in letters/inner"):
        opened(["letters/inner"], Reading())
    with pytest.raises(FileAccessError, match="no file in"):
        opened(["nothing/*.txt"], Reading())
    (letters / "z.csv").write_text("id,text\n1,a\n")
    for paths in (["letters"], ["letters/*.csv"], ["letters/a.txt", "letters/z.csv"]):
        with pytest.raises(UsageError, match="one batch reads one table"):
            opened(paths, Reading())
    with pytest.raises(UsageError, match="these are several"):
        opened(["letters"], Reading(form="csv"))
    with pytest.raises(FileAccessError, match="there is no file"):
        opened(["missing.csv"], Reading())


def bytes_of(make, tmp_path):
    make(tmp_path / "made")
    return (tmp_path / "made").read_bytes()


PIPED = {
    "CSV": (lambda _: b"id,text\n1,Hello\n2,Bye\n", {}),
    "German CSV": (lambda _: "\ufeffid;text\r\n1;Hello\r\n2;Bye\r\n".encode(), {}),
    "JSON Lines": (lambda _: b'{"id": "1", "text": "Hello"}\n{"id": "2", "text": "Bye"}\n', {}),
    "a JSON list": (lambda _: json.dumps(HELLO).encode(), {}),
    "TSV": (lambda _: b"id\ttext\n1\tHello\n2\tBye\n", {"form": "tsv"}),
    "Parquet": (lambda folder: bytes_of(lambda path: pq.write_table(pa.Table.from_pylist(HELLO), path), folder), {}),
    "a workbook": (
        lambda folder: bytes_of(
            lambda path: workbook(path, {"One": [["id", "text"], [1, "Hello"], [2, "Bye"]]}), folder
        ),
        {},
    ),
}


@pytest.mark.parametrize(("make", "reading"), PIPED.values(), ids=PIPED)
@pytest.mark.parametrize("paths", [[], ["-"]])
def test_a_pipe_may_hold_each_form(tmp_path, monkeypatch, make, reading, paths):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(make(tmp_path))))
    found = opened(paths, Reading(**reading))
    assert cells(found) == HELLO
    assert cells(found) == HELLO
    assert found.name == "standard input"


def test_a_pipe_may_hold_one_text_and_a_path_may_be_a_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Dear Ann")))
    found = opened(["-"], Reading(form="text"))
    assert cells(found) == cells(found) == [{"file": "standard input", "text": "Dear Ann"}]
    read, written = os.pipe()
    os.write(written, b"id,text\n1,Hello\n2,Bye\n")
    os.close(written)
    assert cells(opened([f"/dev/fd/{read}"], Reading())) == HELLO


# --- which column feeds which input -----------------------------------------------------------------------

TYPED = contract(
    {
        "text": {"type": "string"},
        "note": {"type": "string"},
        "n": {"type": "integer"},
        "part": {"type": "number"},
        "ok": {"type": "boolean"},
        "maybe": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "kind": {"enum": ["a", "b"]},
    },
    ["text"],
    additionalProperties=False,
)


@pytest.mark.parametrize(
    ("column", "cell", "given"),
    [
        ("text", "", {"text": ""}),
        ("text", "  ", {"text": "  "}),
        ("text", "@/etc/hostname", {"text": "@/etc/hostname"}),
        ("text", "007", {"text": "007"}),
        ("text", "null", {"text": "null"}),
        ("note", "", {}),
        ("n", " 12 ", {"n": 12}),
        ("n", "", {}),
        ("n", "  ", {}),
        ("n", "007", {"n": 7}),
        ("part", "1.5e3", {"part": 1500.0}),
        ("ok", "TRUE", {"ok": True}),
        ("maybe", "null", {"maybe": None}),
        ("tags", '["a", "b"]', {"tags": ["a", "b"]}),
        ("kind", "a", {"kind": "a"}),
    ],
)
def test_a_cell_is_read_as_its_inputs_type_and_an_empty_one_is_not_given(tmp_path, column, cell, given):
    others = {} if column == "text" else {"text": "x"}
    row = {**others, column: cell, "beside": "."}
    text = io.StringIO()
    csv.writer(text).writerows([row.keys(), row.values()])
    found = source(tmp_path, "rows.csv", text.getvalue())
    (one,) = found.rows()
    assert Feeding(TYPED, found, {}).given(one) == {**others, **given}


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("n", "1,234", "1,234"),
        ("n", "12 kg", "12 kg"),
        ("n", "=1+1", "=1+1"),
        ("part", "1.234,5", "1.234,5"),
        ("part", "$5", "$5"),
        ("ok", "yes", "yes"),
        ("tags", "a, b", "a, b"),
        ("kind", "c", "kind"),
    ],
)
def test_a_cell_of_another_type_does_not_fit_and_its_line_is_told(tmp_path, column, cell, said):
    found = source(tmp_path, "rows.csv", f'text,{column}\nx,\n"a\nb","{cell}"\n')
    seen = checked(found, TYPED)
    assert [one.line for one in seen.misfits] == [3]
    assert said in seen.misfits[0].message


@pytest.mark.parametrize(("header", "feeds"), [("Text", "Text"), ("TEXT,other", "TEXT"), ("text,Text", "text")])
def test_a_column_feeds_the_input_of_its_name_in_whatever_case(tmp_path, header, feeds):
    found = source(tmp_path, "rows.csv", f"{header}\n")
    assert Feeding(TYPED, found, {}).columns == {"text": feeds}


@pytest.mark.parametrize(
    ("header", "maps", "message", "hint"),
    [
        ("body,id", {}, "feeds `text`; it has `body`, `id`", "--map text=body"),
        ("Full text,id", {}, "feeds `text`", "--map 'text=Full text'"),
        ("TEXT,Text", {}, "feeds `text`", "--map"),
        ("Hello there", {}, "it has `Hello there`", "The first line names the columns."),
        ("body", {"txt": "body"}, "the app takes no input `txt`", "Did you mean `text`?"),
        ("body", {"text": "boddy"}, "has no column `boddy`", "Did you mean `body`?"),
    ],
)
def test_what_feeds_nothing_is_refused_with_what_to_write(tmp_path, header, maps, message, hint):
    found = source(tmp_path, "rows.csv", f"{header}\n")
    with pytest.raises(UsageError, match=r".*") as caught:
        Feeding(TYPED, found, maps)
    assert message in caught.value.message
    assert hint in caught.value.recovery_hint


def test_a_mapped_column_wins_over_the_one_of_the_inputs_name(tmp_path):
    found = source(tmp_path, "rows.csv", "text,body,id\nwrong,right,1\nwrong,,2\n")
    wide = contract({"text": {"type": "string"}}, additionalProperties=True)
    feeding = Feeding(wide, found, {"text": "body"})
    assert [feeding.given(row) for row in found.rows()] == [{"text": "right", "id": "1"}, {"id": "2"}]


def test_rows_of_json_keep_their_types_and_feed_an_open_input_whole(tmp_path):
    found = source(tmp_path, "rows.jsonl", '{"text": "", "n": "5", "more": [1]}\n')
    (row,) = found.rows()
    assert Feeding(TYPED, found, {}).given(row) == {"text": "", "n": "5"}
    wide = contract({"text": {"type": "string"}}, additionalProperties=True)
    assert Feeding(wide, found, {}).given(row) == {"text": "", "n": "5", "more": [1]}


@pytest.mark.usefixtures("letters")
def test_a_text_file_feeds_the_one_text():
    found = opened(["letters/*.txt"], Reading())
    assert Feeding(TYPED, found, {}).columns == {"text": "text"}
    two = contract({"a": {"type": "string"}, "b": {"type": "string"}}, ["a", "b"])
    with pytest.raises(UsageError, match="feeds `a` and `b`") as caught:
        Feeding(two, found, {})
    assert "`--map a=text`" in caught.value.recovery_hint
    assert Feeding(two, found, {"b": "text", "a": "file"}).columns == {"a": "file", "b": "text"}


# --- what comes out -----------------------------------------------------------------------------------------

PLACE = {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}}
CLOSED = contract({"kind": {"type": "string"}, "place": PLACE}, additionalProperties=False)
OPEN = contract({"kind": {"type": "string"}, "place": PLACE})
ROW = Row(line=7, cells={"id": "x", "text": "t"})


def shaped(expects, output, kept=("id",), **more):
    shape = Shape(expects, kept, **more)
    row = shape.of(ROW, output)
    assert set(row) <= set(shape.columns)
    return {name: row.get(name) for name in shape.columns if name not in FAILED}


@pytest.mark.parametrize(
    ("expects", "output", "more", "row"),
    [
        (CLOSED, {"kind": "a"}, {}, {"id": "x", "kind": "a", "place": None}),
        (CLOSED, {"kind": "a"}, {"kept": ()}, {"kind": "a", "place": None}),
        (CLOSED, {"kind": "a"}, {"kept": ("text", "id", "text")}, {"text": "t", "id": "x", "kind": "a", "place": None}),
        (CLOSED, {"kind": "a"}, {"prefix": "out_"}, {"id": "x", "out_kind": "a", "out_place": None}),
        (OPEN, {"kind": "a", "id": 1}, {}, {"id": "x", "kind": "a", "place": None, MORE: {"id": 1}}),
        (OPEN, {"_error": 1}, {}, {"id": "x", "kind": None, "place": None, MORE: {"_error": 1}}),
        (
            CLOSED,
            {"place": {"city": "Bonn", "mayor": {"name": "K"}}},
            {"flatten": True},
            {"id": "x", "kind": None, "place.city": "Bonn", "place.zip": None, MORE: {"place.mayor.name": "K"}},
        ),
        (
            CLOSED,
            {"kind": "a", "place": {}},
            {"flatten": True, "prefix": "o_"},
            {"id": "x", "o_kind": "a", "o_place.city": None, "o_place.zip": None, MORE: None},
        ),
        (Contract({"type": "string"}), "word", {}, {"id": "x", "output": "word"}),
        (Contract({"type": "array"}), [1, 2], {"flatten": True}, {"id": "x", "output": [1, 2]}),
        (Contract({"type": "object"}), {"a": 1}, {"prefix": "p_"}, {"id": "x", "p_output": {"a": 1}}),
    ],
)
def test_an_output_has_its_columns_and_loses_nothing(expects, output, more, row):
    assert shaped(expects, output, **more) == row


def test_a_failed_row_says_which_it_is_and_why():
    assert Shape(CLOSED, ("id",)).failed(ROW, "RLLM_004", "no") == {
        "id": "x", "_key": 7, "_error_code": "RLLM_004", "_error": "no",
    }  # fmt: skip
    assert Shape(CLOSED, (), key="id").failed(ROW, "RLLM_004", "no")["_key"] == "x"


@pytest.mark.parametrize(
    ("kept", "properties", "more", "hint"),
    [
        (("id", "kind"), {"kind": {}}, {}, "`--prefix out_`, or keep the others alone with `--keep id`"),
        (("kind",), {"kind": {}}, {}, "--keep none"),
        (("id", "_key", "_error"), {"kind": {}}, {}, "Keep the others alone with `--keep id,_error`"),
        ((), {"_error": {}}, {}, "prefix"),
        ((), {"a.b": {}, "a": {"type": "object", "properties": {"b": {}}}}, {"flatten": True}, "--flatten"),
    ],
)
def test_two_columns_of_one_name_are_refused(kept, properties, more, hint):
    with pytest.raises(UsageError, match=r"the name of an output|two columns") as caught:
        Shape(contract(properties), kept, **more)
    assert hint in caught.value.recovery_hint


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\u3000=1", "\u200b=1", "\ufeff=1",
        "＝1+1", "＋1", "－1", "＠A", '=HYPERLINK("http://x")', "=", "-", "+49 170 1", "\tx",
    ],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_may_take_for_a_formula_gets_a_quote(text):
    assert cell(text, raw=False) == f"'{text}"
    assert cell(text, raw=True) == text


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5", "-1,5", "a=b", "'=1", "", "1-2", " a", "Grüße", "≠1"])
def test_other_cells_stay_as_they_are(text):
    assert cell(text, raw=False) == text


def written(rows, columns, **layout):
    file = io.StringIO(newline="")
    write(rows, file, Layout(columns=columns, types={}, **layout))
    return file.getvalue()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(
        st.characters(codec="utf-8", exclude_characters="\0")
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.lists(st.lists(JSON, min_size=2, max_size=2), max_size=5), st.sampled_from([",", ";"]), st.booleans())
@examples(300)
def test_whatever_is_written_is_read_back(tmp_path_factory, rows, delimiter, mark):
    """A text stays the text it was, and what is none is the JSON of its value; null is an empty cell."""
    columns = ["one", "two"]
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    folder = tmp_path_factory.mktemp("out")
    for form in ("csv", "tsv"):
        data = written(named, columns, form=form, raw=True, delimiter=delimiter, mark=mark)
        shown = [{name: cell(value, raw=True) for name, value in row.items()} for row in named]
        assert cells(source(folder, f"rows.{form}", data)) == [
            row for row in shown if any(one.strip() for one in row.values())
        ]
        for one, back in zip(named, shown, strict=True):
            assert all(isinstance(v, str) or v is None or json.loads(back[name]) == v for name, v in one.items())
    data = written(named, columns, form="jsonl")
    assert cells(source(folder, "rows.jsonl", data)) == named


def test_a_table_for_a_spreadsheet_begins_with_its_mark(tmp_path):
    assert written([{"a": "x\ny"}], ["a"], form="csv", mark=True) == '\ufeffa\r\n"x\ny"\r\n'
    assert source(tmp_path, "a.csv", "a\n1\n").marked is False
    for data in ("\ufeffa\n1\n".encode(), "a\n1\n".encode("utf-16")):
        assert source(tmp_path, "b.csv", data).marked
    assert source(tmp_path, "c.csv", b"a\n1\n", encoding="cp1252").marked
    assert opened([workbook(tmp_path / "d.xlsx", {"One": [["a"], [1]]})], Reading()).marked


NUMBERS = contract({"n": {"type": "integer"}, "part": {"type": "number"}, "ok": {"type": ["boolean", "null"]}, "t": {}})


def parquet(path, rows):
    with files.writing(str(path)) as file:
        columns = ["n", "part", "ok", "t"]
        write(rows, file, Layout(form="parquet", columns=columns, types=types_of(NUMBERS, "")))


def test_parquet_is_written_with_the_types_of_the_output(tmp_path):
    path = tmp_path / "out.parquet"
    parquet(path, [{"n": 5.0, "part": 1, "ok": None, "t": {"a": 1}}, {"n": -(2**63), "ok": True, "t": "=1"}, {}])
    table = pq.read_table(path)
    assert [str(one) for one in table.schema.types] == ["int64", "double", "bool", "string"]
    assert table.to_pylist() == [
        {"n": 5, "part": 1.0, "ok": None, "t": '{"a": 1}'},
        {"n": -(2**63), "part": None, "ok": True, "t": "=1"},
        {"n": None, "part": None, "ok": None, "t": None},
    ]


@pytest.mark.parametrize("row", [{"n": 2**63}, {"n": -(2**63) - 1}, {"n": 1e300}, {"part": 10**400}])
def test_a_number_that_parquet_cannot_hold_is_told(tmp_path, row):
    with pytest.raises(UsageError, match="ends at 64 bits") as caught:
        parquet(tmp_path / "out.parquet", [row])
    assert "Nothing is lost" in caught.value.recovery_hint
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("target", ["out.json", "out.xlsx", "out", "out.txt"])
def test_a_form_that_is_not_written_is_refused_with_those_that_are(target):
    with pytest.raises(RunllmError, match="nothing says how") as caught:
        form_of(target, None)
    assert "`.csv`, which every spreadsheet opens" in caught.value.recovery_hint
    assert form_of(target, "jsonl") == "jsonl"
    assert form_of(None, None) == "jsonl"


def test_a_journal_finds_its_rows_beyond_four_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: beyond so many bytes. Before that, the place of a row takes half of the memory."""
    monkeypatch.setattr(journal, "_NEAR", 150)
    for _ in range(2):  # written, and read again
        with contextlib.closing(journal.Journal(str(tmp_path / "j"))) as kept:
            if kept.header is None:
                kept.begin({"rows": 40})
                for index in range(0, 40, 2):
                    kept.add(journal.Ended(index=index, line=index + 2, output={"n": index}))
            assert kept.offsets.itemsize == 8
            assert [kept.ended(index) for index in range(42)] == [index % 2 == 0 and index < 40 for index in range(42)]
            assert all(found.output == {"n": found.index} for found, counts in kept.all() if counts)
            assert kept.found(38) == journal.Ended(index=38, line=40, output={"n": 38})


def test_a_tally_tells_how_long_rows_took_to_three_digits() -> None:
    tally = Tally()
    for number in range(1, 1001):
        tally.add(journal.Ended(index=number, line=number, calls=1, seconds=number / 1000, cost=0.5, first=True))
    tally.add(journal.Ended(index=0, line=1, calls=1, seconds=9.0, cost=0.5, code="E", message="m"), ends=False)
    found = tally.summary(2000, 1.0)
    assert found.latency == pytest.approx((0.5, 0.9), abs=0.001)
    assert (found.ended, found.failed, found.first, found.cost) == (1000, 0, 1.0, 500.5)
    assert sum(rows for _, rows in found.spread) == 1000
