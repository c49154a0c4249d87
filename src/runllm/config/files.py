"""Where configuration files are, found without a library that takes longer than the rest of a start.

The user's folder is where `platformdirs` would put it, but follows from the environment that is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

USER_FILE = "config.toml"
PROJECT_FILE = "runllm.toml"
USER_FILE_VARIABLE = "RUNLLM_CONFIG"


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file; False where that cannot be seen, which `Path.is_file` raises for."""
    return os.path.isfile(path)  # noqa: PTH113 - as said


def home(environment: Mapping[str, str]) -> Path | None:
    """The user's home folder; None where the environment names none."""
    named = environment.get("USERPROFILE" if os.name == "nt" else "HOME")
    return Path(named) if named and Path(named).is_absolute() else None


def user_folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of the user's own files, which need not exist; None where there is no place for one."""
    base = environment.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CONFIG_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "runllm"
    own = home(environment)
    if own is None:
        return None
    if os.name == "nt":
        return own / "AppData" / "Local" / "runllm"
    return own / ("Library/Application Support" if sys.platform == "darwin" else ".config") / "runllm"


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's file, which need not exist; None where there is no place for one, or the user wants none.

    `RUNLLM_CONFIG` names another one; the null device means none.
    """
    named = environment.get(USER_FILE_VARIABLE)
    if named == os.devnull:
        return None
    if named:
        own = home(environment)
        return Path(own, named[2:]) if own and named.startswith("~/") else Path(named)
    folder = user_folder(environment)
    return folder and folder / USER_FILE


def project_file(
    folder: Path | None, environment: Mapping[str, str], counts: Callable[[Path], bool] = lambda _: True
) -> Path | None:
    """The nearest `runllm.toml` in `folder` or above it, as far as the user's home; None without one.

    Args:
        folder: where the search starts; the current folder by default.
        environment: names the home.
        counts: whether a file that is found does; else the search goes on above it.
    """
    try:
        here = os.path.realpath(folder or Path.cwd())
    except OSError:  # the current folder was removed
        return None
    own = home(environment)
    last = own and os.path.realpath(own)
    user = user_file(environment)
    while True:
        found = Path(here, PROJECT_FILE)
        # Only a regular file: to read a pipe that a stranger's folder holds would never end.
        if is_file(found) and not (user and is_file(user) and found.samefile(user)) and counts(found):
            return found
        above = os.path.dirname(here)  # noqa: PTH120 - one step for each folder of every start
        if here in (last, above):
            return None
        here = above
