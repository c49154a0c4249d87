"""A download as one line of text: what, how far, how fast, how long still."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nearly no run downloads
    from runllm.models import Progress

ANEW = "\r\x1b[K"
"""What clears a terminal's line, for the next one to be written over it."""

_BAR = 20
_MINUTE, _HOUR = 60, 3600
_INTERVAL = 0.1
_MEMORY = 5.0  # seconds that a speed is measured over
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


class Bar:
    """One line on the terminal that says how far a download is, and that leaves nothing behind."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._seen: deque[tuple[float, int]] = deque()  # times and bytes of the last seconds, for the speed
        self._last = 0.0
        self._stage = ""
        self._is_shown = False

    def show(self, progress: Progress) -> None:
        """Write the line anew, at most ten times a second."""
        now = time.monotonic()
        moves = progress.total is not None and progress.done < progress.total and progress.stage == self._stage
        if moves and now - self._last < _INTERVAL:
            return
        if progress.stage != self._stage:
            self._seen.clear()  # reading what is here is no download
        self._last, self._stage = now, progress.stage
        self._seen.append((now, progress.done))
        while self._seen[0][0] < now - _MEMORY or self._seen[0][1] > progress.done:
            self._seen.popleft()
        began, before = self._seen[0]
        speed = (progress.done - before) / (now - began) if now > began else 0.0
        ends = progress.stage in ("success", "fetching", "checking") and progress.done == progress.total
        self._say(_printable(line_text(progress, speed)), last=ends)

    def clear(self) -> None:
        """Take the line away, if there is one."""
        if self._is_shown:
            self._write(ANEW)
        self._is_shown = False

    def _say(self, line: str, *, last: bool) -> None:
        self._write(f"{ANEW}{line}")
        self._is_shown = True
        if last:
            self.clear()


def line_text(progress: Progress, speed: float) -> str:
    """How far a download is, as one line; `speed` in bytes a second, 0 where it is not known."""
    if progress.stage == "waiting":
        return f"{progress.name}: another process is pulling it"
    if progress.total is None:
        return f"{progress.name}: {progress.stage}"
    share = min(1.0, progress.done / progress.total) if progress.total else 1.0
    facts = [f"{size_text(progress.done)} of {size_text(progress.total)}"]
    if progress.stage == "checking":
        facts.append("checking what is here")
    elif speed > 0 and progress.done < progress.total:
        facts += [f"{size_text(speed)}/s", f"{_time((progress.total - progress.done) / speed)} left"]
    elif progress.done >= progress.total and progress.stage != "fetching":
        facts.append(progress.stage)  # what comes after the last byte takes time as well
    return _line(progress.name, share, facts)


def size_text(size: float) -> str:
    """A number of bytes for a person, such as `98 MB` or `1.9 GB`."""
    for unit, factor in _UNITS:
        if size >= factor:
            count = size / factor
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"  # noqa: PLR2004 - two digits say enough
    return f"{size:.0f} B"


def _line(name: str, share: float, facts: list[str]) -> str:
    filled = int(share * _BAR)
    return f"{name} [{'#' * filled}{'-' * (_BAR - filled)}] {int(share * 100)} % {', '.join(facts)}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
