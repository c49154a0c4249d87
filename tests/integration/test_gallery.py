"""The gallery of `runllm new --like`: its apps are right, hold what their tests say, and become a user's own."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
import yaml

import runllm
from runllm.cli import cli, invoke
from runllm.errors import FileAccessError
from runllm.files import create
from runllm.making import gallery

FILES = Path(runllm.__file__).parent / "gallery"
APPS = sorted(FILES.glob("*.rllm"))


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.stem)
def test_each_is_right_and_shows_what_to_do(app: Path) -> None:
    """No warning, bounds on all that a model is given and gives, a word on what to change, a `SYSTEM` part."""
    report = runllm.validate(app)
    assert (report.problems, report.ok) == ((), True)
    text = app.read_text(encoding="utf-8")
    assert "# To change" in text
    assert report.program is not None
    assert report.program.description
    for name, schema in report.program.input.schema["properties"].items():
        assert "maxLength" in schema or "enum" in schema, name
        assert schema["description"]
    if report.program.output is None:
        assert report.program.system
        assert "larger" in text, "it says where a larger model is needed"
    assert len(text) < 3000


def test_each_of_the_gallery_is_there_whole() -> None:
    for name in gallery.NAMES:
        beside = {f"{name}{end}" for end in (".rllm", ".input.yaml", ".tests.yaml", ".cassette.yaml")}
        assert beside <= {path.name for path in FILES.iterdir()}
        given = yaml.safe_load((FILES / f"{name}.input.yaml").read_text(encoding="utf-8"))
        assert runllm.load(FILES / f"{name}.rllm").program.input.problems(given) == ()
    stray = [
        path.name for path in FILES.iterdir() if path.name.partition(".")[0].partition("_")[0] not in gallery.NAMES
    ]
    assert stray == []
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 60_000


def test_all_tests_pass_in_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the names of somebody's own files, a blank and letters of all the world among them."""
    for name in gallery.NAMES:
        create({str(tmp_path / file): text for file, text in gallery.files_of(name, f"größe {name}").items()})
    assert invoke(["test", str(tmp_path), "--replay", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["failed"]) == (True, 0)
    assert len(found["files"]) == len(gallery.NAMES)
    assert all(one["mode"] == "replay" and one["cases"] and not one["problems"] for one in found["files"])


@pytest.mark.model
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_all_tests_pass_on_the_embedded_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["test", str(FILES), "--live"]) == 0, capsys.readouterr()


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "openai/gpt-5", "ollama/llama3.2"])
def test_another_model_is_named_everywhere_and_nothing_recorded_is_kept(tmp_path: Path, model: str) -> None:
    """It validates without a word: a model that takes no temperature is told none."""
    for name in gallery.NAMES:
        texts = gallery.files_of(name, "mine", model=model)
        assert list(texts)[-1] == "mine.rllm"
        assert not any("cassette" in file for file in texts)
        assert gallery.MODEL not in "".join(texts.values())
        folder = tmp_path / name
        folder.mkdir()
        create({str(folder / file): text for file, text in texts.items()})
        for app in folder.glob("*.rllm"):
            assert runllm.validate(app).problems == ()


def test_a_name_that_is_not_there_gets_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["new", "a", "--like", "clasify"]) == 2
    error = json.loads(capsys.readouterr().err)
    assert "Did you mean `classify`?" in error["recovery_hint"]
    assert all(f"`{name}`" in error["recovery_hint"] for name in gallery.NAMES)
    assert list(tmp_path.iterdir()) == []


def test_completion_offers_them() -> None:
    new = cli.get_command(click.Context(cli), "new")
    assert new is not None
    like = next(param for param in new.params if param.name == "like")
    context = click.Context(new)
    assert [item.value for item in like.shell_complete(context, "")] == list(gallery.NAMES)
    assert [item.value for item in like.shell_complete(context, "su")] == ["summarise"]


@pytest.mark.parametrize("stands_in_the_way", ["mine.tests.yaml", "mine_sort.rllm", "mine.rllm"])
def test_all_or_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands_in_the_way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(stands_in_the_way).symlink_to("nowhere")
    assert invoke(["new", "mine", "--like", "route"]) == 3
    assert "there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [stands_in_the_way]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A name that is too long comes last: those before it are taken away again."""
    with pytest.raises(FileAccessError, match="cannot be written"):
        create({str(tmp_path / "first"): "1", str(tmp_path / ("x" * 300)): "2"})
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_says_how_to_try_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its own commands work."""
    monkeypatch.chdir(tmp_path)
    assert invoke(["new", "my mails", "--like", "classify"]) == 0
    said = capsys.readouterr().err
    assert "runllm 'my mails.rllm' -f 'my mails.input.yaml'" in said
    assert "runllm test 'my mails.rllm' --replay" in said
    assert invoke(["test", "my mails.rllm", "--replay"]) == 0
