"""What a batch is to do, and a first look at all its rows: without a call, and one row at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from hashlib import sha256
from typing import Any

from runllm.batch import writers
from runllm.batch.columns import Feeding
from runllm.batch.journal import Ended
from runllm.batch.sources import Reading, Row
from runllm.errors import InputSchemaError
from runllm.inputs import accepted
from runllm.schema import Contract
from runllm.values import frozen

MOST_SHOWN = 1_000
"""Rows that do not fit which are kept to be shown."""
_MOST_COLUMNS = 1_000  # of rows that say their own
_WRITTEN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str).encode


@frozen
class Wanted:
    """What a batch is to do.

    Attributes:
        paths: of the rows; standard input where there are none.
        target: the output; None for standard output.
        reading: how to read the rows.
        maps: the column of an input, where it is not the one of its name.
        keep: the columns of the rows that the output holds; None for all of them.
        key: the column that says which row a row is.
        prefix: before the name of each output.
        flatten: whether objects in an output become columns of their own.
        form: of the output; as its name says by default.
        raw_cells: whether a table may hold what a spreadsheet would take for a formula.
        ordered: whether rows on standard output stand in their order.
        limit: how many rows there are, at most.
        max_failures: rows that may fail: a number, or a share below 1; None for all.
        overwrite: whether an earlier output and its journal give way.
        retry_failed: whether rows that failed before are run again.
        rpm: the most calls a minute at one provider.
        tpm: the most tokens a minute at one provider.
        dry: whether nothing is run, and no file made.
    """

    paths: Sequence[str] = ()
    target: str | None = None
    reading: Reading = field(default_factory=Reading)
    maps: Mapping[str, str] = field(default_factory=dict[str, str])
    keep: Sequence[str] | None = None
    key: str | None = None
    prefix: str = ""
    flatten: bool = False
    form: writers.Form | None = None
    raw_cells: bool = False
    ordered: bool = True
    limit: int | None = None
    max_failures: float | None = None
    overwrite: bool = False
    retry_failed: bool = False
    rpm: float | None = None
    tpm: float | None = None
    dry: bool = False


@frozen
class Misfit:
    """A row whose input does not fit its contract: where it stands, what is wrong, and what to do about it."""

    line: int
    message: str
    hint: str | None


@frozen
class Checked:
    """What a look at all rows found.

    Attributes:
        rows: how many there are.
        digest: SHA-256 of the inputs that they mean.
        misfits: the first that do not fit.
        unfit: how many do not.
        columns: of all rows, where each says its own.
        before: the digest of as many rows as an earlier batch had; empty where there are fewer.
        samples: inputs from here and there that fit.
    """

    rows: int
    digest: str
    misfits: tuple[Misfit, ...]
    unfit: int
    columns: tuple[str, ...]
    before: str
    samples: tuple[Any, ...]


class Counts:
    """How far a batch is; read by others while it goes on.

    Attributes:
        rows: how many there are.
        done: how many have ended, those of earlier times included.
        good: how many of them have an output.
        failed: how many of them failed.
        tokens: of prompts and answers, now.
        cost: US dollars, earlier ones included.
        begun: how many had ended when this began.
        in_flight: says how many calls are.
        waiting: says for how many seconds the provider wants to be left alone.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.done = self.good = self.failed = self.tokens = self.begun = 0
        self.cost = 0.0
        self.in_flight: Callable[[], int] = lambda: 0
        self.waiting: Callable[[], float] = lambda: 0.0

    def add(self, ended: Ended, *, ends: bool = True) -> None:
        """Count how a row ended, and what it took; or the latter alone."""
        self.done += ends
        self.failed += ends and ended.failed
        self.good += ends and not ended.failed
        self.tokens += ended.tokens
        self.cost += ended.cost or 0.0


def checked_rows(rows: Iterable[Row], feeding: Feeding, contract: Contract, known: int | None) -> Checked:
    """Hold each row against the contract of its input.

    Args:
        rows: all of them.
        feeding: makes inputs of them.
        contract: of the input.
        known: how many rows an earlier batch had; None where there was none.

    Raises:
        InputSchemaError: they break the form of their file.
    """
    digest, before = sha256(), ""
    misfits: list[Misfit] = []
    samples: list[Any] = []
    columns: dict[str, None] = {}
    count = unfit = 0
    for count, row in enumerate(rows, 1):
        given = feeding.given(row)
        digest.update(_WRITTEN(given).encode(errors="surrogatepass"))
        before = digest.hexdigest() if count == known else before
        if len(columns) < _MOST_COLUMNS:
            columns |= dict.fromkeys(row.cells)
        if error := _misfit(contract, given):
            unfit += 1
            said = Misfit(line=row.line, message=error.message, hint=error.recovery_hint)
            misfits += [said] if unfit <= MOST_SHOWN else []
        elif count & (count - 1) == 0:
            samples.append(given)
    return Checked(
        rows=count,
        digest=digest.hexdigest(),
        misfits=tuple(misfits),
        unfit=unfit,
        columns=tuple(columns),
        before=before,
        samples=tuple(samples),
    )


def _misfit(contract: Contract, given: Any) -> InputSchemaError | None:
    try:
        accepted(contract, given)
    except InputSchemaError as error:
        return error
    return None
