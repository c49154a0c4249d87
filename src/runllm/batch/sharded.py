"""A batch in shards: rows are cut into one shard for each worker, and each worker runs its own by our own loop.

It goes in rounds. In a round, each worker has a shard and its share of what the whole may still do; meanwhile what
ends is taken over into the journal of the whole. A shard is done when its journal is sealed. One whose share is used
up, or whose worker is lost, goes on in the next round, with a share of what then is left.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from pathlib import Path
from threading import Thread
from typing import Any

from runllm.app import App
from runllm.batch.checking import Checked, Wanted
from runllm.batch.frames import Daft, reason
from runllm.batch.job import Batch
from runllm.batch.journal import Ended, Journal
from runllm.batch.shard import Shard, folder_of
from runllm.batch.sources import Row, Source
from runllm.batch.worker import Share, Task
from runllm.errors import (
    BudgetExceededError,
    EngineUnavailableError,
    FileAccessError,
    InterruptedRunError,
    RunllmError,
    UsageError,
)
from runllm.executor import many

MOST_ROWS = 50_000
"""Rows of a shard, at most: so long are its files, and so long one worker may be done before the others."""
_OF_ITS_OWN = (BudgetExceededError, InterruptedRunError)  # what ends a shard and says nothing of the others
_LOOK = 0.2  # seconds
_LEFT_LYING = 25  # looks after which a process that has ended unnoticed is taken for a lost worker


class Sharded(Batch):
    """A batch that runs in several processes, or on several machines."""

    def __init__(
        self, app: App, wanted: Wanted, ray: str | None, runtime: Mapping[str, Any], tell: Callable[[str], None]
    ) -> None:
        """As a batch.

        Args:
            app: what runs on each row.
            wanted: what is to be done.
            ray: the address of the Ray cluster that runs it; None for this machine.
            runtime: how each worker's runtime is made.
            tell: told what the user should know at once.

        Raises:
            RunllmError: as a batch, and what `Daft` raises.
        """
        if wanted.target is None and not wanted.dry:
            raise UsageError("`--shards-on` needs a file to write: `-o PATH`", hint="Its journal lies beside it.")
        self._runtime, self._tell = runtime, tell
        self._daft = Daft(ray)
        super().__init__(app, wanted)

    def _opened(self) -> Source:
        return self._daft.table(self.wanted.paths, self.wanted.reading) or super()._opened()

    def _ends(self, journal: Journal | None, checked: Checked) -> Iterator[tuple[Row, Ended]]:
        """Run the rows that have to be, round after round; gives none, as all goes into the journal.

        Raises:
            RunllmError: as `run`.
        """
        yield from ()
        assert journal is not None  # noqa: S101 - there is an output
        counts, budget = self.counts, self.options.budget
        assert budget is not None  # noqa: S101 - many runs share one
        left, coming, is_taken_over = list[Shard](), self._left(journal, checked), True
        try:
            while left or (left := self._cut(coming, checked.rows - counts.done)):
                if self._too_many(checked):
                    raise self._failures(checked)
                budget.take({}, {"calls": 1})
                before = budget.spent.calls, counts.done
                shares = self._shares(left, checked)
                running, is_taken_over = left[: len(shares)], False
                lost = self._round(journal, running, shares, checked)
                is_taken_over = True
                self._hold(running)
                if (budget.spent.calls, counts.done) == before:
                    raise self._fruitless(running, lost)
                if lost:
                    self._tell(f"a worker was lost ({lost}): what it had in flight is paid again")
                left = [shard for shard in left if not shard.sealed]
        finally:
            del coming  # it is read no more while its file is open
            if is_taken_over:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _hold(self, shards: Iterable[Shard]) -> None:
        """Raise what ends all: what ended a shard, but for its share, and that it was told to stop."""
        for shard in shards:
            if shard.error is not None and not isinstance(shard.error, _OF_ITS_OWN):
                raise shard.error
        if self._stopped.is_set():
            raise self._interrupted(goes_on=True)

    def _fruitless(self, shards: Iterable[Shard], lost: str) -> RunllmError:
        """Why a round came to nothing."""
        error = next((shard.error for shard in shards if shard.error), None)
        budget = self.options.budget
        if error is not None and "most" in error.details and budget is not None:
            try:
                budget.take({}, {"cost": inf})  # what is left of the whole is too little for a call of each worker
            except BudgetExceededError as of_all:
                return of_all
        return error or EngineUnavailableError(
            f"Daft's workers are lost before a row has ended: {lost or 'they said nothing'}",
            hint="Run the same command again once that is mended: nothing that has ended is lost.",
        )

    def _cut(self, coming: Iterator[tuple[int, Row]], rows: int) -> list[Shard]:
        """Write so many rows down as shards, one for each worker, in a folder beside the output.

        Raises:
            FileAccessError: they cannot be written.
        """
        folder, shards = self._folder, list[Shard]()
        workers = min(self._workers, rows)
        name, size = secrets.token_hex(4), min(MOST_ROWS, -(-rows // max(1, workers)))
        try:
            for number in range(workers):
                folder.mkdir(exist_ok=True)
                shard = Shard(f"{folder}/{name}-{number}")
                some = islice(coming, size)
                if shard.write((index, row.line, self.feeding.given(row)) for index, row in some):
                    shards.append(shard)
        except OSError as error:
            said = f"the rows of a shard cannot be written in `{folder}`: {error.strerror or error}"
            raise FileAccessError(said, details={"path": str(folder)}) from None
        return shards

    @property
    def _folder(self) -> Path:
        return folder_of(str(self.wanted.target)).absolute()

    @property
    def _workers(self) -> int:
        return max(1, min(self._daft.machines, self.options.concurrency or many.DEFAULT_ROWS))

    def _shares(self, left: Sequence[Shard], checked: Checked) -> tuple[Share, ...]:
        """What the workers of some shards may do, so that together they do no more than the whole may."""
        budget, wanted, most = self.options.budget, self.wanted, self.wanted.max_failures
        assert budget is not None  # noqa: S101 - as above
        bounds, spent = budget.bounds, budget.spent
        calls = None if bounds.calls is None else bounds.calls - spent.calls
        fails = None if most is None else int(most * checked.rows if 0 < most < 1 else most) - self.counts.failed
        count = min(self._workers, len(left), *(one for one in (calls, fails and fails + 1) if one))
        rpm, tpm = (rate and rate / count for rate in (wanted.rpm, wanted.tpm))
        cost = None if bounds.cost is None else (bounds.cost - spent.cost) / count
        usual = replace(
            self.app.options, budget=None, pace=None, listener=None, max_cost=cost, max_time=None,
            folder=(self.app.options.folder or Path()).absolute(),
        )  # fmt: skip
        return tuple(
            Share(
                stem=shard.stem,
                rows=len(shard),
                options=replace(
                    usual,
                    concurrency=_part(self.options.concurrency, number, count),
                    max_calls=_part(calls, number, count),
                ),
                rpm=rpm,
                tpm=tpm,
                max_failures=_part(fails, number, count),
            )
            for number, shard in enumerate(left[:count])
        )

    def _round(self, journal: Journal, shards: Sequence[Shard], shares: tuple[Share, ...], checked: Checked) -> str:
        """Have workers run shards until they are done or stop; why one was lost, or nothing."""
        stop = self._folder / f"{secrets.token_hex(4)}.stop"
        here = os.getpid() if self._daft.is_here else None
        task = Task(plan=self.app.plan, shares=shares, runtime=self._runtime, stop=str(stop), parent=here)
        lost, seen = list[str](), 0
        for shard in shards:
            shard.error = None

        def run() -> None:
            try:
                self._daft.run(task)
            except Exception as error:
                lost.append(reason(error))

        thread = Thread(target=run, name="runllm-shards", daemon=True)  # so that this one hears of Ctrl-C
        thread.start()
        while thread.is_alive() and seen < _LEFT_LYING:
            thread.join(_LOOK)
            self._take_over(journal, shards)
            if self._is_over(shards, checked):
                stop.touch()
            seen = seen + 1 if _has_ended_child() else 0
        if thread.is_alive():
            os.waitpid(-1, os.WNOHANG)
            lost.append("it ended before it began")
        stop.touch()
        for shard in shards:
            shard.wait()
        self._take_over(journal, shards)
        journal.sync()
        for shard in shards:
            if shard.sealed:
                shard.delete()
        return lost[0] if lost and not all(shard.sealed for shard in shards) else ""

    def _is_over(self, shards: Iterable[Shard], checked: Checked) -> bool:
        """Whether all workers are to stop."""
        budget = self.options.budget
        is_late = budget is not None and budget.seconds_left == 0
        ends_all = any(shard.error and not isinstance(shard.error, _OF_ITS_OWN) for shard in shards)
        return self._stopped.is_set() or is_late or ends_all or self._too_many(checked)

    def _take_over(self, journal: Journal, shards: Iterable[Shard]) -> None:
        """Take what has come into the journals of shards into that of the whole."""
        budget = self.options.budget
        assert budget is not None  # noqa: S101 - as above
        for shard in shards:
            for ended, ends in shard.ended():
                (journal.add if ends else journal.spend)(ended)
                self.counts.add(ended, ends=ends)
                self.tally.add(ended, ends=ends)
                budget.spend(calls=ended.calls, tokens=ended.tokens, cost=ended.cost or 0.0)


def _part(whole: int | None, number: int, parts: int) -> int | None:
    """One of the parts into which a whole is split, as even as can be."""
    return None if whole is None else whole // parts + (number < whole % parts)


def _has_ended_child() -> bool:
    """Whether a process of this one has ended and nobody asked: Daft waits for ever for one that ends as it starts."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except (AttributeError, ChildProcessError):  # Windows has no such call
        return False
