"""What of a batch in shards is Daft's: it reads tables, and has workers run shards, on this machine or by Ray.

Daft is imported here alone, and only when asked for. Its bound on calls, its batches, its checkpoint and its errors are
not used: see docs/scale.md.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runllm.batch.lines import JsonLines
from runllm.batch.opening import FORMS
from runllm.batch.sources import Form, Reading
from runllm.batch.tables import as_json
from runllm.batch.texts import are_many, is_pattern
from runllm.batch.worker import Task, Worker
from runllm.errors import EngineUnavailableError, FileAccessError, UsageError
from runllm.installation import REQUIREMENTS, adding

_SOON = 10.0  # seconds
# Read when it is imported, by its workers too: it calls home unless told not to.
_QUIET = {"DO_NOT_TRACK": "1", "DAFT_ANALYTICS_ENABLED": "0", "DAFT_PROGRESS_BAR": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class Daft:
    """Daft, on this machine or on a Ray cluster.

    Attributes:
        machines: how many workers may run at the same time.
        is_here: whether they run on this machine.
    """

    def __init__(self, ray: str | None) -> None:
        """Import and start it.

        Args:
            ray: the address of a cluster; None for this machine.

        Raises:
            EngineUnavailableError: it is not installed, or the cluster cannot be reached.
        """
        self._daft = _library("daft", "--shards-on", "scale")
        self.is_here = ray is None
        self.machines = os.cpu_count() or 1
        if ray is None:
            self._daft.set_runner_native()
            return
        cluster = _library("ray", "--ray")
        try:
            _reach(ray)
            cluster.init(address=ray, log_to_driver=False, ignore_reinit_error=True)
            self._daft.set_runner_ray(ray, noop_if_initialized=True)
            self.machines = int(cluster.cluster_resources().get("CPU", 1))
        except Exception as error:
            raise EngineUnavailableError(
                f"the Ray cluster at {ray} cannot be used: {reason(error)}",
                hint="`ray status --address ADDRESS` says whether it runs; it needs Daft and runllm on every machine.",
            ) from None

    def table(self, paths: Sequence[str], reading: Reading) -> JsonLines | None:
        """A table at addresses, or of several files; None where that is no table, or one file on this machine.

        Raises:
            FileAccessError: it cannot be read.
            UsageError: it is not UTF-8.
        """
        form = reading.form or FORMS.get(Path(paths[0]).suffix.lower() if paths else "")
        several = bool(paths) and (are_many(paths) or "://" in paths[0])
        if not several or form not in ("csv", "tsv", "jsonl", "parquet"):
            return None
        if (reading.encoding or "utf-8").lower() not in ("utf-8", "utf8"):
            raise UsageError(
                "tables at addresses, and several in one batch, are read as UTF-8",
                hint="Leave `--encoding` out where they are, else save them as UTF-8.",
            )
        name = " ".join(paths)
        try:
            return _Table(self._read(list(paths), form, reading), name, form)
        except Exception as error:  # its errors are many, and all say that it cannot read it
            raise FileAccessError(f"{name} cannot be read: {reason(error)}", details={"path": paths[0]}) from None

    def _read(self, paths: list[str], form: Form, reading: Reading) -> Any:
        daft = self._daft
        # In the order of their names: Daft reads what a pattern names as the file system lists it.
        paths = [file for path in paths for file in self._files(path)]
        if form in ("parquet", "jsonl"):
            return daft.read_parquet(paths) if form == "parquet" else daft.read_json(paths)
        delimiter = reading.delimiter or ("\t" if form == "tsv" else None)
        names = daft.read_csv(paths, delimiter=delimiter).column_names
        texts = {name: daft.DataType.string() for name in names}  # as they stand: the contract says what they mean
        return daft.read_csv(paths, delimiter=delimiter, infer_schema=False, schema=texts)

    def _files(self, path: str) -> list[str]:
        if not is_pattern(path):
            return [path]
        try:
            return sorted(self._daft.from_glob_path(path).to_pydict()["path"])
        except ValueError:  # what it says is of its own inside
            raise FileNotFoundError(f"no file is there for {path}") from None

    def run(self, task: Task) -> None:
        """Have workers run all shards of a task, each in a process of its own, and wait.

        Raises:
            Exception: a worker is gone, or Daft failed; it is of no class in particular.
        """
        daft, shards = self._daft, len(task.shares)
        table = daft.from_pydict({"shard": list(range(shards))})
        if not self.is_here:
            table = table.into_partitions(shards)  # a machine takes one at a time
        run = _workers(daft, shards)(pickle.dumps(task)).run(daft.col("shard"))
        table.select(run.alias("shard")).collect()


def _workers(daft: Any, count: int) -> Any:
    """The class whose methods Daft runs, in so many processes; it goes there by value, and so is defined here."""

    class Workers:
        def __init__(self, task: bytes) -> None:
            self._worker = Worker(pickle.loads(task))  # noqa: S301 - what the process that started this one wrote

        @daft.method.batch(return_dtype=daft.DataType.int64(), batch_size=1)
        def run(self, shards: Any) -> list[int]:
            numbers: list[int] = shards.to_pylist()
            for number in numbers:
                self._worker.run(number)
            return numbers

    return daft.cls(Workers, use_process=True, max_concurrency=count)


class _Table(JsonLines):
    """A table that Daft reads, kept as lines on this machine, so that it has the same rows whenever they are read."""

    counted = "row"

    def __init__(self, table: Any, name: str, form: Form) -> None:
        self.as_text = form in ("csv", "tsv")
        if form != "jsonl":
            self.columns = tuple(table.column_names)
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
        for cells in table.iter_rows():
            # Daft has an empty cell of a CSV as a null, and gives each row of JSON Lines every column.
            empty = "" if self.as_text else None
            found = {
                n: empty if c is None else as_json(c) for n, c in cells.items() if form != "jsonl" or c is not None
            }
            spool.write(json.dumps(found).encode() + b"\n")
        super().__init__(spool, name, Reading(encoding="utf-8"))


def _library(name: str, option: str, extra: str = "") -> Any:
    os.environ.update(_QUIET)
    try:
        return import_module(name)
    except ModuleNotFoundError:
        here = ".".join(map(str, sys.version_info[:2]))
        raise EngineUnavailableError(
            f"`{option}` needs `{name}`, which is not installed for this Python {here}",
            hint=adding(REQUIREMENTS[extra] if extra else "ray>=2.40", extra),
        ) from None


def _reach(ray: str) -> None:
    """Find out soon whether anybody is at an address: Ray itself tries for more than ten minutes."""
    address = urlsplit(ray if "://" in ray else f"ray://{ray}")
    if address.hostname and address.port:
        socket.create_connection((address.hostname, address.port), _SOON).close()


def reason(error: BaseException) -> str:
    """What an error of Daft's says, in a line: the last of what a worker raised, given as a traceback's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if any(line.startswith("Traceback") for line in lines) else 0]
