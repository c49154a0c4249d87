"""Whether Python keeps what it compiles: where it does not, each start compiles hundreds of modules anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from shlex import quote
from types import ModuleType

from runllm.doctor.machine import Check, note, ok

_NAME = "bytecode"
_FEW = 20  # that were just written, or changed
_LARGE = "litellm"  # imported by some calls only, and then two thousand modules


def bytecode(modules: Mapping[str, ModuleType] | None = None) -> Iterator[Check]:
    """What has been imported and is not kept compiled, and the largest library that has not been.

    Args:
        modules: those of this process by default.
    """
    if getattr(sys, "frozen", False):  # it holds nothing but bytecode
        return
    files = [getattr(module, "__file__", None) for module in list((modules or sys.modules).values())]
    sources = [Path(file) for file in files if file and file.endswith(".py") and os.path.isfile(file)]  # noqa: PTH113
    without = [source for source in sources if not _is_kept(source)]
    spec = find_spec(_LARGE)
    large = Path(spec.origin) if spec is not None and spec.origin else None
    if len(without) > _FEW:
        folder = _folder(without[0])
        said = f"{len(without):,} modules in {folder} are compiled anew at each start"
        if sys.dont_write_bytecode:
            yield note(_NAME, f"{said}, as PYTHONDONTWRITEBYTECODE says", "Unset it, or " + _compiling(folder))
        else:
            fix = f"Let who may write there {_compiling(folder)} Or set PYTHONPYCACHEPREFIX to a folder of yours."
            yield note(_NAME, f"{said}: their bytecode cannot be written", fix)
    elif large is not None and not _is_kept(large):
        said = "LiteLLM has none yet: the first call through it takes seconds longer"
        yield note(_NAME, said, f"To have that behind you, {_compiling(large.parent)}")
    else:
        yield ok(_NAME, "kept")


def _is_kept(source: Path) -> bool:
    return os.path.isfile(cache_from_source(str(source)))  # noqa: PTH113 - hundreds of them


def _folder(source: Path) -> Path:
    """The folder of installed packages in which a module is, or its own."""
    return next((parent for parent in source.parents if parent.name == "site-packages"), source.parent)


def _compiling(folder: Path) -> str:
    return f"run `{quote(sys.executable)} -m compileall -q {quote(str(folder))}`."
