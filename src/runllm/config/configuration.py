"""The settings of a run: flags over environment over project over user over defaults, each knowing its origin."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from runllm.config import files
from runllm.config.checking import NAME_THE_VARIABLE, passed_over, problem
from runllm.config.layers import Layer, from_environment, from_file, from_flags
from runllm.config.replacing import replaced, resolved
from runllm.config.settings import (
    SETTINGS,
    KeyPath,
    ModelOverrides,
    Settings,
    known_names,
    path_of,
    setting_of,
    spelled,
)
from runllm.diagnostics import Problem, did_you_mean, pointer
from runllm.errors import ConfigError
from runllm.ownership import doubt
from runllm.redaction import is_secret_name
from runllm.values import frozen

OriginKind = Literal["flag", "environment", "project", "user", "default"]


class Origin(NamedTuple):
    """Where a value came from.

    Attributes:
        kind: which source.
        place: the flag, the variable, or `path:line` of a file; empty for a default.
    """

    kind: OriginKind
    place: str = ""


class Entry(NamedTuple):
    """A setting as it is shown: its key as TOML writes it, value, origin and meaning."""

    key: str
    value: Any
    origin: Origin
    help: str


@frozen
class Configuration:
    """Every setting with where it came from.

    Attributes:
        settings: the values that hold.
        layers: the sources, the strongest first.
        user_file: the user's file, which need not exist; None where there is no place for one.
        project_file: the project's file; None where there is none.
        warnings: each file that was passed over, since it may be another user's word.
    """

    settings: Settings
    layers: tuple[Layer, ...] = ()
    user_file: Path | None = None
    project_file: Path | None = None
    warnings: tuple[Problem, ...] = ()

    def origin(self, key: str) -> Origin:
        """Where the value of a setting came from; for a table, the strongest source with an entry.

        Args:
            key: such as `model`, `aliases.fast` or `models."openai/*".timeout`.

        Raises:
            ConfigError: there is no such setting.
        """
        return self._origin(checked_path(key))

    def value(self, key: str) -> Any:
        """The value of a setting, a table or an entry of one; None where nothing sets it.

        Raises:
            ConfigError: there is no such setting, or no such entry in its table.
        """
        path = checked_path(key)
        values = self._values()
        if len(path) == 1:
            return getattr(self.settings, path[0])
        if path not in values:
            raise ConfigError(f"`{spelled(path)}` is not set", hint="`runllm config` shows what is set.")
        return values[path]

    def resolve_model(self, name: str) -> str:
        """The model that a name means: what its alias stands for, or the name itself."""
        return resolved(name, self.settings.aliases)[-1]

    def for_model(self, model: str) -> ModelOverrides:
        """What the user set for a model, or for the alias of one.

        Each value comes from the table that names the model most exactly, with two exceptions: a table with its own
        `api_base` takes no `api_key_env` from a wider one, since that key was meant for another server; and a
        `timeout` of a flag or the environment is stronger than any table's. Without either, it is the general one.
        """
        model = self.resolve_model(model)
        found: dict[str, Any] = {}
        for pattern in sorted(self.settings.models, key=lambda name: len(name.removesuffix("*"))):
            if pattern == model or (pattern.endswith("/*") and model.startswith(pattern[:-1])):
                table = self.settings.models[pattern]
                given = {name: value for name in _FIELDS if (value := getattr(table, name)) is not None}
                if "api_base" in given:
                    found.pop("api_key_env", None)
                found |= given
        if "timeout" not in found or self._origin(("timeout",)).kind in ("flag", "environment"):
            found["timeout"] = self.settings.timeout
        return ModelOverrides(**found)

    def replaced(self, model: str | None = None) -> tuple[Problem, ...]:
        """A warning for each name of the user's that the project's file makes another model of.

        Args:
            model: the name that the caller gave for a run; None where none was given, and the settings choose.
        """
        return replaced(self.layers, model)

    def entries(self) -> Iterator[Entry]:
        """Every setting, then what is in the tables."""
        for key, setting in SETTINGS.items():
            if "." not in key:
                value = getattr(self.settings, key)
                yield Entry(key=key, value=value, origin=self._origin((key,)), help=setting.help)
        inner = {path: value for path, value in self._values().items() if len(path) > 1}
        for path, value in sorted(inner.items()):
            setting = setting_of(path)
            yield Entry(key=spelled(path), value=value, origin=self._origin(path), help=setting.help if setting else "")

    def _values(self) -> dict[KeyPath, Any]:
        return _merged(self.layers)

    def _origin(self, path: KeyPath) -> Origin:
        for layer in self.layers:
            at = next((found for found in layer.values if found[: len(path)] == path), None)
            if at is not None:
                return Origin(kind=layer.kind, place=layer.place(at))
        return Origin(kind="default")


_FIELDS = tuple(entry.name for entry in fields(ModelOverrides))


def checked_path(key: str) -> KeyPath:
    """The path of a key that is a setting, a table of settings, or an entry that one may have.

    Raises:
        ConfigError: there is no such setting.
    """
    path = path_of(key)
    if setting_of(path) is None and path not in (("aliases",), ("models",)):
        hint = did_you_mean(path[-1], known_names(path[:-1])) or "`runllm config` lists the settings."
        raise ConfigError(f"`{key}` is not a setting", hint=NAME_THE_VARIABLE if is_secret_name(path[-1]) else hint)
    return path


def load(
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> Configuration:
    """Read every source and put them together.

    Args:
        folder: where the search for the project's `runllm.toml` starts, upwards to the user's home or the root;
            the current folder by default.
        environment: the process's variables.
        overrides: flags by the name of their setting; None is one that was not given.

    Raises:
        ConfigError: something is wrong; all of it is in `problems`.
    """
    user = files.user_file(environment)
    own, passed = own_layers(environment)
    trusted = trusted_folders(own)
    project, others = nearest_project(folder, environment, trusted)
    layers = [from_flags(overrides, environment), *own]
    if project is not None:
        layers.insert(2, from_file(project, "project", environment, user, trusted))
    problems = all_problems(layers)
    if problems:
        raise failure(problems)
    return Configuration(
        settings=_settings(_merged(layers), user),
        layers=tuple(layers),
        user_file=user,
        project_file=project,
        warnings=(*passed, *others),
    )


def own_layers(environment: Mapping[str, str]) -> tuple[list[Layer], list[Problem]]:
    """What the environment and the user's file say, and a warning where that file does not count."""
    layers = [from_environment(environment)]
    user, trusted = files.user_file(environment), trusted_folders(layers)
    if user is None or not (environment.get(files.USER_FILE_VARIABLE) or files.is_file(user)):
        return layers, []
    why = doubt(user, trusted) if os.path.exists(user) else ""  # noqa: PTH110 - `Path.exists` raises for a closed folder
    if why:
        return layers, [passed_over(user, why, "user")]
    return [*layers, from_file(user, "user", environment, user, trusted)], []


