"""What a command waits for, said in one line on a terminal that is gone when it goes on; nothing in a pipe."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runllm.cli.output import Bar, download_bar
from runllm.rendering import one_line
from runllm.results import Event
from runllm.terminal import Guarded

if TYPE_CHECKING:
    from runllm.models.pulling import Progress

_PATIENCE = 0.5  # seconds that pass in silence
_EVERY = 0.2
_SHORTEST = 0.05  # seconds of what a trace is told
_ERASE = "\r\x1b[K"
_BEGUN = {
    "input": "looking for the model",
    "call": "waiting for {}",
    "python": "running the {}",
    "retry": "{}",
}
_ENDED = frozenset({"answer", "cached", "done", "failed"})
Trail = tuple[str, ...]


class Steps:
    """The steps of a command that are under way. Thread-safe.

    Attributes:
        trace: who is told of each step as a line of its own, as `--verbose` asks; None for nobody.
        is_seen: whether somebody looks at a terminal that can show them.
    """

    def __init__(self, trace: Callable[[Event], None] | None = None) -> None:
        self.trace = trace
        self.is_seen = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._bar: Bar | None = download_bar()
        self._lock = threading.RLock()
        self._now: dict[Trail, tuple[str, float]] = {}
        self._more: dict[int, list[str]] = {}  # what engines do, each by a number
        self._shown, self._whole_lines, self._pulling = "", True, False
        self._written = self._heard = time.monotonic()
        self._elapsed = 0.0
        self._over = threading.Event()
        self._painter: threading.Thread | None = None

    # --- what is told -----------------------------------------------------------------------------

    @property
    def listener(self) -> Callable[[Event], None] | None:
        """Who listens to a run; None where nobody would be shown anything."""
        return self.hear if self.is_seen or self.trace is not None else None

    def hear(self, event: Event) -> None:
        """Take what a run tells."""
        with self._lock:
            self._heard, self._elapsed = time.monotonic(), event.elapsed
        if event.step in _BEGUN:
            self.say(_BEGUN[event.step].format(event.message), event.trail)
        elif event.step in _ENDED:
            self.say("", event.trail)
        if self.trace is not None:
            self.trace(event)

    def say(self, what: str, trail: Trail = ()) -> None:
        """From now on, this is what is waited for; empty for nothing.

        Args:
            what: in a few words.
            trail: the names that lead to the app for which it is.
        """
        with self._lock:
            self._now.pop(trail, None)
            if what:
                self._now[trail] = (what, time.monotonic())

    @contextmanager
    def doing(self, what: str) -> Generator[Callable[[str], None]]:
        """What an engine does meanwhile: see `runllm.watching.Doing`."""
        said, began = [what], time.monotonic()
        with self._lock:
            self._more[id(said)] = said
        try:
            yield lambda now: said.__setitem__(0, now)
        finally:
            with self._lock:
                self._more.pop(id(said))
                took = time.monotonic() - began
                elapsed = self._elapsed + time.monotonic() - self._heard
            if self.trace is not None and what and took >= _SHORTEST:
                self.trace(Event(step="load", message=f"{what} took {took:.3f} s", elapsed=elapsed))

    @property
    def meanwhile(self) -> str:
        """What an engine does now, the latest of it; empty for nothing that is told."""
        with self._lock:
            return next((said for (said,) in reversed(self._more.values()) if said), "")

    def pulls(self, progress: Progress) -> None:
        """Show how far a download is, in the place of the line."""
        if self._bar is not None:
            with self._lock:
                self._pulling = progress.stage != "success"
                self.erase()
            self._bar.show(progress)

    # --- what is shown ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Show the line from now on, where somebody sees it."""
        if not self.is_seen:
            return
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Guarded):
                stream.before = self._before
        self._painter = threading.Thread(target=self._paint, name="runllm-steps", daemon=True)
        self._painter.start()

    def end(self) -> None:
        """Take the line away, for good."""
        self._over.set()
        if self._bar is not None:
            self._bar.clear()
        if self._painter is not None:
            self._painter.join()
            self._painter = None
            self.erase()
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, Guarded):
                    stream.before = None

    def erase(self) -> None:
        """Take the line away until the next step is as long."""
        with self._lock:
            if self._shown:
                self._shown = ""
                _write(_ERASE)

    def _before(self, text: str) -> None:
        """Something else is about to be written to the terminal."""
        with self._lock:
            self.erase()
            if self._bar is not None:
                self._bar.clear()
            self._whole_lines = text.endswith("\n")
            self._written = time.monotonic()

    def _paint(self) -> None:
        import shutil  # 2 ms that a pipe need not pay

        while not self._over.wait(_EVERY):
            with self._lock:
                late = time.monotonic() - self._written >= _PATIENCE
                line = self._line() if late and self._whole_lines and not self._pulling else ""
                room = shutil.get_terminal_size().columns - 1
                line = line if len(line) <= room else f"{line[: room - 1]}…"
                if line and line != self._shown:
                    _write(f"{_ERASE}{line}")
                    self._shown = line
                elif not line:
                    self.erase()

    def _line(self) -> str:
        """What is waited for now, the latest of it."""
        more = self.meanwhile
        if not self._now:
            return one_line(more)
        trail, (what, since) = next(reversed(self._now.items()))
        passed = int(time.monotonic() - since)
        others = len(self._now) - 1
        parts = [
            f"{' > '.join(trail)}: {what}" if trail else what,
            *([more] if more else []),
            *([f"{passed} s"] if passed else []),
            *([f"{others} more under way"] if others else []),
        ]
        return one_line(" · ".join(parts))


def _write(text: str) -> None:
    """Write to the terminal itself, past whoever minds what is written."""
    stream = sys.stderr
    if isinstance(stream, Guarded):
        stream.show(text)
    else:
        stream.write(text)
    stream.flush()


@contextmanager
def steps(first: str = "", trace: Callable[[Event], None] | None = None) -> Generator[Steps]:
    """Show what is waited for while the block runs; it begins with `first`, if that is known."""
    found = Steps(trace)
    found.say(first)
    found.begin()
    try:
        yield found
    finally:
        found.end()
