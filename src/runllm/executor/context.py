"""What one run knows, what it shares with the others of its tree, and how it runs its blocks."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from runllm import moments
from runllm.diagnostics import Problem
from runllm.errors import RunllmError
from runllm.executor import ahead
from runllm.executor.driver import Outside
from runllm.executor.effects import Effect, Work
from runllm.executor.prepared import Prepared
from runllm.program import Plan
from runllm.results import ChildResult, Endpoint, Event, Skipped
from runllm.routing import Limits, Options
from runllm.runtime import Runtime
from runllm.values import frozen
from runllm.watching import DEBUG, INFO, logger

if TYPE_CHECKING:
    from runllm.program import Block, Phase


@frozen
class Tree:
    """What all runs of a tree share.

    Attributes:
        options: the caller's.
        runtime: what they reach the outside through.
        outside: how they reach it.
        started: when the first began, by the clock that never goes back.
        moment: the same as apps are told: what `run` holds.
        below: the options of the apps that the first uses.
        name: of the first app.
        prepared: of each app, what is the same in each of its runs.
    """

    options: Options
    runtime: Runtime
    outside: Outside
    started: float
    moment: Mapping[str, str]
    below: Options
    name: str
    prepared: dict[Plan, Prepared] = field(default_factory=dict[Plan, Prepared])

    @classmethod
    def of(cls, plan: Plan, given: Any, options: Options, runtime: Runtime) -> Tree:
        """What the runs of a tree share when it begins.

        Raises:
            ConfigError: `RUNLLM_NOW` says no moment.
        """
        outside = Outside(runtime, ahead.budget(plan, given, options, runtime), options.concurrency, options.pace)
        moment = moments.spelt(runtime.moment())
        below = _of_a_child(options) if plan.children and not options.whole_tree else options
        name, started = plan.program.name, runtime.now()
        return cls(
            options=options, runtime=runtime, outside=outside, started=started, moment=moment, below=below, name=name
        )


class Context:
    """One run: its program, its options, the values that its templates and blocks see, and whom it tells."""

    def __init__(self, plan: Plan, tree: Tree, trail: tuple[str, ...] = ()) -> None:
        self.plan = plan
        self.program = plan.program
        self.tree = tree
        self.trail = trail
        self.options = tree.below if trail else tree.options
        self.runtime = tree.runtime
        self.started = self.runtime.now()
        self.began = self.runtime.wall()
        self.input_valid = False
        self.estimate: int | None = None
        moment = {} if self.program.is_old else {"run": tree.moment}
        self.names: dict[str, Any] = {"input": {}, "uses": {}, "vars": {}, **moment}
        self.children: tuple[ChildResult, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()
        self.warnings: list[str] = []

    @property
    def prepared(self) -> Prepared:
        """What is the same in each run of the app; once its models can be called, the runtime has it."""
        known = self.tree.prepared.get(self.plan)
        if known is None:
            known = self.tree.prepared[self.plan] = Prepared.of(self.plan, self.options, self.runtime)
        return known

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The models to try, in order; none for an app that calls none."""
        return self.prepared.endpoints

    @property
    def limits(self) -> Limits:
        """How long its calls may take, and how often they are made."""
        return self.prepared.limits

    def blocks(self, phase: Phase) -> tuple[Block, ...]:
        """The blocks of a phase, in the order of the file."""
        return tuple(block for block in self.program.blocks if block.phase == phase)

    def work(self, block: Block, scope: dict[str, Any]) -> Generator[Effect, Any, Any]:
        """Run one block: what it gave, or the problem that a `check` found."""
        from runllm.blocks import phases  # a file without blocks pays nothing for them

        runner = self.runtime.runner(trusted=self.options.trust_python)
        ceiling = phases.ceiling(self.options.block_timeout, self.options.block_memory)
        self.tell("python", f"{block.phase} block `{block.name}`")
        ran = yield Work(do=lambda: phases.run(block, scope, self.program.source, runner, ceiling))
        for line in getattr(ran, "printed", "").splitlines():
            self.tell("print", line, logged="")
        return ran

    def checks(self, value: Any) -> Generator[Effect, Any, tuple[Problem, ...]]:
        """What the `check` blocks find wrong, all of them asked."""
        problems: list[Problem] = []
        for block in self.blocks("check"):
            found = yield from self.work(block, {**self.names, "output": value})
            if isinstance(found, Problem):
                problems.append(found)
        return tuple(problems)

    def first_model(self) -> str:
        """The model that is asked first; empty where none is."""
        try:
            return self.endpoints[0].model if self.endpoints else ""
        except RunllmError:  # there is no model: that is what the run failed for
            return ""

    def warn(self, message: str) -> None:
        """Keep a warning for the result, and tell the listener."""
        self.warnings.append(message)
        self.tell("warning", message, logged="")

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens or reads the log, for who would have to make the words first."""
        return self.options.listener is not None or logger(INFO) is not None

    def tell(self, step: str, message: str, logged: str | None = None) -> None:
        """Tell the listener and the log, if there is one; the log the same, or what has no content of the run's."""
        level = INFO if step in ("done", "failed") and not self.trail else DEBUG
        if (log := logger(level)) is not None:
            said = message if logged is None else logged
            log.log(level, "%s: %s", " > ".join((self.tree.name, *self.trail)), f"{step}: {said}" if said else step)
        if self.options.listener is not None:
            elapsed = self.runtime.now() - self.tree.started
            self.options.listener(Event(step=step, message=message, elapsed=elapsed, trail=self.trail))


def _of_a_child(options: Options) -> Options:
    """What holds for an app that another uses: limits do, what replaces a value of the file does not."""
    return replace(options, model=None, max_retries=None, timeout=None, trust_python=False)
