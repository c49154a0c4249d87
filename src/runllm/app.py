"""An app, ready to run, and what the apps of a process reach the outside through."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, cast

from runllm.diagnostics import Problem
from runllm.errors import StatsError
from runllm.notices import tell
from runllm.program import Plan, Program

if TYPE_CHECKING:  # a file that is only checked needs none of what runs it
    from runllm.executor import Preview
    from runllm.executor.many import OnError
    from runllm.models.pulling import Progress
    from runllm.predict import Forecast
    from runllm.results import Event, RowResult, RunResult
    from runllm.routing import Options
    from runllm.runtime import Runtime
    from runllm.settings import Settings
    from runllm.stats.store import Store

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # whose defaults Python has from 3.13 on

    In = TypeVar("In", default=Mapping[str, Any])
    Out = TypeVar("Out", default=Any)
else:
    from typing import TypeVar

    In, Out = TypeVar("In"), TypeVar("Out")

Listener = Callable[["Event"], None]
_instead_of_the_process: list[Runtime] = []
"""What apps without a runtime of their own use for now instead of the process's; the last one counts."""


class App(Generic[In, Out]):
    """A checked `.rllm` file as a function from its input to its output. Safe to share between threads.

    `App[In, Out]` names the types of its input and output, as a module that `runllm types` makes does.

    Call it (`app(text="...")`) for the output alone, or use `run` and `arun` for all there is to know.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        options: Options | None = None,
        runtime: Runtime | None = None,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        self.plan = plan
        self.warnings = problems
        self._options = options
        self._runtime = runtime
        self._instead: list[Runtime] = []

    def __repr__(self) -> str:
        return f"<App {self.program.name} {self.program.version}>"

    @property
    def program(self) -> Program:
        """What the file says."""
        return self.plan.program

    @property
    def name(self) -> str:
        """The name in the frontmatter."""
        return self.program.name

    @property
    def options(self) -> Options:
        """What holds for its runs."""
        return self._with(None, {})

    @property
    def runtime(self) -> Runtime:
        """What the app reaches models through."""
        instead = self._instead[-1:] or ([] if self._runtime else _instead_of_the_process[-1:])
        return instead[0] if instead else self._runtime or process_runtime()

    @staticmethod
    @contextmanager
    def under(runtime: Runtime, *apps: App[Any, Any]) -> Generator[Runtime]:
        """Let apps that are loaded already reach models through this runtime while it lasts, in all threads.

        Args:
            runtime: closed at the end.
            apps: which; where none is named, all that share the process's runtime.
        """
        places = [app._instead for app in apps] or [_instead_of_the_process]  # noqa: SLF001 - its own
        with runtime:
            for place in places:
                place.append(runtime)
            try:
                yield runtime
            finally:
                for place in places:
                    place.remove(runtime)

    def __call__(self, given: In | None = None, /, **inputs: Any) -> Out:
        """Run the app on these inputs and return its output.

        Raises:
            RunllmError: as `run`.
        """
        return self.run(_both(given, inputs)).output

    def run(self, given: In | None = None, options: Options | None = None, **changes: Any) -> RunResult:
        """Run the app and wait.

        Args:
            given: the input, by name; values are never converted.
            options: what holds for this run, beside what the app was loaded with.
            changes: single fields of `Options` by name: `app.run(given, model="...", max_calls=10)`.

        Raises:
            RunllmError: the run failed; `error.result` holds its attempts, tokens and cost.
        """
        from runllm import executor

        return _succeeded(executor.run(self.plan, _both(given, {}), self._with(options, changes), self.runtime))

    async def acall(self, given: In | None = None, /, **inputs: Any) -> Out:
        """As a call, without blocking the event loop: `await app.acall(text="...")`."""
        return (await self.arun(_both(given, inputs))).output

    def warm(self, runtime: Runtime | None = None) -> None:
        """Make ready all that the first run would wait for; see `Runtime.warm`."""
        from runllm import executor

        executor.warm(self.plan, self.options, runtime or self.runtime)

    def result(self, given: Any, options: Options) -> RunResult:
        """As `run`, but for what fails, whose error is in the result, and for options, which are all that holds."""
        from runllm import executor

        return executor.run(self.plan, given, options, self.runtime)

    async def aresult(self, given: Any, options: Options) -> RunResult:
        """As `result`, without blocking the event loop."""
        from runllm import executor

        return await executor.arun(self.plan, given, options, self.runtime)

    async def arun(self, given: In | None = None, options: Options | None = None, **changes: Any) -> RunResult:
        """As `run`, without blocking the event loop."""
        from runllm import executor

        return _succeeded(await executor.arun(self.plan, _both(given, {}), self._with(options, changes), self.runtime))

    def map(
        self,
        rows: Iterable[Any],
        options: Options | None = None,
        *,
        on_error: OnError = "stop",
        ordered: bool = True,
        rpm: float | None = None,
        tpm: float | None = None,
        **changes: Any,
    ) -> Iterator[RowResult]:
        """Run the app on every row, as many at a time as the provider bears; nothing begins before it is asked for.

        `concurrency` (32 by default) is the most calls in flight, and `max_calls`, `max_cost` and `max_time` hold for
        all rows together.

        Args:
            rows: inputs by name, read as they are needed; a data frame of pandas or polars gives its rows, without
                the cells that are missing.
            options: what holds for these runs, beside what the app was loaded with.
            on_error: of a row that fails: `stop` raises its error, `skip` leaves it out, `keep` gives it with its
                error. What would end every other row as well, such as a missing key or a bound, is always raised.
            ordered: whether results come in the order of the rows, or as they end.
            rpm: the most calls a minute at one provider.
            tpm: the most tokens a minute at one provider.
            changes: single fields of `Options` by name.

        Raises:
            RunllmError: as `on_error` says.
            UsageError: an option can mean nothing.
        """
        from runllm.executor import many

        whole = many.shared(self._with(options, changes), self.runtime, rpm=rpm, tpm=tpm)
        return many.runs(self.plan, rows, whole, self.runtime, on_error=on_error, ordered=ordered)

    def amap(
        self,
        rows: Iterable[Any],
        options: Options | None = None,
        *,
        on_error: OnError = "stop",
        ordered: bool = True,
        rpm: float | None = None,
        tpm: float | None = None,
        **changes: Any,
    ) -> AsyncIterator[RowResult]:
        """As `map`, without blocking the event loop: `async for found in app.amap(rows): ...`."""
        from runllm.executor import many

        whole = many.shared(self._with(options, changes), self.runtime, rpm=rpm, tpm=tpm)
        return many.aruns(self.plan, rows, whole, self.runtime, on_error=on_error, ordered=ordered)

    def preview(self, given: Mapping[str, Any] | None = None, *, model: str | None = None) -> Preview:
        """The messages a run would send, their estimated tokens and the price of one; calls no model."""
        from runllm import executor

        return executor.preview(self.plan, dict(given or {}), self._with(None, {"model": model}), self.runtime)

    def forecast(self, given: Mapping[str, Any] | None = None, *, model: str | None = None) -> Forecast:
        """What a run will take, in seconds and US dollars, from what was recorded. Calls no model.

        Args:
            given: the input; None for a usual one.
            model: used instead of the file's model.

        Raises:
            RunllmError: the input is refused, or the statistics cannot be read.
        """
        from runllm.predict import forecast
        from runllm.scalars import plain

        options = self._with(None, {"model": model})
        given = None if given is None else plain(given)
        return forecast(self.plan, given, options, self.runtime, self.runtime.store or stats_store())

    def read_input(
        self,
        *,
        text: str | None = None,
        path: str | None = None,
        arguments: tuple[str, ...] = (),
        literal: tuple[tuple[str, str], ...] = (),
        bare: str | None = None,
        listener: Listener = lambda _: None,
    ) -> dict[str, Any]:
        """The input that a command line means; `arguments` and `literal` win over `text` or `path`.

        Args:
            text: the mapping of all inputs as JSON or YAML, or one of them as it is.
            path: of a file, read by its ending.
            arguments: `key=value` or `key=@file`.
            literal: pairs of a key and its text, which never names a file. See `runllm.inputs`.
            bare: a text for the one input that takes one.
            listener: told how it was read, and what to be warned of.
        """
        from runllm.inputs import given_input

        return given_input(
            self.program.input,
            text=text,
            path=path,
            arguments=arguments,
            literal=literal,
            bare=bare,
            listener=listener,
        )

    def _with(self, options: Options | None, changes: Mapping[str, Any]) -> Options:
        """What holds for a run: what the app was loaded with, but for what the caller asks for now."""
        from runllm.routing import Options, chosen_by, permitted

        own = self._options or Options()
        if options is None and not changes:
            return own
        chosen = chosen_by(options, changes)
        if "model" in chosen and own.configuration is not None:
            tell(own.configuration.replaced(chosen["model"]))
        return permitted(dataclasses.replace(own, **chosen))


def new_runtime(
    *,
    auto_pull: bool | None = None,
    ollama_auto_pull: bool | None = None,
    slots: int = 1,
    progress: Callable[[Progress], None] | None = None,
    **members: Any,
) -> Runtime:
    """A runtime as the user has set it: what it may download, and where it records.

    Args:
        auto_pull: whether a missing local model may be downloaded; by default as the user has set.
        ollama_auto_pull: whether an Ollama server may pull a missing model; by default as the user has set.
        slots: how many answers a model in this process may write at a time.
        progress: told how far such a download is, maybe from another thread.
        members: what else `runllm.Runtime` takes.

    Raises:
        ConfigError: a setting is wrong.
    """
    from runllm.runtime import Runtime

    settings = read_settings()
    return Runtime(
        store=_store_at(settings.stats_db) if settings.stats_db else None,
        auto_pull=settings.auto_pull if auto_pull is None else auto_pull,
        ollama_auto_pull=settings.ollama_auto_pull if ollama_auto_pull is None else ollama_auto_pull,
        slots=slots,
        progress=progress,
        **members,
    )


@cache
def process_runtime() -> Runtime:
    """The runtime that all apps of a process share, closed when the interpreter ends."""
    import atexit

    runtime = new_runtime()
    atexit.register(runtime.close)
    return runtime


def stats_store() -> Store:
    """The statistics of this user, whether or not runs are being recorded now.

    Raises:
        StatsError: there is no place for them.
        ConfigError: a setting is wrong.
    """
    path = read_settings().stats_db
    if path is None:
        raise StatsError("there is no folder for statistics", hint="Name a file in `RUNLLM_STATS_DB`.")
    return _store_at(path)


def read_settings() -> Settings:
    """What holds in the current folder; the user is told of files that do not count."""
    from runllm.settings import load

    found = load()
    tell(found.warnings)
    return found.settings


def _store_at(path: Path) -> Store:
    from runllm.stats.store import Store

    return Store(path)


def _both(given: Any, inputs: Mapping[str, Any]) -> Any:
    """The input that is given as a mapping and by name."""
    return {**cast("Mapping[str, Any]", given or {}), **inputs}


def _succeeded(result: RunResult) -> RunResult:
    if result.error is not None:
        raise result.error
    return result
