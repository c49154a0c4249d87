"""The layers of the configuration: what each source says, checked, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from runllm.config.checking import barred, check, leaves, problem, strayed
from runllm.config.files import USER_FILE_VARIABLE, home
from runllm.config.kinds import Whereabouts, seconds, shown, whole
from runllm.config.settings import SETTINGS, KeyPath
from runllm.diagnostics import Problem, Span, did_you_mean, pointer
from runllm.errors import FileAccessError
from runllm.files import read_bytes
from runllm.ownership import doubt_of, is_below

if TYPE_CHECKING:
    from runllm.config.places import Place
    from runllm.config.reading import Document

LayerKind = Literal["flag", "environment", "project", "user"]
_ONLY_OPTIONS = {"block_timeout": seconds(300), "block_memory": whole(1, 65_536)}
_NO_SETTINGS = (USER_FILE_VARIABLE, "RUNLLM_LOOPBACK_ONLY", "RUNLLM_MODELS")


class Layer(NamedTuple):
    """What one source says.

    Attributes:
        kind: which source.
        values: checked values by path.
        file: the file, as it is shown; empty where the source is none.
        text: what the file holds.
        problems: what is wrong with it.
    """

    kind: LayerKind
    values: Mapping[KeyPath, Any]
    file: str = ""
    text: str = ""
    problems: tuple[Problem, ...] = ()

    def place(self, path: KeyPath) -> str:
        """Where a value that this layer holds comes from: the flag, the variable, or `path:line`."""
        if self.kind == "flag":
            return _flag(path[0], self.values[path])
        if self.kind == "environment":
            return SETTINGS[path[0]].environment
        return f"{self.file}:{self.span(path).line}"

    def span(self, path: KeyPath, *, value: bool = False) -> Span:
        """Where the key at `path` stands in the file, or its value, or the nearest table around it."""
        from runllm.config.places import places, span_at  # with `tomllib`, 6 ms for those who ask where

        found = places(self.text)
        place: Place | None = next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), None)
        start, end = (0, 0) if place is None else place.value if value else place.key
        return span_at(self.file, self.text, start, end)


def _flag(name: str, value: Any) -> str:
    return f"--{'no-' if value is False else ''}{name.replace('_', '-')}"


def check_option(name: str, value: Any) -> Problem | None:
    """What is wrong with the value of a caller's option, None where nothing is: most are settings as well."""
    kind = _ONLY_OPTIONS.get(name)
    if kind is None:
        return check((name,), value, Whereabouts(), called=f"`{name}`").problem
    fits = kind.check(value, Whereabouts()) is not None
    return None if fits else problem(f"`{name}` must be {kind.wants}, not {shown(value)}", "type")


def from_flags(overrides: Mapping[str, Any], environment: Mapping[str, str]) -> Layer:
    """What the caller gave, by the name of the setting; None means that it was not given."""
    where = Whereabouts(home=home(environment))
    found = {
        (name,): check((name,), value, where, called=f"`{_flag(name, value)}`")
        for name, value in overrides.items()
        if value is not None
    }
    return Layer(
        kind="flag",
        values={path: kept.value for path, kept in found.items() if kept.problem is None},
        problems=tuple(kept.problem for kept in found.values() if kept.problem is not None),
    )


def from_environment(environment: Mapping[str, str]) -> Layer:
    """What the environment says; an empty variable says nothing."""
    where = Whereabouts(home=home(environment))
    found = {
        (key,): check((key,), setting.kind.read(text), where, called=setting.environment)
        for key, setting in SETTINGS.items()
        if setting.environment and (text := environment.get(setting.environment, "").strip())
    }
    return Layer(
        kind="environment",
        values={path: kept.value for path, kept in found.items() if kept.problem is None},
        problems=tuple(kept.problem for kept in found.values() if kept.problem is not None),
    )


def unknown_variables(environment: Mapping[str, str]) -> list[Problem]:
    """A warning for each variable that is named like a setting and is none."""
    known = [setting.environment for setting in SETTINGS.values() if setting.environment]
    return [
        replace(problem(f"{name} is not a setting", "unknown", hint=did_you_mean(name, known)), severity="warning")
        for name in sorted(environment)
        if name.startswith("RUNLLM_") and name not in known and name not in _NO_SETTINGS
    ]


def from_file(
    path: Path,
    kind: Literal["project", "user"],
    environment: Mapping[str, str],
    user: Path | None,
    trusted: Collection[str] = (),
) -> Layer:
    """What a file says that counts.

    Args:
        path: the file.
        kind: whose it is: a project's may set less.
        environment: names the home.
        user: the user's file, for the hint where to put what a project may not set.
        trusted: folders below which anyone's file counts; elsewhere it is looked at again once it is open, when it
            can no longer be exchanged.
    """
    from runllm.config.reading import MAX_BYTES, parse  # with `tomllib`, 6 ms that a start without a file need not pay

    name = str(path)
    try:
        data = read_bytes(name, MAX_BYTES) if is_below(path, trusted) else read_bytes(name, MAX_BYTES, doubt_of)
        document = parse(data, name)
    except FileAccessError as error:
        named = kind == "user" and environment.get(USER_FILE_VARIABLE)
        hint = f"{USER_FILE_VARIABLE} names this file; `runllm config set` makes it." if named else error.recovery_hint
        return Layer(kind=kind, values={}, problems=(problem(error.message, "file", hint=hint),))
    return of_document(document, path, kind, environment, user)


def of_document(
    document: Document, path: Path, kind: Literal["project", "user"], environment: Mapping[str, str], user: Path | None
) -> Layer:
    """What a file that has been read says; see `from_file`."""
    if document.problem is not None:
        return Layer(kind=kind, values={}, problems=(document.problem,))
    layer = Layer(kind=kind, values={}, file=str(path), text=document.text)
    where = Whereabouts(folder=Path(os.path.abspath(path)).parent, home=home(environment))  # noqa: PTH100 - a link keeps its folder
    values: dict[KeyPath, Any] = {}
    problems: list[Problem] = []
    for at, value in leaves(document.values):
        kept = check(at, value, where)
        wrong = kept.problem
        if kind == "project":
            named = kept.value if at[0] in ("model", "aliases") else None
            wrong = barred(at, value, user) or wrong or strayed(named, path.parent)
        if wrong is None:
            values[at] = kept.value
        else:
            span = layer.span(at, value=wrong.keyword in ("type", "secret"))
            problems.append(replace(wrong, span=span, pointer=pointer(at)))
    return layer._replace(values=values, problems=tuple(problems))
