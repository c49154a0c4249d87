"""`runllm pull`: fetch a local model."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import click

from runllm import api
from runllm.errors import InterruptedRunError
from runllm.rendering import safe

if TYPE_CHECKING:
    from runllm.models import Progress

_INTERVAL = 0.1
_MEMORY = 5.0
_BAR = 24
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@click.command(name="pull")
@click.argument("name", metavar="NAME")
@click.option("--file", metavar="FILE", help="Which file of a repository: its name, or a quantisation such as Q8_0.")
def command(name: str, file: str | None) -> None:
    """Fetch the local model NAME and print what to write under `llm.model`.

    NAME is one of the catalogue, such as smollm2-135m, or hf:ORG/REPO:FILE for a GGUF file of the hub; without FILE
    the best balance of size and quality is taken. The checksum is verified. What was interrupted goes on where it
    stopped.
    """
    bar = Bar() if sys.stderr.isatty() else None
    try:
        found = api.pull(name, file=file, listener=bar.show if bar else lambda _: None)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"pulling `{name}` was stopped", hint="Run the same command again to go on; what came so far is kept."
        ) from None
    finally:
        if bar:
            bar.clear()
    if bar:
        licence = f", licence {found.licence}" if found.licence else ""
        said = "" if found.fetched else "already here: "
        click.echo(safe(f"{said}{found.path} ({size_text(found.size)}{licence})"), err=True)
    click.echo(safe(found.name))


class Bar:
    """One line on the terminal that says how far a download is."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # times and bytes of the last seconds, for the speed
        self._last = 0.0
        self._stage = ""

    def show(self, progress: Progress) -> None:
        """Write the line anew, at most ten times a second."""
        now = time.monotonic()
        if progress.total is not None and progress.done < progress.total and now - self._last < _INTERVAL:
            return
        if progress.stage != self._stage:
            self._seen.clear()  # reading what is here is no download
        self._last, self._stage = now, progress.stage
        self._seen.append((now, progress.done))
        while self._seen[0][0] < now - _MEMORY or self._seen[0][1] > progress.done:
            self._seen.popleft()
        began, before = self._seen[0]
        speed = (progress.done - before) / (now - began) if now > began else 0.0
        click.echo(f"\r\x1b[K{safe(line_text(progress, speed))}", nl=False, err=True)

    def clear(self) -> None:
        """Leave an empty line."""
        click.echo("\r\x1b[K", nl=False, err=True)


def line_text(progress: Progress, speed: float) -> str:
    """How far a download is, as one line; `speed` in bytes a second, 0 where it is not known."""
    if progress.stage == "waiting":
        return f"{progress.name}: another process is pulling it"
    if progress.total is None:
        return f"{progress.name}: fetching"
    share = min(1.0, progress.done / progress.total) if progress.total else 1.0
    filled = int(share * _BAR)
    facts = [f"{size_text(progress.done)} of {size_text(progress.total)}"]
    if progress.stage == "checking":
        facts.append("checking what is here")
    elif speed > 0 and progress.done < progress.total:
        facts += [f"{size_text(speed)}/s", f"{_duration((progress.total - progress.done) / speed)} left"]
    return f"{int(share * 100):3} % [{'#' * filled}{'.' * (_BAR - filled)}] {', '.join(facts)}"


def size_text(size: float) -> str:
    """A number of bytes for a person, such as `98 MB` or `1.9 GB`."""
    for unit, factor in _UNITS:
        if size >= factor:
            count = size / factor
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"  # noqa: PLR2004 - two digits say enough
    return f"{size:.0f} B"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
