"""What `runllm batch` says before and after its calls: on a terminal, in a pipe, for spreadsheets of all kinds."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from tests.docs.sessions import on_a_terminal
from tests.integration.provider import Provider, answer
from tests.warm import RUNLLM

APP = """---
name: sorting
description: Sort a message by what it is about.
input:
  message: text 1.., the message
  size?: number
returns:
  topic: text
  place:
    city: text
    more: text[]
llm: {{model: openai/m, api_base: "{base}"}}
---
{{{{ input.message }}}}
"""
ANSWER = {"topic": "=1+1", "place": {"city": "Bonn, Köln", "more": ['a "b"\nc']}}
ROWS = (
    'Id,"a, b",Message,size\r\n1,x,"Where is\r\nmy order?",1.5\r\n2,-y,,2\r\n3,z,@/etc/hostname,"1,5"\r\n4,,Hello,\r\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with Provider(answer(json.dumps(ANSWER))) as provider:
        (tmp_path / "sorting.rllm").write_text(APP.format(base=provider.base), encoding="utf-8")
        (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + ROWS.encode())
        yield tmp_path


ENVIRONMENT = {**os.environ, "RUNLLM_STATS": "off", "OPENAI_API_KEY": "k", "NO_COLOR": "1"}


def batch(folder: Path, *words: str, expect: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [RUNLLM, "batch", "sorting.rllm", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", **more)
    assert done.returncode == expect, done.stderr
    return done


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_dry_run_is_json_for_a_program_and_lines_for_a_person(folder: Path) -> None:
    done = batch(folder, "rows.csv", "-o", "out.csv", "--dry-run", expect=11)
    found = json.loads(done.stdout)
    assert (found["rows"], found["unfit"]) == (2, 2)
    assert found["feeds"] == {"message": "Message", "size": "size"}
    assert [one["line"] for one in found["misfits"]] == [4, 5]
    assert "1,5" in found["misfits"][1]["message"]
    assert "warning: rows.csv, line 4: the input does not fit" in done.stderr
    assert not list(folder.glob("out.csv*"))
    shown = on_a_terminal([RUNLLM, "batch", "sorting.rllm", "rows.csv", "--dry-run"], folder, ENVIRONMENT)
    assert "rows    2, and 2 that will not be run\r\n" in shown
    assert "feeds   message from the column Message\r\n" in shown


def test_a_spreadsheet_goes_in_and_comes_out_as_one(folder: Path) -> None:
    batch(folder, "rows.csv", "-o", "out.csv", expect=11)
    assert (folder / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfId,")
    first, second, third, last = rows_of(folder / "out.csv")
    assert first == {
        "Id": "1", "a, b": "x", "Message": "Where is\r\nmy order?", "size": "1.5",
        "topic": "'=1+1", "place": json.dumps(ANSWER["place"], ensure_ascii=False),
        "_key": "", "_error_code": "", "_error": "",
    }  # fmt: skip
    assert (second["a, b"], second["_key"], second["_error_code"]) == ("'-y", "4", "RLLM_004")
    assert (third["_key"], third["Message"]) == ("5", "'@/etc/hostname")
    assert last["topic"] == "'=1+1"


def test_columns_are_kept_flattened_and_named_as_asked(folder: Path) -> None:
    words = ("--keep", '"a, b",Id', "--flatten", "--prefix", "out_", "--key", "Id", "--raw-cells")
    batch(folder, "rows.csv", "-o", "out.csv", *words, expect=11)
    first, second, *_ = rows_of(folder / "out.csv")
    assert list(first) == [
        "a, b", "Id", "out_topic", "out_place.city", "out_place.more", "_more", "_key", "_error_code", "_error",
    ]  # fmt: skip
    assert (first["out_topic"], first["out_place.city"]) == ("=1+1", "Bonn, Köln")
    assert second["_key"] == "2"


def test_each_form_comes_from_each_other(folder: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Mails")
    for row in (["Id", "Message", "size"], [1, "Where?", 1.5], [None, None, None], [2, "Hello", 2]):
        sheet.append(row)
    book.save(folder / "rows.xlsx")
    batch(folder, "rows.xlsx", "-o", "out.parquet", "--keep", "Id")
    assert pq.read_table(folder / "out.parquet").column("Id").to_pylist() == ["1", "2"]
    batch(folder, "out.parquet", "-o", "out.jsonl", "--map", "message=topic", "--keep", "Id")
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [{"Id": "1", **ANSWER}, {"Id": "2", **ANSWER}]
    batch(folder, "out.jsonl", "-o", "out.tsv", "--map", "message=topic", "--keep", "none")
    words = ("--format", "csv", "--map", "message=topic", "--keep", "none")
    piped = batch(folder, *words, input=(folder / "out.tsv").read_text("utf-8"))
    assert piped.stdout.splitlines()[0] == "topic,place,_key,_error_code,_error"
    assert len(list(csv.reader(piped.stdout.splitlines()))) >= 3


def test_a_pipe_of_rows_gives_a_pipe_of_rows(folder: Path) -> None:
    done = batch(folder, "--keep", "id", input='{"id": 1, "message": "a"}\n{"message": "b", "other": [1]}\n')
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"id": 1, **ANSWER}, ANSWER]
    done = batch(folder, "--format", "csv", input="id;message\n1;a\n")
    assert done.stdout.splitlines()[0] == "id;message;topic;place;_key;_error_code;_error"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rows.csv", "-o", "out.json"), "nothing says how `out.json` is to be written"),
        (("rows.csv", "--keep", "Nr"), "the rows have no column `Nr`"),
        (("rows.csv", "--delimiter", ";;"), "one character"),
        (("rows.csv", "--delimiter", ";"), "no column of rows.csv feeds `message`"),
        (("rows.csv", "--map", "message=id", "--map", "message=Text"), "`message` is named twice"),
        (("rows.csv", "--rpm", "nan"), "'nan' is no number"),
        (("rows.csv", "--tpm", "inf"), "'inf' is no number"),
        (("rows.csv", "--max-cost", "nan"), "'nan' is no number"),
        (("rows.csv", "-o", "o.csv", "--report", "rows.csv"), "the rows are read from rows.csv"),
        (("rows.csv", "-o", "o.csv", "--report", "./o.csv"), "the output and its journal are `o.csv`"),
        (("rows.csv", "-o", "o.csv", "--report", "o.csv.journal"), "the output and its journal are `o.csv`"),
        (("rows.csv", "-o", "o.csv", "--report", "sorting.rllm"), "`sorting.rllm` is an app"),
        (("rows.csv", "-o", "sorting.rllm", "--format", "csv", "--overwrite"), "`sorting.rllm` is an app"),
        (("rows.csv", "-o", "linked.csv", "--overwrite"), "`linked.csv` is an app"),
        (("rows.csv", "-o", "o.csv", "--report", "linked.csv"), "`linked.csv` is an app"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_call(folder: Path, words: tuple[str, ...], message: str) -> None:
    """And everything that is there stays as it is."""
    (folder / "linked.csv").hardlink_to(folder / "sorting.rllm")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = batch(folder, *words, "--error-format", "json", expect=2)
    assert message in json.loads(done.stderr)["message"]
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("missing.csv",), "there is no file `missing.csv`", ""),
        (
            ("s3://bucket/rows.csv",),
            "there is no file `s3://bucket/rows.csv`",
            "`--shards-on daft` reads rows at addresses",
        ),
        (("rows.csv", "-o", "o.csv", "--report", "sub/r.html"), "there is no folder `sub`", ""),
    ],
)
def test_a_place_that_is_not_there_is_told_before_a_call(
    folder: Path, words: tuple[str, ...], message: str, hint: str
) -> None:
    error = json.loads(batch(folder, *words, "--error-format", "json", expect=3).stderr)
    assert message in error["message"]
    assert hint in error["recovery_hint"]
