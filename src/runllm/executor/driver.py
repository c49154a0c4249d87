"""Perform the effects that the steps of a run ask for: in this thread, or in an event loop.

A run that uses no other app needs no event loop: `drive` performs one effect after the other. One that does is
driven in a loop whoever calls it, since a task in a loop can be stopped in the middle of a call, and a thread cannot.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from runllm import tokens
from runllm.errors import InterruptedRunError, ProviderTimeoutError, RunllmError
from runllm.executor.effects import Call, Effect, Pause, Start, Steps, Stop, Wait, Work
from runllm.results import DEFAULT_CONCURRENCY, ChildResult, Completion, Request, RunResult, Usage
from runllm.runtime import Runtime
from runllm.spending import Budget

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Outside:
    """What the runs of a tree reach the outside through: their calls take turns with all others, and are paid for.

    Attributes:
        runtime: what they reach.
        budget: what they may spend.
        most: the most calls in flight at a time, those of others included.
    """

    def __init__(self, runtime: Runtime, budget: Budget, concurrency: int | None) -> None:
        self.runtime = runtime
        self.budget = budget
        self.most = concurrency or DEFAULT_CONCURRENCY

    def call(self, request: Request) -> Completion:
        """Send a request when there is a place for it, and wait."""
        with self.runtime.calls.place(self.most):
            sent = self.counted(request)
            try:
                return self.paid(sent, self.runtime.engine(sent.endpoint).complete(sent))
            except ProviderTimeoutError as error:
                raise self.late() or error from None

    async def acall(self, request: Request) -> Completion:
        """As `call`, without blocking the event loop."""
        async with self.runtime.calls.aplace(self.most):
            sent = self.counted(request)
            try:
                return self.paid(sent, await self.runtime.engine(sent.endpoint).acomplete(sent))
            except ProviderTimeoutError as error:
                raise self.late() or error from None

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


def drive(steps: Generator[Effect, Any, T], outside: Outside) -> T:
    """Perform each effect in this thread and hand back its answer or its error; no runs can be started in it.

    Raises:
        KeyboardInterrupt, SystemExit: as they came, after the run was told to end and has been recorded.
    """
    interruption: BaseException | None = None
    try:
        effect = next(steps)
        while True:
            try:
                answer = _perform(effect, outside)
            except RunllmError as error:
                effect = steps.throw(error)
            except (KeyboardInterrupt, SystemExit) as signal:
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


def _perform(effect: Effect, outside: Outside) -> Any:
    match effect:
        case Call(request=request):
            return outside.call(request)
        case Pause(seconds=seconds):
            return outside.runtime.sleep(outside.pause(seconds))
        case Work(do=do):
            return do()
        case _:
            raise AssertionError(f"{effect} needs an event loop")


def drive_tree(steps: Steps, outside: Outside) -> RunResult:
    """Drive a run that starts others, in an event loop of its own, and wait."""
    import asyncio  # 25 ms that a run without children need not pay

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(adrive(steps, outside))
    from runllm.engines.background import Background

    other = Background()  # called within a loop, as in a notebook, which cannot be used while it waits for this
    try:
        return other.run(lambda: adrive(steps, outside))
    finally:
        other.close()


async def adrive(steps: Generator[Effect, Any, T], outside: Outside) -> T:
    """Perform each effect without blocking the event loop, and drive the runs that are started beside it."""
    return await _Driver(outside).drive(steps)


class _Driver:
    """One run and all that it starts. It lives in one event loop, and needs no locks."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.runs: dict[Hashable, asyncio.Task[RunResult]] = {}
        self.stopped: set[asyncio.Task[Any] | None] = set()
        self.stopping: set[asyncio.Task[Any] | None] = set()

    async def drive(self, steps: Generator[Effect, Any, T]) -> T:
        import asyncio

        started: _Started = {}
        cancelled = False
        try:
            effect = next(steps)
            while True:
                try:
                    answer = await self.perform(effect, started)
                except RunllmError as error:
                    effect = steps.throw(error)
                except asyncio.CancelledError:
                    if cancelled:
                        raise
                    task = asyncio.current_task()
                    cancelled = task not in self.stopped
                    effect = steps.throw(_interruption(task, cancelled))
                else:
                    effect = steps.send(answer)
        except StopIteration as end:
            if cancelled:  # not by its own kind: whoever did it waits for this
                raise asyncio.CancelledError from None
            return end.value
        finally:
            for task in started:
                task.cancel()

    async def perform(self, effect: Effect, started: _Started) -> Any:
        import asyncio

        match effect:
            case Call(request=request):
                return await self.outside.acall(request)
            case Pause(seconds=seconds):
                return await asyncio.sleep(self.outside.pause(seconds))
            case Work(do=do):
                return await asyncio.to_thread(do)
            case Start():
                self.start(effect, started)
                return await asyncio.sleep(0)  # so that it begins, and that a signal is heard between two of many
            case Wait():
                return await self.wait(started)
            case Stop():
                return await self.stop(started)

    def start(self, effect: Start, started: _Started) -> None:
        """Begin a run, unless the same one was begun before."""
        import asyncio

        shared = effect.key in self.runs
        if not shared:
            self.runs[effect.key] = asyncio.create_task(self.drive(effect.steps))
        started.setdefault(self.runs[effect.key], []).append((effect.name, effect.index, shared))

    async def wait(self, started: _Started) -> ChildResult:
        """The next run that ends, or has ended.

        One that was stopped is none: something has failed elsewhere, for which this run is soon stopped as well.
        """
        import asyncio

        ended: list[asyncio.Task[RunResult]] = []
        while not ended:
            others = started.keys() - self.stopped
            if not others:
                await asyncio.get_running_loop().create_future()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            ended = [task for task in started if task.done() and task not in self.stopped]
        task = next((task for task in ended if task.result().error is not None), ended[0])
        name, index, shared = started[task].pop(0)
        if not started[task]:
            del started[task]
        return ChildResult(name=name, index=index, shared=shared, result=task.result())

    async def stop(self, started: _Started) -> tuple[ChildResult, ...]:
        """End what is under way, and what that has started; what is ending already keeps its own reason and results."""
        import asyncio

        self.stopping.add(asyncio.current_task())
        await asyncio.sleep(0)  # so that each has begun: a task that is cancelled before that has no result
        for task in started:
            if not task.done() and task not in self.stopping:
                self.stopped.add(task)
                task.cancel()
        if started:
            await asyncio.wait(started)
        ended = [
            ChildResult(name=name, index=index, shared=shared, result=task.result())
            for task, labels in started.items()
            for name, index, shared in labels
        ]
        started.clear()
        return tuple(ended)


def _interruption(task: asyncio.Task[Any] | None, cancelled: bool) -> RunllmError:
    """What a run is told that is cancelled from outside, or stopped by another run of its tree; it may end in peace."""
    if task is not None:
        task.uncancel()
    if cancelled:
        return InterruptedRunError("the run was interrupted")
    return InterruptedRunError("stopped, since another app of the same run failed")


if TYPE_CHECKING:
    _Started = dict[asyncio.Task[RunResult], list[tuple[str, int | None, bool]]]
