"""How a command gives what it found: in which form, and to stdout or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from runllm import targets
from runllm.rendering import safe
from runllm.terminal import harmless

if TYPE_CHECKING:
    from runllm.progress import Bar

C = TypeVar("C", bound=Callable[..., Any])


def format_option(*forms: str, meaning: str) -> Callable[[C], C]:
    """Add `--format` (as `form`) to a command; the first form is the default."""
    return click.option("--format", "form", type=click.Choice(forms), default=forms[0], show_default=True, help=meaning)


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
    with targets.writing(target, private=private) as file:
        file.writelines(map(harmless, pieces) if foreign and file.isatty() else pieces)


def check_target(target: str | None) -> None:
    """Refuse a file that `write` could not write, before the work whose result it is to hold."""
    if target is not None and target != "-":
        targets.check(target)


def download_bar() -> Bar | None:
    """A line that says how far a download is, on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    from runllm.progress import Bar  # nearly no command downloads

    return Bar(partial(click.echo, nl=False, err=True))


def print_path(path: str | Path) -> None:
    """Print a path: for a program exactly as it is, harmless on a terminal."""
    click.echo(safe(str(path)) if sys.stdout.isatty() else os.fsencode(path))
