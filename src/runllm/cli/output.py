"""Write what a command gives: to stdout, or to a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from runllm.errors import FileAccessError


def write(pieces: Iterable[str], target: str | None) -> None:
    """Print, or write a file: whole or not at all, unless it is a device, which is written as it is."""
    if target is None or target == "-":
        for piece in pieces:
            click.echo(piece, nl=False, color=True)
        return
    import tempfile  # only for those who write a file

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
            file.writelines(pieces)
        if temporary:
            temporary.replace(path)
    except BaseException as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise FileAccessError(f"`{target}` cannot be written: {error.strerror}", details={"path": target}) from None
