"""Run the apps that an app uses: each as soon as what it needs is there and there is room for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

from runllm.errors import RunllmError
from runllm.executor.ahead import key
from runllm.executor.context import Context
from runllm.executor.effects import Effect, Start, Steps, Stop, Wait
from runllm.program import Dependency, Plan
from runllm.project import build
from runllm.results import ChildResult, Skipped
from runllm.values import frozen


@frozen
class Job:
    """One run of a dependency on one input; `index` is its place in a `for_each`."""

    name: str
    index: int | None
    given: dict[str, Any]

    @property
    def label(self) -> str:
        """What the run is called in a trail."""
        return self.name if self.index is None else f"{self.name}[{self.index}]"


class Children:
    """The dependencies of one run.

    Attributes:
        results: of every run that was started, failed and stopped ones included.
        skipped: the items of lists that failed, and without which it goes on.
    """

    def __init__(self, run: Context, begin: Callable[[Plan, Job], Steps]) -> None:
        """Prepare those of a run whose input has been accepted; `begin` gives the steps of one of them."""
        self._begin_run = begin
        self._run = run
        self.plan = run.plan
        self.tree = run.tree
        self.names = run.names
        self.results: list[ChildResult] = []
        self.skipped: list[Skipped] = []
        self.outputs: dict[str, Any] = {}
        self._dependencies = {dependency.name: dependency for dependency in self.plan.program.uses}
        self._missing: dict[str, int] = {}  # how many runs of a dependency have not ended
        self._under_way = 0

    def run(self) -> Generator[Effect, Any, dict[str, Any]]:
        """Run them all; returns what `uses` holds.

        Raises:
            RunllmError: of the first that failed, with its name in the trail; the others are stopped.
        """
        order = TopologicalSorter(self.plan.needs)
        order.prepare()
        queue: deque[Iterator[Job]] = deque()
        try:
            while order.is_active():
                for name in order.get_ready():
                    queue.append(self.jobs(name))
                yield from self.begin(queue)
                if self._under_way:
                    ended: ChildResult = yield Wait()
                    self._under_way -= 1
                    self.take(ended)
                order.done(*self.finished())
        except RunllmError:
            self.results += yield Stop()
            raise
        return self.outputs

    def begin(self, queue: deque[Iterator[Job]]) -> Generator[Effect, Any, None]:
        """Begin as many runs as there is room for: one at least, so that no run waits for a room that never comes.

        Their inputs are made one by one, so that what has not begun takes no memory.
        """
        while queue and (not self._under_way or self.is_room()):
            job = next(queue[0], None)
            if job is None:
                queue.popleft()
                continue
            yield self.start(job)
            self._under_way += 1

    def is_room(self) -> bool:
        """Whether one more run may begin: here, and in the whole tree."""
        outside = self.tree.outside
        return self._under_way < outside.most and outside.tips < outside.most

    def jobs(self, name: str) -> Iterator[Job]:
        """The runs that a dependency takes, now that what it needs is there; each is made when it is asked for."""
        dependency = self._dependencies[name]
        names = {**self.names, "uses": self.outputs}
        if dependency.for_each is None:
            self._missing[name] = 1
            return iter([self.job(dependency, None, names)])
        items = build.items(dependency, names, self.plan.program.source)
        self._missing[name] = len(items)
        self.outputs[name] = [None] * len(items)
        return self.each(dependency, items, names)

    def each(self, dependency: Dependency, items: Sequence[Any], names: Mapping[str, Any]) -> Iterator[Job]:
        """The runs over a list, without those whose input cannot be made where it goes on without them."""
        for index, item in enumerate(items):
            try:
                job = self.job(dependency, index, {**names, "item": item, "index": index + 1})
            except RunllmError as error:
                if not self.goes_on(dependency.name, index, error):
                    raise
                self._missing[dependency.name] -= 1
            else:
                yield job

    def job(self, dependency: Dependency, index: int | None, names: Mapping[str, Any]) -> Job:
        """One run, for one item of a list where there is one."""
        contract = self.plan.children[dependency.name].program.input
        given = build.arguments(dependency, names, contract, self.plan.program.source)
        return Job(name=dependency.name, index=index, given=given)

    def start(self, job: Job) -> Start:
        """The effect that begins a run; the same app on the same input is the same run.

        Raises:
            BudgetExceededError: no run may begin any more.
        """
        child = self.plan.children[job.name]
        same, held = key(child, job.given)
        self.tree.outside.budget.begin(held)
        steps = self._begin_run(child, job)
        return Start(name=job.name, index=job.index, key=same, steps=steps)

    def take(self, ended: ChildResult) -> None:
        """Keep a result.

        Raises:
            RunllmError: the run failed, and nothing goes on without it.
        """
        self.results.append(ended)
        name, index, error = ended.name, ended.index, ended.result.error
        if error is not None and not self.goes_on(name, index, error):
            raise error.within(name if index is None else f"{name}[{index}]")
        if index is None:
            self.outputs[name] = ended.result.output
        else:
            self.outputs[name][index] = ended.result.output
        self._missing[name] -= 1

    def goes_on(self, name: str, index: int | None, error: RunllmError) -> bool:
        """Whether the others of a list go on when an item fails with this error; if so, it is noted."""
        if index is None or not self._dependencies[name].outlives(error):
            return False
        self.skipped.append(Skipped(name=name, index=index, error=error))
        self._run.tell("skipped", f"{name}[{index}]: {error.message}", logged=f"{name}[{index}]: {error.code}")
        return True

    def finished(self) -> list[str]:
        """The dependencies whose last run has ended since this was asked; their lists are whole."""
        names = [name for name, missing in self._missing.items() if not missing]
        for name in names:
            del self._missing[name]
            failed = {one.index: one.error for one in self.skipped if one.name == name}
            if failed:
                self.close(self._dependencies[name], failed)
        return names

    def close(self, dependency: Dependency, failed: Mapping[int, RunllmError]) -> None:
        """Take the items that failed out of a list, and say so once.

        Raises:
            RunllmError: all failed, each for a server that may answer later: then nothing came of the list.
        """
        outputs = self.outputs[dependency.name]
        if len(failed) == len(outputs) and all(error.retryable for error in failed.values()):
            raise failed[0].within(f"{dependency.name}[0]")
        said = f"{len(failed)} of {len(outputs)} items of `{dependency.name}` failed and {_went(dependency, failed)}"
        self._run.warn(f"{said}: {failed[min(failed)].message}")
        self.outputs[dependency.name] = dependency.without(failed, outputs)

    def in_order(self) -> tuple[tuple[ChildResult, ...], tuple[Skipped, ...]]:
        """The results, and what was skipped, in the order of the file and of each list."""
        places = {name: place for place, name in enumerate(self._dependencies)}

        def place(one: ChildResult | Skipped) -> tuple[int, int]:
            return places[one.name], one.index or 0

        return tuple(sorted(self.results, key=place)), tuple(sorted(self.skipped, key=place))


def _went(dependency: Dependency, failed: Collection[int]) -> str:
    """What became of the items that failed."""
    one, more = {"skip": ("was left out", "were left out"), "keep": ("is null", "are null")}[dependency.on_error]
    return one if len(failed) == 1 else more
