# /// script
# requires-python = ">=3.11"
# ///
"""Let uv install only the files whose hashes stand in requirements.lock.

    uv run tools/pin.py

It has uv write `uv.lock`, and takes every file out of it that is not known by its hash. From then on each `uv run` and
`uv sync` here installs from what is left, and checks each hash as it does. The versions are pinned by `[tool.uv]` in
pyproject.toml. Nothing in the repository names an index: uv asks the one that it is set up for, a mirror as well.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HASH = re.compile(r"sha256:[0-9a-f]{64}\b")
_FILE = re.compile(r"(?:    |sdist = )\{ (?:url|path) = ")


def main() -> int:
    """Write `uv.lock`, or say which package cannot be held and leave none."""
    pinned = set(HASH.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    lock = ROOT / "uv.lock"
    if lock.exists() and set(HASH.findall(lock.read_text(encoding="utf-8"))) != pinned:
        lock.unlink()  # uv would keep it, and with it what other pins left out
    if not uv("lock", "--quiet"):
        return 1
    text = only_pinned(lock.read_text(encoding="utf-8"), pinned)
    if problems := unheld(text, pinned):
        lock.unlink()
        print("requirements.lock does not hold what the package index offers; nothing was installed.", file=sys.stderr)
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    lock.write_text(text, encoding="utf-8", newline="\n")
    return 0


def only_pinned(lock: str, pinned: set[str]) -> str:
    """The text of a `uv.lock` without the files that have none of these hashes."""
    lines = lock.splitlines(keepends=True)
    return "".join(line for line in lines if not _FILE.match(line) or pinned.intersection(HASH.findall(line)))


def unheld(lock: str, pinned: set[str]) -> list[str]:
    """A sentence for each package that could be installed from something without one of these hashes, or not at all."""
    problems: list[str] = []
    for package in tomllib.loads(lock)["package"]:
        if "." in (package["source"].get("editable"), package["source"].get("virtual")):
            continue
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        if not files or not all(file.get("hash") in pinned for file in files):
            problems.append(f"{package['name']} {package.get('version')}: no file of it has a pinned SHA-256 hash")
    return problems


def uv(*arguments: str) -> bool:
    """Whether uv does this; it says itself what is wrong."""
    return succeeds([os.environ.get("UV", "uv"), *arguments])


def succeeds(command: list[str]) -> bool:
    """Run a command in the project's folder."""
    # `uv run` names the environment of this script, which is not the project's.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
