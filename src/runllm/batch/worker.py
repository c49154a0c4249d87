"""What a worker does that Daft has started: it runs a shard as `runllm batch` runs a table.

The app and the settings have travelled here; keys are those of the environment that is here. It ends soon when the
batch is stopped, or when the process that began it is gone.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runllm.app import App, new_runtime
from runllm.batch.checking import Checked, Counts, Wanted
from runllm.batch.job import Batch
from runllm.batch.shard import Shard, stopped
from runllm.batch.sources import Reading
from runllm.errors import RunllmError
from runllm.program import Plan
from runllm.routing import Options
from runllm.values import frozen

_LOOK = 0.2  # seconds between two looks at whether all is to stop


@frozen
class Share:
    """What the worker of one shard may do of what the whole may.

    Attributes:
        stem: of the shard's files.
        rows: of the shard.
        max_failures: rows of it that may fail.
    """

    stem: str
    rows: int
    options: Options
    rpm: float | None
    tpm: float | None
    max_failures: int | None


@frozen
class Task:
    """What all workers are told; no key is in it.

    Attributes:
        shares: of each shard.
        runtime: how its runtime is made.
        stop: the file that tells them to stop.
        parent: the process that began them, where that is on this machine.
    """

    plan: Plan
    shares: tuple[Share, ...]
    runtime: Mapping[str, Any]
    stop: str
    parent: int | None


class Worker:
    """Runs shards, one after another."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._running: _Running | None = None
        with suppress(ValueError):  # Ctrl-C is for the one that began this: it tells when to stop
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._runtime = new_runtime(**task.runtime)
        threading.Thread(target=self._watch, daemon=True).start()

    def run(self, number: int) -> None:
        """Run one of the shards, or what is left of it.

        Raises:
            RunllmError: its files cannot be read or written.
        """
        share = self._task.shares[number]
        if not self._is_over:
            app = App(self._task.plan, options=share.options, runtime=self._runtime)
            with _Running(app, share) as self._running:
                self._running.end(share.rows)

    @property
    def _is_over(self) -> bool:
        return self._task.parent not in (None, os.getppid()) or Path(self._task.stop).exists()

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK)
            if self._is_over and self._running is not None:
                self._running.stop()


class _Running(Batch):
    """The batch that a shard is."""

    def __init__(self, app: App, share: Share) -> None:
        shard = Shard(share.stem)
        wanted = Wanted(
            paths=[shard.rows],
            target=shard.output,
            reading=Reading(form="jsonl"),
            form="jsonl",
            max_failures=share.max_failures,
            rpm=share.rpm,
            tpm=share.tpm,
        )
        super().__init__(app, wanted)

    def end(self, rows: int) -> None:
        """Run what has not ended; the journal then says whether all has, or what ended it early."""
        assert self.journal is not None  # noqa: S101 - there is an output
        self.journal.begin({"rows": rows})
        self.counts = Counts(rows)
        checked = Checked(rows=rows, digest="", misfits=(), unfit=0, columns=(), before="", samples=())
        try:
            for _ in self._ends(self.journal, checked):
                pass
        except RunllmError as error:
            self.journal.begin(stopped(error))
        else:
            self.journal.begin({"sealed": True})
