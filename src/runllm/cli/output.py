"""How a command gives what it found: in which form, and to stdout or a file."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from runllm import files
from runllm.cli import offers
from runllm.diagnostics import clip
from runllm.keeping import keep_apps
from runllm.quantities import UNKNOWN
from runllm.rendering import Paint, one_line, safe
from runllm.terminal import harmless

if TYPE_CHECKING:
    from rich.console import Console

    from runllm.models.pulling import Progress

C = TypeVar("C", bound=Callable[..., Any])
_STAGES = {
    "fetching": "",
    "success": "",
    "waiting": "another process is pulling it",
    "checking": "checking what is here",
}
_NAME = 24  # columns that a table keeps for the names of its rows
_FIGURES = 50  # columns that a bar and its figures take beside a name


def format_option(*forms: str, meaning: str) -> Callable[[C], C]:
    """Add `--format` (as `form`) to a command; the first form is the default."""
    return click.option("--format", "form", type=click.Choice(forms), default=forms[0], show_default=True, help=meaning)


output_option = click.option(
    "-o",
    "--output",
    "target",
    metavar="PATH",
    shell_complete=offers.files,
    help="Write to this file instead of stdout: whole, or not at all.",
)


def coloured(stream: TextIO) -> bool:
    """Whether what goes to this stream may have colours: a terminal that knows them, of a user who wants them."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def write(pieces: Iterable[str], target: str | None, *, foreign: bool = False, private: bool = False) -> None:
    """Print, or write a file: whole or not at all, unless it is a device, which is written as it is.

    Args:
        pieces: what to write.
        target: the file; None and `-` are standard output.
        foreign: whether these are a model's own words, of which a terminal obeys none.
        private: whether a file is for this user alone.
    """
    if target is None or target == "-":
        shown = foreign and sys.stdout.isatty()
        for piece in pieces:
            click.echo(harmless(piece) if shown else piece, nl=False, color=True)
        return
    keep_apps(target)
    with files.writing(target, private=private) as file:
        file.writelines(map(harmless, pieces) if foreign and file.isatty() else pieces)


def check_target(target: str | None, *read: str, is_report: bool = False) -> None:
    """Refuse a file that `write` could not write, before the work whose result it is to hold.

    Args:
        target: as `write` has it.
        read: the apps that the command reads.
        is_report: whether it is one of tests, which makes no file that would be taken for an app, tests or a cassette.
    """
    if target is not None and target != "-":
        keep_apps(target, *read, new=is_report)
        files.check_writable(target)
    else:
        with suppress(io.UnsupportedOperation):  # what stands for it in a test is no file
            os.write(sys.stdout.fileno(), b"")


def show_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = (), *, folded: bool = True
) -> None:
    """Print rows in columns: in a pipe as wide as their longest cell, on a terminal as it has room.

    Args:
        headings: of the columns; empty for none.
        rows: a cell for each column, that of somebody else made harmless here; an empty one is not known.
        styles: how a terminal shows each column: `bold`, `dim`; as it is where there are none.
        folded: whether a terminal that is too narrow folds cells; not where they are paths, to be copied.
    """
    cells = [[one_line(cell) or UNKNOWN for cell in row] for row in ([headings, *rows] if headings else rows)]
    styles = styles or [""] * len(cells[0])
    if sys.stdout.isatty() and folded:
        _show_fitted(cells, styles, headed=bool(headings))
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    paint = Paint(colour=coloured(sys.stdout))
    for row in cells:
        parts = [
            (paint(cell, style) if style else cell) + " " * (width - len(cell))
            for cell, style, width in zip(row, styles, widths, strict=True)
        ]
        click.echo("  ".join(parts).rstrip(), color=True)


def _show_fitted(cells: Sequence[Sequence[str]], styles: Sequence[str], *, headed: bool) -> None:
    from rich.table import Table
    from rich.text import Text  # a string would be read as markup

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, show_header=headed)
    for place, (heading, style) in enumerate(zip(cells[0], styles, strict=True)):
        whole = 0 if place else min(_NAME, max(len(row[0]) for row in cells))  # what a row is called, to be copied
        table.add_column(Text(heading), style=style, overflow="fold", min_width=whole)
    for row in cells[headed:]:
        table.add_row(*map(Text, row))
    _console(sys.stdout).print(table)


def _console(stream: TextIO) -> Console:
    """A terminal, past the guard of what is written to `stream`, which knows none of rich's control sequences."""
    from rich.console import Console

    stream.flush()
    direct = open(stream.fileno(), "w", encoding=stream.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115 - rich keeps it
    return Console(file=direct, highlight=False, color_system="auto" if coloured(stream) else None)


@contextmanager
def line_on(stream: TextIO) -> Generator[Callable[[str], None]]:
    """What shows a text as one line of a terminal, in the place of the one before; it leaves nothing behind."""
    from rich.live import Live
    from rich.text import Text

    with Live(console=_console(stream), transient=True, auto_refresh=False, redirect_stdout=False) as live:
        yield lambda text: live.update(Text(one_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)


def download_bar() -> Bar | None:
    """A line that says how far a download is, on a terminal; None elsewhere."""
    return Bar() if sys.stderr.isatty() else None


class Bar:
    """One line on the terminal that says how far a download is, and that leaves nothing behind."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._stage = ""
        import shutil  # 2 ms that a pipe need not pay

        self._room = max(20, shutil.get_terminal_size().columns - _FIGURES)

    def show(self, progress: Progress) -> None:
        """Show how far it is; at its end, take the line away."""
        said = _STAGES.get(progress.stage, progress.stage)
        facts: dict[str, Any] = {
            "description": clip(one_line(f"{progress.name}: {said}" if said else progress.name), self._room),
            "completed": progress.done,
            "total": progress.total,
        }
        if self._shown is None:
            self._shown = _bars()
            self._shown.add_task(**facts)
            self._shown.start()
        elif progress.stage not in (self._stage, "success"):
            self._shown.reset(0)  # of another stage is another speed
        self._stage = progress.stage
        ended = progress.stage == "success"
        self._shown.update(0, refresh=ended, **facts)
        if ended:
            self.clear()

    def clear(self) -> None:
        """Take the line away, if there is one."""
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.stop()


def _bars() -> Any:
    from rich import progress  # nearly no command downloads

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(10),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(compact=True),
        console=_console(sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def print_path(path: str | Path) -> None:
    """Print a path: for a program exactly as it is, harmless on a terminal."""
    click.echo(safe(str(path)) if sys.stdout.isatty() else os.fsencode(path))
