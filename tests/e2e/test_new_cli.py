"""`runllm new`: the file that a newcomer begins with."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.e2e.test_cli import command

import runllm
from runllm.errors import UsageError
from runllm.making.answers import Answers, made, problems_of, property_of
from runllm.making.gallery import NAMES, files_of, slug, starter


def test_a_new_app_is_valid_and_says_what_to_do_next(tmp_path: Path) -> None:
    """From its own words: the file, and the command that runs it."""
    done = command("new", "my first app", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "runllm 'my first app.rllm' message=" in done.stderr
    report = runllm.validate(tmp_path / "my first app.rllm")
    assert report.ok
    assert not report.problems
    assert report.plan is not None
    assert report.plan.program.name == "my_first_app"


@pytest.mark.model
def test_a_new_app_runs(tmp_path: Path) -> None:
    """On the embedded model."""
    command("new", "sort.rllm", cwd=tmp_path)
    output = runllm.load(tmp_path / "sort.rllm")(message="I paid twice.")
    assert output["topic"] in ("order", "payment", "account", "other")


@pytest.mark.model
def test_the_test_of_a_new_app_passes(tmp_path: Path) -> None:
    """On the embedded model, before anything is changed."""
    assert "runllm test sort.rllm" in command("new", "sort.rllm", cwd=tmp_path).stderr
    done = command("test", cwd=tmp_path)
    assert (done.returncode, "1 case passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """What is there stays."""
    (tmp_path / "a.rllm").write_text("mine", encoding="utf-8")
    done = command("new", "a", cwd=tmp_path)
    assert done.returncode == 3
    assert "is there already" in done.stderr
    assert (tmp_path / "a.rllm").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "ollama/llama3.2:1b", "local/./a b.gguf"])
def test_any_model_can_be_written(tmp_path: Path, model: str) -> None:
    """What YAML would read otherwise is quoted."""
    path = tmp_path / "a.rllm"
    path.write_text(starter("a", model=model), encoding="utf-8")
    report = runllm.validate(path)
    if " " in model:
        assert not report.ok
        return
    assert report.plan is not None, report.problems
    program = report.plan.program
    assert program.model is not None
    assert program.model.model == model


@pytest.mark.parametrize(("stem", "name"), [("Sort Mails!", "sort_mails"), ("ü", "app"), ("a" * 200, "a" * 100)])
def test_an_app_is_named_after_its_file(stem: str, name: str) -> None:
    """As far as names allow."""
    assert slug(stem) == name


@pytest.mark.parametrize("file", ["v1.2", "sort mails", "2026-12"])
def test_a_new_app_can_be_run_by_its_name(tmp_path: Path, file: str) -> None:
    """Whatever dots are in it: only `.rllm` is the suffix of an app."""
    done = command("new", file, cwd=tmp_path)
    assert f"runllm {shlex.quote(f'{file}.rllm')} message=" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"{file}.rllm"]


@pytest.mark.parametrize("file", ["mails.yaml", "mails.txt", "mails.RLLM", "mails.rlm"])
@pytest.mark.parametrize("words", [(), ("--like", "draft"), ("--from", "x", "--write-with", "openai/gpt-4o-mini")])
def test_the_suffix_of_another_kind_of_file_is_refused(tmp_path: Path, file: str, words: tuple[str, ...]) -> None:
    """And the name that was meant is told."""
    done = command("new", file, *words, cwd=tmp_path)
    assert (done.returncode, [*tmp_path.iterdir()]) == (2, [])
    assert "Give `mails.rllm`." in done.stderr


@pytest.mark.parametrize("words", [(), ("--like", "route"), ("--from", "x", "--write-with", "openai/gpt-4o-mini")])
def test_a_folder_that_is_not_there_is_told_before_anything_is_asked_or_written(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """By the name that was given, not by that of a file beside it."""
    done = command("new", "sub/mails", *words, cwd=tmp_path)
    assert (done.returncode, [*tmp_path.iterdir()]) == (3, [])
    assert "`sub/mails.rllm` cannot be written: there is no folder `sub`" in done.stderr
    assert "is asked to write it" not in done.stderr


@pytest.mark.parametrize("file", ["", ".", ".."])
def test_what_is_no_name_for_a_file_is_refused(tmp_path: Path, file: str) -> None:
    """Nothing hidden is written."""
    done = command("new", file, cwd=tmp_path)
    assert (done.returncode, [*tmp_path.iterdir()]) == (2, [])
    assert "is no name for a file" in done.stderr


def test_a_link_to_nowhere_stays(tmp_path: Path) -> None:
    """It is there already."""
    (tmp_path / "a.rllm").symlink_to("gone")
    assert command("new", "a", cwd=tmp_path).returncode == 3
    assert (tmp_path / "a.rllm").is_symlink()
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    "kind", ["[text 1..5]", "[{ what: text 1.., sort: big | small }]", "{ what: text }", "text[], a: b"]
)
def test_a_type_is_said_as_a_file_says_it(kind: str) -> None:
    """Lists and maps in brackets too, under a name that YAML would read otherwise."""
    found = property_of(f"on: {kind}")
    text = made("app", Answers(purpose="Sum it up.", inputs=(found,), outputs=(found,)), model="local/smollm2-135m")
    assert not problems_of(text, "app.rllm")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("letter", "`letter: text`"),
        ("lines: [text], The lines", "`text[], The lines`"),
        ("lines: [text", "Check its brackets"),
        ("lines: [txt]", "Did you mean `text`?"),
        ("lines: []", "`[string]`"),
        ("lines: { a: text, a: text }", "Check its brackets"),
    ],
)
def test_a_type_that_is_none_says_what_to_write(line: str, said: str) -> None:
    """And nothing of quotes that nobody wrote."""
    with pytest.raises(UsageError) as raised:
        property_of(line)
    assert said in (raised.value.recovery_hint or "")


@pytest.mark.parametrize("like", NAMES)
def test_the_files_of_the_gallery_come_in_the_same_order_each_time(like: str) -> None:
    """By name, with the app at the end."""
    *others, app = files_of(like, "mine")
    assert (others, app) == (sorted(others), "mine.rllm")
