"""Every setting, once: `settings.schema.json` says what each may hold, its default, its meaning, and who may set it.

The environment's variables, the check of the files, `runllm config`, its "did you mean" and `docs/settings.md` all
follow from it. `Settings` and `ModelOverrides` give its entries their types in Python.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from runllm.engines import file_named, name_of_file
from runllm.ownership import ANY
from runllm.quantities import time_of
from runllm.schema import Contract, read_text, resolve, standalone
from runllm.values import frozen

KeyPath: TypeAlias = tuple[str, ...]
"""A key as its parts: `("model",)`, `("aliases", "fast")` or `("models", "openai/*", "timeout")`."""

InProject = Literal["yes", "off", "lower", "no"]
_SWITCH: Mapping[str, bool] = {
    **dict.fromkeys(("true", "on", "yes", "1"), True),
    **dict.fromkeys(("false", "off", "no", "0"), False),
}
_LONGEST_SHOWN = 60
_BARE = r"[A-Za-z0-9_-]+"
_ENTRY = r"""(?P<table>aliases|models)\.(?:"(?P<quoted>[^"]+)"|'(?P<literal>[^']+)'|(?P<bare>.+))"""
_FIELD = r"(?P<entry>.+)\.(?P<field>[A-Za-z_-]+)"
_ROOT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "settings.schema.json").read_text(encoding="utf-8"))


class Setting(NamedTuple):
    """What there is to know about a setting.

    Attributes:
        key: its name; `NAME` and `MODEL` stand for any.
        wants: what it must be, in words that follow "must be".
        contract: what it may hold.
        help: what it does, in one sentence.
        default: what holds when nothing sets it.
        project: whether a project's file may set it: `yes`, `no`, only `off`, or only `lower` than it is without it.
        environment: the variable that sets it; empty where none does.
        kept: what is made of its value, by `x-kept` of the schema.
    """

    key: str
    wants: str
    contract: Contract
    help: str = ""
    default: Any = None
    project: InProject = "no"
    environment: str = ""
    kept: str = ""

    def read(self, text: str) -> Any:
        """What a text on the command line or in the environment means; what cannot be read stays text."""
        kind = self.contract.schema["type"]
        if "boolean" in kind:  # alone, or among others
            return _SWITCH.get(text.lower(), text)
        if "seconds" in self.wants and (time := time_of(text)) is not None:
            return time
        return _listed(text) if kind == "array" else read_text(text, self.contract.schema, self.contract.schema)

    def keep(self, value: Any, folder: Path | None) -> Any:
        """A value that fits, as it is kept: a relative path starts at `folder`, that of its file, if it has one."""
        match self.kept:
            case "path":
                return (folder or Path()) / _from_home(value)
            case "folders":
                return tuple(one if one == ANY else str(Path(_from_home(one))) for one in value)
            case "model":
                return _model(value, folder)
            case _ if isinstance(value, list):
                return tuple(cast("list[Any]", value))
            case _:
                kind = self.contract.schema["type"]
                return int(value) if kind == "integer" else float(value) if kind == "number" else value


def _listed(text: str) -> Any:
    """A list, as TOML writes it or separated by commas."""
    if text.lstrip().startswith("["):
        import tomllib  # 6 ms that only this notation pays

        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_home(path: str) -> str:
    return os.path.expanduser(path) if path[:2] in ("~", "~/") else path  # noqa: PTH111 - never fails


def _model(name: str, folder: Path | None) -> str:
    """A model's name; a relative `local/PATH.gguf` in a file starts at the folder of that file."""
    path = file_named(name)
    return name if path is None or folder is None or path.startswith("~") else name_of_file(folder / path)


def _setting(key: str, entry: Mapping[str, Any], environment: str = "") -> Setting:
    known = {**resolve(_ROOT, entry), **entry}
    default = known.get("default")
    return Setting(
        key=key,
        wants=known["title"],
        contract=Contract(standalone(_ROOT, resolve(_ROOT, entry))),
        help=known.get("description", ""),
        default=tuple(cast("list[Any]", default)) if isinstance(default, list) else default,
        project=known.get("x-project", "no"),
        environment=environment,
        kept=known.get("x-kept", ""),
    )


def _all() -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, entry in _ROOT["properties"].items():
        if name == "aliases":
            found["aliases.NAME"] = _setting("aliases.NAME", entry["additionalProperties"])
        elif name == "models":
            inner = entry["additionalProperties"]["properties"]
            found |= {key: _setting(key, inner[one]) for one in inner if (key := f"models.MODEL.{one}")}
        else:
            found[name] = _setting(name, entry, f"RUNLLM_{name.upper()}")
    return found


SETTINGS: Mapping[str, Setting] = _all()
"""Every setting by its key, in the order in which they are shown."""

TABLES: Mapping[str, Setting] = {
    name: _setting(name, _ROOT["properties"][name]["propertyNames"]) for name in ("aliases", "models")
}
"""The settings that are tables, and what the names in them may be."""

OPTIONS: Mapping[str, Setting] = {
    name: _setting(name, _ROOT["$defs"][name]) for name in ("block_timeout", "block_memory")
}
"""What a caller may give and no file may say."""


def _default(key: str) -> Any:
    return field(default=SETTINGS[key].default)


@frozen
class ModelOverrides:
    """What the user set for one model."""

    api_base: str | None = None
    api_key_env: str | None = None
    timeout: float | None = None
    num_retries: int | None = None


@frozen
class Settings:
    """The value of every setting."""

    model: str | None = _default("model")
    max_retries: int = _default("max_retries")
    timeout: float | None = _default("timeout")
    engine: str = _default("engine")
    concurrency: int = _default("concurrency")
    max_calls: int | None = _default("max_calls")
    max_cost: float | None = _default("max_cost")
    max_time: float | None = _default("max_time")
    allow_unpriced: bool = _default("allow_unpriced")
    auto_pull: bool = _default("auto_pull")
    ollama_auto_pull: bool = _default("ollama_auto_pull")
    cache: bool | str | None = _default("cache")
    stats: bool = _default("stats")
    stats_db: Path | None = _default("stats_db")
    error_format: str | None = _default("error_format")
    log_content: bool = _default("log_content")
    allowed_bases: tuple[str, ...] = _default("allowed_bases")
    allowed_keys: tuple[str, ...] = _default("allowed_keys")
    trusted_folders: tuple[str, ...] = _default("trusted_folders")
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    models: Mapping[str, ModelOverrides] = field(default_factory=dict[str, ModelOverrides])


def setting_of(path: KeyPath) -> Setting | None:
    """What is known about the setting at this path, None where there is none."""
    match path:
        case ("aliases", _):
            return SETTINGS["aliases.NAME"]
        case ("models", _, inner):
            return SETTINGS.get(f"models.MODEL.{inner}")
        case (name,):
            return SETTINGS.get(name)
        case _:
            return None


def known_names(parent: KeyPath) -> list[str]:
    """The names that may stand in this table; the root's for the empty path, none where any may."""
    if not parent:
        return list(_ROOT["properties"])
    return list(_ROOT["properties"]["models"]["additionalProperties"]["properties"]) if parent[0] == "models" else []


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


def shown(value: Any) -> str:
    """A value as TOML writes it, cut short, for a message or a table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item) for item in cast("list[Any]", value)) + "]"
    else:
        text = f'"{value}"' if isinstance(value, str | Path) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
