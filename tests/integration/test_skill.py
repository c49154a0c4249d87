"""`runllm skill`: a folder that an agent can read and run anywhere, whatever the app says of itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import runllm
from runllm.cli import cli
from runllm.export.folder import write
from runllm.export.skill import skill_of
from runllm.terminal import visible
from runllm.testing import ScriptedEngine

CHILD = "---\nname: topic\ninput: {text: text}\nreturns: {topic: a | b}\nllm: openai/m\n---\n{{ input.text }}\n"
MAIN = (
    "---\nname: sort__mail\ndescription: Sorts.\ninput: {mail: text}\nreturns: {about: text}\n"
    'uses: [{name: topic, path: ../lib/topic.rllm, with: {text: "{{ input.mail }}"}}]\n'
    'output: {about: "{{ uses.topic.topic }}"}\n---\n'
)
FREE = '---\nname: echo\ninput: {a: text}\nreturns: {b: text}\noutput: {b: "{{ input.a }}"}\n---\n'


def composed(folder: Path) -> Path:
    """An app that uses another one beside its own folder."""
    for name, text in (("apps/main.rllm", MAIN), ("lib/topic.rllm", CHILD), ("runllm.toml", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "apps" / "main.rllm"


def skill(*arguments: str | Path) -> tuple[int, str]:
    """The status of a command line, and what it says."""
    found = CliRunner().invoke(cli, ["skill", *map(str, arguments)], standalone_mode=False)
    if isinstance(found.exception, runllm.RunllmError):
        return found.exception.exit_status, found.exception.message
    assert found.exception is None, found.exception
    return 0, found.output


def read(folder: Path) -> tuple[dict[str, Any], str]:
    """The frontmatter of a skill, and the rest of its page."""
    _, front, body = re.split(r"^---$", (folder / "SKILL.md").read_text(), maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(front), body


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def below(folder: Path) -> dict[str, str]:
    """The text of each file."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_skill_of_a_composed_app_runs_where_nothing_else_is(tmp_path: Path) -> None:
    app = composed(tmp_path / "project")
    assert skill(app, "-o", tmp_path / "a" / "skills") == (0, f"{tmp_path}/a/skills/sort-mail\n")
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.move(tmp_path / "a" / "skills" / "sort-mail", tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "project")
    assert set(below(moved)) == {"SKILL.md", "runllm.toml", "apps/main.rllm", "lib/topic.rllm"}
    front, body = read(moved)
    assert front["name"] == moved.name
    assert front["description"] == "Sorts."
    assert "openai/m" in front["compatibility"]
    assert str(tmp_path) not in json.dumps(below(moved))
    assert "runllm run apps/main.rllm" in body
    with runllm.Runtime(engine=ScriptedEngine(['{"topic": "b"}'])) as runtime:
        assert runllm.load(moved / "apps" / "main.rllm", runtime=runtime)(mail="x") == {"about": "b"}


def test_the_command_that_a_page_shows_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "it's $(one).rllm").write_text(FREE)
    assert skill(tmp_path / "it's $(one).rllm", "-o", tmp_path)[0] == 0
    shown = re.search(r"```sh\n(.*?)```", read(tmp_path / "echo")[1], re.DOTALL)
    assert shown is not None
    found = subprocess.run(
        ["sh", "-c", shown[1].replace("runllm run", f"'{sys.executable}' -m runllm run", 1)],
        cwd=tmp_path / "echo", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(found.stdout) == {"b": "..."}
    assert found.stderr == ""


@pytest.mark.parametrize(
    "said",
    [
        'say "this": # {x} - \\ \'',
        "---\nname: other\n---",
        "a </description> <skill> b",
        "\U000e0041\u202e\x1b[2J\u0085\u2028\ufeffseen\u200d\uffff\U0001f600",
        "x" * 3000,
        "null",
        "\u3164\u200b",
        "NAME FILE DESCRIPTION",
    ],
)
def test_whatever_an_app_says_of_itself_the_page_is_one_page_and_hides_nothing(said: str) -> None:
    schema = {
        "type": "object",
        "properties": {"k\u202e```": {"enum": ["```\n---\U000e0041\u3164"], "description": said}},
    }
    front = {"name": "a" * 60 + "_-" + "b" * 20, "description": said, "input_schema": schema, "returns": "text"}
    text = f"---\n{yaml.safe_dump(front)}llm: openai/m\n---\nx\n"
    made = skill_of(runllm.load_text(text, name="app.rllm"))
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made.name)
    assert len(made.name) <= 64
    page = made.files["SKILL.md"]
    assert page.count("\n---\n") == 1
    assert {one for one in page if not one.isprintable()} <= {"\n", "\u200d"}
    assert visible(page, len(page)) == page
    front = yaml.safe_load(page.partition("---\n")[2].partition("\n---\n")[0])
    assert set(front) == {"name", "description", "compatibility", "metadata"}
    assert isinstance(front["description"], str)
    assert 1 <= len(front["description"]) <= 1024
    assert not set("<>\n") & set(front["description"])
    assert visible(front["description"]) == front["description"]
    shown = re.findall(r"^```json\n(.*?)\n^```$", page, re.DOTALL | re.MULTILINE)
    assert json.loads(shown[0])["properties"]["k\u202e```"]["enum"] == ["```\n---\U000e0041\u3164"]
    assert json.loads(shown[1]) == {"type": "string"}


