"""The files of settings: where they are, what they hold as plain values, and in which line a key stands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from runllm.diagnostics import Problem, Span
from runllm.errors import ConfigError
from runllm.settings.schema import KeyPath

USER_FILE = "config.toml"
PROJECT_FILE = "runllm.toml"
USER_FILE_VARIABLE = "RUNLLM_CONFIG"
MAX_BYTES = 256 * 1024
_MOST_WORK = 20_000_000  # characters times lines: two seconds of looking for one that is never closed
_PLACE = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_HINTS = {
    "Invalid value": 'A text stands in quotes: `model = "openai/gpt-4o-mini"`.',
    "Expected '": "A name with other characters than letters, digits, `-` and `_` stands in quotes: "
    '`[models."openai/*"]`.',
}


def problem(message: str, keyword: str, *, hint: str = "", span: Span | None = None) -> Problem:
    """Something that is wrong with the settings."""
    return Problem(message=message, keyword=keyword, hint=hint, span=span, kind=ConfigError.__name__)


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file; False where that cannot be seen, which `Path.is_file` raises for."""
    return os.path.isfile(path)  # noqa: PTH113 - as said


def user_folder() -> Path | None:
    """The folder of the user's own files, which need not exist; None where the system knows no home."""
    from platformdirs import user_config_path

    try:
        return user_config_path("runllm", appauthor=False)
    except RuntimeError:
        return None


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's file, which need not exist; None where there is no place for one, or the user wants none.

    `RUNLLM_CONFIG` names another one; the null device means none.
    """
    named = environment.get(USER_FILE_VARIABLE)
    if named:
        return None if named == os.devnull else Path(os.path.expanduser(named))  # noqa: PTH111 - never fails
    folder = user_folder()
    return folder and folder / USER_FILE


def project_file(
    folder: Path | None, environment: Mapping[str, str], counts: Callable[[Path], bool] = lambda _: True
) -> Path | None:
    """The nearest `runllm.toml` in `folder` or above it, as far as the user's home; None without one.

    Args:
        folder: where the search starts; the current folder by default.
        environment: may name the user's file, which is none of a project.
        counts: whether a file that is found does; else the search goes on above it.
    """
    try:
        here = os.path.realpath(folder or Path.cwd())
    except OSError:  # the current folder was removed
        return None
    last, user = os.path.realpath(os.path.expanduser("~")), user_file(environment)  # noqa: PTH111 - never fails
    while True:
        found = Path(here, PROJECT_FILE)
        # Only a regular file: to read a pipe that a stranger's folder holds would never end.
        if is_file(found) and not (user and is_file(user) and found.samefile(user)) and counts(found):
            return found
        above = os.path.dirname(here)  # noqa: PTH120 - one step for each folder of every start
        if here in (last, above):
            return None
        here = above


class Document(NamedTuple):
    """A file: its text with plain line breaks, its values, and what stops it from being TOML."""

    text: str = ""
    values: Mapping[str, Any] = {}
    problem: Problem | None = None


def parse(data: bytes, file: str) -> Document:
    """Read a file's bytes.

    Args:
        data: at most one byte more than allowed.
        file: its name, for what is wrong.
    """
    if len(data) > MAX_BYTES:
        return Document(problem=problem(f"`{file}` is larger than {MAX_BYTES // 1024} KiB", "size"))
    try:
        text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        span = Span(file=file, line=data.count(b"\n", 0, error.start) + 1, column=1)
        return Document(problem=problem(f"`{file}` is not UTF-8", "encoding", hint="Save it as UTF-8.", span=span))
    try:
        return Document(text, _values(text))
    except RecursionError:
        return Document(text, problem=problem(f"`{file}` nests too deeply", "toml"))
    except ValueError as error:
        return Document(text, problem=_syntax(str(error), file, text))


def _values(text: str) -> dict[str, Any]:
    import tomllib  # who has set nothing needs it not

    return tomllib.loads(text)


def _syntax(said: str, file: str, text: str) -> Problem:
    place = re.search(_PLACE, said)
    said = said[: place.start()] if place else said
    hint = next((hint for start, hint in _HINTS.items() if said.startswith(start)), "")
    lines = text.split("\n")
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    else:  # the end of the last line that holds something
        line = next((number for number in range(len(lines), 1, -1) if lines[number - 1]), 1)
        column = len(lines[line - 1]) + 1
    span = Span(file=file, line=line, column=column, text=lines[min(line, len(lines)) - 1])
    return problem(f"the file is not TOML: {said}", "toml", hint=hint, span=span)


def span_of(path: KeyPath, text: str, file: str) -> Span | None:
    """The line of a TOML text in which a key stands, or the nearest table around it; None where none is found."""
    found = _lines(text)
    number = next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), None)
    if number is None:
        return None
    line = text.split("\n")[number - 1]
    stripped = line.strip()
    return Span(file=file, line=number, column=line.index(stripped) + 1, length=len(stripped), text=line)


def _lines(text: str) -> Mapping[KeyPath, int]:
    """The line in which each key first stands: a statement ends with the first line that makes it TOML."""
    found: dict[KeyPath, int] = {}
    if len(text) * text.count("\n") > _MOST_WORK:
        return found
    table: KeyPath = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        start = start if statement else number
        statement += f"{line}\n"
        try:
            paths = list(_paths(_values(statement)))
        except ValueError:  # a text or a list goes on
            continue
        if statement.lstrip().startswith("["):
            table = paths[len(paths) - 1]
            paths, outer = [table[:end] for end in range(1, len(table) + 1)], ()
        else:
            outer = table
        for path in paths:
            found.setdefault((*outer, *path), start)
        statement = ""
    return found


def _paths(values: Mapping[str, Any], parent: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key with the tables around it, the outer ones first; of a list of tables its name alone."""
    for name, value in values.items():
        yield (*parent, name)
        if isinstance(value, dict):
            yield from _paths(cast("dict[str, Any]", value), (*parent, name))
