"""Check requirements.lock: it pins every dependency of pyproject.toml, each with hashes, and names no host."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Print what is wrong with the pins."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {_name(found) for found in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    wanted = [*project["project"]["dependencies"]]
    for group in [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]:
        wanted += group
    problems = [f"{line} is not pinned" for line in wanted if _name(re.split(r"[\[<>=!~; ]", line)[0]) not in pinned]
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)
    problems += [f"{e.split()[0]} has no hash" for e in entries if "==" in e and "--hash=sha256:" not in e]
    problems += ["it names a host"] if "://" in lock else []
    for problem in problems:
        print(f"requirements.lock: {problem}")
    return 1 if problems else 0


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