def test_a_folder_that_is_there_is_written_over_only_if_it_is_a_skill_and_keeps_what_is_not_of_it(
    tmp_path: Path,
) -> None:
    app, place = composed(tmp_path / "project"), tmp_path / "sort-mail"
    arguments = (app, "-o", tmp_path)
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    for more in ((), ("--force",)):
        assert skill(*arguments, *more)[0] == 3
        assert below(place) == {"mine.txt": "mine"}
    (place / "SKILL.md").write_text("old")
    assert skill(*arguments)[0] == 3
    assert below(place)["SKILL.md"] == "old"
    assert skill(*arguments, "--force")[0] == 0
    assert below(place)["mine.txt"] == "mine"
    assert below(place)["apps/main.rllm"] == MAIN
    assert names(tmp_path) == ["project", "sort-mail"]


def test_no_link_in_an_older_skill_leads_out_of_it(tmp_path: Path) -> None:
    app, place, other = composed(tmp_path / "project"), tmp_path / "sort-mail", tmp_path / "other"
    for folder in (place, other):
        folder.mkdir()
    (place / "SKILL.md").symlink_to(other / "SKILL.md")
    (place / "apps").symlink_to(other)
    status, said = skill(app, "-o", tmp_path, "--force")
    assert (status, "it is a link" in said) == (3, True)
    (place / "apps").unlink()
    assert skill(app, "-o", tmp_path, "--force")[0] == 0
    assert not (place / "SKILL.md").is_symlink()
    shutil.rmtree(place)
    place.symlink_to(other)
    assert skill(app, "-o", tmp_path, "--force")[0] == 3
    assert names(other) == []


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    texts = {"a/b.rllm": "new", "SKILL.md": "\udcff"}  # which no file holds
    for over in (None, "SKILL.md"):
        with pytest.raises(UnicodeEncodeError):
            write(tmp_path / "one", texts, over=over)
        assert names(tmp_path) == ([] if over is None else ["one"])
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / "SKILL.md").write_text("old")
    assert below(tmp_path / "one") == {"SKILL.md": "old"}
    (tmp_path / "file").write_text("")
    with pytest.raises(runllm.FileAccessError):
        write(tmp_path / "file" / "one", {"SKILL.md": ""})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("../lib/topic.rllm", "/lib/topic.rllm", "only this machine"),
        ("../lib/topic.rllm", "./link.rllm", "two files"),
        ("llm: openai/m", "llm: local/weights.gguf", "file of weights"),
    ],
)
def test_what_holds_on_this_machine_alone_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    app = composed(tmp_path)
    new = f"{tmp_path}{new}" if new.startswith("/") else new
    for path in (app, tmp_path / "lib" / "topic.rllm"):
        path.write_text(path.read_text().replace(old, new))
    if "link" in new:  # to a file that uses another `./other.rllm` than lies beside the link
        (tmp_path / "lib" / "topic.rllm").write_text(MAIN.replace("../lib/topic", "./other").replace("mail", "text"))
        (tmp_path / "lib" / "other.rllm").write_text(CHILD)
        (app.parent / "link.rllm").symlink_to(tmp_path / "lib" / "topic.rllm")
        (app.parent / "other.rllm").write_text(CHILD.replace("a | b", "a | c"))
        text = MAIN.replace("path: ../lib/topic.rllm, with: {text", "path: ./link.rllm, with: {text")
        second = '{name: other, path: ./other.rllm, with: {text: "{{ input.mail }}"}}]'
        app.write_text(text.replace("}}]", "}}, " + second).replace("uses.topic.topic", "uses.topic.about"))
    status, message = skill(app, "-o", tmp_path / "out")
    assert (status, said in message) == (2, True), message
    assert not (tmp_path / "out").exists()
