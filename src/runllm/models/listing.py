"""What models there are, here and to be had; and how one is removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from runllm.diagnostics import did_you_mean
from runllm.errors import ModelNotFoundError
from runllm.models import gguf
from runllm.models.known import KNOWN, PREFIX, KnownModel, PackagedModel, installed
from runllm.models.names import HUB, bare, source_of
from runllm.models.store import Held, Store, models_folder
from runllm.values import frozen

Where = Literal["embedded", "pulled", "unfinished", "catalogue", "ollama", "configured"]


@frozen
class Model:
    """A model that can be named.

    Attributes:
        name: what to write under `llm.model`.
        where: `embedded` in an installed package, `pulled` into the folder, `unfinished` there, in the `catalogue`
            and to be pulled, on the `ollama` server, or only `configured`.
        size: of the weights in bytes; None where it is not known before they are pulled.
        licence: None where it is not known.
        window: in tokens, as the weights were trained; None where it is not known.
        parameters: in millions; None where it is not known.
        path: of the file, for what is here.
        configured: whether the user's settings name it.
    """

    name: str
    where: Where
    size: int | None = None
    licence: str | None = None
    window: int | None = None
    parameters: int | None = None
    path: Path | None = None
    configured: bool = False


@frozen
class Removed:
    """A file that is gone: of which model, where it was, and its size in bytes."""

    name: str
    path: Path
    size: int


def inventory(
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    others: Iterable[Model] = (),
    configured: Iterable[str] = (),
) -> list[Model]:
    """Every model: what is here, then the rest of the catalogue, then the others. Reaches no network.

    Args:
        folder: where models are kept; the user's own by default.
        environment: `RUNLLM_MODELS`.
        others: what else there is, such as an Ollama server's.
        configured: the names in the user's settings; those that are nowhere else get a row of their own.
    """
    store = Store(folder or models_folder(environment))
    held = {one.path: one for one in store.held()}
    known = [model for name, facts in KNOWN.items() for model in _known(store, name, facts, held)]
    named_by_catalogue = {model.path for model in known if model.path is not None}
    pulled = [_of_file(one) for path, one in held.items() if path not in named_by_catalogue]
    here = [model for model in known if model.where != "catalogue"]
    found = [*here, *pulled, *(model for model in known if model.where == "catalogue"), *others]
    wanted = list(dict.fromkeys(configured))
    names = {model.name for model in found}
    marked = [replace(model, configured=model.name in wanted) for model in found]
    return marked + [Model(name=name, where="configured", configured=True) for name in wanted if name not in names]


def _known(store: Store, name: str, facts: KnownModel, held: Mapping[Path, Held]) -> Iterator[Model]:
    source = facts.source
    row = Model(
        name=PREFIX + name,
        where="catalogue",
        size=source.size if isinstance(source, PackagedModel) else None,
        licence=facts.licence,
        window=facts.window,
        parameters=facts.parameters,
    )
    embedded = installed(source) if isinstance(source, PackagedModel) else None
    if embedded is not None and embedded.is_file():
        yield replace(row, where="embedded", path=embedded)
    pulled = store.find(name, source)
    if pulled is not None and pulled.path in held:
        of_file = _of_file(pulled)
        yield replace(
            row, where="pulled", path=pulled.path, size=pulled.size, window=of_file.window or row.window,
            licence=of_file.licence or row.licence,
        )  # fmt: skip
    elif embedded is None:
        yield row


def _of_file(held: Held) -> Model:
    return Model(
        name=PREFIX + held.name,
        where="pulled" if held.whole else "unfinished",
        size=held.size,
        licence=(held.note.licence or None) if held.note else None,
        window=gguf.trained_window(held.path) if held.whole else None,
        path=held.path,
    )


def remove(name: str, *, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[Removed]:
    """Delete a pulled model and what an interrupted download of it left.

    Args:
        name: as `inventory` or `pull` give it; a repository without a file where only one of its files is here.
        folder: where models are kept; the user's own by default.
        environment: `RUNLLM_MODELS`.

    Raises:
        ModelNotFoundError: it is not here, is part of an installed package, or more than one file is meant.
        FileAccessError: it may not be deleted.
    """
    store = Store(folder or models_folder(environment))
    held = list(store.held())
    meant = _meant(store, bare(name), held)
    if not meant:
        raise _absent(bare(name), held)
    names = sorted({one.name for one in meant})
    if len(names) > 1:
        raise ModelNotFoundError(
            f"`{name}` is more than one model here",
            hint="Name one: " + ", ".join(f"`{PREFIX}{one}`" for one in names) + ".",
        )
    for one in meant:
        store.remove(one)
    return [Removed(name=PREFIX + one.name, path=one.path, size=one.size) for one in meant]


def _meant(store: Store, name: str, held: list[Held]) -> list[Held]:
    exact = [one for one in held if one.name == name]
    if exact or (name not in KNOWN and not name.startswith(HUB)):
        return exact
    source = source_of(name)
    if isinstance(source, PackagedModel):
        return []
    if source.wants:
        found = store.find(name, source)
        return [one for one in held if found is not None and one.name == found.name]
    return [one for one in held if one.name.startswith(f"{HUB}{source.repo}:")]


def _absent(name: str, held: list[Held]) -> ModelNotFoundError:
    known = KNOWN.get(name)
    if known is not None and isinstance(known.source, PackagedModel) and installed(known.source) is not None:
        package = known.source.distribution
        return ModelNotFoundError(
            f"`{name}` is part of the installed package {package}",
            hint=f"Remove the package: `pip uninstall {package}`, or `uv pip uninstall {package}`.",
        )
    hint = did_you_mean(name, sorted({one.name for one in held}))
    return ModelNotFoundError(f"`{name}` has not been pulled", hint=hint or "`runllm models` lists what is here.")
