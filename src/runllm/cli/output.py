"""How a command gives what it found: in which form, and to stdout or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from runllm.terminal import harmless

C = TypeVar("C", bound=Callable[..., Any])


def format_option(*forms: str, meaning: str) -> Callable[[C], C]:
    """Add `--format` (as `form`) to a command; the first form is the default."""
    return click.option("--format", "form", type=click.Choice(forms), default=forms[0], show_default=True, help=meaning)


def coloured(stream: TextIO) -> bool:
    """Whether what goes to this stream may have colours: a terminal that knows them, of a user who wants them."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def write(pieces: Iterable[str], target: str | None, *, foreign: bool = False) -> None:
    """Print, or write a file: whole or not at all, unless it is a device, which is written as it is.

    Args:
        pieces: what to write.
        target: the file; None and `-` are standard output.
        foreign: whether these are a model's own words, of which a terminal obeys none.
    """
    if target is None or target == "-":
        shown = foreign and sys.stdout.isatty()
        for piece in pieces:
            click.echo(harmless(piece) if shown else piece, nl=False, color=True)
        return
    import tempfile  # only for those who write a file

    from runllm.errors import FileAccessError

    path = Path(target)
    direct = path.exists() and not path.is_file()
    if not direct:
        path = path.resolve()  # what a link means is replaced, not the link: `/dev/stdout` may be one to a file
    temporary: Path | None = None
    try:
        with (
            path.open("w", encoding="utf-8")
            if direct
            else tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False)
        ) as file:
            temporary = None if direct else Path(file.name)
            file.writelines(map(harmless, pieces) if foreign and file.isatty() else pieces)
        if temporary:
            temporary.replace(path)
    except BaseException as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise FileAccessError(f"`{target}` cannot be written: {error.strerror}", details={"path": target}) from None
