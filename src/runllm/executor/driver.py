"""Perform the effects that the steps of a run ask for: in this thread, or in an event loop.

The loop over the steps stands once, in `_through`. A run that uses no other app needs no event loop: what `drive`
performs never waits for one. A run that does is driven in a loop whoever calls it, since a task in a loop can be
stopped in the middle of a call, and a thread cannot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from runllm import tokens
from runllm.errors import InterruptedRunError, ProviderTimeoutError, RunllmError
from runllm.executor.effects import Call, Effect, Pause, Start, Steps, Stop, Wait, Work
from runllm.pace import Pace
from runllm.results import DEFAULT_CONCURRENCY, ChildResult, Completion, Request, RunResult, Usage
from runllm.runtime import Runtime
from runllm.spending import Budget
from runllm.threads import in_thread
from runllm.values import record
from runllm.watching import UNWATCHED

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Outside:
    """What the runs of a tree reach the outside through: their calls take turns with all others, and are paid for.

    Attributes:
        runtime: what they reach.
        budget: what they may spend.
        most: the most calls in flight at a time, those of others included.
        pace: how fast the calls of many trees follow each other; None where nobody minds.
        tips: the runs of the tree that are under way and do not wait for others.
    """

    def __init__(self, runtime: Runtime, budget: Budget, concurrency: int | None, pace: Pace | None = None) -> None:
        self.runtime = runtime
        self.budget = budget
        self.most = concurrency or DEFAULT_CONCURRENCY
        self.pace = pace
        self.tips = 1

    def call(self, request: Request) -> Completion:
        """Send a request when there is a place for it, and wait."""
        if self.pace is None:
            return self._call(request)
        with self.pace.turn(request) as turn:
            completion = self._call(request)
            turn.answered(completion)
            return completion

    async def acall(self, request: Request) -> Completion:
        """As `call`, without blocking the event loop."""
        if self.pace is None:
            return await self._acall(request)
        async with self.pace.aturn(request) as turn:
            completion = await self._acall(request)
            turn.answered(completion)
            return completion

    def _call(self, request: Request) -> Completion:
        with self.runtime.calls.place(self.most):
            sent = self.counted(request)
            try:
                with self.watched(sent) as answered:
                    completion = self.runtime.engine(sent.endpoint).complete(sent)
                    answered(completion)
                return self.paid(sent, completion)
            except ProviderTimeoutError as error:
                raise self.late() or error from None

    async def _acall(self, request: Request) -> Completion:
        async with self.runtime.calls.aplace(self.most):
            sent = self.counted(request)
            try:
                with self.watched(sent) as answered:
                    completion = await self.runtime.engine(sent.endpoint).acomplete(sent)
                    answered(completion)
                return self.paid(sent, completion)
            except ProviderTimeoutError as error:
                raise self.late() or error from None

    def watched(self, request: Request) -> AbstractContextManager[Callable[[Completion], None]]:
        """What is told of a call as it begins and ends."""
        return UNWATCHED if (watcher := self.runtime.watcher) is None else watcher.call(request)

    def counted(self, request: Request) -> Request:
        """The request, counted, and cut to the time that is left.

        Raises:
            BudgetExceededError: it may not be sent.
        """
        self.budget.call(self.price(request) if self.budget.bounds_cost else 0.0)
        left = self.budget.seconds_left
        return request if left is None or left >= request.timeout else replace(request, timeout=left)

    def price(self, request: Request) -> float:
        """US dollars of the prompt, as it is estimated."""
        price = self.runtime.engine(request.endpoint).price(request.endpoint)
        prompt = tokens.estimate_messages([message.content for message in request.messages])
        return price.parts(Usage(prompt_tokens=prompt), request.service)[0] if price else 0.0

    def paid(self, request: Request, completion: Completion) -> Completion:
        """The answer, after it was paid for."""
        held = len(completion.text) + sum(len(message.content) for message in request.messages)
        self.budget.pay(tokens=completion.usage.total_tokens, cost=completion.cost or 0.0, held=held)
        return completion

    def late(self) -> RunllmError | None:
        """Why a call was cut, where the budget's time did it."""
        try:
            self.budget.foresee()
        except RunllmError as error:
            return error
        return None

    def pause(self, seconds: float) -> float:
        """How long to wait, when so many seconds are asked for: no longer than there is time."""
        left = self.budget.seconds_left
        return seconds if left is None else min(seconds, left)


