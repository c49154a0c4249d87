"""The folder of pulled models: `hf/ORG/REPO/FILE` and `index/NAME.gguf`, and a JSON file beside each."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from runllm.diagnostics import did_you_mean
from runllm.errors import FileAccessError, ModelNotFoundError
from runllm.models import gguf
from runllm.models.known import (
    HUB,
    KNOWN,
    PREFIX,
    HubModel,
    KnownModel,
    PackagedModel,
    bare,
    choose,
    hub_name,
    installed,
    source_of,
)
from runllm.values import frozen

VARIABLE = "RUNLLM_MODELS"
PART = ".part"
_NOTE = ".json"


@frozen
class Note:
    """What is remembered of a pulled file.

    Attributes:
        source: where it came from.
        revision: the commit or version of it there.
        sha256: of the file.
        size: in bytes.
        licence: as the source states it; empty where it does not.
        pulled_at: when, in UTC, as ISO 8601.
    """

    source: str
    revision: str
    sha256: str
    size: int
    licence: str
    pulled_at: str


@frozen
class Held:
    """The file of a model that is here.

    Attributes:
        name: of the model, without `local/`.
        path: of the file.
        size: in bytes.
        licence: as its source states it; empty where it does not.
        whole: False for a download that was interrupted, or a file that is no longer what it was.
        fetched: whether it has just been fetched.
    """

    name: str
    path: Path
    size: int
    licence: str = ""
    whole: bool = True
    fetched: bool = False


def models_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where pulled models are: `RUNLLM_MODELS`, or a folder of the user's data; it need not exist."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path  # 13 ms that a run of an installed model need not pay

    return user_data_path("runllm", appauthor=False) / "models"


class Store:
    """The pulled models of one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, name: str, source: PackagedModel | HubModel, file: str = "") -> Path:
        """Where the file of a model belongs; `file` is one of the repository's."""
        if isinstance(source, PackagedModel):
            return self.root / "index" / f"{name}.gguf"
        return self.root / "hf" / source.repo / file

    def find(self, name: str, source: PackagedModel | HubModel) -> Held | None:
        """The pulled file of a model, the preferred one where several fit; None without one."""
        if isinstance(source, PackagedModel):
            found = _held(name, self.path_of(name, source))
            return found if found and found.whole else None
        folder = self.root / "hf" / source.repo
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf")]
        try:
            file = choose(files, source.wants, name)
        except ModelNotFoundError:
            return None
        found = _held(hub_name(source.repo, file), folder / file)
        return found if found and found.whole else None

    def held(self) -> Iterator[Held]:
        """Every file, the interrupted downloads among them, by name."""
        found = [self._named(path) for path in self.root.glob("index/*") if path.is_file()]
        found += [self._named(path) for path in self.root.glob("hf/*/*/**/*") if path.is_file()]
        yield from sorted((one for one in found if one is not None), key=lambda one: one.name)

    def _named(self, path: Path) -> Held | None:
        whole = path.suffix != PART
        steps = path.relative_to(self.root).parts
        file = "/".join(steps[1 if steps[0] == "index" else 3 :])
        if not whole:
            file = file.removesuffix(PART).rpartition(".")[0]
        if not file.lower().endswith(".gguf"):
            return None
        name = file.removesuffix(".gguf") if steps[0] == "index" else hub_name("/".join(steps[1:3]), file)
        return _held(name, path, whole=whole)

    def keep(self, name: str, part: Path, path: Path, note: Note) -> Held:
        """Make a finished part the model's file: the note first, so that no file is ever without one."""
        with writing(path):
            beside = Path(str(part) + _NOTE)
            beside.write_text(json.dumps(asdict(note), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            beside.replace(str(path) + _NOTE)
            part.replace(path)
        return Held(name=name, path=path, size=note.size, licence=note.licence, fetched=True)

    def remove(self, held: Held) -> None:
        """Delete a file, its note, and the folders that this leaves empty."""
        with writing(held.path):
            held.path.unlink(missing_ok=True)
            Path(str(held.path) + _NOTE).unlink(missing_ok=True)
        for folder in held.path.parents:
            if folder == self.root:
                break
            with contextlib.suppress(OSError):  # it holds something else
                folder.rmdir()

    def prepare(self, path: Path) -> None:
        """Make the folder of a file; the root is the user's own."""
        with writing(path):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Generator[None]:
    """What the system refuses, as the catalogued error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileAccessError(
            f"`{path}` cannot be written: {reason}",
            details={"path": str(path)},
            hint=f"Check the disk and its permissions, or name another folder in {VARIABLE}.",
        ) from None


def _held(name: str, path: Path, *, whole: bool = True) -> Held | None:
    try:
        size = path.stat().st_size
    except OSError:
        return None
    try:
        note = Note(**json.loads(Path(str(path) + _NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # lost, or of a download that was interrupted
        return Held(name=name, path=path, size=size, whole=whole)
    return Held(name=name, path=path, size=size, licence=note.licence, whole=note.size == size)


# --- what there is --------------------------------------------------------------------------------

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
        purpose: what it is good for; empty where nobody said.
    """

    name: str
    where: Where
    size: int | None = None
    licence: str | None = None
    window: int | None = None
    parameters: int | None = None
    path: Path | None = None
    configured: bool = False
    purpose: str = ""


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
        purpose=facts.purpose,
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
        licence=held.licence or None,
        window=gguf.trained_window(held.path) if held.whole else None,
        path=held.path,
    )


def remove(name: str, *, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[Held]:
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
    return meant


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
