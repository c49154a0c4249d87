"""The folder of pulled models: `hf/ORG/REPO/FILE` and `index/NAME.gguf`, a small JSON file beside each."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from runllm.errors import FileAccessError, ModelNotFoundError
from runllm.models.choosing import choose
from runllm.models.known import HubModel, PackagedModel
from runllm.models.names import hub_name
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
    """A file in the folder.

    Attributes:
        name: of the model, without `local/`.
        path: of the file.
        size: in bytes, as it is now.
        note: what is remembered of it, None where that is lost.
        whole: False for a download that was interrupted.
    """

    name: str
    path: Path
    size: int
    note: Note | None
    whole: bool = True


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
            return _held(name, self.path_of(name, source))
        folder = self.root / "hf" / source.repo
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf")]
        try:
            file = choose(files, source.wants, name)
        except ModelNotFoundError:
            return None
        return _held(hub_name(source.repo, file), folder / file)

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
        text = json.dumps(asdict(note), ensure_ascii=False, indent=2) + "\n"
        fresh = path.with_name(path.name + _NOTE + ".new")
        with writing(path):
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path.with_name(path.name + _NOTE))
            part.replace(path)
        return Held(name=name, path=path, size=note.size, note=note)

    def remove(self, held: Held) -> None:
        """Delete a file, its note, and the folders that this leaves empty."""
        with writing(held.path):
            held.path.unlink(missing_ok=True)
            if held.whole:
                held.path.with_name(held.path.name + _NOTE).unlink(missing_ok=True)
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
    return Held(name=name, path=path, size=size, note=_note(path) if whole else None, whole=whole)


def _note(path: Path) -> Note | None:
    try:
        said: Any = json.loads(path.with_name(path.name + _NOTE).read_text(encoding="utf-8"))
        fields = cast("dict[str, Any]", said)
        texts = {key: str(fields[key]) for key in ("source", "revision", "sha256", "licence", "pulled_at")}
        return Note(**texts, size=int(fields["size"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