def trusted_folders(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The folders that these layers, none of them a project's, say to trust."""
    return _merged(layers).get(("trusted_folders",), ())


def nearest_project(
    folder: Path | None, environment: Mapping[str, str], trusted: Collection[str]
) -> tuple[Path | None, list[Problem]]:
    """The nearest file of a project that counts, None without one, and a warning for each that was passed over."""
    passed: list[Problem] = []

    def counts(found: Path) -> bool:
        why = doubt(found, trusted)
        if why:
            passed.append(passed_over(found, why, "project"))
        return not why

    return files.project_file(folder, environment, counts), passed


def all_problems(layers: Sequence[Layer]) -> list[Problem]:
    """What is wrong in each layer by itself, and between the entries of all."""
    return [*(wrong for layer in layers for wrong in layer.problems), *_rings(layers), *_tables_of_aliases(layers)]


def failure(problems: Sequence[Problem]) -> ConfigError:
    """The error that tells of these problems; its message is the first."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ConfigError(f"{problems[0]}{more}", problems=problems, hint=problems[0].hint or None)


def _merged(layers: Sequence[Layer]) -> dict[KeyPath, Any]:
    """The strongest value of each path; tables are merged entry by entry."""
    return {path: value for layer in reversed(layers) for path, value in layer.values.items()}


def _settings(values: Mapping[KeyPath, Any], user: Path | None) -> Settings:
    plain = {path[0]: value for path, value in values.items() if len(path) == 1}
    aliases = {path[1]: value for path, value in values.items() if path[0] == "aliases"}
    models: dict[str, ModelOverrides] = {}
    for path, value in values.items():
        if path[0] == "models":
            models[path[1]] = replace(models.get(path[1], ModelOverrides()), **{path[2]: value})
    plain.setdefault("stats_db", user and user.absolute().parent / "stats.db")
    return Settings(**plain, aliases=aliases, models=models)


def _tables_of_aliases(layers: Sequence[Layer]) -> Iterator[Problem]:
    """A problem for each table in `models` that names an alias of the same file: no model has that name."""
    for layer in layers:
        names = dict.fromkeys(path[1] for path in layer.values if path[0] == "models")
        for name in names:
            meant = layer.values.get(("aliases", name))
            if meant is not None:
                path = ("models", name)
                wrong = problem(f"`{spelled(path)}` names an alias", "alias", hint=f"Name the model: `{meant}`.")
                yield replace(wrong, span=layer.span(path), pointer=pointer(path))


def _rings(layers: Sequence[Layer]) -> Iterator[Problem]:
    """A problem for each alias that leads to itself."""
    aliases = {path[1]: value for path, value in _merged(layers).items() if path[0] == "aliases"}
    for name in aliases:
        way = resolved(name, aliases)
        if way[-1] == name and len(way) > 1:
            path = ("aliases", name)
            layer = next(layer for layer in layers if path in layer.values)
            said = f"the alias `{name}` leads to itself: {' → '.join(way)}"
            wrong = problem(said, "alias", hint="Let one of them name a model.")
            yield replace(wrong, span=layer.span(path), pointer=pointer(path))
