"""Python, the sandbox of Python blocks, and the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from runllm.doctor.check import Check
from runllm.doctor.libraries import satisfies


def python() -> Iterator[Check]:
    """Whether runllm is made for this Python."""
    import platform
    from importlib.metadata import metadata

    wanted = metadata("runllm")["Requires-Python"] or ""
    said = f"{platform.python_version()} ({platform.python_implementation()}), {platform.system()} {platform.machine()}"
    if satisfies(platform.python_version(), wanted):
        yield Check(name="Python", status="ok", said=said)
    else:
        yield Check(name="Python", status="wrong", said=f"{said}; runllm needs {wanted}", fix="Install such a Python.")


def blocks() -> Iterator[Check]:
    """A block of code, run; nothing where the sandbox is not installed, since the check of its library says it."""
    from importlib.util import find_spec

    from runllm.blocks import BlockFailure, Sandbox

    if find_spec("pydantic_monty") is None:
        return
    with Sandbox() as sandbox:
        try:
            sandbox.run("answer = 6 * 7", {}, ["answer"])
        except BlockFailure as failure:
            fix = "Install `pydantic-monty` again; where you trust a file, `--trust-python` runs without it."
            yield Check(name="Python blocks", status="wrong", said=failure.message, fix=fix)
        else:
            yield Check(name="Python blocks", status="ok", said="the sandbox runs")


def terminal() -> Iterator[Check]:
    """Whether standard output can hold every letter."""
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    if encoding.startswith("utf"):
        yield Check(name="terminal", status="ok", said=encoding)
    else:
        said = f"its encoding is {encoding}: other letters cannot be printed"
        yield Check(name="terminal", status="note", said=said, fix="Set PYTHONUTF8=1.")
