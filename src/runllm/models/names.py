"""Names of local models: a name of the catalogue, or `hf:ORG/REPO:FILE`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runllm.diagnostics import did_you_mean
from runllm.errors import ModelNotFoundError
from runllm.models.known import KNOWN, PREFIX, HubModel, PackagedModel

HUB = "hf:"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(f"{_PART}/{_PART}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+()=@-]{0,180}(?:/[A-Za-z0-9_][A-Za-z0-9 ._+()=@-]{0,180}){0,3}")


def bare(name: str) -> str:
    """A model's name without `local/`."""
    return name.strip().removeprefix(PREFIX)


def source_of(name: str, file: str | None = None) -> PackagedModel | HubModel:
    """Where the weights of a model are to be had.

    Args:
        name: `smollm2-135m`, `hf:ORG/REPO` or `hf:ORG/REPO:FILE`, with or without `local/`.
        file: a file of the repository, or a quantisation, where the name holds none.

    Raises:
        ModelNotFoundError: no such name, or not a name at all.
    """
    name = bare(name)
    known = KNOWN.get(name)
    if known is None and not name.startswith(HUB):
        raise unknown(name)
    source = known.source if known else _on_hub(name)
    if not file:
        return source
    if isinstance(source, PackagedModel):
        raise ModelNotFoundError(f"`{name}` is one file of a package: there is none to choose")
    if source.wants and source.wants != file:
        raise ModelNotFoundError(f"`{name}` names a file already, which is not `{file}`")
    return HubModel(repo=source.repo, wants=checked_file(file))


def unknown(name: str, also: Iterable[str] = ()) -> ModelNotFoundError:
    """The error for a name that means nothing, with the nearest one that does."""
    hint = did_you_mean(bare(name), [*KNOWN, *also])
    return ModelNotFoundError(
        f"there is no local model named `{bare(name)}`",
        hint=f"{hint} A file is named as `local/<path>.gguf`, one of the hub as `local/hf:ORG/REPO:FILE`.".strip(),
    )


def checked_file(file: str) -> str:
    """A file's path within a repository, which cannot lead out of it.

    Raises:
        ModelNotFoundError: it is no such path.
    """
    if not _FILE.fullmatch(file) or ".." in file:
        raise ModelNotFoundError(f"`{file}` cannot be the name of a model's file")
    return file


def hub_name(repo: str, file: str) -> str:
    """How a file of the hub is named, without `local/`."""
    return f"{HUB}{repo}:{file}"


def _on_hub(name: str) -> HubModel:
    repo, _, wants = name.removeprefix(HUB).partition(":")
    if not _REPO.fullmatch(repo) or ".." in repo:
        raise ModelNotFoundError(f"`{name}` names no repository", hint="Write `local/hf:ORG/REPO:FILE`.")
    return HubModel(repo=repo, wants=checked_file(wants) if wants else "")
