"""An event loop in a thread of its own, for calls that must end on time.

A call in a loop can be cancelled, whatever the server does; a call in a thread cannot. Clients and
connections belong to the loop, so that they outlive each call and are closed once.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from runllm.errors import InterruptedRunError

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

_CALL = "runllm-call"
_PATIENCE = 2.0  # seconds that closing may take
_SLICE = 0.25  # seconds: on Windows, Ctrl-C is noticed between two waits
_YIELD = 1e-6  # seconds: as short as the system can sleep


class Background:
    """Runs coroutines for other threads. Thread-safe; the loop is started by the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread, int] | None = None

    def run(self, work: Work[T]) -> T:
        """Run `work` and wait for its result; an exception in this thread cancels it."""
        future = self.start(work)
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
        return await asyncio.wrap_future(self.start(work))

    def start(self, work: Work[T]) -> Future[T]:
        """Begin `work`; cancelling the future cancels it."""
        future: Future[T] = Future()
        with self._lock:  # what is begun before the loop ends is ended with it, never forgotten
            loop = self._started()
            loop.call_soon_threadsafe(_begin, loop, work, future)
        return future

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._running is None or self._running[2] != os.getpid():  # a fork has no threads
            loop = asyncio.new_event_loop()
            # What a library leaves undone is its own affair: the default handler writes to stderr.
            loop.set_exception_handler(lambda _loop, _context: None)
            loop.set_default_executor(_InContext(thread_name_prefix="runllm-calls"))
            thread = threading.Thread(target=_serve, args=(loop,), name="runllm-calls", daemon=True)
            thread.start()
            self._running = (loop, thread, os.getpid())
        return self._running[0]

    def close(self, last: Work[None] | None = None) -> None:
        """End the loop and what runs in it, at most a few seconds later. Safe to call twice.

        Args:
            last: run in the loop before it ends, to close what belongs to it.
        """
        with self._lock:
            running, self._running = self._running, None
        if running is None or running[2] != os.getpid():
            return
        loop, thread, _ = running
        asyncio.run_coroutine_threadsafe(_finish(last), loop)
        thread.join(_PATIENCE)


class _InContext(ThreadPoolExecutor):
    """Threads that know for which call they work: the loop looks up its hosts in one."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _begin(loop: asyncio.AbstractEventLoop, work: Work[T], future: Future[T]) -> None:
    if future.cancelled():
        return
    task = loop.create_task(_deliver(work, future), name=_CALL)

    def withdraw(done: Future[T]) -> None:
        if done.cancelled():
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)

    def interrupt(_: asyncio.Task[None]) -> None:
        with suppress(InvalidStateError):  # answered, as it should be
            future.set_exception(InterruptedRunError("the call was cancelled before it was answered"))

    future.add_done_callback(withdraw)
    task.add_done_callback(interrupt)


async def _deliver(work: Work[T], future: Future[T]) -> None:
    with suppress(InvalidStateError):  # nobody waits any more
        try:
            future.set_result(await work())
        except Exception as error:
            future.set_exception(error)
    # The waiting thread cannot run before this one lets go of the interpreter, and the library has more
    # to do first: without this, an answer is half a millisecond late.
    time.sleep(_YIELD)  # noqa: ASYNC251 - it is the thread that must stop, not the task


async def _finish(last: Work[None] | None) -> None:
    """Cancel the calls, close what is held, stop the loop."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE / 2):
            await _cancel([task for task in asyncio.all_tasks() if task.get_name() == _CALL])
            if last is not None:
                await last()
            await _cancel([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])
            await loop.shutdown_asyncgens()
            await loop.shutdown_default_executor()
    except Exception:  # noqa: S110 - closing is best effort; the thread must end in every case
        pass
    finally:
        loop.stop()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
