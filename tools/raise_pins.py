# /// script
# requires-python = ">=3.11"
# ///
"""Raise the pinned versions, run the tests on them, and keep what holds.

    uv run tools/raise_pins.py             every pin
    uv run tools/raise_pins.py NAME ...    these
    uv run tools/raise_pins.py --none      write the pins anew after pyproject.toml asks for something else

Where the tests fail, the raised pins are halved until the one that breaks them is found; it stays as it was, and is
named. The pins stand in three files: requirements.lock has all of them with their hashes; pyproject.toml has their
versions, for uv, and those of what builds the package; uv.txt is the part of it that pip installs first, uv.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pin

LOCK, UV, PROJECT = (pin.ROOT / name for name in ("requirements.lock", "uv.txt", "pyproject.toml"))
_EXPORT = ("export", "--quiet", "--frozen", "--no-emit-project", "--no-annotate", "--no-header")


class CannotResolveError(Exception):
    """No versions fit together; uv has said why."""


def main() -> int:
    """Raise, try, keep or restore; the exit status is 1 where a pin could not be raised."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="*", help="the packages to raise; without any, all")
    parser.add_argument("--none", action="store_true", help="raise nothing: write the pins anew")
    parser.add_argument("--test", default="make check", help="the command that must succeed (make check)")
    given = parser.parse_args()
    before = _saved()
    old = versions(LOCK.read_text(encoding="utf-8"))
    try:
        write(free=() if given.none else given.names or old)
        if given.none:
            return 0
        wanted = versions(LOCK.read_text(encoding="utf-8"))
        _restore(before)
        raised = [name for name, lines in wanted.items() if lines != old.get(name)]
        return _report(raised, _settle(raised, lambda: _succeeds(given.test)), old, given.test)
    except BaseException as error:
        _restore(before)
        if isinstance(error, CannotResolveError):
            print(f"the pins are as they were: {error}", file=sys.stderr)
            return 1
        raise


def write(*, free: Iterable[str]) -> None:
    """Write all pins: what is in `free` at its newest, the rest where it is.

    Raises:
        CannotResolveError: no versions fit together, or the index does not give them all.
    """
    loose = {_name(name) for name in free}
    held = {name: lines for name, lines in versions(LOCK.read_text(encoding="utf-8")).items() if name not in loose}
    _put("constraint-dependencies", [f'"{line}"' for lines in held.values() for line in lines])
    (pin.ROOT / "uv.lock").unlink(missing_ok=True)
    _uv("lock", "--quiet")
    _uv(*_EXPORT, "--all-extras", "--all-groups", "--output-file", LOCK.name)
    _uv(*_EXPORT, "--only-group", "uv", "--output-file", UV.name)
    build = pin.ROOT / "build.lock"
    try:
        _uv(*_EXPORT, "--only-group", "build", "--output-file", build.name)
        _put("build-constraint-dependencies", [_with_hashes(entry) for entry in entries(build.read_text("utf-8"))])
    finally:
        build.unlink(missing_ok=True)
    pinned = versions(LOCK.read_text(encoding="utf-8"))
    _put("constraint-dependencies", [f'"{line}"' for lines in pinned.values() for line in lines])
    if pin.main():
        raise CannotResolveError("the pins that were written cannot be installed")


def entries(lock: str) -> list[str]:
    """The entries of a file of requirements, each with its hashes."""
    return [entry for entry in re.split(r"\n(?=[^\s#])", lock) if "==" in entry]


def versions(lock: str) -> dict[str, list[str]]:
    """Of each package that a file of requirements pins, its lines without hashes: several where markers choose one."""
    found: dict[str, list[str]] = {}
    for entry in entries(lock):
        line = _bare(entry)
        found.setdefault(_name(line.partition("==")[0]), []).append(line)
    return found


def _settle(names: Sequence[str], holds: Callable[[], bool]) -> list[str]:
    """Raise what holds of these; those that do not."""
    if not names:
        return []
    before = _saved()
    try:
        write(free=names)
        if _saved() == before or holds():
            return []
    except CannotResolveError as error:
        print(error, file=sys.stderr)
    _restore(before)
    if len(names) == 1:
        return list(names)
    half = len(names) // 2
    return _settle(names[:half], holds) + _settle(names[half:], holds)


def _report(raised: Sequence[str], broken: Sequence[str], old: dict[str, list[str]], test: str) -> int:
    new = versions(LOCK.read_text(encoding="utf-8"))
    kept = [name for name in raised if new.get(name) != old.get(name)]
    for name in raised:
        if name in kept:
            print(f"raised: {' '.join(new.get(name, [f'{name} is gone']))}")
        elif name not in broken:
            print(f"as it was, since it can only be raised with another one: {name}")
    if broken and not kept and not _succeeds(test):
        print(f"`{test}` fails without a raise, too", file=sys.stderr)
        return 1
    for name in broken:
        print(f"not raised, what failed stands above: {name}", file=sys.stderr)
    return 1 if broken else 0


def _succeeds(command: str) -> bool:
    return pin.succeeds(shlex.split(command))


def _with_hashes(entry: str) -> str:
    hashes = ", ".join(f'"{found}"' for found in pin.HASH.findall(entry))
    return f'{{ requirement = "{_bare(entry)}", hashes = [{hashes}] }}'


def _bare(entry: str) -> str:
    return entry.partition("\\")[0].strip()


def _put(key: str, items: Sequence[str]) -> None:
    """Write a list of `[tool.uv]`, one item a line."""
    text = PROJECT.read_text(encoding="utf-8")
    lines = "".join(f"  {item},\n" for item in items)
    changed, times = re.subn(rf"(?ms)^{key} = \[\n.*?^\]\n", lambda _: f"{key} = [\n{lines}]\n", text)
    if times != 1:
        raise CannotResolveError(f"pyproject.toml has no list `{key}`")
    PROJECT.write_text(changed, encoding="utf-8", newline="\n")


def _uv(*arguments: str) -> None:
    if not pin.uv(*arguments):
        raise CannotResolveError(f"`uv {arguments[0]}` failed")


def _saved() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (LOCK, UV, PROJECT)}


def _restore(saved: dict[Path, bytes]) -> None:
    for path, content in saved.items():
        path.write_bytes(content)
    pin.main()


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


if __name__ == "__main__":
    sys.exit(main())
