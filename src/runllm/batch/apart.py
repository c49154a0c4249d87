"""Where a batch must not write: over an app, its rows, its own output or its journal."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runllm import files
from runllm.diagnostics import told
from runllm.errors import UsageError
from runllm.keeping import are_one, keep_apps


def keep_apart(target: str, app: str, rows: Iterable[str]) -> None:
    """Refuse an output that cannot be written, is the app, is among the rows, or would be the next time.

    Raises:
        FileAccessError: it cannot be written.
        UsageError: something else stands there.
    """
    keep_apps(target, app)
    files.check_writable(target)
    folder = os.path.realpath(os.path.dirname(target) or os.curdir)  # noqa: PTH120 - text is all that is needed
    for path in rows:
        if are_one(path, target) or (os.path.isdir(path) and os.path.realpath(path) == folder):  # noqa: PTH112 - as above
            raise UsageError(
                f"the rows are read from {path}, and the output would stand there as well",
                hint="Name an output elsewhere: the rows are never written to.",
            )


def keep_report_apart(report: str, target: str | None, app: str, rows: Iterable[str]) -> None:
    """As `keep_apart`, of a report; it takes the place of the output and of its journal no more than of the rows."""
    keep_apart(report, app, rows)
    if target is not None and os.path.realpath(report) in map(os.path.realpath, (target, f"{target}.journal")):
        raise UsageError(f"the output and its journal are {told(target)}", hint="Name another file for the report.")
