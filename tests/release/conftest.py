"""What the tests of a release share: the built files, interpreters, and the switch for the slow ones."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
SLOW = "RUNLLM_RELEASE_TESTS"


class Built(NamedTuple):
    """What a release is made of: the source, the wheel that is made of it, and the one made of the checkout."""

    sdist: Path
    wheel: Path
    direct: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if shutil.which("uv") is None:
        pytest.skip("there is no uv here to build with")
    dist, direct = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("direct")
    build(ROOT, dist)  # the source, then a wheel of it
    build(ROOT, direct, "--wheel")
    return Built(next(dist.glob("*.tar.gz")), next(dist.glob("*.whl")), next(direct.glob("*.whl")))


def build(source: Path, target: Path, *options: str) -> None:
    done = subprocess.run(["uv", "build", *options, "--out-dir", target, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def slow() -> None:
    """Only where they are asked for: these install packages, and take minutes."""
    if not os.environ.get(SLOW):
        pytest.skip(f"slow: set {SLOW}=1, or run `make release-check`")


@pytest.fixture(scope="session")
def interpreter() -> Callable[[str], str]:
    """The Python of a version such as `3.13`; the test is skipped where there is none."""

    def find(version: str) -> str:
        if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
            return sys._base_executable
        found = subprocess.run(
            ["uv", "python", "find", "--no-project", "--system", version], capture_output=True, text=True
        )
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        for candidate in (found.stdout.strip(), *map(str, pyenv.glob(f"versions/{version}.*/bin/python"))):
            if candidate and subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
                return candidate
        pytest.skip(f"there is no Python {version} here")

    return find
