"""Files that a user names to be written: what a link in a stranger's folder leads to stays as it is."""

import contextlib
import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apps import at, leaf
from tests.chances import some
from tests.integration.provider import Provider, answer
from tests.moments import at_opening
from tests.warm import RUNLLM

from runllm import files
from runllm.errors import FileAccessError
from runllm.files import open_resolved


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path, provider: Provider) -> Path:
    """A folder with an app, beside one whose file must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("mine", encoding="utf-8")
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "app.rllm").write_text(leaf("app", llm=at(provider.base)), encoding="utf-8")
    provider.script(*[answer('{"out": "x"}')] * 4)
    return made


def run(folder: Path, *arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "OPENAI_API_KEY": "sk-only-for-this-machine", "RUNLLM_STATS_DB": str(folder / "stats.db")}
    line = ["bash", "-c", shell, RUNLLM] if shell else [RUNLLM, *arguments]
    return subprocess.run(
        line, capture_output=True, text=True, cwd=folder, timeout=100, env=known, stdin=subprocess.DEVNULL
    )


def untouched(folder: Path) -> bool:
    outside = folder.parent / "outside"
    return [path.name for path in outside.iterdir()] == ["victim"] and (outside / "victim").read_text("utf-8") == "mine"


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("leads", ["../outside/victim", "{outside}/victim", "../outside/new", "sub/link", "other"])
def test_a_link_out_of_its_folder_is_refused_before_a_model_is_called(
    folder: Path, provider: Provider, leads: str
) -> None:
    outside = folder.parent / "outside"
    (folder / "sub" / "link").symlink_to(outside / "victim")
    (folder / "other").symlink_to("sub/link")
    (folder / "out.json").symlink_to(leads.replace("{outside}", str(outside)))
    done = run(folder, "app.rllm", "text=x", "-o", "out.json")
    payload = json.loads(done.stderr)
    target = outside / ("new" if leads.endswith("new") else "victim")
    assert (done.returncode, payload["error_code"], payload["details"]["target"]) == (3, "RLLM_023", str(target))
    assert str(target) in payload["message"]
    assert provider.requests == []
    assert untouched(folder)
    assert (folder / "out.json").is_symlink()


def test_a_folder_above_may_be_a_link_that_leads_out_but_no_step_of_the_links_own_path(folder: Path) -> None:
    (folder / "lib").symlink_to(folder.parent / "outside")
    assert run(folder, "app.rllm", "text=x", "-o", "lib/new").returncode == 0, "the user typed that folder"
    (folder.parent / "outside" / "new").unlink()
    (folder / "out.json").symlink_to("lib/victim")
    assert run(folder, "app.rllm", "text=x", "-o", "out.json").returncode == 3
    assert untouched(folder)


@pytest.mark.parametrize(
    "leads", ["real.json", "sub/real.json", "./sub/../real.json", "sub/new.json", "{folder}/real.json"]
)
@pytest.mark.parametrize(
    "typed", ["out.json", "./out.json", "{folder}/out.json", "../folder/out.json", "sub/../out.json"]
)
def test_a_link_within_its_folder_is_the_file_it_leads_to(folder: Path, leads: str, typed: str) -> None:
    for name in ("real.json", "sub/real.json"):
        (folder / name).write_text("old", encoding="utf-8")
    link = folder / "out.json"
    link.symlink_to(leads.replace("{folder}", str(folder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        path = typed.replace("{folder}", str(folder))
        files.check_writable(path)
        with files.writing(path) as file:
            file.write("new")
    assert link.is_symlink()
    assert (folder / leads.replace("{folder}/", "")).read_text("utf-8") == "new"


@pytest.mark.parametrize(
    "command",
    ["stats --format html -o x", "stats -o x", "stats export -o x", "app.rllm text=x --dry-run -o x", "config set --project model a/b"],
)  # fmt: skip
def test_every_command_that_writes_a_file_leaves_what_is_elsewhere(folder: Path, command: str) -> None:
    for name in ("x", "runllm.toml"):
        (folder / name).symlink_to(folder.parent / "outside" / "victim")
    (folder.parent / "outside" / "victim").write_text("# mine\n", encoding="utf-8")
    done = run(folder, *command.split())
    assert (done.returncode, json.loads(done.stderr)["error_code"]) == (3, "RLLM_023"), done.stderr
    assert "outside its own folder" in done.stderr
    assert (folder.parent / "outside" / "victim").read_text("utf-8") == "# mine\n"


@pytest.mark.parametrize("path", ["", "sub", "sub/", "new/", ".", "..", "loop", "none/x", "app.rllm/x"])
def test_what_can_be_no_file_is_refused(folder: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "loop").symlink_to("loop")
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(FileAccessError, match="cannot be written"):
        files.check_writable(path)
    with pytest.raises(FileAccessError, match="cannot be written"), files.writing(path):
        pass
    assert sorted(folder.rglob("*")) == before


# --- what is no file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    some(["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr", "/dev/fd/7", "/proc/self/fd/7", "link", "2nd"], 4),
)  # fmt: skip
def test_a_descriptor_is_written_where_it_stands(folder: Path, target: str) -> None:
    """Also one that leads to a file: what the shell wrote before and after stays."""
    (folder / "link").symlink_to("/dev/stdout")
    (folder / "2nd").symlink_to("link")
    number = {"/dev/stderr": 2}.get(target, 7 if target.endswith("7") else 1)
    line = f"{{ echo before >&{number}; $0 app.rllm text=x --format text -o {target}; echo $?; }} {number}> all.txt"
    done = run(folder, shell=line)
    found = (folder / "all.txt").read_text("utf-8")
    assert (found + (done.stdout if number != 1 else "")) == "before\nx\n0\n", done.stderr
    if number == 1:
        assert run(folder, shell=f"$0 app.rllm text=x --format text -o {target} | cat").stdout == "x\n"


def test_a_descriptor_that_cannot_be_written_is_refused_before_a_model_is_called(
    folder: Path, provider: Provider
) -> None:
    (folder / "other").touch()
    for line in ("$0 app.rllm text=x -o /dev/fd/7 7< other", "$0 app.rllm text=x -o /dev/fd/91"):
        assert run(folder, shell=line).returncode == 3
    assert provider.requests == []


def test_the_descriptor_of_another_process_is_a_link_to_its_file(folder: Path) -> None:
    victim = folder.parent / "outside" / "victim"
    with victim.open("a", encoding="utf-8") as file:
        done = run(folder, "app.rllm", "text=x", "-o", f"/proc/{os.getpid()}/fd/{file.fileno()}")
    assert done.returncode == 3
    assert str(victim) in done.stderr
    assert untouched(folder)


def test_a_device_and_a_pipe_are_written_as_they_are(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "null").symlink_to("/dev/null")
    assert run(folder, "app.rllm", "text=x", "-o", "/dev/null").returncode == 0
    assert run(folder, "app.rllm", "text=x", "-o", "null").returncode == 0
    done = run(folder, shell="cat pipe & $0 app.rllm text=x --format text -o pipe; wait")
    assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


# --- what happens meanwhile ------------------------------------------------------------------------


def test_a_link_that_is_put_there_after_the_check_is_not_written_through(folder: Path) -> None:
    target, victim = folder / "out.json", folder.parent / "outside" / "victim"
    files.check_writable(str(target))
    target.symlink_to(victim)
    with pytest.raises(FileAccessError, match="outside its own folder"), files.writing(str(target)):
        pass
    target.unlink()
    with files.writing(str(target)) as file:
        file.write("new")
        target.symlink_to(victim)
    assert untouched(folder)
    assert (target.is_symlink(), target.read_text("utf-8")) == (False, "new"), "the link itself was replaced"


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere_else(folder: Path) -> None:
    (folder / "out.json").symlink_to("sub/real.json")
    with files.writing(str(folder / "out.json")) as file:
        file.write("new")
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to(folder.parent / "outside")
    assert untouched(folder)
    assert (folder / "moved" / "real.json").read_text("utf-8") == "new"
    with pytest.raises(OSError, match=r"directory|link"):
        open_resolved(str(folder / "sub" / "victim"), os.O_RDONLY)


@pytest.mark.parametrize("step", ["check", "writing"])
@pytest.mark.parametrize("what", ["out.json", "sub", "sub/real.json"])
def test_what_becomes_a_link_at_any_moment_is_not_written_through(tmp_path: Path, what: str, step: str) -> None:
    for moment in range(40):
        folder = tmp_path / str(moment) / "folder"
        outside = folder.parent / "outside"
        for made in (folder / "sub", outside):
            made.mkdir(parents=True)
            (made / "real.json").write_text("old", encoding="utf-8")
        (folder / "out.json").symlink_to("sub/real.json")

        def turn(folder: Path = folder, outside: Path = outside) -> None:
            (folder / what).rename(folder.parent / "aside")
            (folder / what).symlink_to(outside / ("" if what == "sub" else "real.json"))

        with at_opening(moment, turn) as happened, contextlib.suppress(FileAccessError):
            if step == "check":
                files.check_writable(str(folder / "out.json"))
            else:
                with files.writing(str(folder / "out.json")) as file:
                    file.write("new")
        assert [(path.name, path.read_text("utf-8")) for path in outside.iterdir()] == [("real.json", "old")]
        if not happened():
            return
    pytest.fail("more is opened than was tried")


def test_a_link_that_turns_all_the_time_is_never_followed(folder: Path) -> None:
    target, victim, over = folder / "out.json", folder.parent / "outside" / "victim", threading.Event()
    (folder / "good").mkdir()

    def turn() -> None:
        number = 0
        while not over.is_set():
            number += 1
            fresh = folder / f"fresh{number % 2}"
            fresh.symlink_to(victim if number % 2 else "good/real.json")
            fresh.replace(target)

    turner = threading.Thread(target=turn)
    turner.start()
    written = 0
    try:
        for _ in range(300):
            try:
                with files.writing(str(target)) as file:
                    file.write("new")
                written += 1
            except FileAccessError:
                continue
    finally:
        over.set()
        turner.join()
    assert untouched(folder)
    assert written


def test_a_failure_meanwhile_leaves_the_file_and_nothing_else(folder: Path) -> None:
    target = folder / "out.json"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    before = sorted(folder.iterdir())
    with pytest.raises(ZeroDivisionError), files.writing(str(target)) as file:
        file.write(f"half{1 // 0}")
    assert (target.read_text("utf-8"), sorted(folder.iterdir())) == ("old", before)
    with files.writing(str(target)) as file:
        file.write("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    with files.writing(str(target), private=True) as file:
        file.write("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
