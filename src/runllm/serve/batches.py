"""Tables that an app runs on, row by row: each is checked as a whole, then run in a thread, then kept for a while.

All stand in one folder that nobody else may read, and that is gone when the service ends. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import Any, Literal

from runllm.api import as_error
from runllm.app import App
from runllm.batch import Batch, Expected, Reading, Wanted
from runllm.batch.columns import FAILED, MORE, WHOLE
from runllm.batch.journal import Ended
from runllm.batch.opening import opened
from runllm.batch.sources import Row
from runllm.errors import InterruptedRunError, RunllmError, UsageError
from runllm.results import RunResult
from runllm.schema import is_object
from runllm.serve import refusals
from runllm.serve.house import House
from runllm.serve.refusals import Refusal
from runllm.spending import Bounds, Budget

State = Literal["checked", "running", "done", "stopped", "failed"]
MOST_RUNNING = 4
_MOST_CHECKING = 2
_MOST_HELD = 16
_KEPT = 3600.0  # seconds after which one that does not run is dropped
_MISFITS = 200  # rows that are told of
_LAST = 2.0  # seconds for what ends when the service does
_PREFIX = "out_"


class Unfed(Refusal):
    """A table that does not say which of its columns feeds what."""

    def __init__(self, message: str, columns: Sequence[str], inputs: Sequence[str]) -> None:
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, message, "Say which column feeds which input with `columns`.")
        self._more = {"columns": list(columns), "inputs": list(inputs)}

    def body(self) -> dict[str, Any]:
        """The problem, with the names that there are."""
        return {**super().body(), **self._more}


class _Rows(Batch):
    """A batch whose rows are runs of the service: counted, each with the bounds of one, stopped without the others.

    A failure says no more than a client may know.
    """

    def __init__(self, app: App, wanted: Wanted, house: House) -> None:
        own, self._house = app.options, house
        apart = replace(own, pace=own.pace and own.pace.apart())
        super().__init__(App(app.plan, options=apart, runtime=app.runtime), wanted)
        budget = Budget(Bounds(), app.runtime.now, own.budget)
        bounds = {name: getattr(own, name) for name in ("max_calls", "max_cost", "max_time")}
        self.options = replace(self.options, budget=budget, **bounds)

    def _judged(self, job: tuple[int, Row], result: RunResult, answered: int) -> tuple[Row, Ended, RunllmError | None]:
        row, ended, ends_all = super()._judged(job, result, answered)
        self._house.metrics.ran(self.app.name, result)
        if result.error is not None:
            ended = replace(ended, message=refusals.body_of(result.error)["message"])
        return row, ended, ends_all


class Job:
    """One table and what becomes of it.

    Attributes:
        key: nobody can guess it.
        app: its name.
        file: what the client calls the table.
        columns: of the table.
        state: how far it is.
    """

    def __init__(self, key: str, app: App, file: str, folder: Path, house: House) -> None:
        self.key, self.app, self.file, self.folder = key, app.name, file, folder
        self.columns: tuple[str, ...] = ()
        self.state: State = "checked"
        self.touched = self.began = time.monotonic()
        self.error: RunllmError | None = None
        self._app, self._house = app, house
        self._expected: Expected | None = None
        self._ended: float | None = None

    @property
    def result(self) -> Path | None:
        """The table with what came of its rows; None while there is none."""
        path = self.folder / "result.csv"
        return path if self.state not in ("checked", "running") and path.exists() else None

    def check(self, table: Path, maps: Mapping[str, str]) -> None:
        """Hold all rows against the contract; calls nothing.

        Raises:
            Refusal: it cannot be read, no row fits, or nothing says which column feeds what.
        """
        reading = Reading(form="tsv" if table.suffix == ".tsv" else "csv")
        try:
            with ExitStack() as closing:
                source = opened([str(table)], reading)
                closing.callback(source.close)
                self.columns = source.columns or ()
            self.batch = _Rows(self._app, self._wanted(table, reading, maps), self._house)
            self._checked = self.batch.check()
            with suppress(RunllmError):
                self._expected = self.batch.forecast(self._checked)
        except UsageError as error:
            raise Unfed(
                self._own(error.message, table), self.columns, list(self._app.program.input.properties)
            ) from None
        except RunllmError as error:
            said = refusals.body_of(error)
            raise Refusal(
                HTTPStatus(said["status"]), self._own(said["message"], table), refusals.hint_of(error)
            ) from None

    def _own(self, message: str, table: Path) -> str:
        """A message that calls the table as its owner does."""
        return message.replace(str(table), self.file)

    def _wanted(self, table: Path, reading: Reading, maps: Mapping[str, str]) -> Wanted:
        """What is to be done: all columns are kept, but for what an earlier run said of failures."""
        contract = self._app.program.output_contract
        kept = [name for name in self.columns if name not in (*FAILED, MORE)]
        own = set(contract.properties) if is_object(contract.schema) and contract.properties else {WHOLE}
        target, prefix = str(self.folder / "result.csv"), _PREFIX if own & set(kept) else ""
        return Wanted(paths=[str(table)], target=target, reading=reading, maps=maps, keep=kept, prefix=prefix)

    def run(self) -> None:
        """Run every row; how it ended is in its state."""
        try:
            self.batch.run(self._checked, io.StringIO())
        except InterruptedRunError:
            ended: State = "stopped"
        except RunllmError as error:
            ended, self.error = "failed", error
        except Exception as error:  # a bug ends a batch, not the service
            ended, self.error = "failed", as_error(error)
        else:
            ended = "done"
        self.close()
        self._ended = self.touched = time.monotonic()
        self.state = ended

    def close(self) -> None:
        """Let go of its files."""
        if hasattr(self, "batch"):
            self.batch.__exit__()

    def told(self) -> dict[str, Any]:
        """What there is to know, as JSON."""
        counts, checked, tally = self.batch.counts, self._checked, self.batch.tally
        begun = self.state != "checked"
        passed = (self._ended or time.monotonic()) - self.began if begun else 0.0
        left = counts.rows - counts.done
        expected = self._expected
        return {
            "id": self.key,
            "app": self.app,
            "file": self.file,
            "state": self.state,
            "rows": counts.rows,
            "unfit": checked.unfit,
            "done": counts.done,
            "failed": counts.failed,
            "tokens": tally.tokens,
            "cost": tally.cost,
            "seconds": round(passed, 3),
            "seconds_left": round(passed / counts.done * left, 1) if counts.done else None,
            "expected": {
                "seconds": expected and expected.seconds and expected.seconds.p50,
                "cost": expected and expected.cost and expected.cost.p50,
            },
            "columns": self.columns,
            "inputs": list(self._app.program.input.properties),
            "feeds": dict(self.batch.feeding.columns),
            "misfits": [{"line": one.line, "message": one.message} for one in checked.misfits[:_MISFITS]],
            "kinds": self._kinds(),
            "has_result": self.result is not None,
            **({"problem": refusals.body_of(self.error)} if self.error else {}),
        }

    def _kinds(self) -> list[dict[str, Any]]:
        if self.state in ("checked", "running"):
            return []
        kinds = self.batch.summary(0).kinds
        return [{**asdict(one), "message": one.example} for one in kinds]


class Batches:
    """All tables of a service."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._checking = 0
        self._folder: TemporaryDirectory[str] | None = None

    def __getitem__(self, key: str) -> Job:
        """A table that is held.

        Raises:
            Refusal: there is none.
        """
        if key not in self._jobs:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such batch", "One that has ended is kept for an hour.")
        self._jobs[key].touched = time.monotonic()
        return self._jobs[key]

    def place(self) -> Path:
        """A new folder for a table.

        Raises:
            Refusal: there are too many already.
        """
        self._house.take_more()
        self._drop_old()
        if len(self._jobs) + self._checking >= _MOST_HELD or self._checking >= _MOST_CHECKING:
            raise _busy("too many tables are held or being checked")
        self._folder = self._folder or TemporaryDirectory(prefix="runllm-serve-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name) / token_urlsafe(16)
        folder.mkdir(mode=0o700)
        return folder

    async def check(self, app: App, file: str, table: Path, maps: Mapping[str, str]) -> Job:
        """Take a table that stands in a folder of its own, if its rows can be run.

        Raises:
            Refusal: they cannot.
        """
        job = Job(table.parent.name, app, file, table.parent, self._house)
        self._checking += 1
        try:
            await asyncio.to_thread(job.check, table, maps)
        except BaseException:
            job.close()
            raise
        finally:
            self._checking -= 1
        self._jobs[job.key] = job
        return job

    def begin(self, job: Job) -> None:
        """Run it.

        Raises:
            Refusal: it has been begun before, or too many run.
        """
        if job.state != "checked":
            raise Refusal(HTTPStatus.CONFLICT, "the batch has been begun before")
        if sum(one.state == "running" for one in self._jobs.values()) >= MOST_RUNNING:
            raise _busy(f"{MOST_RUNNING} batches are under way")
        job.state, job.began = "running", time.monotonic()
        self._threads[job.key] = threading.Thread(target=job.run, name="runllm-batch", daemon=True)
        self._threads[job.key].start()

    def end(self, job: Job) -> bool:
        """Stop it if it runs; else drop it and all that there is of it, and say so."""
        if job.state == "running":
            job.batch.stop()
            return False
        job.close()
        del self._jobs[job.key]
        shutil.rmtree(job.folder, ignore_errors=True)
        return True

    def _drop_old(self) -> None:
        """Drop what nobody has asked for of late; where there are many, those that were asked for longest ago."""
        idle = sorted((one for one in self._jobs.values() if one.state != "running"), key=lambda one: one.touched)
        many = len(self._jobs) + self._checking - _MOST_HELD + 1
        for number, job in enumerate(idle):
            if number < many or time.monotonic() - job.touched > _KEPT:
                self.end(job)

    async def close(self) -> None:
        """Stop all, and leave nothing behind."""
        for job in self._jobs.values():
            if job.state == "running":
                job.batch.stop()
        until = time.monotonic() + _LAST
        for thread in self._threads.values():
            await asyncio.to_thread(thread.join, max(0.0, until - time.monotonic()))
        for job in self._jobs.values():
            job.close()
        if self._folder is not None:
            self._folder.cleanup()


def _busy(message: str) -> Refusal:
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, "Ask again in a while.", {"Retry-After": "10"})
