"""Everything slow, costly or random, reached through one value: engines, what runs blocks, statistics, time and chance.

A context manager: members are made on first use and closed in reverse. It is the only thing a test
replaces.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from runllm import engines, moments
from runllm.engines.base import Engine, Setup
from runllm.limiter import Limiter
from runllm.results import Endpoint
from runllm.watching import untold

if TYPE_CHECKING:
    from datetime import datetime

    from runllm.blocks.phases import Runner
    from runllm.engines.cache import Answers
    from runllm.models.pulling import Progress
    from runllm.stats.store import Store
    from runllm.watching import Doing, Watcher


def _pull(name: str, listener: Callable[[Progress], None] | None) -> object:
    from runllm.models.pulling import pull

    return pull(name, listener=listener or (lambda _: None))


def _sandbox() -> Runner:
    from runllm.blocks.sandbox import Sandbox

    return Sandbox()


def _trusted() -> Runner:
    from runllm.blocks.trusted import TrustedRunner

    return TrustedRunner()


class Warmable(Protocol):
    """An app, as far as a runtime needs to know."""

    def warm(self, runtime: Runtime) -> None:
        """Make it ready for this runtime."""


class Runtime:
    """What a run reaches the outside through. Thread-safe.

    Attributes:
        now: seconds on a clock that never goes back.
        sleep: waits for so many seconds; the async driver uses the event loop's own.
        jitter: a number from 0 to 1, to spread out calls that are sent again.
        wall: Unix seconds, as runs are recorded.
        moment: what day and time it is, as apps are told.
        store: where runs are recorded; None for nowhere.
        calls: the calls in flight of all runs.
        watcher: told when runs and calls begin and end; None for nobody.
        prepared: what is the same in each run of an app, as `executor.prepared` keeps it.
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        around: Callable[[Engine], Engine] | None = None,
        answers: Answers | None = None,
        store: Store | None = None,
        auto_pull: bool = False,
        ollama_auto_pull: bool = False,
        slots: int = 1,
        progress: Callable[[Progress], None] | None = None,
        now: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
        moment: Callable[[], datetime] = moments.now,
        watcher: Watcher | None = None,
        doing: Doing = untold,
    ) -> None:
        """Prepare a runtime; nothing is loaded yet.

        Args:
            engine: answers for every model, instead of the engines that models name.
            around: what each engine is used through, such as one that records its calls.
            answers: the cache, for runs that want it; by default the user's own, and none for an engine that is given
                or that something is put around: what a script answers is no answer of a model.
            store: where runs are recorded.
            auto_pull: whether a local model that is missing may be downloaded.
            ollama_auto_pull: whether an Ollama server may pull a model that it does not have.
            slots: how many answers a model in this process may write at a time; they may then differ in a word from
                what it writes alone.
            progress: told how far such a download is, maybe from another thread.
            now: the clock.
            sleep: how to wait.
            jitter: where randomness comes from.
            wall: the time of day, in Unix seconds.
            moment: the same for people: with its zone.
            watcher: told when runs and calls begin and end, such as `runllm.telemetry.OpenTelemetry`.
            doing: told of what takes a while beside a model, such as loading it.
        """
        self.watcher, self.store = watcher, store
        self.now, self.wall, self.moment = now, wall, moment
        self.sleep, self.jitter = sleep, jitter
        self._around: Callable[[Engine], Engine] = around or (lambda made: made)
        self._only = self._around(engine) if engine is not None else None
        self._answers = answers
        self._asks_models = engine is None and around is None
        self._setup = Setup(
            pull=partial(_pull, listener=progress) if auto_pull else None,
            ollama_auto_pull=ollama_auto_pull,
            slots=slots,
            progress=progress,
            doing=doing,
            memory=store.path.with_name("providers.json") if store is not None else None,
        )
        self.prepared: dict[Hashable, Any] = {}
        self._made: dict[str, Engine] = {}
        self._ready: list[Endpoint] = []
        self._checking = threading.Lock()
        self._runners: dict[bool, Runner] = {}
        self.calls = Limiter()
        self._lock = threading.Lock()

    def engine(self, endpoint: Endpoint) -> Engine:
        """The engine that runs this endpoint's model, made on first use."""
        if self._only is not None:
            return self._only
        found = engines.traits(endpoint.model, endpoint.engine)
        with self._lock:
            if found.name not in self._made:
                self._made[found.name] = self._around(engines.make(found, self._setup))
            return self._made[found.name]

    def ready(self, endpoint: Endpoint) -> None:
        """Make sure that an endpoint can be called: once for all runs, and again only where it could not.

        Raises:
            RunllmError: it cannot; see the engine's own `ready`.
        """
        with self._checking:
            if endpoint not in self._ready:
                engine = self.engine(endpoint)
                engine.ready(endpoint)
                engine.learn(endpoint)
                self._ready.append(endpoint)

    def warm(self, *apps: Warmable) -> None:
        """Make ready all that the first runs of these apps would wait for, when a service starts: calls no model.

        Models, keys and libraries of each app and of those that it uses are looked for, weights are loaded, and the
        sandbox is started. Of an app that names other models for when the first fails, only the first is loaded.

        Args:
            apps: they need not be the runtime's own, and are made ready for it.

        Raises:
            RunllmError: the first that a run would raise before its first call.
        """
        for app in apps:
            app.warm(self)

    @property
    def answers(self) -> Answers | None:
        """The cache; None where there is none for what answers here."""
        if self._answers is None and self._asks_models:
            from runllm.engines.cache import Answers  # SQLite: few runs want it

            with self._lock:
                self._answers = self._answers or Answers()
        return self._answers

    @property
    def cache_trouble(self) -> str:
        """Why runs that wanted the cache went without it; empty where they did not."""
        return self._answers.trouble if self._answers is not None else ""

    def suggestion(self, recommended: Sequence[str], failed: str) -> str | None:
        """What to do when a model cannot be used: name one of those recommended that is known to be here."""
        endpoints = {engines.traits(model).name: Endpoint(model=model) for model in recommended}
        said = (self.engine(endpoint).suggestion(recommended, failed) for endpoint in endpoints.values())
        return next(filter(None, said), None)

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
            self._ready = []
            self.prepared = {}
            runners, self._runners = self._runners, {}
        for member in (*reversed(made.values()), *runners.values()):
            member.close()
        if self.store is not None:
            self.store.close()
        if self._answers is not None:
            self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
