"""What is piped to an app: all of its inputs, or one text, whole; and a pipe that gives nothing."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.warm import RUNLLM

APP = """---
name: say
input:
  {inputs}
returns: text
max_context_window: 100000
llm: openai/m
---
{prompt}
"""
ONE = APP.format(inputs="text: text\n  times?: integer", prompt="Say {{ input.text }}")
TWO = APP.format(inputs="letter: text\n  language: text", prompt="{{ input.letter }} in {{ input.language }}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.rllm").write_text(ONE, encoding="utf-8")
    (tmp_path / "two.rllm").write_text(TWO, encoding="utf-8")
    return tmp_path


def piped(folder: Path, app: str, data: str | bytes, *arguments: str | bytes) -> subprocess.CompletedProcess:
    data = data.encode() if isinstance(data, str) else data
    line = [RUNLLM, "run", app, "--dry-run", *arguments]
    return subprocess.run(line, input=data, capture_output=True, cwd=folder, timeout=100)


def prompt(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["messages"][-1]["content"]


def refusal(done: subprocess.CompletedProcess) -> dict:
    assert (done.returncode, done.stdout) == (4, b""), done
    payload = json.loads(done.stderr)
    assert payload["error_code"] == "RLLM_004"
    return payload


TEXTS = [
    '{"id": 7, "title": "Plates", "tags": ["a"]}',
    '[{"text": "a"}]',
    '{"id": 1}\n{"id": 2}',
    '{"text": "a"}\n{"text": "b"}',
    "{name}, hello",
    "text: fix # 12 now",
    "---\ntitle: Plates\n---\n\n# Plates",
    "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b",
    "2026-11-30 12:30:01 INFO {user: 3}",
    "Note: buy milk",
    "a,b\n1,2",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("way", ["pipe", "--input", "--input-file -", "text=@-"])
def test_what_is_no_mapping_of_inputs_goes_whole_to_the_one_text(folder: Path, text: str, way: str) -> None:
    arguments = {"pipe": [], "--input": ["--input", text]}.get(way, way.split())
    assert prompt(piped(folder, "one.rllm", "" if way == "--input" else text, *arguments)) == f"Say {text}"


@pytest.mark.parametrize("text", ['{"text": "hi # 1"}', "text: 'hi # 1'\ntimes: 2\n", "{text: 'hi # 1'}"])
def test_a_mapping_of_inputs_is_all_of_them(folder: Path, text: str) -> None:
    assert prompt(piped(folder, "one.rllm", text)) == "Say hi # 1"
    assert prompt(piped(folder, "one.rllm", text, "text=@-")) == f"Say {text}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"txet": "hi"}', "unexpected `txet`"),
        ('{"text": "hi", "more": 1}', "more"),
        ('{"text": "hi", "text": "ho"}', "stands twice"),
        ('{"text": "\\ud800"}', "half a character"),
    ],
)
def test_an_object_with_a_name_of_the_app_is_the_input_with_its_errors(folder: Path, text: str, words: str) -> None:
    payload = refusal(piped(folder, "one.rllm", text))
    assert words in payload["message"]
    assert "`text=@-`" in payload["recovery_hint"]


@pytest.mark.parametrize("text", TEXTS[1:])
def test_a_text_that_may_be_any_of_several_inputs_says_how_to_name_one(folder: Path, text: str) -> None:
    payload = refusal(piped(folder, "two.rllm", text))
    assert "`letter`, `language`" in payload["message"]
    assert "`letter=@-` or `language=@-`" in payload["recovery_hint"]
    for way in (["language=German"], ["letter=@-", "--arg", "language", "German"]):
        assert prompt(piped(folder, "two.rllm", text, *way)) == f"{text} in German"


def test_standard_input_that_an_argument_takes_is_not_read_for_another(folder: Path) -> None:
    assert "`language` is required" in refusal(piped(folder, "two.rllm", "hello", "letter=@-"))["message"]
    done = piped(folder, "two.rllm", "hello", "letter=@-", "language=@-")
    assert (done.returncode, json.loads(done.stderr)["error_code"]) == (2, "RLLM_022")


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ('{"text": "x"}', [], "standard input is read as a JSON mapping of inputs"),
        ("text: x", [], "standard input is read as a YAML mapping of inputs"),
        ("text: x # 1", [], "standard input is read as one text, `text`"),
        ("text: x", ["text=@-"], "`text` is given the text of standard input"),
    ],
)
def test_the_trace_says_how_the_input_was_read(folder: Path, text: str, arguments: list[str], said: str) -> None:
    done = piped(folder, "one.rllm", text, "-v", *arguments)
    assert done.stderr.decode().splitlines() == [f"   0.000 s input    {said}"]


@pytest.mark.parametrize("way", [["-f"], ["text=@"]])
def test_a_table_is_one_text_and_a_spreadsheet_is_none(folder: Path, way: list[str]) -> None:
    (folder / "x.csv").write_text("a,b\n1,2", encoding="utf-8")
    (folder / "x.xlsx").write_bytes(b"PK\x03\x04")
    arguments = [*way, "x.csv"] if way == ["-f"] else [way[0] + "x.csv"]
    done = piped(folder, "one.rllm", "", *arguments)
    assert prompt(done) == "Say a,b\n1,2"
    assert (
        done.stderr
        == b"warning: `x.csv` is a table, and all of it is read as one text; `runllm batch` runs a file on each of its rows\n"
    )
    done = piped(folder, "one.rllm", "", *[word.replace("csv", "xlsx") for word in arguments])
    assert done.returncode == 3
    payload = json.loads(done.stderr)
    assert payload["error_code"] == "RLLM_023"
    assert payload["recovery_hint"].startswith("`runllm batch` runs a file on each")


@pytest.mark.parametrize("arguments", [["text=a\udcff"], ["--arg", "text", "a\udcff"], ["--input", "a\udcff"]])
def test_an_argument_that_is_no_unicode_is_refused_at_its_place(folder: Path, arguments: list[str]) -> None:
    payload = refusal(piped(folder, "one.rllm", "", *map(os.fsencode, arguments)))
    assert payload["details"]["problems"][0]["path"] == "/text"


def test_a_hundred_megabytes_are_refused_by_their_bound(folder: Path) -> None:
    for start in (b"", b'{"text": "', b"text: |\n  "):
        done = piped(folder, "one.rllm", start + b"a" * (100 << 20))
        assert done.returncode == 3
        assert json.loads(done.stderr)["message"] == "standard input is larger than 64 MiB"


WAITING = "standard input is to give `text` and has not ended: end what writes to it, or press Ctrl-D"


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The app with a pipe that stays open until this ends."""
    line = [RUNLLM, "one.rllm", "--dry-run", *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(line, cwd=folder, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("first", [b"", b"hello "])
def test_a_pipe_that_does_not_close_is_told_once_and_still_read(folder: Path, first: bytes) -> None:
    began = time.monotonic()
    with started(folder) as process:
        process.stdin.write(first)
        process.stdin.flush()
        assert process.stderr.readline().decode() == f"warning: {WAITING}\n"
        assert time.monotonic() - began >= 3
        out, err = process.communicate(b"world", timeout=60)
    assert err == b""
    assert json.loads(out)["messages"][-1]["content"] == f"Say {first.decode()}world"


def test_ctrl_c_ends_the_wait_for_a_pipe_at_once(folder: Path) -> None:
    with started(folder) as process:
        process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert time.monotonic() - began < 2
        assert json.loads(process.stderr.read())["error_code"] == "RLLM_024"


def test_a_pipe_that_is_not_wanted_is_not_waited_for(folder: Path) -> None:
    with started(folder, "text=x") as process:
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "text", ["text=x", "@one.rllm", "@@x", "--help", "-", '{"text": "y"}', "- a\n- b", "x=@-", "--"]
)
def test_the_one_word_after_two_dashes_is_the_text_whatever_it_looks_like(folder: Path, text: str) -> None:
    done = piped(folder, "one.rllm", "", "times=2", "--", text)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"][-1]["content"] == f"Say {text}"


@pytest.mark.parametrize(
    ("app", "words", "said"),
    [
        ("one.rllm", ["--", "text=a", "times=2"], ""),  # several words after them are as ever
        ("one.rllm", ["Where", "is", "it?"], "`-- 'Where is it?'`"),
        ("one.rllm", ["--", "Where", "is", "it?"], "`-- 'Where is it?'`"),
        ("two.rllm", ["--", "a"], "does not say which input it is"),
        ("two.rllm", ["language=German", "--", "a"], ""),
    ],
)
def test_words_that_are_no_one_text_are_told_how_to_be_one(folder: Path, app: str, words: list[str], said: str) -> None:
    done = piped(folder, app, "", *words)
    assert (done.returncode == 0) is (not said), done.stderr
    assert said in json.loads(done.stderr or "{}").get("recovery_hint", "") + done.stderr.decode()
