"""Change a file of settings: all else in it stays as it is, comments too, and it is replaced whole."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from runllm.diagnostics import Problem
from runllm.engines import file_named, name_of_file
from runllm.errors import ConfigError, FileAccessError
from runllm.files import read_bytes, replacing
from runllm.ownership import doubt
from runllm.settings.configuration import (
    all_problems,
    checked_path,
    failure,
    nearest_project,
    own_layers,
    trusted_folders,
)
from runllm.settings.files import MAX_BYTES, PROJECT_FILE, USER_FILE_VARIABLE, parse, user_file
from runllm.settings.layers import barred, fault, of_document, passed_over
from runllm.settings.schema import KeyPath, path_of, setting_of, spelled

FileKind = Literal["user", "project"]
_Table = MutableMapping[str, Any]


def file_of(kind: FileKind, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that a change goes to, which need not exist.

    Args:
        kind: whose; a project that has none gets it in the current folder.
        environment: the process's variables.

    Raises:
        ConfigError: there is no place for the user's file.
        FileAccessError: the current folder was removed.
    """
    if kind == "project":
        return nearest_project(None, environment, _trusted(environment))[0] or _here() / PROJECT_FILE
    found = user_file(environment)
    if found is None:
        raise ConfigError("there is no place for your configuration", hint=f"Name a file in {USER_FILE_VARIABLE}.")
    return found


def _trusted(environment: Mapping[str, str]) -> tuple[str, ...]:
    return trusted_folders(own_layers(environment)[0])


class _Target(NamedTuple):
    """The file that is changed."""

    file: Path
    kind: FileKind
    environment: Mapping[str, str]

    def problems(self, text: str) -> dict[str, Problem]:
        """What would be wrong with the file if it held this text, by what is said of it; without its place."""
        document = parse(text.encode(), str(self.file))
        layer = of_document(document, self.file, self.kind, user_file(self.environment))
        return {problem.message: replace(problem, span=None, pointer="") for problem in all_problems([layer])}


def write(key: str, text: str, kind: FileKind = "user", environment: Mapping[str, str] = os.environ) -> Path:
    """Set a value in a file, and return the file.

    Args:
        key: such as `model`, `aliases.fast` or `models.openai/*.timeout`.
        text: the value; a list is separated by commas, or written as in TOML. A relative path starts here.
        kind: whose file.
        environment: the process's variables.

    Raises:
        ConfigError: the key or the value is wrong, or the file is not TOML.
        FileAccessError: the file cannot be read or written.
    """
    path = checked_path(key)
    setting = setting_of(path)
    if setting is None:
        raise ConfigError(f"`{key}` is a table", hint=f"Set an entry of it: `runllm config set {key}.NAME VALUE`.")
    target = _Target(file_of(kind, environment), kind, environment)
    value = setting.read(text.strip())
    wrong = barred(path, value, user_file(environment)) if kind == "project" else None
    wrong = wrong or fault(path, value, f"`{spelled(path)}`")
    if wrong is not None:
        raise failure([wrong])
    value = _as_written(value, setting.keep(value, _here()), target.file.absolute().parent, kind)
    _change(target, path, lambda table: _put(table, path, value))
    return target.file


def remove(key: str, kind: FileKind = "user", environment: Mapping[str, str] = os.environ) -> Path:
    """Take a key out of a file, whether or not it is a setting, and return the file.

    Raises:
        ConfigError: the file does not have it, or is not TOML.
        FileAccessError: the file cannot be read or written.
    """
    target, path = _Target(file_of(kind, environment), kind, environment), path_of(key)
    _change(target, path, lambda table: _take(table, path, target.file))
    return target.file


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise FileAccessError(f"the current folder cannot be read: {error.strerror}") from None


def _as_written(value: Any, kept: Any, folder: Path, kind: FileKind) -> Any:
    """The value for the file: a path that was relative to the current folder still leads to the same place.

    In a project's file it stays relative, so that the project can be moved.
    """
    if not isinstance(value, str) or str(kept) == value or value.startswith("~"):
        return value
    path = file_named(str(kept))
    return name_of_file(os.path.relpath(path, folder)) if path and kind == "project" else str(kept)


def _change(target: _Target, path: KeyPath, edit: Callable[[_Table], None]) -> None:
    """Edit a file, and write it if it then says what it said before, but for the value at `path`.

    Raises:
        ConfigError: it cannot be edited so, or the value goes with another one of the file so badly that no command
            would start: an alias that then leads to itself, say. Or the file does not count: replaced by one of the
            user's own, it would, with all that others wrote in it.
        FileAccessError: the file cannot be read or written.
    """
    file = target.file
    if why := doubt(file, _trusted(target.environment)):
        raise failure([replace(passed_over(file, why, target.kind), severity="error")])
    data = read_bytes(str(file), MAX_BYTES) if os.path.exists(file) else b""  # noqa: PTH110 - `Path.exists` raises for a closed folder
    before = parse(data, str(file))
    if before.problem is not None:
        raise failure([before.problem])
    after = _edited(before.text, edit)
    expected = deepcopy(dict(before.values))
    edit(expected)
    if after is None or tomllib.loads(after) != expected:
        raise ConfigError(f"`{spelled(path)}` cannot be changed in `{file}` alone", hint="Edit the file by hand.")
    old, new = target.problems(before.text), target.problems(after)
    if added := [problem for said, problem in new.items() if said not in old]:
        raise failure(added)
    breaks = "\r\n" if b"\r\n" in data else "\n"
    # Your own file may be a link to anywhere, as where settings are kept under version control.
    written_to = Path(os.path.realpath(file)) if target.kind == "user" else file
    try:
        private = target.kind == "user" and not os.path.exists(written_to)  # noqa: PTH110 - as above
        written_to.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        # A new file of a project is to count, whatever the umask.
        with replacing(str(written_to), private=private, mode=0o644) as written:
            written.write(after.replace("\n", breaks))
    except OSError as error:
        raise FileAccessError(f"`{file}` cannot be written: {error.strerror}", details={"path": str(file)}) from None


def _edited(text: str, edit: Callable[[_Table], None]) -> str | None:
    """The text after an edit; None where the editor cannot make it, as in some mixtures of dotted keys and tables."""
    import tomlkit  # only a change to a file needs it
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text if text.endswith("\n") or not text else f"{text}\n")
        edit(document)
        after = document.as_string()
        tomllib.loads(after)
    except (TOMLKitError, ValueError):
        return None
    return after


def _put(table: _Table, path: KeyPath, value: Any) -> None:
    import tomlkit  # as above
    from tomlkit.items import InlineTable

    for depth, name in enumerate(path[:-1]):
        if name not in table:
            # `[models."openai/*"]` says it all: no `[models]` above it.
            inline = isinstance(table, InlineTable)
            table[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=depth < len(path) - 2)
        inner = table[name]
        if not isinstance(inner, MutableMapping):
            raise ConfigError(f"`{spelled(path[: depth + 1])}` is not a table in the file", hint="Edit it by hand.")
        table = cast("_Table", inner)
    table[path[len(path) - 1]] = value


def _take(table: _Table, path: KeyPath, target: Path) -> None:
    found: Any = table
    for name in path[:-1]:
        found = cast("_Table", found).get(name) if isinstance(found, MutableMapping) else None
    last = path[len(path) - 1]
    if not isinstance(found, MutableMapping) or last not in found:
        raise ConfigError(f"`{spelled(path)}` is not in `{target}`", hint="`runllm config` shows where each value is.")
    del cast("_Table", found)[last]
