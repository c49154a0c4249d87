"""The settings of a run: flags over environment over project over user over defaults, each knowing its origin."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from runllm.diagnostics import Problem
from runllm.errors import ConfigError
from runllm.ownership import doubt
from runllm.settings import files
from runllm.settings.files import problem
from runllm.settings.layers import Layer, from_environment, from_file, from_flags, passed_over, unknown
from runllm.settings.schema import (
    SETTINGS,
    TABLES,
    KeyPath,
    ModelOverrides,
    Settings,
    path_of,
    setting_of,
    spelled,
)
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
        if len(path) == 1:
            return getattr(self.settings, path[0])
        values = _merged(self.layers)
        if path not in values:
            raise ConfigError(f"`{spelled(path)}` is not set", hint="`runllm config` shows what is set.")
        return values[path]

    def own(self, key: str) -> tuple[Any, str]:
        """The value of a setting by the user's own word, whatever a project says, and its place; None without one."""
        for layer in self.layers:
            if layer.kind in ("environment", "user") and (key,) in layer.values:
                return layer.values[(key,)], layer.place((key,))
        return None, ""

    def resolve_model(self, name: str) -> str:
        """The model that a name means: what its alias stands for, or the name itself."""
        return _way(name, self.settings.aliases)[-1]

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
                given = {
                    name: value for name, value in asdict(self.settings.models[pattern]).items() if value is not None
                }
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
        return tuple(_replaced(self.layers, model))

    def entries(self) -> Iterator[Entry]:
        """Every setting, then what is in the tables."""
        for key, setting in SETTINGS.items():
            if "." not in key:
                yield Entry(key, getattr(self.settings, key), self._origin((key,)), setting.help)
        for path, value in sorted(item for item in _merged(self.layers).items() if len(item[0]) > 1):
            setting = setting_of(path)
            yield Entry(spelled(path), value, self._origin(path), setting.help if setting else "")

    def _origin(self, path: KeyPath) -> Origin:
        for layer in self.layers:
            at = next((found for found in layer.values if found[: len(path)] == path), None)
            if at is not None:
                return Origin(layer.kind, layer.place(at))
        return Origin("default")


def checked_path(key: str) -> KeyPath:
    """The path of a key that is a setting, a table of settings, or an entry that one may have.

    Raises:
        ConfigError: there is no such setting.
    """
    path = path_of(key)
    if setting_of(path) is None and not (len(path) == 1 and path[0] in TABLES):
        wrong = unknown(path, f"`{key}`")
        raise ConfigError(wrong.message, hint=wrong.hint)
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
    own, passed = own_layers(environment)
    trusted = trusted_folders(own)
    project, others = nearest_project(folder, environment, trusted)
    layers = [from_flags(overrides), *own]
    if project is not None:
        layers.insert(2, _lowered(from_file(project, "project", environment, trusted), own[1:]))
    problems = all_problems(layers)
    if problems:
        raise failure(problems)
    user = files.user_file(environment)
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
    return [*layers, from_file(user, "user", environment, trusted)], []


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


def _lowered(project: Layer, own: Sequence[Layer]) -> Layer:
    """A project's layer without what it may only lower and does not: the user's own value holds, or the default."""
    mine = _merged(own)

    def counts(path: KeyPath, value: Any) -> bool:
        setting = setting_of(path)
        if setting is None or setting.project != "lower":
            return True
        most = mine.get(path, setting.default)
        return most is None or value < most

    return project._replace(values={path: value for path, value in project.values.items() if counts(path, value)})


def _settings(values: Mapping[KeyPath, Any], user: Path | None) -> Settings:
    plain = {path[0]: value for path, value in values.items() if len(path) == 1}
    models: dict[str, ModelOverrides] = {}
    for path, value in values.items():
        if path[0] == "models":
            models[path[1]] = replace(models.get(path[1], ModelOverrides()), **{path[2]: value})
    plain.setdefault("stats_db", user and user.absolute().parent / "stats.db")
    return Settings(**plain, aliases=_aliases(values), models=models)


# --- names of models -----------------------------------------------------------------------------


def _aliases(values: Mapping[KeyPath, Any]) -> dict[str, str]:
    return {path[1]: value for path, value in values.items() if path[0] == "aliases"}


def _way(name: str, aliases: Mapping[str, str]) -> list[str]:
    """A name, what it stands for, and so on to the model; a ring is gone through once."""
    way = [name]
    while way[-1] in aliases and way[-1] not in way[:-1]:
        way.append(aliases[way[-1]])
    return way


def _rings(layers: Sequence[Layer]) -> Iterator[Problem]:
    """A problem for each alias that leads to itself."""
    aliases = _aliases(_merged(layers))
    for name in aliases:
        way = _way(name, aliases)
        if way[-1] == name and len(way) > 1:
            layer = next(layer for layer in layers if ("aliases", name) in layer.values)
            said = f"the alias `{name}` leads to itself: {' → '.join(way)}"
            yield layer.marked(problem(said, "alias", hint="Let one of them name a model."), ("aliases", name))


def _tables_of_aliases(layers: Sequence[Layer]) -> Iterator[Problem]:
    """A problem for each table in `models` that names an alias of the same file: no model has that name."""
    for layer in layers:
        for name in dict.fromkeys(path[1] for path in layer.values if path[0] == "models"):
            meant = layer.values.get(("aliases", name))
            if meant is not None:
                said = f"`{spelled(('models', name))}` names an alias"
                yield layer.marked(problem(said, "alias", hint=f"Name the model: `{meant}`."), ("models", name))


def _replaced(layers: Sequence[Layer], model: str | None) -> Iterator[Problem]:
    """A warning for each name of the user's that means another model than it would without the project's file.

    Args:
        layers: the sources, the strongest first.
        model: the name that was given for a run; None where the settings choose.
    """
    project = next((layer for layer in layers if layer.kind == "project"), None)
    if project is None or not any(path[0] in ("model", "aliases") for path in project.values):
        return
    everything, own = _merged(layers), _merged([layer for layer in layers if layer is not project])
    all_aliases, mine = _aliases(everything), _aliases(own)
    key: KeyPath = ("model",)
    chosen: str | None = model or own.get(key)
    if model is None and chosen and (new := everything.get(key) or chosen) != chosen:
        means, meant = _way(new, all_aliases)[-1], _way(chosen, mine)[-1]
        if means != meant:
            said = f"`model` is `{new}`, as {project.place(key)} says; your own settings say `{chosen}`"
            yield _replacement(said, meant)
        chosen = None
    for name in dict.fromkeys([chosen, *mine] if chosen else mine):
        way, meant = _way(name, all_aliases), _way(name, mine)[-1]
        if way[-1] != meant:
            at = next(("aliases", one) for one in way if ("aliases", one) in project.values)
            said = f"model `{name}` means `{way[-1]}`, as {project.place(at)} says"
            said += f"; your own settings say `{meant}`" if name in mine else ""
            yield _replacement(said, meant if name in mine else "")


def _replacement(said: str, own: str) -> Problem:
    hint = f"`--model {own}` names your own." if own else ""
    return replace(problem(said, "alias", hint=hint), severity="warning")
