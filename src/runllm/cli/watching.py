"""A line on the terminal that says how far a batch is; nothing in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runllm.cli.output import line_on
from runllm.quantities import count, dollars, rate, seconds

if TYPE_CHECKING:
    from runllm.batch import Counts
    from runllm.cli.steps import Steps

_EVERY = 0.5  # seconds
_SLOWEST = 1.6  # nine in ten batches take no longer than so many times what the last minute promises
_LATELY = 60.0  # seconds


@contextmanager
def watching(counts: Counts, step: Steps) -> Generator[None]:
    """Show how far it is while the block runs, and what engines do beside it, where somebody sees it."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(counts, step, ended), name="runllm-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(counts: Counts, step: Steps, ended: threading.Event) -> None:
    marks = [(time.monotonic(), counts.done, counts.tokens)]
    with line_on(sys.stderr) as show:
        while not ended.wait(_EVERY):
            marks.append((time.monotonic(), counts.done, counts.tokens))
            while len(marks) > 2 and marks[-1][0] - marks[0][0] > _LATELY:  # noqa: PLR2004 - a beginning and an end
                marks.pop(0)
            more = step.meanwhile if not counts.done else ""  # what the first rows wait for
            show(" · ".join(filter(None, (said(counts, marks[0], marks[-1]), more))))


def said(counts: Counts, before: tuple[float, int, int], now: tuple[float, int, int]) -> str:
    """How far a batch is.

    Args:
        counts: of its rows.
        before: a moment ago: seconds, rows that had ended, tokens.
        now: the same.
    """
    passed = max(now[0] - before[0], 1e-9)
    rows, tokens = (now[1] - before[1]) / passed, (now[2] - before[2]) / passed
    parts = [f"{counts.done:,} of {counts.rows:,}"]
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    parts += [f"{calls} in flight"] if (calls := counts.in_flight()) else []  # of other processes it is not known
    parts.append(f"{rate(rows)} rows/s, {count(tokens)} tokens/s")
    new = counts.done - counts.begun
    if counts.cost:
        whole = counts.cost * counts.rows / max(counts.done, 1)
        parts.append(f"{dollars(counts.cost)} of about {dollars(whole)}")
    if new and rows:
        left = (counts.rows - counts.done) / rows
        parts.append(f"{seconds(left)} left, at most {seconds(left * _SLOWEST)}")
    if (waiting := counts.waiting()) > 1:
        parts.append(f"the provider is busy: waiting {seconds(waiting)}")
    return " · ".join(parts)
