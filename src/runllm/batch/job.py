"""One batch: check every row, run those that have not ended, write the output.

The journal is what counts: a row has ended when its line stands there, and the output is made of it whenever the batch
ends, however it does. Where the output is a pipe there is no journal, and rows are written as they end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from threading import Event
from typing import Any, Self, TextIO

from runllm import files
from runllm.api import as_error
from runllm.app import App
from runllm.batch import apart, writers
from runllm.batch.addresses import Address, is_address
from runllm.batch.checking import Checked, Counts, Wanted, checked_rows
from runllm.batch.columns import Feeding, Shape
from runllm.batch.journal import Ended, Journal
from runllm.batch.lines import Delimited
from runllm.batch.opening import opened
from runllm.batch.sources import Row, Source
from runllm.batch.tally import Expected, Summary, Tally, expected
from runllm.diagnostics import told
from runllm.errors import BudgetExceededError, InputSchemaError, InterruptedRunError, RunllmError, UsageError
from runllm.executor import many
from runllm.pace import is_pressure
from runllm.predict import forecast
from runllm.results import RunResult
from runllm.routing import Options


class Batch:
    """A batch, from its rows to its output. A context manager: it holds files until its end.

    Attributes:
        counts: how far it is.
    """

    counts: Counts

    def __init__(self, app: App, wanted: Wanted) -> None:
        """Open what it needs; nothing is run.

        Args:
            app: what runs on each row.
            wanted: what is to be done.

        Raises:
            FileAccessError: a file cannot be read or written, or another process writes the output.
            InputSchemaError: the rows break the form of their file.
            UsageError: what is wanted can mean nothing, or the output is another's.
        """
        self._address = Address(str(wanted.target)) if is_address(wanted.target) else None
        self.app, self.wanted = app, replace(wanted, target=self._address.here) if self._address else wanted
        self.options: Options = many.shared(app.options, app.runtime, rpm=wanted.rpm, tpm=wanted.tpm)
        self.form: writers.Form = writers.form_of(wanted.target, wanted.form)
        self.tally = Tally()
        self._stopped = Event()
        self._closing = ExitStack()
        if app.runtime.store is not None:
            self._closing.callback(app.runtime.store.finish)
        try:
            self.source = self._opened()
            self._closing.callback(self.source.close)
            self.feeding = Feeding(app.program.input, self.source, wanted.maps)
            if self.source.columns is not None:
                self.shape = self._shape(self.source.columns)
            self.journal = self._journal()
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _opened(self) -> Source:
        return opened(self.wanted.paths, self.wanted.reading)

    def _shape(self, columns: Sequence[str]) -> Shape:
        wanted = self.wanted
        kept = [one for one in columns if one != self.source.bulky] if wanted.keep is None else wanted.keep
        for name in (*kept, *((wanted.key,) if wanted.key else ())):
            if name not in columns:
                has = f"They have: {', '.join(map(told, columns))}."
                raise UsageError(f"the rows have no column {told(name)}", hint=has)
        contract = self.app.program.output_contract
        return Shape(contract, kept, prefix=wanted.prefix, flatten=wanted.flatten, key=wanted.key)

    def _journal(self) -> Journal | None:
        """The journal of the output; None where it is no file."""
        target = self.wanted.target
        if target is None or self.wanted.dry:
            return None
        apart.keep_apart(target, self.app.program.source.name, self.wanted.paths)
        path = f"{target}.journal"
        there = [target] if os.path.exists(target) else []  # noqa: PTH110 - as above
        there += [self._address.name] if self._address and self._address.is_there() else []
        if there and not os.path.exists(path) and not self.wanted.overwrite:  # noqa: PTH110 - as above
            raise UsageError(
                f"`{there[0]}` is there, and no journal that says how it was made",
                hint="Name another output, or let it be replaced with `--overwrite`.",
            )
        journal = Journal(path, anew=self.wanted.overwrite)
        self._closing.callback(journal.close)
        if os.path.isdir(f"{target}.shards"):  # noqa: PTH112 - as above
            from runllm.batch import shard  # where the batch was run in shards, and was killed

            shard.take_over(target, journal)
        return journal

    def keep_apart(self, report: str) -> None:
        """Refuse a report that would be written over something of the batch: see `runllm.batch.apart`."""
        apart.keep_report_apart(report, self.wanted.target, self.app.program.source.name, self.wanted.paths)

    def stop(self) -> None:
        """Begin no row any more; those under way end."""
        self._stopped.set()
        if self.options.pace is not None:
            self.options.pace.stop()

    @property
    def rows(self) -> Iterator[Row]:
        """The rows, as many as are wanted."""
        return islice(self.source.rows(), self.wanted.limit)

    def check(self) -> Checked:
        """Read all rows and hold each against the contract of its input; calls nothing.

        Raises:
            InputSchemaError: the rows break the form of their file, there are none, or none fits.
        """
        header = self.journal.header if self.journal else None
        known = header["rows"] if header else None
        checked = checked_rows(self.rows, self.feeding, self.app.program.input, known)
        if not checked.rows:
            raise InputSchemaError(f"{self.source.name} holds no rows")
        if checked.unfit == checked.rows:
            first = checked.misfits[0]
            raise self.source.refusal(first.line, f"{first.message} (as in every row)", first.hint or "")
        if self.source.columns is None:
            self.shape = self._shape(checked.columns)
        self.counts = Counts(checked.rows)
        if self.journal is not None:
            self._agree(self.journal, checked)
        return checked

    def run(self, checked: Checked, out: TextIO) -> None:
        """Run every row that has not ended, and write the output, whatever ends it but a second interruption.

        Args:
            checked: what `check` gave.
            out: standard output, where there is no file.

        Raises:
            BudgetExceededError: a bound of all was reached.
            RunllmError: what would end every other row as well; or nothing can be written.
            InterruptedRunError: it was stopped.
        """
        if self.journal is None:
            self._bound(())
            writers.write(self._streamed(checked), out, self.layout(self.shape.columns))
            return
        self._bound(self.journal.all())
        stopped: RunllmError | None = None
        try:
            for _ in self._ends(self.journal, checked):
                pass
        except RunllmError as error:
            stopped = error
        self.journal.sync()
        with files.writing(str(self.wanted.target)) as file:
            writers.write(self._all(self.journal), file, self.layout(self.shape.columns))
        if self._address is not None:
            self._address.put()
        if stopped is not None:
            raise stopped

    def _agree(self, journal: Journal, checked: Checked) -> None:
        """Hold the batch against the one that the journal is of, and write down what it is.

        Raises:
            UsageError: the answers of the two would not be the same.
        """
        now = {"rows": checked.rows, "digest": checked.digest, **many.identity(self.app.plan, self.options)}
        then = journal.header
        if then is not None:
            fewer = checked.rows < then["rows"]
            changed = [f"the rows (there were {then['rows']:,}, and now {checked.rows:,})"] if fewer else []
            changed += [] if fewer or checked.before == then["digest"] else ["the rows"]
            changed += [_CHANGED[name] for name in ("apps", "models") if now[name] != then.get(name)]
            if changed:
                raise UsageError(
                    f"`{self.wanted.target}` was begun otherwise: {' and '.join(changed)} changed since",
                    details={"journal": journal.path, "changed": changed},
                    hint="Answers of both would stand in one file. Name another one, or begin anew with `--overwrite`.",
                )
        if then is None or then["rows"] != checked.rows:
            journal.begin(now)

    def _bound(self, earlier: Iterable[tuple[Ended, bool]]) -> None:
        """Count what ended earlier, and leave the budget what all of it has left; what runs again has not ended."""
        counts, calls = self.counts, 0
        for ended, counted in earlier:
            ends = counted and not (ended.failed and self.wanted.retry_failed)
            counts.add(ended, ends=ends)
            self.tally.add(ended, ends=ends)
            calls += ended.calls
        counts.begun = counts.done
        budget, pace = self.options.budget, self.options.pace
        assert budget is not None  # noqa: S101 - many runs share one
        assert pace is not None  # noqa: S101 - as above
        budget.spend(calls=calls, tokens=counts.tokens, cost=counts.cost)
        counts.tokens = 0
        counts.in_flight, counts.waiting = (lambda: pace.in_flight), (lambda: pace.waiting)

    def _ends(self, journal: Journal | None, checked: Checked) -> Iterator[tuple[Row, Ended]]:
        """Run the rows that have to be; each is kept before it is given.

        Raises:
            RunllmError: as `run`.
        """
        ordered = journal is None and self.wanted.ordered
        workers = self.options.concurrency or many.DEFAULT_ROWS
        loop = many.loop_of(self.app.plan, self.options, self.app.runtime)
        ending = many.each(
            self._end,
            self._left(journal, checked),
            workers=workers,
            within=(self._aend, loop) if loop else None,
            ordered=ordered,
            stopped=self._stopped.is_set,
        )
        stopped: RunllmError | None = None
        if self._too_many(checked):
            raise self._failures(checked)
        for _, (row, ended, error) in ending:
            if error is not None:
                stopped = stopped or error
                self.stop()
                self.tally.add(ended, ends=False)
                if journal is not None and ended.calls:
                    journal.spend(ended)
                continue
            if journal is not None:
                journal.add(ended)
            self.counts.add(ended)
            self.tally.add(ended)
            yield row, ended
            if stopped is None and self._too_many(checked):
                stopped = self._failures(checked)
                self.stop()
        if stopped is None and self._stopped.is_set():
            stopped = self._interrupted(goes_on=journal is not None)
        if stopped is not None:
            raise stopped

    def _interrupted(self, *, goes_on: bool) -> InterruptedRunError:
        """What says that it was stopped, and what is to be done; nothing, where all had ended by then."""
        if self.counts.done >= self.counts.rows:
            return InterruptedRunError("the batch was stopped", hint="Every row had ended by then: it is done.")
        hint = "The same command goes on where it stopped." if goes_on else "Run it again to start over."
        return InterruptedRunError("the batch was stopped", hint=hint)

    def _left(self, journal: Journal | None, checked: Checked) -> Iterator[tuple[int, Row]]:
        """The rows that have not ended, or are to be run again, with their places; no more are read than there are."""
        again = self.wanted.retry_failed

        def found() -> Iterator[tuple[int, Row]]:
            for index, row in enumerate(self.rows):
                ended = journal.found(index) if journal and again else None
                if journal is None or not journal.ended(index) or (ended is not None and ended.failed):
                    yield index, row

        return islice(found(), checked.rows - self.counts.done)

    def _end(self, job: tuple[int, Row]) -> tuple[Row, Ended, RunllmError | None]:
        """Run one row, in a thread; beside how it ended, the error that would end every other row as well."""
        answered = self.counts.good
        try:
            result = self.app.result(self.feeding.given(job[1]), self.options)
        except Exception as error:  # a bug ends a row, not the thousands beside it
            result = _broken(error)
        return self._judged(job, result, answered)

    async def _aend(self, job: tuple[int, Row]) -> tuple[Row, Ended, RunllmError | None]:
        """As `_end`, in an event loop."""
        answered = self.counts.good
        try:
            result = await self.app.aresult(self.feeding.given(job[1]), self.options)
        except Exception as error:  # as above
            result = _broken(error)
        return self._judged(job, result, answered)

    def _judged(self, job: tuple[int, Row], result: RunResult, answered: int) -> tuple[Row, Ended, RunllmError | None]:
        """What `_end` gives; `answered` is how many rows had an output when this one began."""
        (index, row), error = job, result.error
        # A provider that answered nobody for as long as this row waited for it: the others wait for a better day.
        gone = error is not None and is_pressure(error) and self.counts.good == answered
        ends_all = error if error is not None and (gone or many.concerns_all(error, self.options)) else None
        return row, _ended(index, row, result), ends_all

    def _too_many(self, checked: Checked) -> bool:
        most = self.wanted.max_failures
        if most is None:
            return False
        return self.counts.failed > (most * checked.rows if 0 < most < 1 else most)

    def _failures(self, checked: Checked) -> BudgetExceededError:
        return BudgetExceededError(
            f"{self.counts.failed:,} of {checked.rows:,} rows failed, more than may",
            hint="See `_error` of those rows. Allow more with `--max-failures`, or run them again: `--retry-failed`.",
        )

    def _streamed(self, checked: Checked) -> Iterator[dict[str, Any]]:
        for row, ended in self._ends(None, checked):
            yield self._row(row, ended)

    def _all(self, journal: Journal) -> Iterator[dict[str, Any]]:
        for index, row in enumerate(self.rows):
            if (ended := journal.found(index)) is not None:
                yield self._row(row, ended)

    def _row(self, row: Row, ended: Ended) -> dict[str, Any]:
        if ended.failed:
            return self.shape.failed(row, ended.code, ended.message)
        return self.shape.of(row, ended.output)

    def forecast(self, checked: Checked) -> Expected:
        """What the batch will take, as the recorded runs tell."""
        fit = checked.rows - checked.unfit
        app, runtime = self.app, self.app.runtime
        found = [forecast(app.plan, given, self.options, runtime, runtime.store) for given in checked.samples]
        return expected(fit, checked.unfit, self.options.concurrency or many.DEFAULT_ROWS, found)

    def summary(self, elapsed: float) -> Summary:
        """What it came to; `elapsed` is how long it took."""
        return self.tally.summary(self.counts.rows, elapsed)

    def layout(self, columns: Sequence[str]) -> writers.Layout:
        """How the output is written: a CSV as the one that the rows came from."""
        like = self.source.delimiter if isinstance(self.source, Delimited) else self.wanted.reading.delimiter
        return writers.Layout(
            form=self.form,
            columns=columns,
            delimiter=like if like and like != "\t" else ",",
            mark=self.source.marked,
            raw=self.wanted.raw_cells,
            types=writers.types_of(self.app.program.output_contract, self.wanted.prefix),
        )


_CHANGED = {"apps": "the app or one that it uses", "models": "the model, its address or its parameters"}


def _broken(error: Exception) -> RunResult:
    return RunResult(output=None, error=as_error(error))


def _ended(index: int, row: Row, result: RunResult) -> Ended:
    error, usage = result.error, result.usage
    calls = sum(not completion.cached for completion in result.completions())
    return Ended(
        index=index,
        line=row.line,
        output=result.output,
        code=error.code if error else "",
        message=error.message if error else "",
        calls=calls,
        tokens=usage.total_tokens,
        cost=result.cost,
        seconds=round(result.latency, 3),
        first=bool(calls) and error is None and len(result.attempts) <= 1,
        cached=result.cached,
    )
