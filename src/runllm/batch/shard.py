"""A shard of a batch as files: its rows, their places among all rows, and the journal of the worker that runs it.

They lie in a folder beside the output, and what stands in the journals is taken over into that of the whole while they
grow, and whenever a batch is gone on with. So the journal of the whole is what counts, as without shards.
"""

from __future__ import annotations

import json
import shutil
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from runllm.batch.journal import Ended, Journal, added, is_held
from runllm.errors import FileAccessError, RunllmError, class_of

_PATIENCE = 100.0  # seconds for which a worker that nobody waits for any more may still finish its calls
_LOOK = 0.1


class Shard:
    """A shard.

    Attributes:
        stem: how the paths of its files begin.
        rows: of its inputs, a JSON value a line.
        output: beside which its journal lies; nothing is ever written there.
        sealed: whether every row of it has ended, as its journal says.
        error: what ended it early, when it was last run; None where nothing did.
    """

    def __init__(self, stem: str) -> None:
        self.rows, self.output = f"{stem}.jsonl", f"{stem}.out"
        self._journal, self.stem = f"{self.output}.journal", stem
        self._at = 0
        self._places = array("q")
        self.sealed = False
        self.error: RunllmError | None = None

    def write(self, rows: Iterable[tuple[int, int, Any]]) -> int:
        """Write its rows: the place of each among all of them, its line, and the input that it means; how many."""
        with Path(self.rows).open("w", encoding="utf-8") as file:
            for index, line, given in rows:
                file.write(json.dumps(given, default=str) + "\n")
                self._places.extend((index, line))
        Path(f"{self.stem}.places").write_bytes(self._places.tobytes())
        return len(self)

    def __len__(self) -> int:
        return len(self._places) // 2

    def read_places(self) -> None:
        """Know its places, as they were written."""
        self._places = array("q", Path(f"{self.stem}.places").read_bytes())

    def ended(self) -> Iterator[tuple[Ended, bool]]:
        """What has come into its journal since this was last asked: how a row ended, or what one cost that did not."""
        for said, at in added(self._journal, self._at):
            self._at = at
            if isinstance(said, Ended):
                is_row, place = said.index >= 0, 2 * said.index
                found = {"index": self._places[place], "line": self._places[place + 1]} if is_row else {}
                yield replace(said, **found), is_row
            else:
                self.sealed, self.error = said.get("sealed", False), _error(said.get("stopped"))

    def wait(self) -> None:
        """Wait until no worker has it, as one that has lost whoever began it still ends its calls.

        Raises:
            FileAccessError: one does not end.
        """
        until = time.monotonic() + _PATIENCE
        while is_held(self._journal):
            if time.monotonic() > until:
                said = f"a worker of an earlier batch still writes `{self._journal}`"
                raise FileAccessError(said, hint="Wait until its calls have ended, or stop it.")
            time.sleep(_LOOK)

    def delete(self) -> None:
        """Delete its files."""
        for path in (self.rows, f"{self.stem}.places", self._journal):
            with suppress(OSError):
                Path(path).unlink()


def folder_of(target: str) -> Path:
    """Where the shards of an output lie."""
    return Path(f"{target}.shards")


def take_over(target: str, journal: Journal) -> None:
    """Take over what an earlier batch left in the journals of its shards, which are then deleted.

    Args:
        target: the output.
        journal: of the whole; where nothing was begun, nothing counts.

    Raises:
        FileAccessError: a worker of it does not end, or something cannot be read or written.
    """
    folder = folder_of(target)
    for path in sorted(folder.glob("*.places")):
        shard = Shard(str(path.with_suffix("")))
        shard.wait()
        shard.read_places()
        for ended, ends in shard.ended() if journal.header else ():
            if not ends:
                journal.spend(ended)
            elif not journal.ended(ended.index) or journal.found(ended.index) != ended:
                journal.add(ended)
    journal.sync()
    shutil.rmtree(folder, ignore_errors=True)


def stopped(error: RunllmError) -> dict[str, Any]:
    """What a journal says of what ended its shard early."""
    said = {"hint": error.recovery_hint, "details": error.details}
    return {"stopped": {"kind": type(error).__name__, "message": error.message, **said}}


def _error(said: Mapping[str, Any] | None) -> RunllmError | None:
    return class_of(said["kind"])(said["message"], hint=said["hint"], details=said["details"]) if said else None
