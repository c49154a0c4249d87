"""How fast many runs may call one provider: what it bears is learnt from how it answers.

Each provider has a lane. It begins narrow and grows while answers come as fast as before; it halves when the provider
says that it is busy or is not there, and then nobody calls until the pause that it asked for is over.
(Additive increase and multiplicative decrease, as in congestion control of TCP: RFC 5681.)
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from copy import copy

from runllm import tokens
from runllm.errors import InterruptedRunError, ProviderConnectionError, RateLimitError, RunllmError, UsageError
from runllm.limiter import Limiter
from runllm.results import Completion, Request

PATIENCE = 8
"""How often a call is sent again to a provider that is busy: a minute and a half where it names no time."""
_FIRST = 4  # calls in flight to begin with
_SLOWER = 2.0  # times the latency it had at its best: more calls would only wait in a line over there
_BUSY = frozenset({502, 503, 529})
_PAUSE, _LONGEST = 0.5, 30.0
_SLICE = 0.25  # seconds after which who waits looks whether all is to stop
_BEARABLE = 60.0  # seconds of a pause that somebody who waits for one answer bears
_LOOK_AGAIN = 600.0  # seconds after which those ask again all the same: a pause of days may be a slip


def is_pressure(error: BaseException) -> bool:
    """Whether a failure says that a provider is busy or is not there, and nothing of what was asked."""
    if not isinstance(error, RunllmError) or not error.retryable:
        return False
    return isinstance(error, RateLimitError | ProviderConnectionError) or error.details.get("status") in _BUSY


class Pace:
    """The pace of many runs. Thread-safe.

    Attributes:
        most: the most calls in flight at one provider.
    """

    def __init__(
        self,
        most: int,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        patient: bool = True,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin; nothing is in flight.

        Args:
            most: the most calls in flight at one provider.
            patient: whether all can wait, as the rows of a table can. Where somebody waits for each answer, a busy
                provider is called no more often than by a single run, and one that asks for a long pause not at all.
            rpm: the most calls a minute, evenly spread.
            tpm: the most tokens a minute, of prompts and answers.
            now: the clock.

        Raises:
            UsageError: a rate is no number above 0.
        """
        for name, rate in (("rpm", rpm), ("tpm", tpm)):
            if rate is not None and not 0 < rate < math.inf:
                raise UsageError(f"`{name}` must be a number above 0, not {rate!r}", hint="Leave it out for no bound.")
        self.most, self._patient = most, patient
        self._between = 60 / rpm if rpm else 0.0
        self._a_token = 60 / tpm if tpm else 0.0
        self._now = now
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, str | None], Lane] = {}
        self._stopped = threading.Event()

    @property
    def in_flight(self) -> int:
        """Calls that are under way, or wait for the time at which they may begin."""
        return sum(lane.limiter.in_flight for lane in list(self._lanes.values()))

    @property
    def waiting(self) -> float:
        """Seconds until the provider that all wait for may be called again; 0 where none is waited for."""
        return max((lane.paused - self._now() for lane in list(self._lanes.values())), default=0.0)

    def stop(self) -> None:
        """Let no call begin any more: who waits for one is interrupted."""
        self._stopped.set()

    def apart(self) -> Pace:
        """The same pace, for some of the runs that can wait, and are stopped without the others."""
        part = copy(self)
        part._stopped, part._patient = threading.Event(), True  # noqa: SLF001 - its own
        return part

    def patience(self, request: Request, error: RunllmError) -> int:
        """How often a call is sent again after a failure: often where the provider is busy, or has just been there."""
        if not self._patient or not is_pressure(error):
            return 0
        never = isinstance(error, ProviderConnectionError) and not self._lane(request).has_answered
        return 0 if never else PATIENCE

    @contextmanager
    def turn(self, request: Request) -> Generator[Turn]:
        """Wait in this thread for a place in the lane of the request's provider, and keep it while the block runs.

        Raises:
            InterruptedRunError: all was stopped meanwhile.
            RateLimitError: the provider asked for a pause that is too long for who cannot wait.
        """
        turn = Turn(self._lane(request), self._needed(request))
        with turn.lane.limiter.place(turn.lane.width):
            for left in self._waits(turn):
                self._stopped.wait(left)
            with turn.watched():
                yield turn

    @asynccontextmanager
    async def aturn(self, request: Request) -> AsyncGenerator[Turn]:
        """As `turn`, without blocking the event loop."""
        import asyncio

        turn = Turn(self._lane(request), self._needed(request))
        async with turn.lane.limiter.aplace(turn.lane.width):
            for left in self._waits(turn):
                await asyncio.sleep(min(left, _SLICE))
            with turn.watched():
                yield turn

    def _needed(self, request: Request) -> int:
        """Tokens of the prompt, as far as anybody asks."""
        return tokens.estimate_messages([message.content for message in request.messages]) if self._a_token else 0

    def _lane(self, request: Request) -> Lane:
        key = request.endpoint.model.partition("/")[0], request.endpoint.api_base
        with self._lock:
            if key not in self._lanes:
                longest = math.inf if self._patient else _LOOK_AGAIN
                self._lanes[key] = Lane(self.most, self._between, self._a_token, self._now, longest)
            return self._lanes[key]

    def _waits(self, turn: Turn) -> Generator[float]:
        """How long to wait until a call may begin, asked again whenever that is over; ends when it may."""
        at = turn.lane.moment(turn.needed)
        while True:
            if self._stopped.is_set():
                raise InterruptedRunError("stopped before the call was made")
            paused = turn.lane.paused - self._now()
            if paused > _BEARABLE and not self._patient:
                said = f"the provider asked to be left alone, for another {paused:.0f} s"
                raise RateLimitError(said, details={"retry_after": paused})
            left = max(at, turn.lane.paused) - self._now()
            if left <= 0:
                return
            yield left


