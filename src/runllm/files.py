"""Read a file whole, within a bound; what goes wrong is one catalogued error."""

from __future__ import annotations

from pathlib import Path

from runllm.errors import FileAccessError


def read_bytes(path: str, most: int) -> bytes:
    """The first `most` + 1 bytes of a file: one more than allowed, so that the caller sees that it is too long.

    Args:
        path: the file, as the caller wrote it.
        most: bytes that are allowed.

    Raises:
        FileAccessError: it is missing, a folder, or not readable.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise FileAccessError(f"there is no file `{path}`", details={"path": path}) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"`{path}` cannot be read: {reason}", details={"path": path}) from None


def read_standard_input(most: int) -> bytes:
    """The first `most` + 1 bytes of standard input.

    Raises:
        FileAccessError: it is closed, or not readable.
    """
    import sys

    try:
        return sys.stdin.buffer.read(most + 1)
    except (AttributeError, OSError, ValueError):  # a process may be started without one
        raise FileAccessError("standard input is closed", details={"path": "-"}) from None
