"""Everything slow, costly or random, reached through one value: engines, clock, sleep.

A context manager: members are made on first use and closed in reverse. It is the only thing a test
replaces.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from runllm.engines.base import Engine
from runllm.exchange import Endpoint

if TYPE_CHECKING:
    from runllm.blocks.phases import Runner
    from runllm.stats.store import Store

LOCAL_PREFIX = "local/"


def _local() -> Engine:
    from runllm.engines.local import LocalEngine

    return LocalEngine()


def _litellm() -> Engine:
    from runllm.engines.litellm import LiteLLMEngine

    return LiteLLMEngine()


def _sandbox() -> Runner:
    from runllm.blocks.sandbox import Sandbox

    return Sandbox()


def _trusted() -> Runner:
    from runllm.blocks.trusted import TrustedRunner

    return TrustedRunner()


ENGINES: Mapping[str, Callable[[], Engine]] = {"local": _local, "litellm": _litellm}


class Runtime:
    """What a run reaches the outside through. Thread-safe.

    Attributes:
        now: seconds on a clock that never goes back.
        sleep: waits for so many seconds; the async driver uses the event loop's own.
        jitter: a number from 0 to 1, to spread out calls that are sent again.
        wall: Unix seconds.
        store: where runs are recorded; None for nowhere.
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        store: Store | None = None,
        now: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a runtime; nothing is loaded yet.

        Args:
            engine: answers for every model, instead of the engines that models name.
            store: where runs are recorded.
            now: the clock.
            sleep: how to wait.
            jitter: where randomness comes from.
            wall: the time of day.
        """
        self.store = store
        self.wall = wall
        self.now = now
        self.sleep = sleep
        self.jitter = jitter
        self._only = engine
        self._made: dict[str, Engine] = {}
        self._runners: dict[bool, Runner] = {}
        self._lock = threading.Lock()

    def engine(self, endpoint: Endpoint) -> Engine:
        """The engine that runs this endpoint's model, made on first use."""
        if self._only is not None:
            return self._only
        name = "local" if endpoint.model.startswith(LOCAL_PREFIX) else "litellm"
        with self._lock:
            if name not in self._made:
                self._made[name] = ENGINES[name]()
            return self._made[name]

    def runner(self, *, trusted: bool) -> Runner:
        """What runs Python blocks: the sandbox, or real Python when the caller trusts the file."""
        with self._lock:
            if trusted not in self._runners:
                self._runners[trusted] = _trusted() if trusted else _sandbox()
            return self._runners[trusted]

    def close(self) -> None:
        """Close what was made, last first. Safe to call twice; the runtime can be used again."""
        with self._lock:
            made, self._made = self._made, {}
            runners, self._runners = self._runners, {}
        for member in (*reversed(made.values()), *runners.values()):
            member.close()
        if self.store is not None:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
