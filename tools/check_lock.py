"""Check the pins: each has hashes, is the same in every file and for uv, and has wheels for each Python promised.

It also proves that the compromised releases of LiteLLM can neither be chosen nor are pinned.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pin
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from raise_pins import LOCK, PROJECT, UV, entries, versions

COMPROMISED = {"litellm": ("1.82.7", "1.82.8", "1.107.0")}
PLATFORMS = ("linux", "macos", "windows")


def main() -> int:
    """Print what is wrong with the pins."""
    lock, uv = LOCK.read_text(encoding="utf-8"), UV.read_text(encoding="utf-8")
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    problems = [*found(lock, project), *_uv_problems(uv, lock), *_not_resolved(lock), *_without_wheels(project)]
    for problem in problems:
        print(f"requirements.lock: {problem}")
    return 1 if problems else 0


def found(lock: str, project: dict[str, Any]) -> list[str]:
    """What is wrong with a lock for a project: the texts of requirements.lock, and of pyproject.toml as read."""
    wanted = [Requirement(line) for line in _wanted(project)]
    pinned = versions(lock)
    every = [entry for entry in re.split(r"\n(?=\S)", lock) if entry.strip() and not entry.startswith("#")]
    problems = [f"{line} is not pinned" for line in wanted if canonicalize_name(line.name) not in pinned]
    problems += [f"{entry.split()[0]} is no pin" for entry in every if "==" not in entry]
    problems += [f"{entry.split()[0]} has no hash" for entry in entries(lock) if not pin.HASH.search(entry)]
    problems += ["it names a host"] if "://" in lock else []
    problems += _not_what_uv_reads(lock, project)
    for name, bad in COMPROMISED.items():
        needed = [line for line in wanted if canonicalize_name(line.name) == name]
        problems += [f"{name} is not required, but checked for compromised releases"] if not needed else []
        for version in bad:
            allowed = any(line.specifier.contains(version, prereleases=True) for line in needed)
            problems += [f"pyproject.toml allows {name} {version}, which is compromised"] if allowed else []
            chosen = rf"{re.escape(name)}=={re.escape(version)}(?![0-9.])"
            problems += [f"{name} {version} is compromised" for line in pinned.get(name, ()) if re.match(chosen, line)]
    return problems


def _not_what_uv_reads(lock: str, project: dict[str, Any]) -> Iterator[str]:
    """Where pyproject.toml pins something else than the lock, or leaves out what builds the package."""
    settings = project["tool"]["uv"]
    lines = {line for lines in versions(lock).values() for line in lines}
    for line in sorted(lines ^ {*settings["constraint-dependencies"]}):
        yield f"`{line}` stands in one of it and pyproject.toml"
    hashes = {line: _hashes([entry]) for entry in entries(lock) for (line,) in versions(entry).values()}
    for entry in settings["build-constraint-dependencies"]:
        if set(entry["hashes"]) != hashes.get(entry["requirement"]):
            yield f"`{entry['requirement']}` is another one where the package is built"
    for requirement in project["build-system"]["requires"]:
        if requirement not in project["dependency-groups"]["build"]:
            yield f"{requirement}, which builds the package, is not in the group `build`"


def _uv_problems(uv: str, lock: str) -> Iterator[str]:
    if not uv or not {*entries(uv.strip())} <= {*entries(lock.strip())}:
        yield "uv.txt is no part of it"


def _not_resolved(lock: str) -> Iterator[str]:
    """Where uv would install something else than is pinned."""
    command = ["uv", "export", "--quiet", "--no-emit-project", "--all-extras", "--all-groups"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pin.ROOT, check=False)
    if done.returncode:
        yield f"uv resolves nothing: {done.stderr.strip()}"
    elif versions(done.stdout) != versions(lock):
        yield "uv resolves other versions: `make lock` writes it anew"
    elif not _hashes(entries(done.stdout)) <= _hashes(entries(lock)):
        yield "uv would install files that it does not know: run `uv run tools/pin.py`"


def _without_wheels(project: dict[str, Any]) -> list[str]:
    """What has no wheel for a Python that is promised, on a system that people have."""
    pythons = [line.removeprefix("Programming Language :: Python :: ") for line in project["project"]["classifiers"]]
    pythons = [python for python in pythons if python.startswith("3.")]
    command = ["uv", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(LOCK), "--target", str(pin.ROOT / "build" / "nothing-is-written")]

    def missing(which: tuple[str, str]) -> str:
        options = ["--python-version", which[0], "--python-platform", which[1]]
        done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=pin.ROOT, check=False)
        return f"no wheel for Python {which[0]} on {which[1]}: {done.stderr.strip()}" if done.returncode else ""

    with ThreadPoolExecutor(4) as pool:
        return [problem for problem in pool.map(missing, itertools.product(pythons, PLATFORMS)) if problem]


def _hashes(entries: Iterable[str]) -> set[str]:
    return {found for entry in entries for found in pin.HASH.findall(entry)}


def _wanted(project: dict[str, Any]) -> list[str]:
    table, groups = project["project"], project["dependency-groups"]
    lists = [table["dependencies"], *table["optional-dependencies"].values(), *groups.values()]
    return [line for lines in lists for line in lines]


if __name__ == "__main__":
    sys.exit(main())
