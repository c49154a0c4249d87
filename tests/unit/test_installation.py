"""What adds a library to runllm, for each way in which it is installed; what says so where it cannot run."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

import runllm
from runllm import installation
from runllm.doctor.machine import EXTRAS
from runllm.errors import EngineUnavailableError
from runllm.installation import REQUIREMENTS, adding

SOURCE = Path(runllm.__file__).parent


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in which runllm is installed from a wheel, as far as it looks."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "lib/runllm/installation.py"))
    monkeypatch.setattr(installation, "_facts", lambda: {"url": "file:///dist/runllm-0.1.0-py3-none-any.whl"})
    return tmp_path


def test_each_requirement_is_that_of_the_package():
    declared = [wanted.replace(" ", "").partition(";")[0] for wanted in requires("runllm") or ()]
    for requirement in " ".join(REQUIREMENTS.values()).split():
        name, bounds = (
            requirement.partition(">")[0],
            set(requirement.removeprefix(requirement.partition(">")[0]).split(",")),
        )
        assert any(d.startswith(name) and set(d.removeprefix(name).split(",")) == bounds for d in declared), requirement


@pytest.mark.parametrize(
    ("marker", "text", "said"),
    [
        ("pyvenv.cfg", "home = /usr/bin\n", "Run `pip install 'xllamacpp>=1'`."),
        ("pyvenv.cfg", "home = /usr/bin\nuv = 0.9\n", "Run `uv pip install --python {prefix} 'xllamacpp>=1'`."),
        ("pipx_metadata.json", "{}", "Run `pipx inject {name} 'xllamacpp>=1'`."),
        (
            "uv-receipt.toml",
            "",
            "Run `uv tool install 'runllm[local] @ file:///dist/runllm-0.1.0-py3-none-any.whl'`.",
        ),
    ],
)
def test_the_command_fits_how_runllm_is_installed(prefix, marker, text, said):
    (prefix / marker).write_text(text, encoding="utf-8")
    assert adding("xllamacpp>=1", "local") == said.format(prefix=prefix, name=prefix.name)


def test_a_tool_of_git_keeps_its_commit_and_one_of_an_index_is_not_named_by_it(prefix, monkeypatch):
    (prefix / "uv-receipt.toml").write_text("", encoding="utf-8")
    facts = {"url": "https://x.example/runllm", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    monkeypatch.setattr(installation, "_facts", lambda: facts)
    assert "'runllm[local] @ git+https://x.example/runllm@abc'" in adding("xllamacpp>=1", "local")
    monkeypatch.setattr(installation, "_facts", dict)
    assert adding("xllamacpp>=1", "local") == f"Run `uv pip install --python {prefix} 'xllamacpp>=1'`."


@pytest.mark.usefixtures("prefix")
def test_a_folder_a_clone_and_a_frozen_program_each_have_their_own(monkeypatch):
    monkeypatch.setattr(installation, "__file__", "/srv/app libs/runllm/installation.py")
    assert adding("xllamacpp>=1") == "Run `pip install --target '/srv/app libs' 'xllamacpp>=1'`."
    monkeypatch.setattr(installation, "_facts", lambda: {"url": "file:///x", "dir_info": {"editable": True}})
    assert adding("xllamacpp>=1", "local") == "In your clone of runllm run `uv sync --extra local`."
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "build it again" in adding("xllamacpp>=1", "local")


def test_a_program_that_was_built_without_a_command_says_so(monkeypatch):
    def load(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    with pytest.raises(ModuleNotFoundError):
        installation.without("runllm.cli.run", load)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(EngineUnavailableError, match=r"built without `runllm\.cli\.run`") as caught:
        installation.without("runllm.cli.run", load)
    assert "--collect-all runllm" in caught.value.recovery_hint


def test_inside_a_zip_archive_it_says_why_not(tmp_path: Path):
    archive = tmp_path / "app.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for path in SOURCE.rglob("*.py"):
            file.write(path, f"runllm/{path.relative_to(SOURCE)}")
        file.writestr("__main__.py", "from runllm.__main__ import main\nmain()\n")
    done = subprocess.run([sys.executable, archive, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("runllm cannot run from inside a zip archive: its libraries are compiled")
    assert "Traceback" not in done.stderr


APP = """---
name: long
input: {text: text}
returns: {n: integer}
output: {n: "{{ vars.n }}"}
---
```rllm-python pre inputs=input.text outputs=n
n = len(text)
```
"""


def test_without_docstrings_and_assertions_it_runs(tmp_path: Path):
    (tmp_path / "long.rllm").write_text(APP, encoding="utf-8")
    command = [sys.executable, "-OO", "-m", "runllm"]
    done = subprocess.run([*command, "long.rllm", "text=abc"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ('{\n  "n": 3\n}\n', "")
    done = subprocess.run([*command, "nothing.rllm"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3
    assert "RLLM_023" in done.stderr


def test_the_sandbox_is_found_where_a_target_folder_has_it(tmp_path: Path):
    """`pip install --target` puts the workers' program into a folder beside the packages."""
    import pydantic_monty
    from pydantic_monty._binary import find_monty_binary

    (tmp_path / "long.rllm").write_text(APP, encoding="utf-8")
    packages, bare = Path(pydantic_monty.__file__).parents[1], tmp_path / "target"
    bare.mkdir()
    for entry in [*packages.iterdir(), SOURCE]:
        if entry.suffix != ".pth" and entry.name != "bin":
            (bare / entry.name).symlink_to(entry)
    python = Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name
    environment = {"PYTHONPATH": str(bare), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RUNLLM_NO_CONFIG": "1"}
    command = [python, "-m", "runllm", "long.rllm", "text=abc", "--no-stats"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "RLLM_021" in done.stderr
    assert "RLLM_099" not in done.stderr
    (bare / "bin").mkdir()
    (bare / "bin" / "monty").symlink_to(find_monty_binary())
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == ('{\n  "n": 3\n}\n', "")


def test_doctor_knows_what_each_extra_is_for():
    """One that it does not know would be called missing, and its absence wrong."""
    assert EXTRAS.keys() == REQUIREMENTS.keys()
