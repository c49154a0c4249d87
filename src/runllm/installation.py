"""How runllm is installed here, and so what adds a library to it.

Never by its own name from a package index: of that name, the index has another project's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

REQUIREMENTS = {
    "local": "xllamacpp>=2026.1",
    "python": "pydantic-monty>=1.4,<2",
    "otel": "opentelemetry-api>=1.30,<2",
    "mcp": "mcp>=2.3,<3",
    "parquet": "pyarrow>=18",
    "serve": "prometheus-client>=0.21 python-multipart>=0.0.20 starlette>=0.45 uvicorn>=0.34",
    "scale": "daft>=0.7.26,<0.8",
    "xlsx": "python-calamine>=0.4",
}
"""What each extra is for; a test holds them against the package's own metadata."""


def adding(requirement: str, extra: str = "") -> str:
    """The sentence that says how to install a library where this runllm finds it.

    Args:
        requirement: the library, as installers take it; several with blanks between them.
        extra: the extra of runllm's that it belongs to.
    """
    if getattr(sys, "frozen", False):
        name = requirement.partition(">")[0].partition("<")[0]
        return f"This program was built without it: build it again where `{name}` is installed, and collect it."
    if _is_editable():
        return f"In your clone of runllm run `uv sync{f' --extra {extra}' if extra else ''}`."
    return f"Run `{_command(requirement, extra)}`."


def _command(requirement: str, extra: str) -> str:
    from shlex import quote  # only where a library is missing

    wanted = " ".join(map(quote, requirement.split()))
    prefix, package = Path(sys.prefix), Path(__file__).resolve().parents[1]
    if (prefix / "uv-receipt.toml").is_file():  # of `uv tool`, which makes the environment anew for each change
        source = _source()
        if source and extra:
            return f"uv tool install {quote(f'runllm[{extra}] @ {source}')}"
        return f"uv pip install --python {quote(str(prefix))} {wanted}"
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {quote(prefix.name)} {wanted}"
    if not package.is_relative_to(prefix.resolve()) and not _of_user(package):
        return f"pip install --target {quote(str(package))} {wanted}"
    with suppress(OSError):
        if "\nuv = " in f"\n{(prefix / 'pyvenv.cfg').read_text(encoding='utf-8')}":  # it has no pip of its own
            return f"uv pip install --python {quote(str(prefix))} {wanted}"
    return f"pip install {wanted}"


def _of_user(package: Path) -> bool:
    import site  # loaded in nearly every process

    return package.is_relative_to(os.path.realpath(site.getusersitepackages()))


def _facts() -> dict[str, Any]:
    """Where it was installed from, as its installer wrote it down; nothing where it came from an index."""
    from importlib.metadata import PackageNotFoundError, distribution

    with suppress(PackageNotFoundError, ValueError, TypeError):
        found: Any = json.loads(distribution("runllm").read_text("direct_url.json") or "{}")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return {}


def _is_editable() -> bool:
    return bool(_facts().get("dir_info", {}).get("editable"))


def _source() -> str:
    facts = _facts()
    url, vcs = str(facts.get("url", "")), facts.get("vcs_info", {})
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs.get("vcs") and vcs.get("commit_id") else url


def refusal() -> str | None:
    """Why runllm cannot run as it is installed; None where it can."""
    if not getattr(sys, "frozen", False) and not os.path.isfile(__file__):  # noqa: PTH113 - asked at each start
        return (
            "runllm cannot run from inside a zip archive: its libraries are compiled, and no compiled library is "
            "loaded from there. Build it with `shiv` or `pex`, which unpack themselves."
        )
    return None


def without(name: str, load: Callable[[str], Any]) -> Any:
    """What `load` gives; a part that a frozen program was built without is an error that says so.

    Raises:
        EngineUnavailableError: it was built without it.
    """
    try:
        return load(name)
    except ModuleNotFoundError as error:
        if not getattr(sys, "frozen", False):
            raise
        missing = error.name
    from runllm.errors import EngineUnavailableError

    raise EngineUnavailableError(
        f"this program was built without `{missing}`",
        hint="Build it again with what docs/troubleshooting.md names under PyInstaller: `--collect-all runllm`, ...",
    )
