"""The pytest plugin, as pytest finds it in somebody's project: a process of its own, loaded by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.entry import entry_points
from tests.integration.provider import Provider, answer

import runllm
from runllm.engines.cassette import Cassette, playing
from runllm.moments import now
from runllm.testing import ScriptedEngine

QUICK = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:randomly")
APP = """---
name: NAME
input: {message: text}
returns: {topic: text 2..}
llm: {model: openai/m, api_base: "BASE", num_retries: 0}
TESTS---
What is this about? {{ input.message }}
"""
TESTS = """tests:
  - {name: 'one about "money" [1]', input: {message: I paid.}, output: {topic: money}, tags: [urgent]}
  - {name: one that is wrong, input: {message: I paid.}, contains: {topic: sunshine}}
  - {name: one that was not recorded, input: {message: I stayed.}}
  - {name: later, input: {message: x}, skip: not yet}
  - {name: nothing, input: {}, error: InputSchemaError}
"""
MODULE = """
import pathlib
import runllm
app = runllm.load(pathlib.Path(__file__).parent / "sort.rllm")
def topic(message):
    return app(message=message)["topic"]
"""
PYTHON = """
import sorting

def test_beside_its_file(runllm_replay):
    runllm_replay(sorting.app)
    assert sorting.topic("I paid.") == "money"

def test_by_path(runllm_replay):
    runllm_replay("sort.cassette.yaml")
    assert sorting.topic("I paid.") == "money"

def test_a_miss(runllm_replay):
    runllm_replay("sort.cassette.yaml", sorting.app)
    sorting.topic("I said.")

def test_no_cassette(runllm_replay):
    runllm_replay("none.yaml")

def test_a_script(runllm_script):
    engine = runllm_script(sorting.app, ['{"topic": "x"}', '{"topic": "weather"}'])
    assert sorting.topic("It rains.") == "weather"
    assert len(engine.requests) == 2

def test_that_it_was_given_back():
    assert sorting.app._instead == []
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tuple[Path, Provider]]:
    """A folder with an app, its cassette, and a module that loads it when it is imported."""
    folder = tmp_path / "project"
    folder.mkdir()
    with Provider(answer('{"topic": "money"}')) as provider:
        for name, tests in (("sort", TESTS), ("plain", ""), ("lone", "tests:\n  - input: {message: a}\n")):
            text = APP.replace("NAME", name).replace("BASE", provider.base).replace("TESTS", tests)
            (folder / f"{name}.rllm").write_text(text, encoding="utf-8")
        (folder / "sorting.py").write_text(MODULE, encoding="utf-8")
        (folder / "test_sorting.py").write_text(PYTHON, encoding="utf-8")
        kept = Cassette(now())
        with runllm.Runtime(engine=ScriptedEngine(['{"topic": "money"}']), **playing(kept, replay=False)) as runtime:
            runllm.load(folder / "sort.rllm", runtime=runtime)(message="I paid.")
        kept.write(folder / "sort.cassette.yaml")
        yield folder, provider


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in that folder, which finds the plugin by what pyproject.toml says, whatever is installed here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {
        "PYTHONPATH": str(entry_points(folder.parent / "found")),
        "OPENAI_API_KEY": "sk-of-a-test",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "pytest", *QUICK, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_cases_and_fixtures_in_a_fresh_project(project: tuple[Path, Provider]) -> None:
    folder, provider = project
    (folder / "broken.rllm").write_text(
        (folder / "sort.rllm").read_text(encoding="utf-8").replace("topic: money", "topc: money"), encoding="utf-8"
    )
    done = run_pytest(folder, "-rA", "--continue-on-collection-errors", "--junitxml", "out.xml")
    printed = done.stdout
    assert done.returncode == 1, printed + done.stderr
    assert provider.requests == []
    for passed in (
        'sort.rllm::one about "money" [1]',
        "sort.rllm::nothing",
        "test_sorting.py::test_beside_its_file",
        "test_sorting.py::test_by_path",
        "test_sorting.py::test_a_script",
        "test_sorting.py::test_that_it_was_given_back",
    ):
        assert f"PASSED {passed}\n" in printed, printed
    assert "6 passed, 2 skipped, 1 error" in printed.replace("4 failed, ", ""), printed
    assert '\ntopic: does not contain "sunshine": "money"\n' in printed  # as `runllm test` says it, and no more
    assert "-What is this about? I paid." in printed
    assert "+What is this about? I stayed." in printed
    assert "not yet" in printed
    assert "there is no lone.cassette.yaml: `runllm test --record` makes it" in printed
    assert "broken.rllm:7:" in printed  # the place of what is wrong
    assert "plain.rllm" not in printed
    assert "src/runllm" not in printed  # no line of ours in anybody's failure
    assert "Traceback" not in printed
    suite = ET.parse(folder / "out.xml").getroot().find("testsuite")  # noqa: S314 - ours
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("4", "1", "2")


@pytest.mark.soak  # two more starts of pytest
def test_side_by_side_with_xdist_and_by_name_or_tag(project: tuple[Path, Provider]) -> None:
    folder, _ = project
    done = run_pytest(folder, "-n", "2", "-rA", "-k", "urgent or by_path or wrong")
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr


def test_models_are_called_where_that_is_asked_for(project: tuple[Path, Provider]) -> None:
    folder, provider = project
    (folder / "sort.cassette.yaml").unlink()
    done = run_pytest(folder, "--runllm-live", "--runllm-record", "-k", "rllm or by_path or beside")
    assert "1 failed" in done.stdout, done.stdout + done.stderr  # the one that is wrong
    assert "skipped" in done.stdout
    assert len(provider.chats) == 6, done.stdout
    provider.requests.clear()
    assert "2 passed" in run_pytest(folder, "-k", "by_path or beside").stdout
    assert provider.requests == []


def test_a_session_without_apps_pays_nothing() -> None:
    """pytest loads the plugin for everybody who has runllm."""
    code = (
        "import sys, pytest; had = set(sys.modules); import runllm.pytest_plugin; print(*sorted({*sys.modules} - had))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["runllm", "runllm._version", "runllm.pytest_plugin"]
