"""Models of an Ollama server: there before they are called, in a window that holds the prompt.

Before the first call of a model, the server is asked whether it has it, and how long a prompt it takes; a model that is
missing is downloaded only with the user's consent.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from runllm.engines.access import reach, refusals
from runllm.engines.addresses import is_at
from runllm.engines.base import FREE, Fit, Price, Setup
from runllm.engines.blocking import BlockingEngine
from runllm.engines.catalogue import traits
from runllm.engines.ollama_request import Facts, asked, body, bounded, choose, fit, judge, larger
from runllm.engines.ollama_server import (
    PATIENCE,
    Fields,
    Server,
    full,
    name_of,
    object_in,
)
from runllm.errors import (
    ContextWindowExceededError,
    FileAccessError,
    ModelNotFoundError,
    OllamaModelMissingError,
    ProviderConnectionError,
    RequestRefusedError,
    RunllmError,
)
from runllm.quantities import size
from runllm.redaction import redact_text
from runllm.results import Completion, Endpoint, Request, Usage

if TYPE_CHECKING:
    from runllm.engines.http import Line
    from runllm.models.pulling import Progress

_Key: TypeAlias = tuple[str, str]
_SHORTEST_CALL = 0.1
_SILENCE = 900.0  # seconds between two lines of a download: checking a large model on a slow disk is silent for minutes
_LONGEST_WORDS = 300
_REDIRECTIONS = 300
_CLOUD = re.compile(r"[:-]cloud$")


class OllamaEngine(BlockingEngine):
    """Runs `ollama/...` and `ollama_chat/...` models. An `Engine`: see `runllm.engines.base`."""

    def __init__(self, setup: Setup | None = None, *, environment: Mapping[str, str] = os.environ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            setup: whether a model that is missing is downloaded, and who is told.
            environment: the process's variables.
        """
        super().__init__()
        self._setup = setup or Setup()
        self._environment = environment
        self._facts: dict[_Key, Facts | None] = {}
        self._windows: dict[_Key, int] = {}
        self._turns: dict[tuple[_Key, int], threading.Lock] = {}

    def ready(self, endpoint: Endpoint) -> None:
        """Raise unless the call can be made, as far as that is known without asking the server."""
        reach(endpoint, self._environment)
        asked(endpoint)

    def refusals(self, endpoint: Endpoint) -> Iterator[RunllmError]:
        """What the endpoint asks for and the user has not allowed."""
        return refusals(endpoint, self._environment)

    def fit(self, request: Request) -> Fit:
        """What Ollama takes of the parameters."""
        return fit(request)

    def suggestion(self, recommended: Sequence[str], failed: str) -> str | None:
        """One of those recommended that the user's own server has; it is asked, for a second at the most."""
        candidates = [model for model in recommended if traits(model).name == "ollama"]
        if not candidates:
            return None
        try:
            here = Server(Endpoint(model=candidates[0]), self._environment).models()
        except RunllmError:
            return None
        found = alternative(candidates, [model.name for model in here], failed)
        return f"The file recommends `{found}`, which is installed: run with `--model {found}`." if found else None

    def window(self, endpoint: Endpoint) -> int | None:
        """The file's `num_ctx`; the model's own window as well, once the server was asked."""
        try:
            facts = self._facts.get(_key(Server(endpoint, self._environment)))
        except RunllmError:  # it cannot be reached: that is for `ready` to say
            facts = None
        known = (asked(endpoint), facts.window if facts else None)
        return min((limit for limit in known if limit is not None), default=None)

    def price(self, endpoint: Endpoint) -> Price | None:
        """Nothing where the server is the user's own; None where Ollama's cloud runs the model."""
        rented = _CLOUD.search(endpoint.model) or is_at(endpoint.api_base or "", ("ollama.com",))
        return None if rented else FREE

    def close(self) -> None:
        """Stop what is asked or downloaded. Safe to call twice."""
        super().close()
        self._turns.clear()

    # --- one call ------------------------------------------------------------------------------

    def complete(self, request: Request) -> Completion:
        """Call the model once and wait."""
        return self._wait(partial(self._answer, request))

    async def acomplete(self, request: Request) -> Completion:
        """As `complete`, without blocking the event loop; cancellation ends the call."""
        return await self._await(partial(self._answer, request))

    def _answer(self, request: Request, line: Line) -> Completion:
        """One answer; a second call is made where the window turns out to be too small, and there is a larger one.

        The model is known to be there first; a download takes none of `request.timeout`.
        """
        server = Server(request.endpoint, self._environment, self._connections())
        key, notes = _key(server), self._find(server, min(PATIENCE, request.timeout), line)
        facts, started = self._facts.get(key), time.monotonic()
        window = choose(request, facts, self._windows.get(key) or (facts and facts.loaded))
        try:
            return self._call(server, request, window, notes, line)
        except ContextWindowExceededError:
            wider = larger(window, request, facts)
            if wider is None:
                raise
        except OllamaModelMissingError:
            self._facts.pop(key, None)  # it was removed since it was found
            raise
        left = max(_SHORTEST_CALL, request.timeout - (time.monotonic() - started))
        again = f"sent again with `num_ctx` {wider}: the prompt has more tokens than were estimated"
        return self._call(server, replace(request, timeout=left), wider, (*notes, again), line)

    def _call(
        self, server: Server, request: Request, window: int | None, notes: tuple[str, ...], line: Line
    ) -> Completion:
        key, started = _key(server), time.monotonic()
        facts = self._facts.get(key)
        if window is not None:
            self._windows[key] = window
        reply, waited = server.chat(body(bounded(request, window), window), request, line, self._setup)
        notes = (*waited, *notes)
        found = self._read(server, request, reply, time.monotonic() - started)
        trusted = facts is not None and not facts.remote
        judged = judge(found, request, window if trusted else None)
        return replace(judged, notes=(*judged.notes, *notes)) if notes else judged

    def _read(self, server: Server, request: Request, reply: Fields, elapsed: float) -> Completion:
        from runllm.engines.chat import (  # as all that follows a call, not for one that is only checked
            answered,
            completed,
            counted,
            functions,
            said,
        )
        from runllm.engines.endings import told
        from runllm.engines.failures import Failure
        from runllm.engines.meanings import NO_ENDPOINT, error_for

        message = reply.get("message")
        if not isinstance(message, Mapping):
            other = "choices" in reply or "endpoint" in str(reply.get("error", ""))  # as llama.cpp and LM Studio answer
            failure = Failure(kinds=frozenset({NO_ENDPOINT if other else "KeyError"}))
            raise error_for(failure, endpoint=request.endpoint, access=server.access, request=request)
        text, thought = answered(said(message, request), cast("Fields", message).get("thinking"))
        usage = Usage(
            prompt_tokens=counted(reply.get("prompt_eval_count")), completion_tokens=counted(reply.get("eval_count"))
        )
        price = self.price(request.endpoint)
        return completed(
            text,
            told(reply.get("done_reason")),
            usage,
            request=request,
            provider=server.access.provider,
            cost=price.cost(usage) if price else None,
            latency=elapsed,
            thought=thought,
            called=bool(functions(message)),
        )

    # --- before the first call -----------------------------------------------------------------

    def _find(self, server: Server, patience: float, line: Line) -> tuple[str, ...]:
        """Learn what the server knows about the model, and download it if need be; what there is to note about that.

        Those who ask for the same model at the same time wait for the first, so that it is downloaded once.
        """
        key = _key(server)
        if key in self._facts:
            return ()
        with self._turn(key):
            line.check()
            if key in self._facts:
                return ()
            try:
                self._facts[key] = server.facts(patience, line)
            except OllamaModelMissingError:
                if not self._setup.ollama_auto_pull:
                    raise
            else:
                return ()
            loaded = pull(server, line, self._setup.progress)
            self._facts[key] = server.facts(PATIENCE, line)
            return (f"downloaded `{server.name}` ({size(loaded.total or 0)}) to {server.base}",)

    def _turn(self, key: _Key) -> threading.Lock:
        return self._turns.setdefault((key, os.getpid()), threading.Lock())  # a fork holds no lock of its parent


