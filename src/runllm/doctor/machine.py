"""What is installed (Python, the libraries, the sandbox of Python blocks), the terminal, and a finding as a value."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runllm.installation import adding
from runllm.values import frozen

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Status = Literal["ok", "note", "missing", "wrong"]

_COMPROMISED = {"litellm": ("1.82.7", "1.82.8", "1.107.0")}
EXTRAS = {
    "python": "runs the Python blocks of a file",
    "local": "runs `local/...` models",
    "otel": "tells OpenTelemetry of runs and calls",
    "parquet": "reads and writes Parquet files with `runllm batch`",
    "mcp": "offers apps as tools to other models",
    "serve": "serves apps over HTTP",
    "scale": "runs the shards of `runllm batch --shards-on daft`",
    "xlsx": "reads workbooks with `runllm batch`",
}
_COMPILED = {"jsonschema-rs": "jsonschema_rs", "minijinja": "minijinja", "pyyaml": "yaml"}  # every file needs them


@frozen
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        status: `ok`; `note` for what is worth knowing and stops nothing; `missing` where one kind of model cannot be
            used for lack of it; `wrong` where something fails until it is mended.
        said: what was found, in a few words. Secrets are masked, and no key is ever part of it.
        fix: what to do; empty where there is nothing to do.
    """

    name: str
    status: Status
    said: str
    fix: str = ""


def ok(name: str, said: str) -> Check:
    """Something that is as it should be."""
    return Check(name=name, status="ok", said=said)


def note(name: str, said: str, fix: str) -> Check:
    """Something that is worth knowing and stops nothing."""
    return Check(name=name, status="note", said=said, fix=fix)


def missing(name: str, said: str, fix: str) -> Check:
    """Something for lack of which one kind of model cannot be used."""
    return Check(name=name, status="missing", said=said, fix=fix)


def wrong(name: str, said: str, fix: str) -> Check:
    """Something that fails until it is mended."""
    return Check(name=name, status="wrong", said=said, fix=fix)


def guarded(name: str, part: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What a part finds; where it fails, that is its last finding."""
    try:
        yield from part()
    except Exception as error:  # whatever is broken here is what the user wants to know
        fix = getattr(error, "recovery_hint", "") or "Mend what these words name; without a clue, please report them."
        yield wrong(name, f"{type(error).__name__}: {error}", fix)


def python() -> Iterator[Check]:
    """Which Python this is; one that runllm is not made for installs no runllm."""
    import platform

    said = f"{platform.python_version()} ({platform.python_implementation()}), {platform.system()} {platform.machine()}"
    yield ok("Python", said)


def libraries() -> Iterator[Check]:
    """The package itself, then each library that it asks for: what fits is read from its own metadata."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    from runllm._version import __version__

    yield ok("runllm", f"{__version__} in {Path(__file__).parents[1]}")
    for wanted in map(Requirement, requires("runllm") or ()):
        of = [extra for extra in ("", *EXTRAS) if wanted.marker is None or wanted.marker.evaluate({"extra": extra})]
        yield _library(wanted, of[0]) if of else _elsewhere(wanted)


def _elsewhere(wanted: Requirement) -> Check:
    extra = next((one for one in EXTRAS if f'extra == "{one}"' in str(wanted.marker)), "")
    said = f"not for this Python{f'; it {EXTRAS[extra]}' if extra else ''}"
    return note(wanted.name, said, f"Who needs it takes a Python where this holds: {wanted.marker}.")


def _library(wanted: Requirement, extra: str) -> Check:
    from importlib.metadata import PackageNotFoundError, version

    name, bounds = wanted.name, str(wanted.specifier)
    install = adding(f"{name}{bounds}", extra)
    try:
        here = version(name)
    except PackageNotFoundError:
        if extra:
            return note(name, f"not installed; it {EXTRAS[extra]}", install)
        return wrong(name, "not installed, and runllm needs it", install)
    if here in _COMPROMISED.get(name, ()):
        fix = f"Uninstall it now, and replace every key that this machine holds. {install}"
        return wrong(name, f"{here} is known as a compromised release", fix)
    if not wanted.specifier.contains(here, prereleases=True):
        return wrong(name, f"{here}, and runllm needs {bounds}", install)
    broken = _broken(_COMPILED[name]) if name in _COMPILED else None
    if broken:
        return wrong(name, f"{here}, and cannot be loaded: {broken}", f"Install it again. {install}")
    return ok(name, here)


def _broken(module: str) -> str | None:
    """Why a compiled library cannot be loaded, such as one that was built for another machine."""
    from importlib import import_module

    try:
        import_module(module)
    except Exception as error:  # its own code runs
        return str(error) or type(error).__name__
    return None


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
            yield wrong("Python blocks", failure.message, fix)
        else:
            yield ok("Python blocks", "the sandbox runs")


def terminal() -> Iterator[Check]:
    """Whether standard output can hold every letter."""
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    if encoding.startswith("utf"):
        yield ok("terminal", encoding)
    else:
        yield note("terminal", f"its encoding is {encoding}: other letters cannot be printed", "Set PYTHONUTF8=1.")