class Lane:
    """What is known of one provider.

    Attributes:
        limiter: of the calls in flight.
        paused: when it may be called again.
        has_answered: whether it ever has.
    """

    def __init__(
        self, most: int, between: float, a_token: float, now: Callable[[], float], longest: float = math.inf
    ) -> None:
        self._longest = longest
        self.limiter = Limiter()
        self.paused = 0.0
        self.has_answered = False
        self.now = now
        self._between, self._a_token = between, a_token
        self._most, self._wide = most, float(min(most, _FIRST))
        self._grows_fast = True
        self._lock = threading.Lock()
        self._next = self._cut = 0.0  # when the next call may begin; when it was last made narrower
        self._failures = 0
        self._usual, self._best = 0.0, 0.0  # latencies: of late, and at best

    def width(self) -> int:
        """How many calls may be in flight."""
        return max(1, int(self._wide))

    def moment(self, needed: int) -> float:
        """When a call that needs so many tokens may begin; the next one later, as calls and tokens a minute say."""
        with self._lock:
            at = max(self.now(), self._next)
            self._next = at + max(self._between, needed * self._a_token)
            return at

    def answered(self, completion: Completion, guessed: int) -> None:
        """Take account of an answer, for which so many tokens were taken account of before."""
        with self._lock:
            self._failures, self.has_answered = 0, True
            self._next += max(0, completion.usage.total_tokens - guessed) * self._a_token
            self._usual = completion.latency if not self._usual else 0.8 * self._usual + 0.2 * completion.latency
            self._best = min(self._best * 1.01, self._usual) if self._best else self._usual
            if self._usual <= self._best * _SLOWER:
                self._wide = min(self._most, self._wide + (1 if self._grows_fast else 1 / self._wide))

    def refused(self, error: RunllmError, began: float) -> None:
        """Take account of a provider that is busy, or not there; calls that were in flight together count once."""
        asked = error.details.get("retry_after")
        with self._lock:
            if began >= self._cut:
                self._wide, self._grows_fast, self._cut = max(1.0, self._wide / 2), False, self.now()
                self._failures += 1
            wait = float(asked) if isinstance(asked, int | float) else min(_LONGEST, _PAUSE * 2**self._failures)
            self.paused = max(self.paused, self.now() + min(wait, self._longest))


class Turn:
    """A place for one call, which needs about so many tokens."""

    def __init__(self, lane: Lane, needed: int) -> None:
        self.lane = lane
        self.needed = needed

    def answered(self, completion: Completion) -> None:
        """Tell the lane of the answer."""
        self.lane.answered(completion, self.needed)

    @contextmanager
    def watched(self) -> Generator[None]:
        """Tell the lane when the call fails since the provider is busy."""
        began = self.lane.now()
        try:
            yield
        except RunllmError as error:
            if is_pressure(error):
                self.lane.refused(error, began)
            raise
