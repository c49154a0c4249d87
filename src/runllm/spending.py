"""What a tree of runs may spend, and what it has spent: calls, tokens, money, seconds, bytes held, runs.

Pure: it counts what it is told, and asks a clock that it is given. Budgets nest: what is spent of one is spent of
the one around it as well, and either may end the run. A call is counted before it is made and paid for after it, so
that calls are never exceeded, and the other bounds by no more than the calls in flight.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from runllm.errors import BudgetExceededError, UsageError
from runllm.values import frozen

DEFAULT_CALLS = 1_000
"""Calls of a tree of which nobody says how many it may make, beside those for the elements of the user's own lists."""
RUNS_PER_CALL = 4
"""Runs of apps that may begin for each call that may be made: most apps that call no model are steps between calls."""
DEFAULT_HELD = 1 << 29
"""Bytes of inputs, prompts and answers that the result of a tree may hold."""


@frozen
class Bounds:
    """The most that may be spent; None for no bound.

    Attributes:
        calls: of models, each that is sent again included.
        tokens: of prompts and answers.
        cost: US dollars.
        seconds: since the budget was made.
        held: bytes of inputs, prompts and answers.
        runs: of apps, whether or not they call a model.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    held: int | None = None
    runs: int | None = None


@frozen
class Spent:
    """What was spent; see `Bounds`."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    held: int = 0
    runs: int = 0


class Budget:
    """Bounds, and what is spent of them. Thread-safe.

    Attributes:
        bounds: what may be spent.
        outer: the budget around this one, of which the same is spent.
    """

    def __init__(
        self, bounds: Bounds, now: Callable[[], float] = time.perf_counter, outer: Budget | None = None
    ) -> None:
        """Begin to count; the seconds run from here, by the clock `now`.

        Raises:
            UsageError: a bound is no number, or below zero.
        """
        self.bounds = bounds
        self.outer = outer
        self._now = now
        self._began = now()
        self._lock = threading.Lock()
        self._spent: defaultdict[str, Any] = defaultdict(int)
        self._most = {one: most for one in _BOUNDS if (most := getattr(bounds, one)) is not None}
        for name, most in self._most.items():
            if isinstance(most, bool) or not isinstance(most, int | float) or not most >= 0:
                raise UsageError(f"a bound on `{name}` must be a number, at least 0, not {most!r}")

    @property
    def spent(self) -> Spent:
        """What was spent until now."""
        return Spent(seconds=self._now() - self._began, **self._spent)

    @property
    def bounds_cost(self) -> bool:
        """Whether the money is bounded, here or around."""
        return self.bounds.cost is not None or (self.outer is not None and self.outer.bounds_cost)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until a bound on time is reached, at least 0; None without one."""
        around = self.outer.seconds_left if self.outer else None
        own = None if self.bounds.seconds is None else max(0.0, self._began + self.bounds.seconds - self._now())
        return min((left for left in (own, around) if left is not None), default=None)

    def call(self, cost: float = 0.0) -> None:
        """Count a call that is about to be made.

        Args:
            cost: US dollars that it takes at the least.

        Raises:
            BudgetExceededError: one bound is reached, or would be passed; the call is not counted.
        """
        self.take({"calls": 1}, {"calls": 1, "cost": cost})

    def begin(self, held: int = 0) -> None:
        """Count a run of an app that is about to begin, and the bytes of its input.

        Raises:
            BudgetExceededError: one bound is reached, or would be passed; the run is not counted.
        """
        self.take({"runs": 1, "held": held}, {"runs": 1, "held": held})

    def pay(self, *, tokens: int = 0, cost: float = 0.0, held: int = 0) -> None:
        """Count what a call came to. Never raises: what was answered is kept, and the next call is refused."""
        with self._lock:
            self._add({"tokens": tokens, "cost": cost, "held": held})
        if self.outer is not None:
            self.outer.pay(tokens=tokens, cost=cost, held=held)

    def spend(self, *, calls: int = 0, tokens: int = 0, cost: float = 0.0) -> None:
        """Count what was spent elsewhere: at an earlier time, say. Never raises."""
        with self._lock:
            self._add({"calls": calls, "tokens": tokens, "cost": cost})

    def foresee(self, *, calls: int = 0, runs: int = 0) -> None:
        """Refuse what surely comes to more than is left, before any of it is spent.

        Raises:
            BudgetExceededError: so many calls or runs are needed at the least, and not all of them are left.
        """
        self._hold({"calls": calls, "runs": runs}, foreseen=True)
        if self.outer is not None:
            self.outer.foresee(calls=calls, runs=runs)

    def take(self, counted: Mapping[str, int], needed: Mapping[str, float]) -> None:
        """Count here and around what needs so much at the least, or nowhere."""
        with self._lock:
            self._hold(needed)
            if self.outer is not None:
                self.outer.take(counted, needed)
            self._add(counted)

    def _add(self, more: Mapping[str, float]) -> None:
        for name, number in more.items():
            self._spent[name] += number

    def _hold(self, needed: Mapping[str, float], *, foreseen: bool = False) -> None:
        """Refuse what would pass a bound: counts may reach theirs, and what is only known afterwards may not."""
        for name, most in self._most.items():
            there = self._now() - self._began if name == "seconds" else self._spent[name]
            add = needed.get(name, 0)
            if there + add > most or (name in _AFTERWARDS and there >= most > 0):
                error = _exceeded(name, most, self.spent, int(there + add) if foreseen and add else 0)
                error.budget = self
                raise error


_BOUNDS = tuple(one.name for one in fields(Bounds))
_AFTERWARDS = ("tokens", "cost", "seconds", "held")
_WORDS = {
    "calls": (
        "{:,} on calls",
        "Give it less to do, or allow more with `--max-calls` (`max_calls` in Python, your settings, the file).",
    ),
    "tokens": ("{:,} on tokens", "Raise the bound on tokens of the budget that was given."),
    "cost": (
        "${:,.6g} on the cost",
        "Allow more with `--max-cost` (`max_cost` in Python, your settings, the file), or name a cheaper model.",
    ),
    "seconds": ("{:,.6g} s on the time", "Allow more with `--max-time` (`max_time` in Python and in your settings)."),
    "held": ("{:,} bytes on inputs, prompts and answers", "Run it on fewer or smaller items at a time."),
    "runs": (
        "{:,} on runs of apps",
        "Give it less to do, or allow more with `--max-calls`: four runs of apps come with each call.",
    ),
}


def _exceeded(bound: str, most: float, spent: Spent, needed: int) -> BudgetExceededError:
    words, hint = _WORDS[bound]
    made = f"{_many(spent.calls, 'call')}, {_many(spent.tokens, 'token')}, ${spent.cost:.6g} and {spent.seconds:.3g} s"
    said = f"it needs more: at least {needed:,}" if needed else f"spent until then: {made}"
    return BudgetExceededError(
        f"the bound of {words.format(most)} does not suffice; {said}",
        hint=hint,
        details={"bound": bound, "most": most, "spent": asdict(spent), **({"needed": needed} if needed else {})},
    )


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def unpriced(model: str) -> BudgetExceededError:
    """The error for a model of unknown price where money is bounded."""
    return BudgetExceededError(
        f"the price of {model} is not known, so that a bound on its cost cannot be held",
        hint="Bound the calls instead, name a model whose price is known, or let it be called with `--allow-unpriced`.",
        details={"bound": "cost", "model": model},
    )
