"""Measure a local model on this machine: how long it takes to load, how fast it reads and writes, its memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path

from runllm.engines.base import Setup
from runllm.engines.local.engine import LocalEngine, locate
from runllm.models.measured import Measured, keep
from runllm.results import Completion, Endpoint, Message, Request

_TEXT = "The lighthouse was built in 1871, after three ships were lost on the reef in one winter. " * 20
_WRITTEN = 64  # tokens


def bench(model: str) -> tuple[Path, Measured]:
    """Measure a model in a process of its own, and remember what was found.

    Args:
        model: `local/...`.

    Raises:
        ModelNotFoundError: it is not here.
        EngineUnavailableError: the engine is not installed.
    """
    endpoint = Endpoint(model=model)
    LocalEngine().ready(endpoint)
    path = locate(endpoint)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            found = pool.submit(measure, model).result()
        except KeyboardInterrupt:
            for worker in active_children():  # who leaves the pool waits for it, and a large model takes minutes
                worker.kill()
            raise
    keep(path, found)
    return path, found


def measure(model: str) -> Measured:
    """Measure a model in this process, which should hold nothing else."""
    loading: list[float] = []

    @contextmanager
    def doing(what: str) -> Generator[Callable[[str], None]]:
        began = time.monotonic()
        yield lambda _: None
        if what:
            loading.append(time.monotonic() - began)

    engine = LocalEngine(Setup(doing=doing))
    try:
        read = _ask(engine, model, 1)
        written = _ask(engine, model, _WRITTEN)  # the prompt is known by now
    finally:
        engine.close()
    return Measured(
        load=max(loading, default=0.0),
        prompt_speed=read.usage.prompt_tokens / max(read.latency, 1e-9),
        speed=written.usage.completion_tokens / max(written.latency, 1e-9),
        memory=_peak(),
    )


def _ask(engine: LocalEngine, model: str, most: int) -> Completion:
    said = (Message(role="user", content=f"{_TEXT}\nTell this at length, in your own words."),)
    params = {"max_tokens": most, "temperature": 0.8, "seed": 1}
    return engine.complete(Request(endpoint=Endpoint(model=model), messages=said, params=params, timeout=3600))


def _peak() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
