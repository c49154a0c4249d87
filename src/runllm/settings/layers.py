"""The sources of settings: what each says, checked, and everything that is wrong with it.

A folder may come from a stranger. Its file chooses what its apps could choose as well, or less; it sends no key
anywhere, keeps no content, writes no file, and downloads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.engines import file_named
from runllm.errors import FileAccessError
from runllm.files import read_bytes
from runllm.ownership import doubt_of, is_below
from runllm.redaction import is_secret_name, looks_secret
from runllm.settings import files
from runllm.settings.files import problem
from runllm.settings.schema import OPTIONS, SETTINGS, TABLES, KeyPath, known_names, setting_of, shown, spelled

LayerKind = Literal["flag", "environment", "project", "user"]
NAME_THE_VARIABLE = (
    "Put the key in an environment variable and name that: "
    '`api_key_env = "MY_API_KEY"` under `[models."PROVIDER/*"]` in your own file.'
)
_TRUSTED_VARIABLE = "RUNLLM_TRUSTED_FOLDERS"
_NO_SETTINGS = (
    files.USER_FILE_VARIABLE, "RUNLLM_CACHE_FOLDER", "RUNLLM_LOOPBACK_ONLY", "RUNLLM_MODELS", "RUNLLM_NOW",
)  # fmt: skip


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
    values: Mapping[KeyPath, Any] = {}
    file: str = ""
    text: str = ""
    problems: tuple[Problem, ...] = ()

    def place(self, path: KeyPath) -> str:
        """Where a value that this layer holds comes from: the flag, the variable, or `path:line`."""
        if self.file:
            span = files.span_of(path, self.text, self.file)
            return f"{self.file}:{span.line}" if span else self.file
        return _called(self.kind, path, self.values[path]).strip("`")

    def marked(self, wrong: Problem, path: KeyPath) -> Problem:
        """A problem with the place of a key in this layer's file, where it is one."""
        if not self.file:
            return wrong
        span = files.span_of(path, self.text, self.file)
        said = wrong.message if span else f"{wrong.message}, in `{self.file}`"
        return replace(wrong, message=said, span=span, pointer=pointer(path))


def passed_over(file: Path, why: str, kind: str) -> Problem:
    """A warning that a file does not count, for it may be another user's word.

    Args:
        file: the file, or what marks a project.
        why: the doubt, as `runllm.ownership` says it.
        kind: `user` for the user's own file, which cannot say itself that it is to be trusted.
    """
    hint = f"If you trust the folder, name it in {_TRUSTED_VARIABLE}"
    hint += ", or make the file your own alone." if kind == "user" else " or in `trusted_folders` in your own settings."
    return replace(problem(f"`{file}` does not count: {why}", "owner", hint=hint), severity="warning")


def check_option(name: str, value: Any) -> Problem | None:
    """What is wrong with the value of a caller's option, None where nothing is: most are settings as well."""
    if name not in OPTIONS:
        return fault((name,), value, f"`{name}`")
    fits = OPTIONS[name].contract.accepts(value)
    return None if fits else problem(f"`{name}` must be {OPTIONS[name].wants}, not {shown(value)}", "type")


def from_flags(overrides: Mapping[str, Any]) -> Layer:
    """What the caller gave, by the name of the setting; None means that it was not given."""
    return _checked(Layer("flag"), {name: value for name, value in overrides.items() if value is not None}, None)


def from_environment(environment: Mapping[str, str]) -> Layer:
    """What the environment says; an empty variable says nothing."""
    values = {
        key: setting.read(text)
        for key, setting in SETTINGS.items()
        if setting.environment and (text := environment.get(setting.environment, "").strip())
    }
    return _checked(Layer("environment"), values, None)


def unknown_variables(environment: Mapping[str, str]) -> list[Problem]:
    """A warning for each variable that is named like a setting and is none."""
    known = [setting.environment for setting in SETTINGS.values() if setting.environment]
    return [
        replace(problem(f"{name} is not a setting", "unknown", hint=did_you_mean(name, known)), severity="warning")
        for name in sorted(environment)
        if name.startswith("RUNLLM_") and name not in known and name not in _NO_SETTINGS
    ]


def from_file(
    path: Path, kind: Literal["project", "user"], environment: Mapping[str, str], trusted: Collection[str] = ()
) -> Layer:
    """What a file says that counts.

    Args:
        path: the file.
        kind: whose it is: a project's may set less.
        environment: may name the user's file.
        trusted: folders below which anyone's file counts; elsewhere it is looked at again once it is open, when it
            can no longer be exchanged.
    """
    name = str(path)
    try:
        most = files.MAX_BYTES
        data = read_bytes(name, most) if is_below(path, trusted) else read_bytes(name, most, doubt_of)
    except FileAccessError as error:
        variable = files.USER_FILE_VARIABLE
        named = kind == "user" and environment.get(variable)
        hint = f"{variable} names this file; `runllm config set` makes it." if named else error.recovery_hint
        return Layer(kind, problems=(problem(error.message, "file", hint=hint),))
    return of_document(files.parse(data, name), path, kind, files.user_file(environment))


