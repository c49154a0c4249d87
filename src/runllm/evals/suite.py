"""Run the tests of apps: every case of every file, once for each model, as often as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runllm import api
from runllm.diagnostics import Problem
from runllm.engines.cassette import Cassette, playing
from runllm.errors import BudgetExceededError, ParseError, RunllmError, UsageError
from runllm.evals.figures import Tried
from runllm.evals.finding import tested_files
from runllm.evals.groups import Group, Mode, Wanted, alone, group_of
from runllm.evals.judge import misses
from runllm.executor import many
from runllm.files import check_writable
from runllm.program import Case
from runllm.quantities import count, some
from runllm.routing import limits

if TYPE_CHECKING:
    from runllm.app import App
    from runllm.program import Block
    from runllm.routing import Options
    from runllm.runtime import Runtime

Job = tuple[Case, str, int]
"""A case, a model and the number of the repeat."""
DEFAULT_AT_ONCE = 8


class Suite:
    """The tests of files, ready to be run. A context manager, which writes the cassettes at its end."""

    def __init__(
        self, wanted: Wanted, options: dict[str, Any], *, make: Callable[..., Runtime] = api.new_runtime
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            wanted: what is to be tested.
            options: what holds for all runs together, as `api.load` takes it.
            make: makes a runtime, as `api.new_runtime` does.
        """
        self.wanted = wanted
        self.notes: list[str] = []
        self._options = {"stats": False, **options}
        self._make = make
        self._open = ExitStack()
        self._live: Runtime | None = None
        self._read: dict[Path, Cassette] = {}
        self._damaged: set[Path] = set()
        self._whole: Options | None = None
        self._ended = self._cached = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def groups(self) -> list[Group]:
        """The files that have tests, each with those that are chosen.

        Raises:
            FileAccessError: a path that is named is not there.
            UsageError: there are no tests, or there is no cassette to prune.
        """
        found = [self.group(path) for path in tested_files(self.wanted.paths)]
        if (only := alone(found)) is not None:
            found = only
            self.notes.append("only the cases that say `only` are run")
        chosen = bool(self.wanted.name or self.wanted.tags)
        if not found or not (chosen or any(group.cases or group.skipped or not group.ok for group in found)):
            raise UsageError(
                f"there are no tests in {', '.join(self.wanted.paths)}",
                hint="Write cases under `tests:` in a file, or in `NAME.tests.yaml` beside it: docs/testing.md.",
            )
        if not any(group.cases or group.skipped or not group.ok for group in found):
            raise UsageError("no test has this name or tag", hint="`runllm test` without -k and --tag runs all.")
        if self.wanted.prune and all(group.mode == "live" for group in found):
            raise UsageError(
                "`--prune` takes out of cassettes what no test asks for, and none is used",
                hint="Say `--replay` or `--record` as well.",
            )
        if self._options.get("cache") and not any(self._may_be_cached(group) for group in found):
            why = "a cassette answers or keeps each call" if found[0].mode != "live" else "each repeat is a call"
            self.notes.append(f"no answer is taken from the cache: {why}")
        return [self._with_cassette(group) for group in found]

    def _may_be_cached(self, group: Group) -> bool:
        """Whether an answer may come from the cache; else each is to be called for, or replayed."""
        return group.mode == "live" and self.wanted.repeat == 1

    def _with_cassette(self, group: Group) -> Group:
        """The same, or why its cassette cannot be used: known before anything is paid for."""
        if group.mode == "live" or not group.cases or not group.ok:
            return group
        try:
            if group.mode == "record":
                check_writable(str(group.cassette))
            if group.mode == "replay" or group.cassette.exists():
                self._kept(group.cassette)
        except RunllmError as error:
            if group.mode == "record" and isinstance(error, ParseError):
                self.notes.append(f"{error.message}; it is put aside as {_aside(group.cassette).name}")
                self._damaged.add(group.cassette)
                return group
            hint, kind = error.recovery_hint or "", type(error).__name__
            problem = Problem(message=error.message, keyword="cassette", kind=kind, hint=hint)
            return replace(group, problems=(*group.problems, problem))
        return group

    def _kept(self, path: Path) -> Cassette:
        """What is in a cassette, as nothing had been asked."""
        if path not in self._read:
            self._read[path] = Cassette.read(path)
        return self._read[path].rewound()

    def group(self, path: str) -> Group:
        """The tests of a file that are chosen, and how they are run."""
        trusted, whole = (bool(self._options.get(key)) for key in ("trust_python", "whole_tree"))
        return group_of(path, self.wanted, trusted=trusted, whole_tree=whole)

    def jobs(self, group: Group) -> list[Job]:
        """Each run of a file's cases: in the order of the file, models inside each case."""
        models, numbers = dict.fromkeys(self.wanted.models or ("",)), range(1, self.wanted.repeat + 1)
        return [(case, model, number) for case in group.cases for model in models for number in numbers]

    def unrun(self, group: Group, ended: int, why: str) -> list[Tried]:
        """The runs that were not made, since something stopped all after so many.

        Args:
            group: whose.
            ended: how many were made.
            why: in a few words.
        """
        return [
            Tried(case=case, model=model, number=number, misses=(why,))
            for case, model, number in self.jobs(group)[ended:]
        ]

    # --- running -------------------------------------------------------------------------------

    def run(self, group: Group) -> Iterator[Tried]:
        """Run the cases of a file, each with each model; given in the order of the file, models inside each case.

        Raises:
            RunllmError: a cassette cannot be read or written, or a bound on all of it is reached.
        """
        runs = self._runs(group)
        self._open.callback(runs.close)  # whatever stops the caller, what was paid for is kept
        return runs

    def _runs(self, group: Group) -> Generator[Tried]:
        with ExitStack() as closing:
            cassette = self._cassette(group)
            if cassette is not None and group.mode == "record":
                closing.push(self._writing(cassette, group.cassette))
            runtime = self._runtime(cassette, group.mode, closing)
            apps = {model: self._app(group, model, runtime) for model in self.wanted.models or ("",)}
            self._tell_attempts(group, list(apps.values()))
            jobs = self.jobs(group)
            workers = 1 if group.mode == "replay" else self._options.get("concurrency") or DEFAULT_AT_ONCE

            def one(job: Job) -> Tried:
                return self._tried(*apps[job[1]], job, group.mode)

            sound = group.whole
            for _, tried in many.each(one, jobs, workers=workers):
                sound = sound and not (tried.misses and tried.result is not None and tried.result.error is not None)
                self._ended += 1
                self._cached += tried.result is not None and tried.result.cached
                yield tried
            if cassette is not None:
                if group.mode == "record" and sound:
                    cassette.settle()
                self._tell_masked(group, cassette)
                self._tell_unused(group, cassette, whole=sound)

    def of_cache(self) -> Iterator[str]:
        """What is to be said of the cache: how many runs called no model, and what stood in its way."""
        if self._cached:
            yield f"{count(self._cached)} of {some(self._ended, 'run')} came from the cache, in no time"
        if self._live is not None and self._live.cache_trouble:
            yield self._live.cache_trouble

    def _cassette(self, group: Group) -> Cassette | None:
        """In which a file's exchanges are, or will be; None where models are called and nothing is kept."""
        if group.mode == "live":
            return None
        if group.mode == "replay" or (group.cassette.exists() and group.cassette not in self._damaged):
            return self._kept(group.cassette)
        return Cassette(self._make().moment())

    def _writing(self, cassette: Cassette, path: Path) -> Callable[..., None]:
        """What writes it at the end of a recording, but for one that was stopped before any answer."""

        def write(stopped: type[BaseException] | None, *_: object) -> None:
            if stopped and cassette.empty:
                return
            if path in self._damaged:
                self._damaged.remove(path)
                path.replace(_aside(path))
            cassette.write(path)

        return write

    def _runtime(self, cassette: Cassette | None, mode: Mode, closing: ExitStack) -> Runtime:
        """What a file's runs reach models through."""
        if cassette is None:
            if self._live is None:
                self._live = self._open.enter_context(self._make())
            return self._live
        return closing.enter_context(self._make(**playing(cassette, replay=mode == "replay")))

    def _tell_attempts(self, group: Group, apps: list[tuple[App, Options]]) -> None:
        """Name the cases that allow as many answers as are asked for anyway: that depends on flags and settings."""
        most = 0
        for app, options in apps:
            models = 1 if options.model or not app.program.model else len(app.program.model.models)
            most = max(most, models * (1 + limits(app.program, options, "").max_retries))
        for case in group.cases:
            if case.expect.get("most", {}).get("attempts", 0) >= most:
                said = f"`attempts` of `{case.name}` can never fail, since {some(most, 'answer')} are asked for at most"
                self.notes.append(f"{group.path}: {said}")

    def _tell_masked(self, group: Group, cassette: Cassette) -> None:
        """Say that what a test expects of an answer with a secret in it cannot be held against its mask."""
        if cassette.masked:
            said = "what looked like a secret is masked, so that a replay may fail where the model did not"
            self.notes.append(f"{group.cassette}: in {some(cassette.masked, 'answer')} {said}")

    def _tell_unused(self, group: Group, cassette: Cassette, *, whole: bool) -> None:
        """Say what of a cassette was not asked for in a run of all cases, to the end of each, or take it out."""
        if not whole:
            if self.wanted.prune:
                said = "not all cases were run" if not group.whole else "a run failed before its end"
                self.notes.append(f"{group.cassette}: nothing is taken out, since {said}")
            return
        every = not self.wanted.models
        unused = list(cassette.unused(every_model=every))
        if self.wanted.prune and unused:
            gone = some(cassette.prune(every_model=every), "exchange")
            self.notes.append(f"{group.cassette}: {gone} that nothing asks for: taken out")
            cassette.write(group.cassette)
        else:
            self.notes += [f"{group.cassette}: nothing asks for this any more: {one}" for one in unused]

    def _app(self, group: Group, model: str, runtime: Runtime) -> tuple[App, Options]:
        """A file with one of the models, and its options: but for a replay, with the bounds of all runs together."""
        given = {**({"model": model} if model else {}), **({} if self._may_be_cached(group) else {"cache": False})}
        chosen: dict[str, Any] = {**self._options, **given}
        app = api.load(group.path, runtime=runtime, **chosen)
        if group.mode == "replay":
            return app, replace(app.options, max_calls=None, max_cost=None, max_time=None)
        if self._whole is None:
            once = replace(app.options, concurrency=app.options.concurrency or DEFAULT_AT_ONCE)
            self._whole = many.shared(once, runtime, rpm=self.wanted.rpm, tpm=self.wanted.tpm)
        kept = {name: getattr(self._whole, name) for name in ("budget", "pace", "concurrency")}
        return app, replace(app.options, max_calls=None, max_cost=None, max_time=None, **kept)

    def _tried(self, app: App, options: Options, job: Job, mode: Mode) -> Tried:
        """Run a case once.

        Raises:
            BudgetExceededError: the bound on all runs together is reached.
        """
        case, model, number = job
        result = app.result(case.input, options)
        if isinstance(result.error, BudgetExceededError) and many.concerns_all(result.error, options):
            raise result.error
        took = sum(one.latency for one in result.completions()) if mode == "replay" else result.latency
        found = misses(case, result, took, self._checker(app, case))
        return Tried(case=case, model=model, number=number, misses=tuple(found), result=result, took=took)

    def _checker(self, app: App, case: Case) -> Callable[[Block, Any], Problem | None]:
        """What runs the Python of a case."""

        def check(block: Block, output: Any) -> Problem | None:
            from runllm.blocks import phases  # few cases have any

            runner = app.runtime.runner(trusted=app.options.trust_python)
            given = app.program.input.with_defaults(dict(case.input))
            limits = phases.ceiling(app.options.block_timeout, app.options.block_memory)
            try:
                ran = phases.run(block, {"input": given, "output": output}, app.program.source, runner, limits)
            except RunllmError as error:  # whose message names a place in the app's own file
                said = error.problems[0].message if error.problems else error.message
                return Problem(message=said, keyword="check")
            return ran if isinstance(ran, Problem) else None

        return check


def _aside(path: Path) -> Path:
    """Where a file is put that is no cassette."""
    return path.with_name(f"{path.name}.damaged")
