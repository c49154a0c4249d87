"""What a release holds: everything a user needs, nothing of the workshop, one version."""

import email
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from tests.release.conftest import ROOT, Built

import runllm

VERSION = runllm.__version__
KINDS = {
    ".py",
    ".json",
    ".css",
    ".js",
    ".svg",
    ".bash",
    ".zsh",
    ".fish",
    ".powershell",
    ".rllm",
    ".yaml",
    ".txt",
    ".typed",
}
MOST_BYTES = 1 << 20


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    files = [path for path in (ROOT / "src/runllm").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    source = {f"runllm/{path.relative_to(ROOT / 'src/runllm')}" for path in files}
    facts = {f"runllm-{VERSION}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert set(contents(built.wheel)) == source | facts | {f"runllm-{VERSION}.dist-info/licenses/LICENSE"}
    assert {"runllm/py.typed", "runllm/frontmatter.schema.json", "runllm/llm_params.schema.json"} <= source
    assert {Path(name).suffix for name in source} <= KINDS
    assert built.wheel.stat().st_size < MOST_BYTES
    assert built.wheel.name == f"runllm-{VERSION}-py3-none-any.whl"


def test_the_metadata_says_what_a_package_index_shows(built: Built) -> None:
    said = email.message_from_bytes(contents(built.wheel)[f"runllm-{VERSION}.dist-info/METADATA"])
    assert (said["Name"], said["Version"], said["License-Expression"]) == ("runllm", VERSION, "MIT")
    assert said["Requires-Python"] == ">=3.11"
    assert set(said.get_all("Provides-Extra")) == {
        "local",
        "mcp",
        "otel",
        "parquet",
        "python",
        "scale",
        "serve",
        "xlsx",
    }
    assert said["Description-Content-Type"] == "text/markdown"
    assert "# runllm" in said.get_payload()


def test_pytest_finds_the_plugin(built: Built) -> None:
    said = contents(built.wheel)[f"runllm-{VERSION}.dist-info/entry_points.txt"].decode()
    assert "[pytest11]\nrunllm = runllm.pytest_plugin\n" in said


def test_the_source_makes_the_same_wheel_as_the_checkout(built: Built) -> None:
    assert contents(built.wheel) == contents(built.direct)


def test_the_source_holds_what_is_needed_to_work_on_it(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "src/runllm/_version.py"}
    wanted |= {"requirements.lock", "uv.txt", "tools/pin.py"}  # what the README's first command installs from
    wanted |= {
        "tests/conftest.py",
        "examples/summary.rllm",
        "examples/summary.tests.yaml",
        "examples/summary.cassette.yaml",
        "docs/design.md",
        "tools/gen_docs.py",
        "editors/vim/syntax/rllm.vim",
    }
    assert wanted <= found
    assert [name for name in found if re.search(r"__pycache__|\.pyc$|node_modules|\.venv|\.db$|\.gguf$", name)] == []


def test_one_version_everywhere() -> None:
    done = subprocess.run([sys.executable, "-m", "runllm", "--version"], capture_output=True, text=True)
    assert done.stdout == f"runllm {VERSION}\n"
    assert metadata.version("runllm") == VERSION
    assert json.loads((ROOT / "editors/vscode/package.json").read_text("utf-8"))["version"] == VERSION
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"] == ["version"]


def test_the_pages_know_the_version() -> None:
    assert (ROOT / f"docs/release-notes-{VERSION}.md").is_file()
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)\]? - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert released[0] == VERSION
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {found for page in pages for found in re.findall(r"runllm-(\d+\.\d+\.\d+)-py3", page.read_text("utf-8"))}
    assert named <= {VERSION}
