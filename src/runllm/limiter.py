"""So many calls at a time, whoever makes them: threads, event loops, or both."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

_SLICE = 0.25  # seconds: on Windows, Ctrl-C is noticed between two waits


Most = int | Callable[[], int]
"""How many calls may be in flight: a number, or what says it whenever a place is given."""


class _Waiter:
    """One who waits for a place: `most` calls may be in flight with theirs, `wake` tells them that they have it."""

    def __init__(self, most: Most, wake: Callable[[], object]) -> None:
        self.most = most if callable(most) else lambda: most
        self.wake = wake
        self.admitted = False


class Limiter:
    """Lets a call begin when fewer are in flight than it asks for. First come, first served; survives a fork."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._waiting: deque[_Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """How many calls have a place now."""
        return self._in_flight

    @contextmanager
    def place(self, most: Most) -> Generator[None]:
        """Wait in this thread for a place among `most`, and keep it while the block runs."""
        come = threading.Event()
        waiter = _Waiter(most, come.set)
        try:
            self._queue(waiter)
            while not waiter.admitted:
                come.wait(_SLICE)
            yield
        finally:
            self._leave(waiter)

    @asynccontextmanager
    async def aplace(self, most: Most) -> AsyncGenerator[None]:
        """As `place`, without blocking the event loop; who is cancelled leaves the line."""
        import asyncio

        loop, come = asyncio.get_running_loop(), asyncio.Event()
        waiter = _Waiter(most, lambda: loop.call_soon_threadsafe(come.set))
        try:
            self._queue(waiter)
            if not waiter.admitted:
                await come.wait()
            yield
        finally:
            self._leave(waiter)

    def _queue(self, waiter: _Waiter) -> None:
        if self._process != os.getpid():  # calls in flight are the parent's, and a lock may have been held
            self._reset()
        with self._lock:
            self._waiting.append(waiter)
            self._admit(but=waiter)

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter.admitted:
                self._in_flight = max(0, self._in_flight - 1)
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            self._admit()

    def _admit(self, but: _Waiter | None = None) -> None:
        """Give places to those in front for whom there is one; who comes now need not be woken."""
        while self._waiting and self._in_flight < self._waiting[0].most():
            waiter = self._waiting.popleft()
            waiter.admitted = True
            self._in_flight += 1
            if waiter is not but:
                with suppress(RuntimeError):  # its loop has ended meanwhile: it leaves by itself
                    waiter.wake()
