"""What a machine offers to every app on it: the runtime as its user has set it, its statistics, its models."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runllm.models.folder import Held, Model
    from runllm.models.pulling import Listener as PullListener
    from runllm.models.pulling import Progress
    from runllm.runtime import Runtime
    from runllm.settings import Settings
    from runllm.stats.store import Store


def new_runtime(
    *,
    auto_pull: bool | None = None,
    ollama_auto_pull: bool | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Runtime:
    """A runtime as the user has set it: what it may download, and where it records.

    Args:
        auto_pull: whether a missing local model may be downloaded; by default as the user has set.
        ollama_auto_pull: whether an Ollama server may pull a missing model; by default as the user has set.
        progress: told how far such a download is, maybe from another thread.

    Raises:
        ConfigError: a setting is wrong.
    """
    from runllm.runtime import Runtime

    settings = _settings()
    return Runtime(
        store=_store_at(settings.stats_db) if settings.stats_db else None,
        auto_pull=settings.auto_pull if auto_pull is None else auto_pull,
        ollama_auto_pull=settings.ollama_auto_pull if ollama_auto_pull is None else ollama_auto_pull,
        progress=progress,
    )


@cache
def process_runtime() -> Runtime:
    """The runtime that all apps of a process share, closed when the interpreter ends."""
    import atexit

    runtime = new_runtime()
    atexit.register(runtime.close)
    return runtime


def stats_store() -> Store:
    """The statistics of this user, whether or not runs are being recorded now.

    Raises:
        StatsError: there is no place for them.
        ConfigError: a setting is wrong.
    """
    from runllm.errors import StatsError

    path = _settings().stats_db
    if path is None:
        raise StatsError("there is no folder for statistics", hint="Name a file in `RUNLLM_STATS_DB`.")
    return _store_at(path)


def _settings() -> Settings:
    """What holds in the current folder; the user is told of files that do not count."""
    from runllm.notices import tell
    from runllm.settings import load

    found = load()
    tell(found.warnings)
    return found.settings


def _store_at(path: Path) -> Store:
    from runllm.stats.store import Store

    return Store(path)


def pull(name: str, *, file: str | None = None, listener: PullListener = lambda _: None) -> Held:
    """Fetch a local model, unless it is here: see `runllm.models.pulling.pull`."""
    from runllm.models.pulling import pull as fetch

    return fetch(name, file=file, listener=listener)


def models(*, served: bool = True) -> list[Model]:
    """Every model that can be named: known, pulled, on an Ollama server, or in the user's settings.

    Args:
        served: whether an Ollama server is asked; without it nothing is sent anywhere.

    Raises:
        ConfigError: a setting is wrong.
    """
    from runllm.models.folder import inventory

    settings = _settings()
    named = [settings.model, *settings.aliases.values(), *(name for name in settings.models if "*" not in name)]
    return inventory(others=_served() if served else (), configured=[name for name in named if name])


def _served() -> list[Model]:
    from runllm.engines.ollama_server import available
    from runllm.models.folder import Model

    return [
        Model(name=f"ollama/{one.name}", where="ollama", size=one.size, parameters=one.parameters)
        for one in available()
    ]


def remove_model(name: str) -> list[Held]:
    """Delete a pulled model: see `runllm.models.folder.remove`."""
    from runllm.models.folder import remove

    return remove(name)