def of_document(document: files.Document, path: Path, kind: Literal["project", "user"], user: Path | None) -> Layer:
    """What a file that has been read says; see `from_file`."""
    if document.problem is not None:
        return Layer(kind, problems=(document.problem,))
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - a link keeps its folder
    return _checked(Layer(kind, file=str(path), text=document.text), document.values, folder, user)


def _checked(layer: Layer, values: Mapping[str, Any], folder: Path | None, user: Path | None = None) -> Layer:
    """The layer with what its source says: each value as it is kept, or what is wrong with it."""
    kept: dict[KeyPath, Any] = {}
    problems: list[Problem] = []
    for path, value in _leaves(values):
        wrong = barred(path, value, user) if layer.kind == "project" else None
        wrong = wrong or fault(path, value, _called(layer.kind, path, value))
        setting = setting_of(path)
        if wrong is None and setting is not None:
            kept[path] = setting.keep(value, folder)
            wrong = _strayed(kept[path], folder) if layer.kind == "project" and folder else None
        if wrong is not None:
            problems.append(layer.marked(wrong, path))
    return layer._replace(values=kept, problems=tuple(problems))


def _called(kind: LayerKind, path: KeyPath, value: Any) -> str:
    """A source's own word for a key, such as `RUNLLM_MODEL`."""
    if kind == "environment":
        return SETTINGS[path[0]].environment
    if kind == "flag":
        return f"`--{'no-' if value is False else ''}{path[0].replace('_', '-')}`"
    return f"`{spelled(path)}`"


def _leaves(values: Mapping[str, Any], parent: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each value with its path; tables are gone into as deep as settings go."""
    for name, value in values.items():
        path = (*parent, name)
        inside = (name in TABLES) if not parent else parent == ("models",)
        if inside and isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), path)
        else:
            yield path, value


def fault(path: KeyPath, value: Any, called: str) -> Problem | None:
    """What is wrong with a value, None where nothing is.

    Args:
        path: the key.
        value: as it was read.
        called: the source's own word for the key.
    """
    table, setting = TABLES.get(path[0]), setting_of(path)
    if table and len(path) > 1 and not table.contract.accepts(path[1]):
        return problem(f"a name in `{path[0]}` must be {table.wants}, not {shown(path[1])}", "name")
    if table and setting is None and len(path) < 3:  # noqa: PLR2004 - `aliases`, `models` or `models.MODEL`
        return problem(f"{called} must be a table, not {shown(value)}", "type")
    if setting is None:
        return unknown(path, called)
    if _holds_secret(value):
        return problem(f"{called} holds what looks like a key", "secret", hint=NAME_THE_VARIABLE)
    if not setting.contract.accepts(value):
        return problem(f"{called} must be {setting.wants}, not {shown(value)}", "type")
    return None


def unknown(path: KeyPath, called: str) -> Problem:
    """That there is no such setting, and which may be meant."""
    last = path[len(path) - 1]
    if is_secret_name(last):
        return problem(f"{called} is not a setting: no key stands here", "secret", hint=NAME_THE_VARIABLE)
    hint = did_you_mean(last, known_names(path[:-1])) or "`runllm config` lists the settings."
    return problem(f"{called} is not a setting", "unknown", hint=hint)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return looks_secret(value)
    return isinstance(value, list | tuple) and any(map(_holds_secret, cast("list[Any]", value)))


def barred(path: KeyPath, value: Any, user: Path | None) -> Problem | None:
    """Why a project's file may not set this, None where it may.

    Args:
        path: the key.
        value: as it was read.
        user: the user's file, where it may stand.
    """
    setting = setting_of(path)
    if setting is None or setting.project in ("yes", "lower") or (setting.project == "off" and value is False):
        return None
    said = f"a project's file may not set `{spelled(path)}`"
    if setting.project == "off":
        said = f"a project's file may only switch `{spelled(path)}` off"
    own = f", `{user}`" if user else ""
    variable = f", or set {setting.environment}" if setting.environment else ""
    return problem(said, "project", hint=f"Put it into your own file{own}{variable}.")


def _strayed(value: Any, folder: Path) -> Problem | None:
    """Why a project's file may not name this model, None where it may: weights in its own folder, or none."""
    path = file_named(value) if isinstance(value, str) else None
    if path is None:
        return None
    try:
        inside = Path(path).expanduser().resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        inside = False
    said = "a project's file may not name weights outside its folder"
    return None if inside else problem(said, "project", hint="Move them there, or name the model in your own file.")
