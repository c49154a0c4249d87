"""Have an Ollama server download a model, through the official client, and tell how far it is."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

from runllm.engines.ollama_server import Server, client_options, reason
from runllm.errors import (
    EngineUnavailableError,
    FileAccessError,
    ModelNotFoundError,
    ProviderConnectionError,
    RequestRefusedError,
    RunllmError,
)
from runllm.models import Progress
from runllm.quantities import size
from runllm.redaction import redact_text

_SILENCE = 900.0  # seconds between two lines: checking a large model on a slow disk is silent for minutes
_LONGEST_WORDS = 300


class Tally:
    """Adds up the layers that a model is downloaded in."""

    def __init__(self, model: str) -> None:
        self._layers: dict[str, tuple[int, int]] = {}  # now, in the end
        self.last = Progress(name=model, stage="")

    def take(self, status: str, digest: str | None, completed: int | None, total: int | None) -> Progress:
        """Count one line of the stream in."""
        if digest and total:
            self._layers[digest] = (completed or 0, total)
        there = sum(now for now, _ in self._layers.values())
        whole = sum(end for _, end in self._layers.values())
        self.last = Progress(name=self.last.name, stage=status, done=there, total=whole or None)
        return self.last


async def pull(server: Server, progress: Callable[[Progress], None] | None = None) -> Progress:
    """Download the server's model and wait for it, however long it takes; cancelling stops the download.

    Args:
        server: which model, where.
        progress: told of each step, in the thread of the caller's event loop.

    Raises:
        EngineUnavailableError: the official client is not installed.
        ModelNotFoundError: there is no such model to download.
        FileAccessError: the server has no room for it.
        ProviderConnectionError: the server cannot be reached, or was lost on the way.
        RequestRefusedError: the server refuses.
    """
    last = Progress(name=server.name, stage="")
    async with aclosing(_follow(server)) as steps:
        async for step in steps:
            if isinstance(step, RunllmError):  # raised here, so that nothing of the client becomes its context
                raise step
            last = step
            if progress is not None:
                progress(step)
    return last


async def _follow(server: Server) -> AsyncGenerator[Progress | RunllmError, None]:
    """Each step of the download, and at the end why it failed, if it did."""
    try:
        import httpx
        import ollama  # 200 ms, and only to download

        from runllm.engines.bodies import LINE_HOOKS, UnreadableError
    except ImportError:
        yield _no_client(server)
        return
    tally = Tally(server.name)
    options = client_options(server.access, (10.0, _SILENCE, 30.0, 10.0))  # connect, read, write, pool
    options["event_hooks"] = LINE_HOOKS
    base = options.pop("base_url")
    client: Any
    failure: RunllmError | None = None
    try:
        async with (
            cast("Any", ollama.AsyncClient(base, **options)) as client,
            aclosing(await client.pull(server.name, stream=True)) as lines,
        ):
            async for line in lines:
                yield tally.take(line.status or "", line.digest, line.completed, line.total)
    except ollama.ResponseError as error:
        failure = refused(server, str(error.error), tally.last)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        failure = server.down(reason(error))
    except (httpx.TransportError, UnreadableError, ValueError) as error:
        # a line that is cut in two is no JSON
        failure = lost(server, str(error), tally.last)
    if failure is None and tally.last.stage != "success":
        failure = lost(server, "", tally.last)
    if failure is not None:
        yield failure


_NO_SUCH_MODEL = re.compile(r"(?i)manifest: (?:file does not exist|404|not found)|manifest unknown|invalid model name")
_FULL = re.compile(
    r"(?i)no space left|not enough (?:disk )?space|insufficient (?:disk )?space|disk quota|disk (?:is )?full"
)
_BROKEN = re.compile(
    r"(?i)max retries|\bEOF\b|dial tcp|no such host|connection re(?:set|fused)|i/o timeout|TLS handshake|timed? ?out"
)


def refused(server: Server, words: str, reached: Progress) -> RunllmError:
    """Our error for what the server said of a download that failed."""
    words = redact_text(words)[:_LONGEST_WORDS]
    details: dict[str, Any] = {"model": server.endpoint.model, "base": server.base, "words": words}
    if _NO_SUCH_MODEL.search(words):
        return ModelNotFoundError(
            f"there is no model `{server.name}` to download: {words}",
            details=details,
            hint="Check the spelling and the tag; ollama.com/library lists what there is.",
        )
    if _FULL.search(words):
        return FileAccessError(
            f"the Ollama server at {server.base} has no room for `{server.name}`{_so_far(reached)}: {words}",
            details=details,
            hint="Make room on the server's disk (`ollama list`, `ollama rm MODEL`), or move its models "
            "with `OLLAMA_MODELS`; what was downloaded is kept.",
        )
    if _BROKEN.search(words):
        return lost(server, words, reached)
    return RequestRefusedError(
        f"the Ollama server at {server.base} refused to download `{server.name}`: {words}",
        details=details,
        hint=f"Read the server's words, and try `{server.command}` by hand.",
    )


def lost(server: Server, words: str, reached: Progress) -> ProviderConnectionError:
    """The error for a download that broke off."""
    why = f": {words}" if words else ""
    return ProviderConnectionError(
        f"the download of `{server.name}` broke off{_so_far(reached)}{why}",
        details={"model": server.endpoint.model, "base": server.base, "completed": reached.done},
        hint="Run again: Ollama goes on where it stopped. If it stops again, check the server's own connection.",
    )


def _so_far(reached: Progress) -> str:
    return f" after {size(reached.done)} of {size(reached.total)}" if reached.total else ""


def _no_client(server: Server) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"`{server.name}` is to be downloaded, and the client for that, `ollama`, is not installed",
        details={"model": server.endpoint.model},
        hint=f"Run `pip install ollama`, or type `{server.command}` yourself.",
    )
