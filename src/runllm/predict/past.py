"""How earlier calls went: the speed of a model, the length of an app's answers, its retries."""

from __future__ import annotations

import statistics
from enum import IntEnum

from runllm.stats.rows import RunRow
from runllm.stats.speed import Lengths, Speed, fit_lengths, fit_speed
from runllm.stats.store import Store
from runllm.values import frozen

ENOUGH = 5
"""Calls of an app from which on its own speed is better evidence than the model's with all apps."""
_NEWEST = 200


class Basis(IntEnum):
    """Where numbers come from, the best evidence first."""

    HISTORY = 0
    """Earlier runs of this app with this model."""
    MODEL = 1
    """The model's speed with other apps."""
    LIMITS = 2
    """Nothing was recorded: only the declared limits."""


@frozen
class Record:
    """What is known of one app with one model.

    Attributes:
        finished: the runs of the app that asked the model, newest first.
        basis: the evidence that this is.
        speed: of the model, with this app where that was often enough, else with any; None where nothing is known.
        lengths: of the app's answers; None where it has given none.
    """

    finished: tuple[RunRow, ...] = ()
    basis: Basis = Basis.LIMITS
    speed: Speed | None = None
    lengths: Lengths | None = None

    @property
    def attempts(self) -> tuple[int, ...]:
        """How many calls each run took; one where nothing is known."""
        return tuple(run.asked for run in self.finished) or (1,)

    @property
    def prompt_tokens(self) -> int | None:
        """Of a usual first request; None where none was sent."""
        sent = [run.prompt_tokens / run.answered for run in self.finished if run.answered]
        return round(statistics.median(sent)) if sent else None

    @property
    def counted_by_estimated(self) -> float:
        """What the model counts for a token of the estimate; 1 where nothing is known."""
        ratios = [
            run.prompt_tokens / run.estimated_prompt_tokens
            for run in self.finished
            if run.asked == run.answered == 1 and run.estimated_prompt_tokens and run.prompt_tokens
        ]
        return statistics.median(ratios) if ratios else 1.0

    @property
    def overhead(self) -> float:
        """Seconds that a run takes beside its calls."""
        beside = [run.latency - run.call_latency for run in self.finished if run.asked == run.answered]
        return max(0.0, statistics.median(beside)) if beside else 0.0


class Past:
    """The store, asked once for each app and model."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self._records: dict[tuple[str, str], Record] = {}

    def record(self, app: str, model: str) -> Record:
        """What is known of an app (its path, or its name) with a model.

        Raises:
            StatsError: the store cannot be read.
        """
        if (app, model) not in self._records:
            self._records[app, model] = self._read(app, model)
        return self._records[app, model]

    def _read(self, app: str, model: str) -> Record:
        store = self.store
        if store is None:
            return Record()
        own = store.samples(model, app=app)
        enough = len(own) >= ENOUGH
        speed = fit_speed(own if enough else store.samples(model))
        return Record(
            finished=tuple(run for run in store.runs(app=app, model=model, limit=_NEWEST) if run.asked),
            basis=Basis.HISTORY if enough else Basis.MODEL if speed else Basis.LIMITS,
            speed=speed,
            lengths=fit_lengths(own),
        )

    def usual_count(self, app: str, name: str) -> int | None:
        """Over how many items an app has usually run a dependency; None where it never did.

        Raises:
            StatsError: the store cannot be read.
        """
        if self.store is None:
            return None
        counts = [
            sum(child.child_name == name for child in self.store.children(run.id))
            for run in self.store.runs(app=app, limit=20)
            if run.error_code is None
        ]
        return round(statistics.median(counts)) if counts else None
