"""The built files in a fresh environment, by pip and by uv: what a newcomer does first, without any extra.

The package is always named by its file: of that name, the package index has another project's.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.release.conftest import ROOT, Built

import runllm

APP = """---
name: echo
description: Say it again.
version: 1.0.0
author: me
max_context_window: 4096
input_schema: {type: object, properties: {text: {type: string}}, required: [text]}
output_schema: {type: object, properties: {answer: {type: string}}, required: [answer]}
llm: {model: openai/gpt-4o-mini}
llm_params: {temperature: 0}
---
Say {{ input.text }}.
"""
BLOCKS = APP.replace("Say {{", "```rllm-python pre inputs=input.text outputs=n\nn = len(text)\n```\nSay {{")


def install(installer: str, python: str, file: Path, folder: Path) -> Path:
    """A fresh environment with this file installed in it; its folder of commands."""
    if installer == "uv":
        steps = [["uv", "venv", "--quiet", "--python", python, folder]]
        steps += [["uv", "pip", "install", "--quiet", "--python", folder, file]]
    else:
        pip = [folder / "bin/python", "-m", "pip", "--disable-pip-version-check"]
        steps = [[python, "-m", "venv", folder], [*pip, "install", "--quiet", "--no-compile", file], [*pip, "check"]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, cwd=folder.parent)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder / "bin"


@pytest.fixture(scope="module", params=["pip", "uv"])
def installer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("version", ["3.11", "3.13"])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_fresh_install_works(
    kind: str,
    version: str,
    installer: str,
    built: Built,
    interpreter: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = install(installer, interpreter(version), getattr(built, kind), tmp_path / "fresh")
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no uv or pip to fetch anything with
    (tmp_path / "echo.rllm").write_text(APP, encoding="utf-8")
    (tmp_path / "blocks.rllm").write_text(BLOCKS, encoding="utf-8")
    shutil.copy(ROOT / "examples/summary.rllm", tmp_path)

    def call(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [commands / arguments[0], *arguments[1:]],
            capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    assert call("runllm", "--version").stdout == f"runllm {runllm.__version__}\n"
    assert call("runllm", "validate", "echo.rllm", "summary.rllm").stdout == "echo.rllm: ok\nsummary.rllm: ok\n"
    dry = call("runllm", "echo.rllm", "text=hello", "--dry-run")
    assert json.loads(dry.stdout)["messages"][-1]["content"] == "Say hello.", dry.stderr
    imported = call("python", "-c", "import runllm; print(runllm.__file__); runllm.load('echo.rllm')")
    assert imported.returncode == 0, imported.stderr
    assert Path(imported.stdout.strip()).is_relative_to(commands.parent)
    assert "complete -o" in call("runllm", "completion", "bash").stdout
    for file, extra in (("blocks.rllm", "python"), ("summary.rllm", "local")):
        refused = call("runllm", file, "text=hello")
        payload = json.loads(refused.stderr)
        assert (refused.returncode, payload["error_code"]) == (8, "RLLM_021")
        said = f"{payload['message']} {payload['recovery_hint']}"
        assert re.search(rf"extra `?{extra}`?", said), said
        assert "pip install runllm" not in said
