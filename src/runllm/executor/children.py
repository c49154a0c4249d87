"""Run the apps that an app uses: each as soon as what it needs is there, as many at a time as may be."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Mapping
from graphlib import TopologicalSorter
from typing import Any

from runllm.errors import RunllmError
from runllm.executor.effects import Effect, Start, Steps, Stop, Wait
from runllm.program import Dependency, Plan
from runllm.project import build
from runllm.results import ChildResult
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
    """

    def __init__(self, plan: Plan, names: Mapping[str, Any], begin: Callable[[Plan, Job], Steps], most: int) -> None:
        """Prepare them.

        Args:
            plan: whose children they are.
            names: `input`, for the templates of `with`.
            begin: makes the steps of a run.
            most: how many are under way at a time.
        """
        self.plan = plan
        self.names = names
        self.begin = begin
        self.most = most
        self.results: list[ChildResult] = []
        self.outputs: dict[str, Any] = {}
        self._dependencies = {dependency.name: dependency for dependency in plan.program.uses}
        self._missing: dict[str, int] = {}  # how many runs of a dependency have not ended

    def run(self) -> Generator[Effect, Any, dict[str, Any]]:
        """Run them all; returns what `uses` holds.

        Raises:
            RunllmError: of the first that failed, with its name in the trail; the others are stopped.
        """
        order = TopologicalSorter(self.plan.needs)
        order.prepare()
        queue: deque[Job] = deque()
        under_way = 0
        try:
            while order.is_active():
                for name in order.get_ready():
                    queue += self.jobs(name)
                    if not self._missing[name]:
                        order.done(name)
                while queue and under_way < self.most:
                    yield self.start(queue.popleft())
                    under_way += 1
                if under_way:
                    ended: ChildResult = yield Wait()
                    under_way -= 1
                    if self.take(ended):
                        order.done(ended.name)
        except RunllmError:
            self.results += yield Stop()
            raise
        return self.outputs

    def jobs(self, name: str) -> list[Job]:
        """The runs that a dependency takes, now that what it needs is there."""
        dependency, child = self._dependencies[name], self.plan.children[name]
        source = self.plan.program.source
        names = {**self.names, "uses": self.outputs}
        contract = child.program.input
        if dependency.for_each is None:
            made = [Job(name=name, index=None, given=build.arguments(dependency, names, contract, source))]
        else:
            made = [
                self.job(dependency, index, {**names, "item": item, "index": index + 1})
                for index, item in enumerate(build.items(dependency, names, source))
            ]
            self.outputs[name] = [None] * len(made)
        self._missing[name] = len(made)
        return made

    def job(self, dependency: Dependency, index: int, names: Mapping[str, Any]) -> Job:
        """The run for one item of a list."""
        contract = self.plan.children[dependency.name].program.input
        given = build.arguments(dependency, names, contract, self.plan.program.source)
        return Job(name=dependency.name, index=index, given=given)

    def start(self, job: Job) -> Start:
        """The effect that begins a run; the same app on the same input is the same run."""
        child = self.plan.children[job.name]
        filled = child.program.input.with_defaults(job.given)
        key = (id(child), json.dumps(filled, sort_keys=True, ensure_ascii=False))
        return Start(name=job.name, index=job.index, key=key, steps=self.begin(child, job))

    def take(self, ended: ChildResult) -> bool:
        """Keep a result; says whether it was the last of its dependency.

        Raises:
            RunllmError: the run failed.
        """
        self.results.append(ended)
        name, index, error = ended.name, ended.index, ended.result.error
        if error is not None:
            raise error.within(name if index is None else f"{name}[{index}]")
        if index is None:
            self.outputs[name] = ended.result.output
        else:
            self.outputs[name][index] = ended.result.output
        self._missing[name] -= 1
        return not self._missing[name]

    def in_order(self) -> tuple[ChildResult, ...]:
        """The results in the order of the file, and of each list."""
        places = {name: place for place, name in enumerate(self._dependencies)}
        return tuple(sorted(self.results, key=lambda child: (places[child.name], child.index or 0)))
