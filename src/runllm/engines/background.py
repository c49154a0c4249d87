"""An event loop in a thread of its own, for calls that must end on time.

A call in a loop can be cancelled, whatever the server does; a call in a thread cannot. Clients and
connections belong to the loop, so that they outlive each call and are closed once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from runllm.errors import InterruptedRunError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

_PATIENCE = 2.0  # seconds that closing may take
_SLICE = 0.25  # seconds: on Windows, Ctrl-C is noticed between two waits
_YIELD = 1e-6  # seconds: as short as the system can sleep


class Background:
    """Runs coroutines for other threads. Thread-safe; the loop is started by the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: _Loop | None = None

    def run(self, work: Work[T]) -> T:
        """Run `work` and wait for its result; an exception in this thread cancels it."""
        future = self.start(work)
        # The waiting thread cannot run before the loop's lets go of the interpreter, and the library has more
        # to do first: without this, an answer is half a millisecond late.
        future.add_done_callback(lambda _: time.sleep(_YIELD))
        try:
            while not future.done():
                with suppress(TimeoutError):
                    return future.result(_SLICE)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def arun(self, work: Work[T]) -> T:
        """As `run`, for a caller in another event loop; its cancellation cancels the work."""
        with self._lock:
            loop = self._started()
        try:
            return await loop.portal.call_async(_answered, work, abandon_on_cancel=True)
        except RuntimeError:
            if self._loop is loop:
                raise
            raise InterruptedRunError("the call was cancelled before it was begun") from None  # by closing, elsewhere

    def start(self, work: Work[T]) -> Future[T]:
        """Begin `work`; cancelling the future cancels it."""
        with self._lock:  # what is begun before the loop ends is ended with it, never forgotten
            return self._started().portal.start_task_soon(_answered, work)

    @property
    def is_here(self) -> bool:
        """Whether its loop is the one that runs in this thread."""
        return self._loop is not None and self._loop.thread is threading.current_thread()

    def _started(self) -> _Loop:
        if self._loop is None or not self._loop.thread.is_alive():  # a fork has no threads
            self._loop = _Loop()
        return self._loop

    def close(self, last: Work[None] | None = None) -> None:
        """End the loop and what runs in it, at most a few seconds later. Safe to call twice.

        Args:
            last: run in the loop before it ends, to close what belongs to it.
        """
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and loop.thread.is_alive():
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.end(last)
            loop.thread.join(_PATIENCE)


async def _answered(work: Work[T]) -> T:
    """What `work` gives; the loop may end before it is answered."""
    import asyncio

    try:
        return await work()
    except asyncio.CancelledError:
        raise InterruptedRunError("the call was cancelled before it was answered") from None


class _Loop:
    """An event loop that takes calls through its portal.

    It is not made by `start_blocking_portal`, which waits without end for its thread, and closes nothing in the loop.
    """

    portal: BlockingPortal

    def __init__(self) -> None:
        opened: Future[None] = Future()
        self.thread = threading.Thread(target=self._run, args=(opened,), name="runllm-calls", daemon=True)
        self.thread.start()
        opened.result()

    def _run(self, opened: Future[None]) -> None:
        import anyio  # with asyncio 30 ms: not for a key that is missing

        try:
            anyio.run(self._serve, opened)
        except BaseException as error:
            if not opened.done():
                opened.set_exception(error)

    async def _serve(self, opened: Future[None]) -> None:
        import asyncio

        import anyio
        from anyio.from_thread import BlockingPortal

        loop = asyncio.get_running_loop()
        # What a library leaves undone is its own affair: the default handler writes to stderr.
        loop.set_exception_handler(lambda _loop, _context: None)
        loop.set_default_executor(_InContext(thread_name_prefix="runllm-calls"))
        ending: asyncio.Future[Work[None] | None] = loop.create_future()
        self.end = partial(loop.call_soon_threadsafe, ending.set_result)
        last: Work[None] | None = None
        async with BlockingPortal() as self.portal:
            opened.set_result(None)
            last = await ending
            await self.portal.stop(cancel_remaining=True)
        if last is not None:
            with anyio.move_on_after(_PATIENCE / 2), suppress(Exception):  # closing is best effort
                await last()


class _InContext(ThreadPoolExecutor):
    """Threads that know for which call they work: the loop looks up its hosts in one."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)
