"""Every setting, once: its type, default, meaning, and who may set it.

The environment's variables, the check of the files, `runllm config`, its "did you mean" and the table
in `docs/configuration.md` all follow from the fields of `Settings` and `ModelOverrides`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from runllm.config import kinds
from runllm.config.kinds import Kind
from runllm.values import frozen

KeyPath: TypeAlias = tuple[str, ...]
"""A key as its parts: `("model",)`, `("aliases", "fast")` or `("models", "openai/*", "timeout")`."""

InProject = Literal["yes", "off", "no"]
NAME, PATTERN = "NAME", "MODEL"
_MARK = "setting"
_BARE = r"[A-Za-z0-9_-]+"
_ENTRY = r"""(?P<table>aliases|models)\.(?:"(?P<quoted>[^"]+)"|'(?P<literal>[^']+)'|(?P<bare>.+))"""
_FIELD = r"(?P<entry>.+)\.(?P<field>[A-Za-z_-]+)"


class Setting(NamedTuple):
    """What there is to know about a setting.

    Attributes:
        kind: what it may hold.
        help: what it does, in one sentence.
        default: what holds when nothing sets it.
        project: whether a project's file may set it: `yes`, `no`, or only `off`.
        key: its name; `NAME` and `MODEL` stand for any.
        environment: the variable that sets it; empty where none does.
    """

    kind: Kind
    help: str
    default: Any
    project: InProject
    key: str = ""
    environment: str = ""


def _setting(default: Any, kind: Kind, *, project: InProject = "no", help: str) -> Any:  # noqa: A002 - what it is
    return field(default=default, metadata={_MARK: Setting(kind=kind, help=help, default=default, project=project)})


@frozen
class ModelOverrides:
    """What the user set for one model."""

    api_base: str | None = _setting(None, kinds.URL, help="Address of the server.")
    api_key_env: str | None = _setting(
        None, kinds.VARIABLE, help="Name of the environment variable that holds the key. Never the key itself."
    )
    timeout: float | None = _setting(None, kinds.SECONDS, help="The most seconds that one call may take.")
    num_retries: int | None = _setting(
        None, kinds.whole(0, 20), help="How often a call whose transport failed is sent again."
    )


@frozen
class Settings:
    """The value of every setting."""

    model: str | None = _setting(
        None, kinds.MODEL, project="yes", help="The model to use instead of the one that a file names."
    )
    max_retries: int = _setting(
        2, kinds.whole(0, 20), project="yes", help="How many attempts may follow a wrong answer."
    )
    timeout: float | None = _setting(
        None, kinds.SECONDS, project="yes", help="The most seconds that one call may take, whatever the file says."
    )
    concurrency: int = _setting(8, kinds.whole(1, 1000), project="yes", help="The most calls at a time.")
    auto_pull: bool = _setting(False, kinds.SWITCH, help="Download a missing `local/...` model when a run needs it.")
    ollama_auto_pull: bool = _setting(
        False, kinds.SWITCH, help="Let the Ollama server pull a missing model when a run needs it."
    )
    stats: bool = _setting(True, kinds.SWITCH, project="off", help="Record each run in the statistics.")
    stats_db: Path | None = _setting(
        None, kinds.PATH, help="The file of the statistics; `stats.db` beside your `config.toml` unless set."
    )
    log_content: bool = _setting(
        False, kinds.SWITCH, help="Keep what was sent and answered in the statistics, secrets masked."
    )
    allowed_bases: tuple[str, ...] = _setting(
        (), kinds.URLS, help="Addresses that a file may send calls and their key to, beside the provider's own."
    )
    allowed_keys: tuple[str, ...] = _setting(
        (), kinds.VARIABLES, help="Variables that a file may name in `llm.api_key_env`, beside the provider's own."
    )
    trusted_folders: tuple[str, ...] = _setting(
        (), kinds.FOLDERS, help="Folders below which a `runllm.toml` counts, whoever may write it."
    )
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    models: Mapping[str, ModelOverrides] = field(default_factory=dict[str, ModelOverrides])


_ALIAS = Setting(kind=kinds.MODEL, project="yes", default=None, help="A short name for a model.")


def _table() -> dict[str, Setting]:
    found = {entry.name: entry.metadata[_MARK] for entry in fields(Settings) if entry.metadata}
    table = {name: setting._replace(key=name, environment=f"RUNLLM_{name.upper()}") for name, setting in found.items()}
    inner = {f"aliases.{NAME}": _ALIAS}
    inner |= {f"models.{PATTERN}.{entry.name}": entry.metadata[_MARK] for entry in fields(ModelOverrides)}
    return table | {key: setting._replace(key=key) for key, setting in inner.items()}


SETTINGS: Mapping[str, Setting] = _table()
"""Every setting by its key, in the order in which they are shown."""

TABLES: Mapping[str, Kind] = {"aliases": kinds.ALIAS, "models": kinds.PATTERN}
"""The settings that are tables, and what the names in them may be."""


def setting_of(path: KeyPath) -> Setting | None:
    """What is known about the setting at this path, None where there is none."""
    match path:
        case ("aliases", _):
            return SETTINGS[f"aliases.{NAME}"]
        case ("models", _, inner):
            return SETTINGS.get(f"models.{PATTERN}.{inner}")
        case (name,):
            return SETTINGS.get(name)
        case _:
            return None


def known_names(parent: KeyPath) -> list[str]:
    """The names that may stand in this table; the root's for the empty path, none where any may."""
    match parent:
        case ():
            return [name for name in SETTINGS if "." not in name] + list(TABLES)
        case ("models", _):
            return [entry.name for entry in fields(ModelOverrides)]
        case _:
            return []


def path_of(key: str) -> KeyPath:
    """The path that a key on the command line means; the quotes around a name in a table may be left out."""
    entry = re.match(_ENTRY, key)
    if entry is None:
        return (key,)
    table, name = entry["table"], entry["quoted"] or entry["literal"] or entry["bare"]
    rest = key[entry.end() :].removeprefix(".")
    if table == "models" and entry["bare"]:
        inner = re.fullmatch(_FIELD, name)
        name, rest = (inner["entry"].strip("\"'"), inner["field"]) if inner else (name, "")
    return (table, name, rest) if rest else (table, name)


def spelled(path: KeyPath) -> str:
    """A path as TOML writes it: `models."openai/*".timeout`."""
    return ".".join(part if re.fullmatch(_BARE, part) else f'"{part}"' for part in path)