def _key(server: Server) -> _Key:
    """Which model at which server."""
    return server.base, full(server.name)


def alternative(recommended: Iterable[str], there: Iterable[str], failed: str) -> str | None:
    """The first recommended Ollama model that is there and is not the one that failed; None when there is none."""
    names = {full(name) for name in there}
    if traits(failed).name == "ollama":
        names.discard(full(name_of(failed)))
    wanted = (model for model in recommended if traits(model).name == "ollama")
    return next((model for model in wanted if full(name_of(model)) in names), None)


# --- a download ---------------------------------------------------------------------------------------


def pull(server: Server, line: Line, tell: Callable[[Progress], None] | None = None) -> Progress:
    """Download the model and wait for it, however long it takes; cancelling stops the download.

    Args:
        server: which model, where.
        line: ends it from another thread.
        tell: told of each step.

    Raises:
        ModelNotFoundError: there is no such model to download.
        FileAccessError: the server has no room for it.
        ProviderConnectionError: the server cannot be reached, or was lost on the way.
        RequestRefusedError: the server refuses.
    """
    from http.client import HTTPException

    from runllm.engines.bodies import UnreadableError
    from runllm.engines.http import NotConnectedError, UnreachableError
    from runllm.models.pulling import Progress

    last, layers = Progress(name=server.name, stage=""), dict[str, tuple[int, int]]()
    why: RunllmError | None = None
    body = {"model": server.name, "insecure": False, "stream": True}
    try:
        with server.client.lines(server.request("POST", "/api/pull", body, _SILENCE), line) as (status, lines):
            for text in lines:
                step = object_in(text)
                if "error" in step or status >= _REDIRECTIONS:
                    why = refused(server, str(step.get("error", text)), last)
                    break
                if step.get("digest") and step.get("total"):
                    layers[step["digest"]] = (step.get("completed") or 0, step["total"])
                done, total = (sum(counts) for counts in zip(*layers.values(), strict=True)) if layers else (0, 0)
                last = Progress(name=server.name, stage=str(step.get("status", "")), done=done, total=total or None)
                if tell is not None:
                    tell(last)
    except NotConnectedError as error:
        why = server.down(str(error))
    except (TimeoutError, UnreachableError, UnreadableError, HTTPException) as error:
        why = lost(server, str(error), last)
    if why is None and last.stage != "success":
        why = lost(server, "", last)
    if why is not None:
        raise why
    return last


def refused(server: Server, words: str, reached: Progress) -> RunllmError:
    """The error for what the server said of a download that failed."""
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
    return ProviderConnectionError(
        f"the download of `{server.name}` broke off{_so_far(reached)}{f': {words}' if words else ''}",
        details={"model": server.endpoint.model, "base": server.base, "completed": reached.done},
        hint="Run again: Ollama goes on where it stopped. If it stops again, check the server's own connection.",
    )


_NO_SUCH_MODEL = re.compile(r"(?i)manifest: (?:file does not exist|404|not found)|manifest unknown|invalid model name")
_FULL = re.compile(
    r"(?i)no space left|not enough (?:disk )?space|insufficient (?:disk )?space|disk quota|disk (?:is )?full"
)
_BROKEN = re.compile(
    r"(?i)max retries|\bEOF\b|dial tcp|no such host|connection re(?:set|fused)|i/o timeout|TLS handshake|timed? ?out"
)


def _so_far(reached: Progress) -> str:
    return f" after {size(reached.done)} of {size(reached.total)}" if reached.total else ""
