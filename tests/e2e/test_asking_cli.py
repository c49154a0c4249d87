"""`runllm new` by questions and by flags: what it writes is always right, and what it does not write is nowhere."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.warm import RUNLLM

import runllm
from runllm.cli import invoke
from runllm.cli.asking import asked
from runllm.errors import UsageError
from runllm.making import answers as making

CONTROL = (b"\x03", b"\x04")  # Ctrl-C, Ctrl-D


def answered(typed: str) -> tuple[making.Answers, str]:
    with CliRunner().isolation(input=typed) as (_, stderr, _both):
        found = asked(None, (), ())
    return found, stderr.getvalue().decode()


def written(answers: making.Answers, folder: Path) -> runllm.Program:
    path = folder / "a.rllm"
    path.write_text(making.made("a", answers, model="local/smollm2-135m"), encoding="utf-8")
    report = runllm.validate(path)
    assert (report.problems, report.ok) == ((), True)
    assert report.program is not None
    return report.program


def test_enter_takes_what_is_usual(tmp_path: Path) -> None:
    found, shown = answered("\n" * 10)
    assert found == making.usual(None, (), ())
    assert "What is the app for? One sentence [" in shown
    assert "subject: text 3..60, The subject line." in shown
    program = written(found, tmp_path)
    assert program.description == making.PURPOSE


def test_what_is_answered_is_what_is_written(tmp_path: Path) -> None:
    """And what cannot be used is told with what to write, and asked again."""
    typed = [
        "Find {{ the }} price", "find the price: how much #1",
        "letter", "letter: txt", "letter: text 1..100, The letter: all of it", "letter: text", "no?: date", "",
        "price: number 9..1", "price: number 0.., In euros", "kind: a | b", "",
    ]  # fmt: skip
    found, shown = answered("\n".join(typed) + "\n")
    for told in (
        "`{{` cannot stand in a purpose. Say it in words",
        "`letter` has no type. Write `letter: text`",
        "`txt` is not a type. Did you mean `text`?",
        "`letter` is there already. Give it another name.",
        "the wrong way round. Write `number 1..9`.",
    ):
        assert shown.count(told) == 1, shown
    program = written(found, tmp_path)
    assert program.description == "find the price: how much #1."
    assert program.input.schema["properties"]["letter"]["description"] == "The letter: all of it"
    assert program.input.schema["required"] == ["letter"]
    assert list(program.input.schema["properties"]) == ["letter", "no"]
    assert program.output_contract.schema["properties"]["kind"]["enum"] == ["a", "b"]


@pytest.mark.parametrize("typed", ["", "A purpose.\n", "A purpose.\nx: text\n", "A purpose.\nx: text\n\ny: text\n"])
def test_the_end_of_the_input_ends_it(typed: str) -> None:
    with pytest.raises(click.Abort):
        answered(typed)


_SIGNS = st.text(st.sampled_from("aZé0_ :,.|[]{}()<>?\"'#&*!%@`~-\\/\n\t\u2028\x1b\U0001f600"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    purpose=_SIGNS,
    name=_SIGNS,
    kind=st.sampled_from(["text", "text 1..9, ", "a | b, ", "any, ", "date[]", ""]),
    said=_SIGNS,
)
def test_whatever_is_typed_is_refused_or_makes_a_file_that_is_right(
    purpose: str, name: str, kind: str, said: str
) -> None:
    """And says no more than it was: no block, no other section, no app that is used."""
    try:
        one = making.property_of(f"{name}: {kind}{said}")
        purpose = making.purpose_of(purpose)
    except UsageError:
        return
    text = making.made("a", making.Answers(purpose=purpose, inputs=(one,), outputs=(one,)), model="openai/gpt-5")
    assert making.problems_of(text, "a.rllm") == ()
    program = runllm.load_text(text).program
    assert (program.description, program.blocks, program.uses, program.recovery) == (purpose, (), (), None)
    assert program.system is not None
    assert program.system.text.strip() == making.SYSTEM
    assert list(program.input.schema["properties"]) == [name.strip().removesuffix("?")]


def test_flags_say_it_all_and_a_pipe_is_never_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        invoke(["new", "a", "--purpose", "Find the price", "--input", "letter: text", "--output", "price: number 0.."])
        == 0
    )
    assert "runllm a.rllm letter=..." in capsys.readouterr().err
    assert invoke(["new", "b", "--output", "x: text", "--output", "y: text"]) == 0
    assert invoke(["new", "c", "--yes"]) == invoke(["new", "d"]) == 0
    for name in "abcd":
        assert runllm.validate(f"{name}.rllm").problems == ()
    assert list(runllm.load("b.rllm").program.output_contract.schema["properties"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "x: txt"], "Invalid value for '--input': `txt` is not a type. Did you mean `text`?"),
        (["--input", "x: text", "--input", "x: date"], "`x` is there already"),
        (["--purpose", "{% include 'x' %}"], "cannot stand in a purpose"),
        (["--like", "draft", "--purpose", "X."], "give one of `--like`, `--from`"),
        (["--purpose", "Show ``` as it is."], "Invalid value for '--purpose': \"```\" cannot stand in a purpose"),
        (["--purpose", ""], "a purpose is one sentence"),
        (["--input", ""], "an input or output is one line"),
        (["--from", "", "--write-with", "openai/gpt-4o-mini"], "a sentence or two"),
        (["--model", "foo bar"], "no name of a model"),
        (["--model", ""], "no name of a model"),
    ],
)
def test_a_flag_that_cannot_be_used_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["new", "a", *words]) == 2
    assert said in json.loads(capsys.readouterr().err)["message"]
    assert list(tmp_path.iterdir()) == []


def on_a_terminal(folder: Path, *words: str, typed: list[tuple[str, bytes]]) -> tuple[int, str]:
    """Run `runllm` there, and type each answer once its question has come; the exit status, and all that was shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(RUNLLM, [RUNLLM, *words], {**os.environ, "TERM": "dumb", "NO_COLOR": "1"})  # noqa: S606
    seen, left, deadline = "", list(typed), time.monotonic() + 100
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 10)[0]:
            # Python misses a Ctrl-C just before it begins to read, and hears the next one.
            if not left and typed[-1][1] in CONTROL:
                os.write(terminal, typed[-1][1])
            continue
        try:
            seen += os.read(terminal, 1 << 16).decode()
        except OSError:  # it has ended
            break
        while left and left[0][0] in seen:
            os.write(terminal, left.pop(0)[1])
    assert not left, seen
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), seen


