"""Check requirements.lock: it pins every dependency of pyproject.toml, each with hashes, and names no host.

It also proves that the compromised releases of LiteLLM can neither be chosen nor are pinned.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
COMPROMISED = {"litellm": ("1.82.7", "1.82.8", "1.107.0")}
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def main() -> int:
    """Print what is wrong with the pins."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    problems = found(lock, project)
    for problem in problems:
        print(f"requirements.lock: {problem}")
    return 1 if problems else 0


def found(lock: str, project: dict[str, Any]) -> list[str]:
    """What is wrong with a lock for a project: the texts of requirements.lock, and of pyproject.toml as read."""
    wanted = [Requirement(line) for line in _wanted(project)]
    entries = [entry for entry in re.split(r"\n(?=\S)", lock) if entry.strip() and not entry.startswith("#")]
    pinned = {_name(entry.partition("==")[0]): entry for entry in entries if "==" in entry}
    problems = [f"{line} is not pinned" for line in wanted if _name(line.name) not in pinned]
    problems += [f"{entry.split()[0]} is no pin" for entry in entries if "==" not in entry]
    problems += [f"{entry.split()[0]} has no hash" for entry in pinned.values() if not _HASH.search(entry)]
    problems += ["it names a host"] if "://" in lock else []
    for name, versions in COMPROMISED.items():
        needed = [line for line in wanted if _name(line.name) == name]
        problems += [f"{name} is not required, but checked for compromised releases"] if not needed else []
        for version in versions:
            allowed = any(line.specifier.contains(version, prereleases=True) for line in needed)
            problems += [f"pyproject.toml allows {name} {version}, which is compromised"] if allowed else []
            chosen = re.match(rf"{re.escape(name)}=={re.escape(version)}(?![0-9.])", pinned.get(name, ""))
            problems += [f"{name} {version} is compromised"] if chosen else []
    return problems


def _wanted(project: dict[str, Any]) -> list[str]:
    table, groups = project["project"], project["dependency-groups"]
    lists = [table["dependencies"], *table["optional-dependencies"].values(), *groups.values()]
    return [line for lines in lists for line in lines]


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


if __name__ == "__main__":
    sys.exit(main())
