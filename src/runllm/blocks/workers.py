"""The processes in which the sandbox works: they start with the first use, and belong to the process that it is in."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from runllm.blocks.outcome import BlockFailure
from runllm.errors import EngineUnavailableError

if TYPE_CHECKING:
    from pydantic_monty import Monty

_MISSING = (
    "Python blocks need the package `pydantic-monty`: in a clone of runllm run `uv sync --extra python`, "
    "elsewhere `pip install 'pydantic-monty>=1.4,<2'`"
)
_FORKED = (
    "the sandbox was in use before this process was forked, and would hang in it; "
    "start worker processes with the `spawn` method"
)
_GRACE = 0.5  # seconds past a time limit, after which a worker that cannot stop itself is killed


class _FirstUse:
    """The process in which workers were first started: a fact about the process, whatever they were started for."""

    pid: int | None = None


def ready() -> None:
    """Raise unless workers can be started here; starts nothing.

    Raises:
        EngineUnavailableError: the sandbox is not installed, or was used before this process was forked.
    """
    from importlib.util import find_spec

    if find_spec("pydantic_monty") is None:
        raise EngineUnavailableError(_MISSING)
    if _FirstUse.pid not in (None, os.getpid()):
        raise EngineUnavailableError(_FORKED)


class Workers:
    """A pool of worker processes; safe to share between threads. After `close`, the next use starts them again."""

    def __init__(self, *, answer: float, queue: float) -> None:
        """Prepare a pool; nothing is started yet.

        Args:
            answer: seconds that one request may take.
            queue: seconds to wait for a free worker: there are as many as processors.
        """
        self._answer = answer
        self._queue = queue
        self._lock = threading.Lock()
        self._pool: Monty | None = None

    def started(self) -> Monty:
        """The pool, started if it is not yet.

        Raises:
            BlockFailure: `unavailable`: the sandbox is not installed, cannot start, or was used before this
                process was forked.
        """
        # Before the lock: a fork may have copied it while another thread held it.
        if _FirstUse.pid is None:
            _FirstUse.pid = os.getpid()
        if _FirstUse.pid != os.getpid():
            raise BlockFailure("unavailable", _FORKED)
        with self._lock:
            if self._pool is None:
                self._pool = self._new()
                atexit.register(self.close)
            return self._pool

    def _new(self) -> Monty:
        try:
            import pydantic_monty as monty  # heavy: only a file with blocks pays for it
        except ImportError:
            raise BlockFailure("unavailable", _MISSING) from None
        pool = monty.Monty(
            min_processes=0,
            request_timeout=self._answer,
            checkout_timeout=self._queue,
            feed_duration_limit_grace=_GRACE,
            turn_duration_limit_grace=_GRACE,
            max_checkouts_per_worker=500,
        )
        try:
            return pool.__enter__()
        except OSError as error:  # the worker's program is not where it should be
            raise BlockFailure("unavailable", f"the sandbox cannot start: {error}") from None

    def close(self) -> None:
        """End the workers. In a forked process nothing happens: they are not its own."""
        if _FirstUse.pid != os.getpid():
            return
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            atexit.unregister(self.close)
            pool.__exit__(None, None, None)