def watched(runtime: Runtime, name: str) -> AbstractContextManager[Callable[[RunResult], None]]:
    """What is told of a run of this name as it begins and ends."""
    return UNWATCHED if runtime.watcher is None else runtime.watcher.run(name)


async def _through(
    steps: Generator[Effect, Any, T],
    perform: Callable[[Effect], Awaitable[Any]],
    *interruptions: type[BaseException],
) -> T:
    """Go through the steps, each answered by what its effect gave, or by its error.

    An interruption ends the run as an error does, so that it can stop what it has started and be recorded; then it
    goes on to the caller. A second one goes on at once.
    """
    interruption: BaseException | None = None
    try:
        effect = next(steps)
        while True:
            try:
                answer = await perform(effect)
            except RunllmError as error:
                effect = steps.throw(error)
            except interruptions as signal:
                if interruption is not None:
                    raise
                interruption = signal
                effect = steps.throw(InterruptedRunError("the run was interrupted"))
            else:
                effect = steps.send(answer)
    except StopIteration as end:
        if interruption is not None:
            raise interruption from None
        return end.value


def drive(steps: Generator[Effect, Any, T], outside: Outside) -> T:
    """Perform each effect in this thread; no runs can be started in it.

    Raises:
        KeyboardInterrupt, SystemExit: as they came, after the run was told to end and has been recorded.
    """

    async def perform(effect: Effect) -> Any:
        match effect:
            case Call(request=request):
                return outside.call(request)
            case Pause(seconds=seconds):
                return outside.runtime.sleep(outside.pause(seconds))
            case Work(do=do):
                return do()
            case _:
                raise AssertionError(f"{effect} needs an event loop")

    try:
        _through(steps, perform, KeyboardInterrupt, SystemExit).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for an event loop")


def drive_tree(steps: Steps, outside: Outside) -> RunResult:
    """Drive a run that starts others, in an event loop of its own, and wait."""
    import asyncio  # 25 ms that a run without children need not pay

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(adrive(steps, outside))
    from anyio.from_thread import start_blocking_portal

    # Called within a loop, as in a notebook, which cannot be used while it waits for this.
    with start_blocking_portal() as portal:
        return portal.call(adrive, steps, outside)


async def adrive(steps: Generator[Effect, Any, T], outside: Outside) -> T:
    """Perform each effect without blocking the event loop, and drive the runs that are started beside it."""
    import asyncio

    async with asyncio.TaskGroup() as group:
        return await _Driver(outside, group).drive(steps)


@record
class _Child:
    """A run that another has started, and waits for."""

    start: Start
    shared: bool
    task: asyncio.Task[RunResult]

    def result(self) -> ChildResult:
        """How it ended."""
        found = self.task.result()
        return ChildResult(name=self.start.name, index=self.start.index, shared=self.shared, result=found)


