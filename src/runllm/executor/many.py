"""Do the same for many rows: so many at a time, read as they are needed, given as they end.

Rows run in threads that live as long as the whole: a run that uses no other app needs no event loop, and threads begin
it soonest. Where an engine makes its calls in a loop of its own, rows are tasks in there: threads would only wait for
it. Neither the rows nor what came of them are ever held as a whole.
"""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from runllm import executor
from runllm.errors import BudgetExceededError, RateLimitError, RunllmError, UsageError
from runllm.executor.context import Context, Tree
from runllm.pace import Pace
from runllm.program import Plan
from runllm.results import Endpoint, RowResult, RunResult
from runllm.routing import Options, endpoints
from runllm.runtime import Runtime
from runllm.scalars import is_missing
from runllm.spending import Bounds, Budget

if TYPE_CHECKING:
    from runllm.engines.background import Background

OnError = Literal["stop", "skip", "keep"]
T = TypeVar("T")
R = TypeVar("R")
DEFAULT_ROWS = 32
"""The most calls in flight of many runs, where nobody says how many."""
AHEAD = 16
"""Rows that may have ended, for each that may be under way, before the one whose turn it is."""
_SLICE = 0.25  # seconds: on Windows, Ctrl-C is noticed between two waits


class _InTurn(Generic[R]):
    """What has ended, given in the order of the rows or as it comes."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._next = 0
        self._early: dict[int, R] = {}

    def __len__(self) -> int:
        return len(self._early)

    def take(self, index: int, ended: R) -> Iterator[tuple[int, R]]:
        """What may be given now that this has ended."""
        if not self._ordered:
            yield index, ended
            return
        self._early[index] = ended
        while self._next in self._early:
            self._next += 1
            yield self._next - 1, self._early.pop(self._next - 1)


class _UnderWay(Generic[T, R]):
    """Jobs that are done beside each other, each of which ends.

    Attributes:
        busy: how many they are.
    """

    def __init__(self) -> None:
        self.busy: int = 0
        self._ended: SimpleQueue[tuple[int, Callable[[], R]]] = SimpleQueue()

    def give(self, job: tuple[int, T]) -> None:
        """Have one more done."""
        self.busy += 1
        self._begin(job)

    def next(self) -> tuple[int, R]:
        """What ends next; an exception is raised here."""
        while True:
            with suppress(Empty):
                index, found = self._ended.get(timeout=_SLICE)
                self.busy -= 1
                return index, found()

    @abstractmethod
    def _begin(self, job: tuple[int, T]) -> None: ...

    def close(self) -> None:
        """Leave those that are under way to themselves."""


class _Threads(_UnderWay[T, R]):
    """In threads, each of which is begun when all others are busy."""

    def __init__(self, do: Callable[[T], R]) -> None:
        super().__init__()
        self._do = do
        self._given: SimpleQueue[tuple[int, Callable[[], R]] | None] = SimpleQueue()
        self._begun: int = 0

    def close(self) -> None:
        """End the threads that have nothing to do; the others as soon as they have not."""
        for _ in range(self._begun):
            self._given.put(None)

    def _begin(self, job: tuple[int, T]) -> None:
        if self.busy > self._begun:
            threading.Thread(target=self._work, name="runllm-row", daemon=True).start()
            self._begun += 1
        (index, row), context = job, copy_context()  # it may be in a span of the caller's
        self._given.put((index, lambda: context.run(self._do, row)))

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            index, do = given
            try:
                found = partial(_same, do())
            except BaseException as error:
                found = partial(_raise, error)
            self._ended.put((index, found))


class _Tasks(_UnderWay[T, R]):
    """As tasks of an event loop that runs in another thread."""

    def __init__(self, do: Callable[[T], Coroutine[Any, Any, R]], loop: Background) -> None:
        super().__init__()
        self._do, self._loop = do, loop

    def _begin(self, job: tuple[int, T]) -> None:
        begun = self._loop.start(partial(self._do, job[1]))
        begun.add_done_callback(lambda ended: self._ended.put((job[0], ended.result)))


def _same(found: R) -> R:
    return found


def _raise(error: BaseException) -> Any:
    raise error


def each(
    do: Callable[[T], R],
    rows: Iterable[T],
    *,
    workers: int,
    within: tuple[Callable[[T], Coroutine[Any, Any, R]], Background] | None = None,
    ordered: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, R]]:
    """Do the same with every row, in threads or in an event loop.

    Args:
        do: what; it raises nothing that the others should outlive.
        rows: read by the thread that asks for results, one by one.
        workers: how many rows are under way at most.
        within: the same as a coroutine, and the loop to do it in; None for threads.
        ordered: whether results come in the order of the rows, or as they end.
        stopped: whether no row is begun any more; those under way are waited for.

    Returns:
        The place of each row, counted from 0, and what came of it.
    """
    turn, coming = _InTurn[R](ordered=ordered), enumerate(rows)
    under_way = _Tasks(*within) if within else _Threads(do)
    try:
        while True:
            while under_way.busy < workers and len(turn) < AHEAD * workers and not stopped():
                job = next(coming, None)
                if job is None:
                    break
                under_way.give(job)
            if not under_way.busy:
                return
            yield from turn.take(*under_way.next())
    finally:
        under_way.close()


async def aeach(
    do: Callable[[T], Awaitable[R]], rows: Iterable[T], *, workers: int, ordered: bool = True
) -> AsyncIterator[tuple[int, R]]:
    """As `each`, in the event loop that is running; what is under way is cancelled when nobody asks any more."""
    import asyncio

    turn, coming = _InTurn[R](ordered=ordered), enumerate(rows)
    under_way: dict[asyncio.Future[R], int] = {}
    ended: asyncio.Queue[asyncio.Future[R]] = asyncio.Queue()
    try:
        while True:
            while len(under_way) < workers and len(turn) < AHEAD * workers and (job := next(coming, None)):
                task = asyncio.ensure_future(do(job[1]))
                under_way[task] = job[0]
                task.add_done_callback(ended.put_nowait)
            if not under_way:
                return
            task = await ended.get()
            for found in turn.take(under_way.pop(task), task.result()):
                yield found
    finally:
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)


def shared(options: Options, runtime: Runtime, *, rpm: float | None = None, tpm: float | None = None) -> Options:
    """What holds for each of many runs, so that the caller's bounds hold for all of them together.

    Args:
        options: the caller's.
        runtime: whose clock counts.
        rpm: the most calls a minute of all, at one provider.
        tpm: the most tokens a minute.
    """
    bounds = Bounds(calls=options.max_calls, cost=options.max_cost, seconds=options.max_time)
    most = options.concurrency or DEFAULT_ROWS
    return replace(
        options,
        budget=Budget(bounds, runtime.now, options.budget),
        pace=options.pace or Pace(most, rpm=rpm, tpm=tpm, now=runtime.now),
        concurrency=most,
        max_calls=None,
        max_cost=None,
        max_time=None,
    )


def loop_of(plan: Plan, options: Options, runtime: Runtime) -> Background | None:
    """The event loop in which the first model of a plan is called, where it is one of another thread."""
    if plan.program.output is not None:
        return None
    with suppress(RunllmError):  # there is no model: each run says so
        endpoint = endpoints(plan.program, options)[0]
        return runtime.engine(endpoint).loop(endpoint)
    return None


def identity(plan: Plan, options: Options) -> dict[str, Any]:
    """What makes the answers of a plan what they are: the text of its files, and the models that they call."""
    tree = Tree.of(plan, {}, options, Runtime())
    apps: dict[str, str] = {}
    models: dict[str, list[str]] = {}
    for way, node in plan.ways():
        name = "/".join((plan.program.name, *way))
        apps[name] = node.program.digest
        models[name] = [_said(endpoint) for endpoint in Context(node, tree, way).endpoints]
    return {"apps": apps, "models": models}


def _said(endpoint: Endpoint) -> str:
    beside = {"api_base": endpoint.api_base, "api_version": endpoint.api_version, **endpoint.provider_params}
    given = {name: value for name, value in beside.items() if value}
    return f"{endpoint.model} {json.dumps(given, sort_keys=True, default=str)}" if given else endpoint.model


def concerns_all(error: RunllmError, options: Options) -> bool:
    """Whether what ended one of many runs will end the others as well: a missing key, say, or a bound on all."""
    if isinstance(error, BudgetExceededError):
        if error.budget is None:  # not what is left decides, but what is known: a price, say
            return True
        around = options.budget
        while around is not None and around is not error.budget:
            around = around.outer
        return around is not None
    return error.stops_all or (isinstance(error, RateLimitError) and not error.retryable)


def runs(
    plan: Plan,
    rows: Iterable[Any],
    options: Options,
    runtime: Runtime,
    *,
    on_error: OnError,
    ordered: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[RowResult]:
    """Run a plan on every row; see `runllm.app.App.map` and `each`.

    Args:
        plan: what runs.
        rows: inputs by name, or a data frame.
        options: what holds for all together: as `shared` gives it.
        runtime: what they reach the outside through.
        on_error: what becomes of a row that fails.
        ordered: whether results come in the order of the rows.
        stopped: whether no row is begun any more.
    """
    _check(on_error)

    def one(row: Any) -> tuple[Any, RunResult]:
        return row, executor.run(plan, row, options, runtime)

    async def a_task(row: Any) -> tuple[Any, RunResult]:
        return row, await executor.arun(plan, row, options, runtime)

    def found() -> Iterator[RowResult]:
        workers, loop = options.concurrency or DEFAULT_ROWS, loop_of(plan, options, runtime)
        within = (a_task, loop) if loop else None
        ending = each(one, rows_of(rows), workers=workers, within=within, ordered=ordered, stopped=stopped)
        try:
            for index, (row, result) in ending:
                if _is_given(result, options, on_error):
                    yield RowResult(index=index, row=row, result=result)
        finally:
            if options.pace is not None:
                options.pace.stop()  # what still waits for its turn is for nobody any more
            if runtime.store is not None:
                runtime.store.finish()

    return found()


def aruns(
    plan: Plan, rows: Iterable[Any], options: Options, runtime: Runtime, *, on_error: OnError, ordered: bool = True
) -> AsyncIterator[RowResult]:
    """As `runs`, in the event loop that is running."""
    _check(on_error)

    async def one(row: Any) -> tuple[Any, RunResult]:
        return row, await executor.arun(plan, row, options, runtime)

    async def found() -> AsyncIterator[RowResult]:
        workers = options.concurrency or DEFAULT_ROWS
        async for index, (row, result) in aeach(one, rows_of(rows), workers=workers, ordered=ordered):
            if _is_given(result, options, on_error):
                yield RowResult(index=index, row=row, result=result)

    return found()


def _check(on_error: str) -> None:
    if on_error not in ("stop", "skip", "keep"):
        raise UsageError(f"`on_error` is `stop`, `skip` or `keep`, not {on_error!r}")


def _is_given(result: RunResult, options: Options, on_error: OnError) -> bool:
    """Whether a row is given; a failure that ends all is raised."""
    error = result.error
    if error is not None and (on_error == "stop" or concerns_all(error, options)):
        raise error
    return error is None or on_error == "keep"


def rows_of(rows: Any) -> Iterator[Any]:
    """The rows of a data frame of polars or pandas, without the cells that are missing; else what is iterated over."""
    if hasattr(rows, "iter_rows") and hasattr(rows, "columns"):
        return map(_present, rows.iter_rows(named=True))
    if hasattr(rows, "itertuples") and hasattr(rows, "columns"):
        names = [str(name) for name in rows.columns]
        found = rows.itertuples(index=False, name=None)
        return (_present(dict(zip(names, cells, strict=True))) for cells in found)
    kind, is_async = type(rows).__name__, hasattr(rows, "__aiter__")
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        hint = "Read it into a list first." if is_async else "Give a list of inputs, `[{...}, {...}]`, or a data frame."
        raise UsageError(f"{kind} is no list of rows", hint=hint)
    return iter(cast("Iterable[Any]", rows))


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cell for name, cell in row.items() if cell is not None and not is_missing(cell)}
