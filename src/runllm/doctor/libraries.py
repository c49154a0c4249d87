"""The libraries: whether each is here in a version that fits, as the metadata of the package says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from runllm.doctor.check import Check

_COMPROMISED = {"litellm": ("1.82.7", "1.82.8", "1.107.0")}
_EXTRAS = {
    "python": "runs the Python blocks of a file",
    "local": "runs `local/...` models",
}
_COMPILED = {"jsonschema-rs": "jsonschema_rs", "minijinja": "minijinja", "pyyaml": "yaml"}  # every file needs them
_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+)\s*([^;\[]*?)\s*(?:;\s*extra\s*==\s*["'](\w+)["'])?""")


def libraries() -> Iterator[Check]:
    """The package itself, then each library that it asks for: what fits is read from its own metadata."""
    from importlib.metadata import requires

    from runllm._version import __version__

    yield Check(name="runllm", status="ok", said=f"{__version__} in {Path(__file__).parents[1]}")
    for requirement in requires("runllm") or ():
        match = _REQUIREMENT.fullmatch(requirement)
        if match is not None:
            yield _library(name=match[1], wanted=match[2], extra=match[3] or "")


def _library(*, name: str, wanted: str, extra: str) -> Check:
    from importlib.metadata import PackageNotFoundError, version

    clone = f"uv sync --extra {extra}" if extra else "uv sync"
    install = f"In a clone of runllm run `{clone}`, elsewhere `pip install '{name}{wanted}'`."
    try:
        here = version(name)
    except PackageNotFoundError:
        if extra:
            return Check(name=name, status="note", said=f"not installed; it {_EXTRAS.get(extra, extra)}", fix=install)
        return Check(name=name, status="wrong", said="not installed, and runllm needs it", fix=install)
    if here in _COMPROMISED.get(name, ()):
        return Check(
            name=name,
            status="wrong",
            said=f"{here} is known as a compromised release",
            fix=f"Uninstall it now, and replace every key that this machine holds. {install}",
        )
    if not satisfies(here, wanted):
        return Check(name=name, status="wrong", said=f"{here}, and runllm needs {wanted}", fix=install)
    broken = _broken(_COMPILED[name]) if name in _COMPILED else None
    if broken:
        said = f"{here}, and cannot be loaded: {broken}"
        return Check(name=name, status="wrong", said=said, fix=f"Install it again. {install}")
    return Check(name=name, status="ok", said=here)


def _broken(module: str) -> str | None:
    """Why a compiled library cannot be loaded, such as one that was built for another machine."""
    from importlib import import_module

    try:
        import_module(module)
    except Exception as error:  # its own code runs
        return str(error) or type(error).__name__
    return None


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version is within bounds such as `>=1.105.0,!=1.106.*,<2`; what follows its numbers does not count."""
    return all(_holds(version, bound) for bound in wanted.split(",") if bound.strip())


def _holds(version: str, bound: str) -> bool:
    match = re.match(r"\s*([<>=!~]+)\s*([\d.]+)(\*?)", bound)
    if match is None:
        return True
    sign, other = match[1], _numbers(match[2])
    here = _numbers(version)
    if match[3]:  # `!=1.106.*` compares as many numbers as it has
        here = here[: len(other)]
    width = max(len(here), len(other))
    left, right = ((*numbers, *(0,) * (width - len(numbers))) for numbers in (here, other))
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right,
            "==": left == right, "!=": left != right}.get(sign, True)  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()
