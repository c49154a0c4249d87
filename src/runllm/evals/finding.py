"""Which files have tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from runllm.evals.beside import beside
from runllm.meant import missing

_NEVER = frozenset({"node_modules", "venv", "env", "__pycache__", "site-packages", "build", "dist"})
_MOST_BYTES = 1 << 20


def tested_files(paths: Sequence[str]) -> list[str]:
    """The `.rllm` files that have tests: those that are named, and all below folders, by name.

    A folder that is hidden, that git ignores, or that holds what was installed is left out.

    Raises:
        FileAccessError: a path is not there.
    """
    found: dict[str, None] = {}
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - `Path` raises for some names
            found |= dict.fromkeys(one for one in apps_below(path) if has_tests(one))
        elif os.path.isfile(path):  # noqa: PTH113 - as above
            found[path] = None
        else:
            raise missing(path)
    return list(found)


def apps_below(folder: str) -> Iterator[str]:
    """The `.rllm` files below a folder, by name; see `tested_files` for what is left out."""
    ignored = _ignored(folder)
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NEVER
            and os.path.realpath(Path(at, name)) not in ignored
            and not Path(at, name, "pyvenv.cfg").exists()
        )
        here = "" if at == os.curdir else at
        yield from (
            os.path.join(here, name)  # noqa: PTH118 - as the user wrote it
            for name in sorted(files)
            if name.endswith(".rllm") and not name.startswith(".") and os.path.realpath(Path(at, name)) not in ignored
        )


def _ignored(folder: str) -> frozenset[str]:
    """What git ignores below a folder; nothing where there is no git. No program that its settings name is run."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder, "ls-files", "-z", "--others", "--ignored"]
    try:
        told = subprocess.run(  # noqa: S603
            [*command, "--exclude-standard", "--directory"], capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    names = told.stdout.decode("utf-8", "surrogateescape").split("\0") if told.returncode == 0 else []
    return frozenset(os.path.realpath(Path(folder, name)) for name in names if name)


def has_tests(path: str) -> bool:
    """Whether a file has tests, as far as can be seen without reading it as YAML."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            text = b"\n" + file.read(_MOST_BYTES)
    except OSError:
        return False
    return b"\ntests:" in text or bool(beside(path))
