"""The house: apps that run within the limits of the service, and what is known of how they do.

It knows nothing of HTTP. A run waits for a place where all are taken, up to a bound on those that wait; one whose
client has left, or that is still going when the time to end is over, is stopped in the middle of its call.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from runllm.app import App
from runllm.errors import InputSchemaError, InterruptedRunError, RunllmError
from runllm.results import Event, RunResult
from runllm.runtime import Runtime
from runllm.serve.catalog import Catalog, Served
from runllm.serve.figures import Figures
from runllm.serve.refusals import Refusal
from runllm.values import frozen

Log = Callable[[str], None]
_LONGEST_WAIT = 60  # seconds that a client is asked to wait
_EVERY = 1.0  # seconds between two looks at the files
_TRY_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds until what is not ready is looked for again


@frozen
class Limits:
    """What a service takes at a time.

    Attributes:
        running: runs under way.
        waiting: runs that wait for a place.
        body: bytes of a request.
        grace: seconds for what runs, when the service is to end.
    """

    running: int = 32
    waiting: int = 128
    body: int = 1 << 20
    grace: float = 30.0


class House:
    """The apps of a service, the runs that are under way, and whether it is ready.

    Attributes:
        catalog: the apps.
        limits: what it takes.
        metrics: how they do.
        is_ready: whether all models and what runs blocks are there.
    """

    def __init__(
        self,
        catalog: Catalog,
        runtime: Runtime,
        limits: Limits,
        log: Log = lambda _: None,
        figures: Figures | None = None,
    ) -> None:
        """Open it.

        Args:
            catalog: the apps.
            runtime: what they reach models through; closed at the end.
            limits: what it takes.
            log: told what an operator should know.
            figures: what counts; None for those that Prometheus reads.
        """
        self.catalog, self.limits, self.log = catalog, limits, log
        self.metrics = figures or _prometheus()
        self.is_ready = False
        self._runtime = runtime
        self._places = asyncio.Semaphore(limits.running)
        self._waiting = 0
        self._under_way: set[asyncio.Task[Any] | None] = set()
        self._stopped: set[asyncio.Task[Any] | None] = set()
        self._usual = 1.0  # seconds of a run, as they have been of late
        self.is_closing = False

    async def run(self, served: Served, given: Any, listener: Callable[[Event], None] | None = None) -> RunResult:
        """Run an app when there is a place for it; its failure is in the result.

        Cancelled, it stops its run and gives back its place.

        Raises:
            Refusal: too many wait already, or the service is ending.
        """
        self.take_more()
        async with self._place():
            self.take_more()  # it may have begun to end while this waited
            task = asyncio.current_task()
            self._under_way.add(task)
            try:
                result = await _result(served.app, given, listener)
            except asyncio.CancelledError:
                if task is None or task not in self._stopped:
                    self.metrics.left(served.app.name)
                    raise
                task.uncancel()  # it goes on, to tell its client
                result = RunResult(
                    output=None, error=InterruptedRunError("the service is stopping"), app=served.app.name
                )
            finally:
                self._under_way.discard(task)
        self._usual += (result.latency - self._usual) / 8
        self.metrics.ran(served.app.name, result)
        if result.error is not None:
            self._log_failure(served.app.name, result.error)
        return result

    def take_more(self) -> None:
        """Refuse what comes when the service ends.

        Raises:
            Refusal: it does.
        """
        if self.is_closing:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the service is stopping", "Ask again in a moment.")

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        if self._places.locked() and self._waiting >= self.limits.waiting:
            self.metrics.refused()
            raise self._busy()
        self._waiting += 1
        self.metrics.waiting(self._waiting)
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
            self.metrics.waiting(self._waiting)
        self.metrics.under_way(1)
        try:
            yield
        finally:
            self.metrics.under_way(-1)
            self._places.release()

    def _busy(self) -> Refusal:
        """The answer to one too many: how long those before it will take."""
        wait = math.ceil(self._usual * (self._waiting + 1) / self.limits.running)
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"as many runs are under way as there may be ({self.limits.running}), and {self._waiting} wait",
            "Ask again in a while.",
            {"Retry-After": str(min(max(1, wait), _LONGEST_WAIT))},
        )

    def _log_failure(self, name: str, error: RunllmError) -> None:
        if not isinstance(error, InputSchemaError):
            self.log(f"{name}: {error.code} {type(error).__name__}: {error.message}")

    async def get_ready(self) -> None:
        """Load models and what runs blocks; where one is not there, look for it again until it is."""
        said = ""
        for number in range(1 << 30):
            apps = [served.app for served in self.catalog.values()]
            try:
                await asyncio.to_thread(self._runtime.warm, *apps)
            except RunllmError as error:
                if error.message != said:
                    said = error.message
                    self.log(f"not ready: {error.code} {type(error).__name__}: {said}")
                await asyncio.sleep(_TRY_AGAIN[min(number, len(_TRY_AGAIN) - 1)])
            else:
                self.is_ready = True
                if said:
                    self.log("ready")
                return

    async def follow(self) -> None:
        """Serve files as they are changed, for ever; one with a problem is served as it was, and that is said."""
        while True:
            await asyncio.sleep(_EVERY)
            for name, served in self.catalog.items():
                if not await asyncio.to_thread(served.is_changed):
                    continue
                await asyncio.to_thread(served.read_again)
                if served.trouble is None:
                    self.log(f"{name}: read again")
                else:
                    self.log(f"{name}: as it is now it cannot be served, so it is as it was: {served.trouble.message}")

    def close(self) -> None:
        """Let go of models, workers and files."""
        self._runtime.close()

    def stop(self) -> None:
        """End what is under way: the time to end is over."""
        self.is_closing = True
        if self._under_way:
            self.log(f"the time to end is over; runs that are stopped: {len(self._under_way)}")
        self._stopped |= self._under_way
        for task in filter(None, self._under_way):
            task.cancel()


def _prometheus() -> Figures:
    from runllm.serve.metrics import Metrics  # a library that only who reads figures has

    return Metrics()


async def _result(app: App, given: Any, listener: Callable[[Event], None] | None) -> RunResult:
    try:
        return await (app.arun(given) if listener is None else app.arun(given, listener=listener))
    except RunllmError as error:
        if isinstance(error.result, RunResult):
            return error.result
        return RunResult(output=None, error=error, app=app.name)