class _Driver:
    """One run and all that it starts, each a task of one group. It lives in one event loop, and needs no locks."""

    def __init__(self, outside: Outside, group: asyncio.TaskGroup) -> None:
        self.outside = outside
        self.group = group
        self.runs: dict[Hashable, asyncio.Task[RunResult]] = {}
        self.awaited: defaultdict[asyncio.Task[RunResult], list[_Child]] = defaultdict(list)
        self.stopped: set[asyncio.Task[Any] | None] = set()
        self.stopping: set[asyncio.Task[Any] | None] = set()

    async def drive(self, steps: Generator[Effect, Any, T]) -> T:
        import asyncio

        return await _through(steps, partial(self.perform, _Children(self)), asyncio.CancelledError)

    async def child(self, start: Start) -> RunResult:
        """Go through a run that another has started."""
        with watched(self.outside.runtime, start.name) as ended:
            result = await self.drive(start.steps)
            ended(result)
        return result

    async def perform(self, children: _Children, effect: Effect) -> Any:
        """Perform an effect of one run; one that is stopped by another of its tree is told so by an error."""
        import asyncio

        try:
            match effect:
                case Call(request=request):
                    return await self.outside.acall(request)
                case Pause(seconds=seconds):
                    return await asyncio.sleep(self.outside.pause(seconds))
                case Work():
                    return await _in_thread(effect)
                case Start():
                    return await children.start(effect)
                case Wait():
                    return await children.next()
                case Stop():
                    return await children.stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()  # it goes on, to end in peace
            if task in self.stopped:
                raise InterruptedRunError("stopped, since another app of the same run failed") from None
            raise


class _Children:
    """The runs that one run has started: those under way, and those that have ended and are not yet taken."""

    def __init__(self, driver: _Driver) -> None:
        import asyncio

        self.driver = driver
        self.live = 0  # of those that were begun here
        self.under_way: list[_Child] = []
        self.ended: asyncio.Queue[_Child] = asyncio.Queue()

    async def start(self, effect: Start) -> None:
        """Begin a run, unless the same one was begun before."""
        import asyncio

        task = self.driver.runs.get(effect.key)
        shared = task is not None
        if task is None:
            task = self.driver.runs[effect.key] = self.driver.group.create_task(self.driver.child(effect))
            self.count(1)
            task.add_done_callback(lambda _: self.count(-1))
        child = _Child(start=effect, shared=shared, task=task)
        self.under_way.append(child)
        self.driver.awaited[task].append(child)
        task.add_done_callback(lambda _: self.ended.put_nowait(child))
        await asyncio.sleep(0)  # it begins, and a signal is heard between two of many

    def count(self, more: int) -> None:
        """Keep count of the tips: with its first child, a run is none any more, and after its last one it is again."""
        if max(self.live, self.live + more) > 1:
            self.driver.outside.tips += more
        self.live += more

    async def next(self) -> ChildResult:
        """The next run that ends, or has ended."""
        child = await self.ended.get()
        self.under_way.remove(child)
        self.driver.awaited[child.task].remove(child)
        return child.result()

    async def stop(self) -> tuple[ChildResult, ...]:
        """End what is under way, and what that has started; what is ending already keeps its own reason and results.

        What others wait for as well goes on, and is theirs from here on.
        """
        import asyncio

        self.driver.stopping.add(asyncio.current_task())
        await asyncio.sleep(0)  # so that each has begun: a task that is cancelled before that has no result
        for child in self.under_way:
            self.driver.awaited[child.task].remove(child)
        own = [child for child in self.under_way if not self.is_left(child)]
        tasks = {child.task: child.start.key for child in own}
        for task, key in tasks.items():
            if not (task.done() or task in self.driver.stopping or task in self.driver.stopped):
                self.driver.stopped.add(task)
                del self.driver.runs[key]  # whoever wants it later begins it anew
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        return tuple(child.result() for child in own)

    def is_left(self, child: _Child) -> bool:
        """Whether a run goes on, since others wait for it; one of them then has it, and what it costs, as its own."""
        others = self.driver.awaited[child.task]
        if not others or child.task.done():
            return False
        others[0].shared = others[0].shared and child.shared
        return True


async def _in_thread(work: Work) -> Any:
    """Do what takes a while without stopping the others; what is to be done to its end is waited for in every case."""
    import asyncio

    if work.to_the_end:
        return await asyncio.to_thread(work.do)  # whose thread is joined when the loop ends
    return await in_thread(work.do)
