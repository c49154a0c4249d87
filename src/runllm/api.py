"""Where it is all put together: load a file, check it, run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runllm import parser, project
from runllm.app import App, Listener, new_runtime, process_runtime, read_settings, stats_store
from runllm.diagnostics import Problem, errors_in
from runllm.errors import InternalError, RunllmError, class_of
from runllm.notices import tell
from runllm.parser import frontmatter_schema
from runllm.program import Plan, Program
from runllm.quantities import time_of
from runllm.schema import Contract
from runllm.values import frozen

if TYPE_CHECKING:  # a file that is only checked needs none of what runs it
    from importlib.resources.abc import Traversable

    from runllm.engines.cache import Answers
    from runllm.models.folder import Held, Model
    from runllm.models.measured import Measured
    from runllm.models.pulling import Listener as PullListener
    from runllm.results import RunResult
    from runllm.routing import Options
    from runllm.runtime import Runtime

__all__ = [
    "App", "Listener", "Report", "as_error", "cached_answers", "declared_inputs", "describe", "failure", "fields",
    "frontmatter_schema", "load", "load_text", "models", "new_runtime", "process_runtime", "pull", "remove_model",
    "run", "stats_store", "validate",
]  # fmt: skip


@frozen
class Report:
    """What checking a file found.

    Attributes:
        path: the file, as the caller wrote it.
        problems: in the order of the file, warnings included; those of the apps that it uses among them.
        plan: the checked program and those that it uses, None when a problem is an error.
    """

    path: str
    problems: tuple[Problem, ...]
    plan: Plan | None

    @property
    def program(self) -> Program | None:
        """The checked program, None when a problem is an error."""
        return self.plan.program if self.plan else None

    @property
    def ok(self) -> bool:
        """Whether nothing stops a run."""
        return not errors_in(self.problems)


def validate(
    path: str | Path | Traversable, *, trust_python: bool = False, whole_tree: bool = False, publish: bool = False
) -> Report:
    """Check a file, the apps it uses, and everything that can be known before they run. Calls no model.

    Args:
        path: the file, or a resource of a package.
        trust_python: whether its Python blocks will run without the sandbox, in real Python.
        whole_tree: whether that holds for the apps it uses as well.
        publish: whether it must say what others need who find it: description, version, author.

    Raises:
        FileAccessError: the file cannot be read.
    """
    loaded = project.load(path, trust_python=trust_python, whole_tree=whole_tree)
    missing = tuple(project.unpublished(loaded.plan.program)) if publish and loaded.plan else ()
    return Report(path=str(path), problems=(*missing, *loaded.problems), plan=None if missing else loaded.plan)


def load(
    path: str | Path | Traversable, options: Options | None = None, *, runtime: Runtime | None = None, **given: Any
) -> App:
    """Read and check a `.rllm` file, ready to run.

    Args:
        path: the file, or a resource of a package: `importlib.resources.files("package") / "app.rllm"`.
        options: what holds for its runs instead of what the file and the user's settings say.
        runtime: what the app reaches models through; the process's own by default.
        given: single fields of `Options` by name, which win over `options`: `load(path, model="...", timeout=20)`.

    Raises:
        RunllmError: the file cannot be read, or has a problem; all of them are in `problems`.
        UsageError: an option can mean nothing.
    """

    def checked(asked: Options) -> Report:
        return validate(path, trust_python=asked.trust_python, whole_tree=asked.whole_tree)

    return _ready(checked, Path(path).parent if isinstance(path, (str, Path)) else None, options, given, runtime)


def load_text(
    text: str,
    options: Options | None = None,
    *,
    name: str = "<text>",
    folder: str | Path | None = None,
    runtime: Runtime | None = None,
    **given: Any,
) -> App:
    """As `load`, of the text of a file.

    Args:
        text: what the file would hold.
        options: as for `load`.
        name: what problems and records call it.
        folder: where it would lie: where the apps that it uses are looked for, and the settings of its project. Without
            one it uses none, and the settings are those of the current folder.
        runtime: as for `load`.
        given: as for `load`.

    Raises:
        RunllmError: as `load`.
    """

    def checked(asked: Options) -> Report:
        trusted = {"trust_python": asked.trust_python, "whole_tree": asked.whole_tree}
        loaded = project.load_text(text, name=name, folder=folder, **trusted)
        return Report(path=name, problems=loaded.problems, plan=loaded.plan)

    return _ready(checked, None if folder is None else Path(folder), options, given, runtime)


def _ready(
    checked: Callable[[Options], Report],
    folder: Path | None,
    options: Options | None,
    given: Mapping[str, Any],
    runtime: Runtime | None,
) -> App:
    """An app that was checked, under what the caller and the settings at its folder say."""
    from runllm.routing import OF_SETTINGS, Options, chosen_by, permitted

    chosen = chosen_by(options, given)
    asked = Options(**chosen)
    report = checked(asked)
    if report.plan is None:
        raise failure(report.problems)
    from runllm.settings import load as read_settings  # a file that is only checked needs none

    configuration = read_settings(folder)
    told = (*configuration.warnings, *configuration.replaced(asked.model))
    tell(told)
    of_user: dict[str, Any] = {name: getattr(configuration.settings, name) for name in OF_SETTINGS}
    if isinstance(of_user["cache"], str):
        of_user["cache"] = time_of(of_user["cache"])
    if configuration.origin("concurrency").kind == "default":
        del of_user["concurrency"]  # which is of one run; many have more
    found = permitted(Options(**{**of_user, **chosen}, configuration=configuration))
    return App(report.plan, options=found, runtime=runtime, problems=(*report.problems, *told))


def run(
    path: str | Path | Traversable,
    given: Mapping[str, Any] | None = None,
    options: Options | None = None,
    *,
    runtime: Runtime | None = None,
    **changes: Any,
) -> RunResult:
    """Load a file and run it once; see `load` and `App.run`."""
    return load(path, options, runtime=runtime, **changes).run(given)


def pull(name: str, *, file: str | None = None, listener: PullListener = lambda _: None) -> Held:
    """Fetch a local model, unless it is here: see `runllm.models.pulling.pull`."""
    from runllm.models.pulling import pull as fetch

    return fetch(name, file=file, listener=listener)


def cached_answers() -> Answers:
    """The cache of this user, whether or not anything is kept in it now."""
    from runllm.engines.cache import Answers

    return Answers()


def models(*, served: bool = True) -> list[Model]:
    """Every model that can be named: known, pulled, on an Ollama server, or in the user's settings.

    Args:
        served: whether an Ollama server is asked; without it nothing is sent anywhere.

    Raises:
        ConfigError: a setting is wrong.
    """
    from runllm.models.folder import inventory

    settings = read_settings()
    named = [settings.model, *settings.aliases.values(), *(name for name in settings.models if "*" not in name)]
    return inventory(others=_served() if served else (), configured=[name for name in named if name])


def _served() -> list[Model]:
    from runllm.engines.ollama_server import available
    from runllm.models.folder import Model

    return [
        Model(name=f"ollama/{one.name}", where="ollama", size=one.size, parameters=one.parameters)
        for one in available()
    ]


def measured(model: Model) -> Measured | None:
    """How fast a local model is here, as `bench` found; None where it was not measured."""
    from runllm.models.measured import measured as found

    return found(model.path) if model.path is not None else None


def bench(model: str) -> Measured:
    """Measure a local model on this machine: see `runllm.engines.local.bench`."""
    from runllm.engines.local.bench import bench as measure

    return measure(model)[1]


def remove_model(name: str) -> list[Held]:
    """Delete a pulled model: see `runllm.models.folder.remove`."""
    from runllm.models.folder import remove

    return remove(name)


def describe(app: App) -> dict[str, Any]:
    """What a file and the files it uses say, as JSON: contracts, models, parameters, parts, and the wiring."""
    from runllm.descriptions import description

    return {**description(app.plan), "warnings": [str(problem) for problem in app.warnings]}


def fields(contract: Contract) -> list[dict[str, Any]]:
    """Each declared property of a contract: name, type, whether it is required, default, description."""
    from runllm.descriptions import fields as described

    return described(contract)


def declared_inputs(path: str | Path) -> dict[str, Mapping[str, Any]]:
    """The schema of each input that a file declares, its reference followed; the rest of the file may be wrong.

    Raises:
        FileAccessError: the file cannot be read.
    """
    from runllm.schema import declared_properties, resolve

    schema = parser.load(path).input_schema or {}
    return {name: resolve(schema, found) for name, found in declared_properties(schema, schema).items()}


def failure(problems: tuple[Problem, ...]) -> RunllmError:
    """The error for a file with these problems, one of them an error."""
    first, *others = errors_in(problems)
    more = f" (and {len(others)} more)" if others else ""
    return class_of(first.kind)(f"{first}{more}", problems=problems, hint=first.hint or None)


def as_error(error: BaseException) -> RunllmError:
    """Any exception as a catalogued error: what is not one already is a bug, said without its values."""
    if isinstance(error, RunllmError):
        return error
    from traceback import walk_tb  # only a bug needs it

    trace = walk_tb(error.__traceback__)
    places = [f"{Path(at.f_code.co_filename).name}:{line} in {at.f_code.co_name}" for at, line in trace]
    return InternalError(f"{type(error).__name__}: {error}", details={"where": places[-8:]})
