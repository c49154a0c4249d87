"""Whether a key is a setting, may stand where it stands, and holds what it should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from runllm.config.kinds import Whereabouts, shown
from runllm.config.settings import TABLES, KeyPath, Setting, known_names, setting_of, spelled
from runllm.diagnostics import Problem, did_you_mean
from runllm.engines import file_named
from runllm.errors import ConfigError
from runllm.redaction import is_secret_name, looks_secret

TRUSTED_VARIABLE = "RUNLLM_TRUSTED_FOLDERS"
_LISTS_THEM = "`runllm config` lists the settings."
NAME_THE_VARIABLE = (
    "Put the key in an environment variable and name that: "
    '`api_key_env = "MY_API_KEY"` under `[models."PROVIDER/*"]` in your own file.'
)


class Found(NamedTuple):
    """What checking a value gave: the value as it is kept, or why it is refused."""

    value: Any = None
    problem: Problem | None = None


def problem(message: str, keyword: str, *, hint: str = "") -> Problem:
    """A problem of the configuration; who knows the file adds its place."""
    return Problem(message=message, keyword=keyword, hint=hint, kind=ConfigError.__name__)


def passed_over(file: Path, why: str, kind: str) -> Problem:
    """A warning that a file does not count, for it may be another user's word.

    Args:
        file: the file, or what marks a project.
        why: the doubt, as `runllm.ownership` says it.
        kind: `user` for the user's own file, which cannot say itself that it is to be trusted.
    """
    hint = f"If you trust the folder, name it in {TRUSTED_VARIABLE}"
    hint += ", or make the file your own alone." if kind == "user" else " or in `trusted_folders` in your own settings."
    return replace(problem(f"`{file}` does not count: {why}", "owner", hint=hint), severity="warning")


def leaves(values: Mapping[str, Any], parent: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each value with its path; tables are gone into as deep as settings go."""
    for name, value in values.items():
        path = (*parent, name)
        inside = (name in TABLES) if not parent else parent == ("models",)
        if inside and isinstance(value, dict):
            yield from leaves(cast("dict[str, Any]", value), path)
        else:
            yield path, value


def check(path: KeyPath, value: Any, where: Whereabouts, *, called: str = "") -> Found:
    """Hold a value against its setting.

    Args:
        path: the key.
        value: as it was read.
        where: what relative paths in it start from.
        called: the source's own word for the key, such as `RUNLLM_MODEL`; as TOML spells it by default.
    """
    called = called or f"`{spelled(path)}`"
    setting = setting_of(path)
    misnamed = _misnamed(path, value, called, setting)
    if misnamed is not None or setting is None:
        return Found(problem=misnamed)
    if _holds_secret(value):
        said = f"{called} holds what looks like a key"
        return Found(problem=problem(said, "secret", hint=NAME_THE_VARIABLE))
    kept = setting.kind.check(value, where)
    if kept is None:
        said = f"{called} must be {setting.kind.wants}, not {shown(value)}"
        return Found(problem=problem(said, "type"))
    return Found(value=kept)


def barred(path: KeyPath, value: Any, user: Path | None) -> Problem | None:
    """Why a project's file may not set this, None where it may.

    A folder may come from a stranger. Its file chooses what its apps could choose as well, or less; it sends no key
    anywhere, keeps no content, writes no file, and downloads nothing.

    Args:
        path: the key.
        value: as it was read.
        user: the user's file, where it may stand.
    """
    setting = setting_of(path)
    if setting is None or setting.project == "yes" or (setting.project == "off" and value is False):
        return None
    said = f"a project's file may not set `{spelled(path)}`"
    if setting.project == "off":
        said = f"a project's file may only switch `{spelled(path)}` off"
    own = f", `{user}`" if user else ""
    variable = f", or set {setting.environment}" if setting.environment else ""
    return problem(said, "project", hint=f"Put it into your own file{own}{variable}.")


def strayed(value: Any, folder: Path) -> Problem | None:
    """Why a project's file may not name this model, None where it may: weights in its own folder, or none.

    Args:
        value: the model as it is kept, with the path made whole.
        folder: the project's.
    """
    path = file_named(value) if isinstance(value, str) else None
    if path is None:
        return None
    try:
        inside = Path(path).expanduser().resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        inside = False
    said = "a project's file may not name weights outside its folder"
    return None if inside else problem(said, "project", hint="Move them there, or name the model in your own file.")


def _misnamed(path: KeyPath, value: Any, called: str, setting: Setting | None) -> Problem | None:
    """Why there is no such setting, None where there is one."""
    table = TABLES.get(path[0])
    if table and len(path) > 1 and table.check(path[1], Whereabouts()) is None:
        said = f"a name in `{path[0]}` must be {table.wants}, not {shown(path[1])}"
        return problem(said, "name")
    if setting is not None:
        return None
    last = path[len(path) - 1]
    if table and len(path) < 3:  # noqa: PLR2004 - `aliases`, `models` or `models.MODEL`
        return problem(f"{called} must be a table, not {shown(value)}", "type")
    if is_secret_name(last):
        return problem(f"{called} is not a setting: no key stands here", "secret", hint=NAME_THE_VARIABLE)
    hint = did_you_mean(last, known_names(path[:-1])) or _LISTS_THEM
    return problem(f"{called} is not a setting", "unknown", hint=hint)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return looks_secret(value)
    return isinstance(value, list | tuple) and any(map(_holds_secret, cast("list[Any]", value)))
