"""Which file was meant by a path that leads to none."""

from __future__ import annotations

import os
from contextlib import suppress

from runllm.errors import FileAccessError

_ALIKE = 0.7  # of two names, so that one is taken for a slip in the other


def missing(path: str) -> FileAccessError:
    """The error that there is no such file, which names the file of its folder that was most likely meant."""
    near = likely(path)
    return FileAccessError(
        f"there is no file `{path}`", details={"path": path}, hint=f"Did you mean `{near}`?" if near else None
    )


def likely(path: str, *, ending: str = "", alike: bool = True) -> str | None:
    """The file of a path's folder that was meant by it: the app of its name, else with `alike` one of nearly its name.

    Only files with the ending are looked at, and hidden ones only for a hidden name.
    """
    from runllm.diagnostics import nearest  # only needed once something is wrong

    folder, name = os.path.split(path)
    there: list[str] = []
    with suppress(OSError, ValueError):
        there = [one for one in os.listdir(folder or ".") if one.startswith(".") == name.startswith(".")]  # noqa: PTH208
    stem = name.partition(".")[0].lower()
    near = next((one for one in there if one.endswith(".rllm") and one.removesuffix(".rllm").lower() == stem), None)
    if near is None and alike:
        near = nearest(name, [one for one in there if one.endswith(ending)], _ALIKE)
    return os.path.join(folder, near) if near else None  # noqa: PTH118 - as it was typed