def test_a_terminal_is_asked(tmp_path: Path) -> None:
    status, seen = on_a_terminal(
        tmp_path, "new", "price", "--output", "price: number 0..",
        typed=[("What is the app for?", b"Find the price\r"), ("input 1", b"letter: txt\r"),
               ("Did you mean `text`?", b"letter: text\r"), ("input 2", b"\r")],
    )  # fmt: skip
    assert status == 0, seen
    program = runllm.load(tmp_path / "price.rllm").program
    assert (program.description, list(program.input.schema["properties"])) == ("Find the price.", ["letter"])


@pytest.mark.parametrize("key", CONTROL, ids=["Ctrl-C", "Ctrl-D"])
def test_who_ends_it_has_written_nothing(tmp_path: Path, key: bytes) -> None:
    """The key is pressed once the last sign of the question is there, which whoever reads the answer writes."""
    asking = [("What is the app for?", b"X\r"), ("input 1 [message: text 1..4000, The message to answer.]: ", key)]
    status, seen = on_a_terminal(tmp_path, "new", "a", typed=asking)
    assert status == 130, seen
    assert "\r\nRLLM_024 InterruptedRunError: the command was interrupted\r\n" in seen
    assert "Traceback" not in seen
    assert list(tmp_path.iterdir()) == []


_BOUNDED = [
    "letter: text 10..20", "n: integer 5..", "m: number ..0", "ok: boolean", "lines: text[] 2..", "kind: a b | c",
    "day: date", "left_out?: text",
]  # fmt: skip


def test_the_input_that_is_shown_can_be_typed_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the types and their bounds: the shell's words fit the contract."""
    monkeypatch.chdir(tmp_path)
    flags = [word for line in _BOUNDED for word in ("--input", line)]
    assert invoke(["new", "a", "--purpose", "Find it.", *flags]) == 0
    shown = next(line for line in capsys.readouterr().err.splitlines() if "runllm a.rllm" in line)
    words = shlex.split(shown)[1:]
    assert len(words) == len(_BOUNDED)
    assert invoke(["run", *words, "--dry-run"]) == 0, shown
